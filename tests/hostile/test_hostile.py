"""200 damaged files before the commands that read them, and the judge of the benchmark itself."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from benchmarks import hostile_damage as damage
from benchmarks.hostile_runs import Outcome, faults

ROOT = Path(__file__).resolve().parents[2]
GOOD = Outcome(0, "", "training in float32 on cpu\n", 0.2, 0.1, 300 * 10**6, False)
REFUSED = replace(GOOD, status=2, err=GOOD.err + "allegory: x: damaged; restore it\n")


@pytest.mark.slow
@pytest.mark.thorough
def test_damaged_files_before_every_command(tmp_path):
    """A process of its own, in which no type is checked at runtime, and no thread runs."""
    pytest.importorskip("constriction")
    command = [sys.executable, "-m", "benchmarks.hostile", "--quick", "--tries", "200"]
    paths = f"{ROOT / 'src'}{os.pathsep}{ROOT}"
    done = subprocess.run(
        [*command, "--keep", str(tmp_path / "kept"), "--json", str(tmp_path / "found.json")],
        env=os.environ | {"PYTHONPATH": paths},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-5000:]
    found = json.loads((tmp_path / "found.json").read_text())["rows"]
    assert found["all"]["tries"] >= 190 and found["all"]["exit 2"] > 100
    assert {"run.json", "bits", "npz", "state/optimizer", "special files"} <= set(found)


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (GOOD, []),
        (REFUSED, []),
        (replace(GOOD, status=1), ["status 1"]),
        (replace(GOOD, status=-11), ["signal 11"]),
        (replace(REFUSED, status=-9, hangs=True), ["hangs"]),
        (replace(GOOD, status=2), ["0 lines of error"]),
        (replace(REFUSED, err=REFUSED.err * 2), ["2 lines of error"]),
        (replace(REFUSED, err=REFUSED.err + "more\n"), ["1 lines of error"]),
        (
            replace(GOOD, status=1, err="Traceback (most recent call last):\nE: x\n"),
            ["status 1", "traceback"],
        ),
        (
            replace(REFUSED, err="a.py:1: UserWarning: x\n" + REFUSED.err),
            ["line that is no remark"],
        ),
        (replace(GOOD, out="\x1b]0;owned\a"), ["control characters"]),
        (replace(GOOD, processor_seconds=2.2), ["2.1 s more"]),
        (replace(GOOD, peak=801 * 10**6), ["501 MB more"]),
    ],
)
def test_the_judge_sees_every_fault(found, said):
    assert faults(found, GOOD) == said


def test_the_places_of_a_json_value():
    found = list(damage.paths({"a": [1, {"b": 2}]}))
    assert found == [(), ("a",), ("a", 0), ("a", 1), ("a", 1, "b")]
