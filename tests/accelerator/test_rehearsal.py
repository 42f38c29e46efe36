"""The benchmark for a GPU, rehearsed on the CPU."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from benchmarks import accelerator

ROOT = Path(__file__).resolve().parents[2]
RUN = [sys.executable, "-m", "benchmarks.accelerator"]


@pytest.mark.thorough
def test_all_its_parts_run_on_a_cpu():
    command = [*RUN, "--device", "cpu", "--shrunk", "--json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout)
    assert len(found["tests"]) > 5 and set(found["tests"].values()) == {"passed"}
    assert list(found["activity"]) == accelerator.ROWS["activity"]
    assert list(found["images/s"]) == accelerator.ROWS["images/s"]
    assert found["images/s"]["allegory UNet"]["training, bf16"] > 0
    assert found["demo"]["steps"] == 3 and found["demo"]["bits/dim"] > 0
    assert found["machine"]["device"] is None


def test_what_was_not_measured_is_empty():
    found = accelerator.empty()
    assert found["seconds"] is None and not any(found["demo"].values())
    assert "| training |  |" in accelerator.markdown(found)


def test_a_rehearsal_is_not_written(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["accelerator", "--device", "cpu", "--write"])
    with pytest.raises(SystemExit):
        accelerator.main()
    assert "a rehearsal is not a result" in capsys.readouterr().err


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_without_a_gpu_the_rows_are_empty(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["accelerator", "--json"])
    accelerator.main()
    assert json.loads(capsys.readouterr().out) == accelerator.empty()
