"""Two processes learn what one does, stop together, and resume exactly."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from tests.training.toy import Numbers, Smooth
from tests.training.two_processes import CONFIG, energy, flow_map, points

from allegory.training import Processes, TrainingConfig, train
from allegory.training.checkpoint import read_checkpoint as read
from allegory.training.group import Group
from allegory.training.metrics import read_reports as lines_of
from allegory.training.weights import read_weights

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where two processes on this CPU left their runs."""
    if not torch.distributed.is_available() or not torch.distributed.is_gloo_available():
        pytest.skip("this torch has no gloo: two processes cannot speak")
    folder = tmp_path_factory.mktemp("two")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shared = {
        **os.environ,
        "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}",
        "ACCELERATE_USE_CPU": "true",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "WORLD_SIZE": "2",
        "LOCAL_WORLD_SIZE": "2",
        "OMP_NUM_THREADS": "1",
    }
    command = [sys.executable, "-m", "tests.training.two_processes", str(folder)]
    started = [
        subprocess.Popen(
            command,
            env={**shared, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank in range(2)
    ]
    try:
        outputs = [process.communicate(timeout=600)[0] for process in started]
    finally:
        for process in started:
            process.kill()
    assert [process.returncode for process in started] == [0, 0], "\n".join(outputs)
    return folder


def test_without_accelerate_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "accelerate", None)
    with pytest.raises(ImportError, match=r"pip install 'allegory\[train\]'"):
        train(Smooth(), Numbers(), CONFIG)


def test_more_processes_than_gpus_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def form(self: Group) -> None:
        self.world, self.rank = 4, 0

    monkeypatch.setattr(Group, "__init__", form)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    with pytest.raises(ValueError, match=r"2 processes .* GPUs: 1; start one .* --device cpu"):
        Processes()
    with pytest.raises(ValueError, match=r"device 'cuda:1' with 4 processes: leave it out"):
        Processes("cuda:1")


@pytest.mark.thorough
@pytest.mark.parametrize(
    "name", ["smooth1", "smooth2", "best", "energy", "flow_map", "toy", "halves"]
)
def test_both_processes_hold_the_same_weights(folder: Path, name: str) -> None:
    first, second = (read_weights(folder / f"{name}-{rank}.safetensors") for rank in range(2))
    for key, value in first.items():
        if not key.startswith("norm.") or key in (
            "norm.weight",
            "norm.bias",
        ):  # running means are each one's own
            assert torch.equal(value, second[key]), key


@pytest.mark.thorough
@pytest.mark.parametrize("accumulate", [1, 2])
def test_two_learn_what_one_learns_from_the_whole_batch(
    folder: Path, tmp_path: Path, accumulate: int
) -> None:
    alone = Smooth()
    train(alone, Numbers(8), TrainingConfig(**{**vars(CONFIG), "accumulate": accumulate}), tmp_path)
    together = read_weights(folder / f"smooth{accumulate}-1.safetensors")
    for key, value in alone.state_dict().items():
        torch.testing.assert_close(together[key], value, rtol=0, atol=1e-6)
    logs = [lines_of(run / "metrics.jsonl") for run in (tmp_path, folder / f"smooth{accumulate}")]
    for mine, theirs in zip(*logs, strict=True):
        assert (
            mine["loss"] == pytest.approx(theirs["loss"], abs=1e-6)
            and mine["images"] == theirs["images"]
        )


@pytest.mark.thorough
def test_chains_that_continue_are_those_of_one_process(folder: Path) -> None:
    alone = energy()
    train(alone, points(), CONFIG)
    together = read_weights(folder / "energy-1.safetensors")
    for key, value in alone.state_dict().items():
        torch.testing.assert_close(together[key], value, rtol=0, atol=1e-6)


@pytest.mark.thorough
def test_a_loss_with_a_derivative_has_the_gradients_of_both_processes(folder: Path) -> None:
    """`torch.func.jvp` sees the bare network; its gradients are averaged all the same."""
    alone = flow_map()
    before = {key: value.clone() for key, value in alone.state_dict().items()}
    train(alone, points(), CONFIG)
    together = read_weights(folder / "flow_map-1.safetensors")
    for key, value in alone.state_dict().items():
        torch.testing.assert_close(together[key], value, rtol=0, atol=1e-6)
    assert any((value - before[key]).abs().max() > 1e-3 for key, value in together.items())


@pytest.mark.thorough
def test_each_process_draws_its_own_noise_and_resumes_its_own_stream(folder: Path) -> None:
    whole, halves = read(folder / "toy"), read(folder / "halves")
    for name in ("own.loss", "own.cpu"):
        assert len(whole.random[name]) == 2
        assert not torch.equal(*whole.random[name])
    for part in ("model", "ema", "optimizer", "random"):
        for key, value in getattr(whole, part).items():
            assert torch.equal(value, getattr(halves, part)[key]), (part, key)
