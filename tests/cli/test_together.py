"""Training in several processes as a user starts it: what they learn, and how they end."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from allegory.cli import main
from allegory.cli.together import run_together
from allegory.launch import is_first, missing_processes, process_count

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 60
"""The longest wait for an end that takes a few seconds on a machine with nothing else to do."""


def free_port() -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return str(free.getsockname()[1])


def environment() -> dict[str, str]:
    paths = f"{ROOT / 'src'}{os.pathsep}{ROOT}"
    return {**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}


@contextmanager
def started(*words: str, ranks: tuple[int, ...] = (0, 1)) -> Iterator[list[subprocess.Popen[str]]]:
    """Python with these words in the processes of these ranks, of two."""
    where = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": free_port()}
    shared = environment() | where | {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}
    processes = [
        subprocess.Popen(
            [sys.executable, *words],
            env=shared | {"RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in ranks
    ]
    try:
        yield processes
    finally:
        for process in processes:
            process.kill()
            process.wait()


def words_of(process: subprocess.Popen[str]) -> tuple[int, list[str]]:
    """Exit status and lines on standard error, but for progress."""
    _, error = process.communicate(timeout=SECONDS)
    lines = [line for line in error.splitlines() if not re.match("loading|training", line)]
    return process.returncode, lines


def largest_difference(run: Path, other: Path) -> float:
    """Between the weights of two runs, of the last step, averaged, and best."""
    apart = 0.0
    for name in ("model", "ema", "best"):
        mine, theirs = (load_file(each / f"{name}.safetensors") for each in (run, other))
        assert mine.keys() == theirs.keys()
        differences = [(mine[key] - theirs[key]).abs().max().item() for key in mine]
        apart = max(apart, *differences)
    return apart


@pytest.mark.thorough
def test_two_processes_by_torchrun_learn_what_one_learns_and_one_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one, two = (str(tmp_path / name) for name in ("one", "two"))
    words = ["train", "toy", "--steps", "50", "--json", "--out"]
    launcher = ["-m", "torch.distributed.run", "--nproc_per_node", "2"]
    command = [sys.executable, *launcher, "--master_port", free_port(), "-m", "allegory", *words]
    done = subprocess.run(
        [*command, two], env=environment(), capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["items"] == 50 * 512
    assert done.stderr.count("training in float32 on cpu, in 2 processes") == 1

    main([*words, one])
    assert json.loads(capsys.readouterr().out)["items"] == 50 * 512
    assert largest_difference(Path(one), Path(two)) <= 1e-6
    random = load_file(Path(two) / "state" / "random.safetensors")
    assert not torch.equal(*random["own.loss"])

    for folder in (one, two):  # what two began, one goes on with
        main(["train", "toy", "--steps", "60", "--json", "--resume", "--out", folder])
    assert largest_difference(Path(one), Path(two)) <= 1e-6


@pytest.mark.thorough
def test_a_folder_that_exists_ends_both_with_one_line(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    began = time.monotonic()
    with started("-m", "allegory", "train", "toy", "--out", str(tmp_path)) as processes:
        ends = [words_of(process) for process in processes]

    assert [status for status, _ in ends] == [2, 2]
    (line,) = [line for _, lines in ends for line in lines]
    assert line.startswith(f"allegory: --out '{tmp_path}': exists")
    assert time.monotonic() - began < SECONDS
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


@pytest.mark.thorough
def test_a_process_that_dies_ends_the_other_with_one_line(tmp_path: Path) -> None:
    words = ("train", "toy", "--steps", "1000000", "--out", str(tmp_path / "run"))
    with started("-m", "allegory", *words) as processes:
        lines = tmp_path / "run" / "metrics.jsonl"
        while not (lines.is_file() and lines.read_text()):
            assert all(process.poll() is None for process in processes)
            time.sleep(0.1)
        processes[1].send_signal(signal.SIGKILL)
        status, (line,) = words_of(processes[0])

    assert status == 2
    assert line.startswith("allegory: another process has ended, and the run with it")


@pytest.mark.thorough
def test_a_process_that_never_comes_ends_the_other_with_one_line(tmp_path: Path) -> None:
    words = ["train", "toy", "--out", str(tmp_path / "run")]
    code = (
        "from allegory.training import group; group.FORMING_SECONDS = 1.5; "
        f"from allegory.cli import main; main({words})"
    )
    with started("-c", code, ranks=(0,)) as firsts, started("-c", code, ranks=(1,)) as others:
        for process in (*firsts, *others):
            status, (line,) = words_of(process)
            assert status == 2
            assert line.startswith("allegory: not all 2 processes were there within 1.5 s")
    assert not (tmp_path / "run").exists()


def test_only_train_runs_in_several_processes() -> None:
    with pytest.raises(ValueError, match="sample: runs in one process"):
        run_together(["sample", "runs/toy"])


def test_the_number_of_processes_is_that_of_the_launcher(monkeypatch: pytest.MonkeyPatch) -> None:
    assert process_count() == 1 and is_first()
    monkeypatch.setenv("WORLD_SIZE", "4")  # without a rank, another program's
    assert process_count() == 1 and is_first()
    monkeypatch.setenv("RANK", "3")
    assert process_count() == 4 and not is_first()


@pytest.mark.skipif(sys.platform != "linux", reason="known on Linux only")
def test_a_launch_of_one_process_instead_of_two_is_noticed() -> None:
    code = "from allegory.launch import missing_processes; print(missing_processes())"
    started = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {code!r}])"
    said = {}
    for count in ("1", "2"):
        command = [sys.executable, "-S", "-c", started, "launch", "--num_processes", count]
        wanted = environment() | {"ACCELERATE_MIXED_PRECISION": "no"}
        done = subprocess.run(command, env=wanted, capture_output=True, text=True, check=True)
        said[count] = done.stdout.strip()
    assert said["1"] == ""
    assert said["2"].startswith("accelerate launch was given --num_processes 2")
    assert missing_processes() == ""
