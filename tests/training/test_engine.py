"""A run from start to end: exact resume, clean stops, and errors that leave the disk as it was."""

import json
import math
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from tests.training.toy import Batch, Numbers, Smooth, Toy
from torch import Tensor

from allegory.training import Interrupted, Progress, Result, TrainingConfig, TrainingError, train
from allegory.training.checkpoint import read_checkpoint as read
from allegory.training.metrics import read_reports as lines_of

LONG = {"warmup": 3, "log_every": 4, "ema": 0.9}


def assert_same_tensors(mine: dict[str, Tensor], theirs: dict[str, Tensor]) -> None:
    assert set(mine) == set(theirs) and len(mine) > 0
    for name, tensor in mine.items():
        assert torch.equal(tensor, theirs[name]), name


def assert_same_run(one: Path, two: Path) -> None:
    """Weights, average, moments, generators, counters and metrics are equal, bit for bit."""
    mine, theirs = read(one), read(two)
    for part in ("model", "ema", "optimizer", "random"):
        assert_same_tensors(dict(getattr(mine, part)), dict(getattr(theirs, part)))
    for state in (mine.state, theirs.state):
        del state["counters"]["seconds"]
    assert mine.state == theirs.state
    exact = ("step", "images", "loss", "grad_norm", "learning_rate")
    logs = [
        [[line[name] for name in exact] for line in lines_of(run / "metrics.jsonl")]
        for run in (one, two)
    ]
    assert logs[0] == logs[1] and len(logs[0]) > 2


@pytest.mark.parametrize("stop", [1, 8, 10])
@pytest.mark.parametrize("accumulate", [1, 2])
def test_stopped_and_resumed_is_never_stopped_bit_for_bit(
    tmp_path: Path, stop: int, accumulate: int
) -> None:
    config = TrainingConfig(steps=20, accumulate=accumulate, **LONG)  # type: ignore[arg-type]
    whole = train(Toy(), Numbers(), config, tmp_path / "whole")
    with pytest.raises(Interrupted, match=f"interrupted at step {stop};.*resume to go on"):
        train(Toy(), Numbers(interrupt_at=stop * accumulate), config, tmp_path / "halves")
    assert read(tmp_path / "halves").state["counters"]["step"] == stop
    torch.manual_seed(99)
    model = Toy(seed=5).eval()
    halves = train(model, Numbers(), config, tmp_path / "halves", resume=True)
    assert_same_run(tmp_path / "whole", tmp_path / "halves")
    assert_same_tensors(halves.ema.state_dict(), whole.ema.state_dict())
    assert_same_tensors(model.state_dict(), dict(read(tmp_path / "whole").model))
    assert (halves.step, halves.images, halves.loss) == (20, 160 * accumulate, whole.loss)


def test_a_longer_budget_goes_on_from_the_end(tmp_path: Path) -> None:
    train(Toy(), Numbers(), TrainingConfig(steps=20, decay="none", **LONG), tmp_path / "whole")
    for steps in (8, 20):
        config = TrainingConfig(steps=steps, decay="none", **LONG)  # type: ignore[arg-type]
        train(Toy(), Numbers(), config, tmp_path / "halves", resume=steps > 8)
    assert_same_run(tmp_path / "whole", tmp_path / "halves")


def test_a_finished_run_resumes_to_its_end(tmp_path: Path) -> None:
    first = train(Toy(), Numbers(), TrainingConfig(steps=5), tmp_path)
    again = train(Toy(seed=1), Numbers(), TrainingConfig(steps=5), tmp_path, resume=True)
    assert (again.step, again.images, again.loss) == (first.step, first.images, first.loss)
    assert_same_tensors(again.ema.state_dict(), first.ema.state_dict())


def test_the_seed_decides_and_the_callers_stream_goes_on(tmp_path: Path) -> None:
    torch.manual_seed(3)
    expected = torch.randn(4)
    losses = []
    for seed in (0, 0, 1):
        torch.manual_seed(3)
        losses.append(train(Toy(), Numbers(), TrainingConfig(steps=3, seed=seed)).loss)
        assert torch.equal(torch.randn(4), expected)
    assert losses[0] == losses[1] != losses[2]


def test_a_callback_that_draws_does_not_change_the_run(tmp_path: Path) -> None:
    seen: list[Progress] = []

    def watch(now: Progress) -> None:
        torch.randn(5)
        seen.append(now)

    config = TrainingConfig(steps=10, **LONG)  # type: ignore[arg-type]
    assert (
        train(Toy(), Numbers(), config, callbacks=[watch]).loss
        == train(Toy(), Numbers(), config).loss
    )
    assert [now.step for now in seen] == [1, 4, 8, 10]
    assert [now.images for now in seen] == [8, 32, 64, 80]
    for now in seen:
        assert now.progress == now.step / 10
        assert now.remaining == pytest.approx(now.seconds * (10 - now.step) / now.step)


def test_metrics_are_means_since_the_last_line(tmp_path: Path) -> None:
    each, some = (tmp_path / name for name in ("each", "some"))
    train(Toy(), Numbers(), TrainingConfig(steps=6, log_every=1, warmup=2), each)
    train(Toy(), Numbers(), TrainingConfig(steps=6, log_every=4, warmup=2), some)
    single, lines = lines_of(each / "metrics.jsonl"), lines_of(some / "metrics.jsonl")
    assert [line["step"] for line in single] == [1, 2, 3, 4, 5, 6]
    assert [line["step"] for line in lines] == [1, 4, 6]
    for line, part in zip(lines, (single[:1], single[1:4], single[4:]), strict=True):
        for name in ("loss", "grad_norm"):
            assert line[name] == pytest.approx(
                sum(one[name] for one in part) / len(part), rel=1e-12
            )
        assert (
            line["learning_rate"] == part[-1]["learning_rate"]
            and line["images"] == part[-1]["images"]
        )
    rates = [1e-3 * min(1, (k + 1) / 2) * (1 + math.cos(math.pi * k / 6)) / 2 for k in range(6)]
    assert [line["learning_rate"] for line in single] == pytest.approx(rates)


def clocked(monkeypatch: pytest.MonkeyPatch, batches: Numbers) -> Numbers:
    """The engine's clock moves by one second with each batch."""
    ticks = SimpleNamespace(monotonic=lambda: 1000.0 + batches.position)
    monkeypatch.setattr("allegory.training.loop.time", ticks)
    return batches


def test_minutes_count_over_all_sessions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = TrainingConfig(minutes=0.1, decay="linear", warmup=0, log_every=1, learning_rate=0.6)
    with pytest.raises(Interrupted):
        train(Toy(), clocked(monkeypatch, Numbers(interrupt_at=2)), config, tmp_path)
    result = train(Toy(), clocked(monkeypatch, Numbers()), config, tmp_path, resume=True)
    assert (result.step, result.seconds) == (6, 6.0)
    lines = lines_of(tmp_path / "metrics.jsonl")
    assert [line["learning_rate"] for line in lines] == pytest.approx(
        [0.6, 0.5, 0.4, 0.3, 0.2, 0.1]
    )
    assert [line["images_per_second"] for line in lines] == pytest.approx([8.0] * 6)


def test_checkpoints_come_by_the_clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[int] = []

    def note(now: Progress) -> None:
        written.append(
            read(tmp_path).state["counters"]["step"] if (tmp_path / "state").exists() else 0
        )

    config = TrainingConfig(steps=9, checkpoint_minutes=0.05, log_every=1)
    train(Toy(), clocked(monkeypatch, Numbers()), config, tmp_path, callbacks=[note])
    assert written == [
        0,
        0,
        0,
        3,
        3,
        3,
        6,
        6,
        6,
    ]  # the report of a step comes before its checkpoint
    assert read(tmp_path).state["counters"]["step"] == 9


def test_a_killed_run_goes_on_from_its_last_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = TrainingConfig(steps=9, checkpoint_minutes=0.05, log_every=2, warmup=2)
    train(Toy(), clocked(monkeypatch, Numbers()), config, tmp_path / "whole")

    def kill(now: Progress) -> None:
        if now.step == 8:
            raise MemoryError

    with pytest.raises(MemoryError):
        train(Toy(), clocked(monkeypatch, Numbers()), config, tmp_path / "killed", callbacks=[kill])
    assert read(tmp_path / "killed").state["counters"]["step"] == 6
    assert [line["step"] for line in lines_of(tmp_path / "killed" / "metrics.jsonl")] == [
        1,
        2,
        4,
        6,
        8,
    ]
    train(Toy(), clocked(monkeypatch, Numbers()), config, tmp_path / "killed", resume=True)
    assert_same_run(tmp_path / "whole", tmp_path / "killed")


class Failing(Smooth):
    """The loss (or only its gradient) of one step is not finite."""

    def __init__(self, at: int, value: float, gradient: bool) -> None:
        super().__init__()
        self.at, self.value, self.gradient, self.calls = at, value, gradient, 0

    def loss(self, batch: Batch, generator: torch.Generator) -> Tensor:
        self.calls += 1
        losses = super().loss(batch, generator)
        if self.calls != self.at:
            return losses
        return losses + (torch.sqrt(0 * losses) if self.gradient else self.value)


@pytest.mark.parametrize(("value", "gradient"), [(math.nan, False), (math.inf, False), (0.0, True)])
def test_the_first_loss_or_gradient_that_is_not_finite_ends_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: float, gradient: bool
) -> None:
    model = Failing(7, value, gradient)
    config = TrainingConfig(steps=20, checkpoint_minutes=0.05, log_every=100)
    with pytest.raises(TrainingError, match=r"at step 7: lower learning_rate \(0\.001\)") as error:
        train(model, clocked(monkeypatch, Numbers()), config, tmp_path)
    assert "\n" not in str(error.value) and model.calls <= 7
    saved = read(tmp_path)
    assert saved.state["counters"]["step"] == 6
    assert all(tensor.isfinite().all() for tensor in [*saved.model.values(), *saved.ema.values()])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_finishes_the_step_saves_and_gives_the_handlers_back(
    tmp_path: Path, number: signal.Signals
) -> None:
    before = signal.getsignal(number)

    def press(now: Progress) -> None:
        if now.step == 3:
            os.kill(os.getpid(), number)

    config = TrainingConfig(steps=50, log_every=1)
    with pytest.raises(KeyboardInterrupt, match=f"step [34]; the checkpoint is in {tmp_path}"):
        train(Toy(), Numbers(), config, tmp_path, callbacks=[press])
    assert signal.getsignal(number) is before
    assert read(tmp_path).state["counters"]["step"] in (3, 4)
    with pytest.raises(Interrupted, match="nothing was saved"):
        train(Toy(), Numbers(interrupt_at=2), config)


def test_a_run_is_not_overwritten(tmp_path: Path) -> None:
    train(Toy(), Numbers(), TrainingConfig(steps=2), tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(ValueError, match="holds a run already: resume it, or give another folder"):
        train(Toy(), Numbers(), TrainingConfig(steps=2), tmp_path)
    assert before == {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}


def test_arguments_that_do_not_fit_are_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="holds no checkpoint"):
        train(Toy(), Numbers(), TrainingConfig(steps=2), tmp_path, resume=True)
    with pytest.raises(ValueError, match="needs a folder"):
        train(Toy(), Numbers(), TrainingConfig(steps=2), resume=True)
    with pytest.raises(ValueError, match=r"Linear has no loss\(batch, generator\)"):
        train(torch.nn.Linear(2, 2), Numbers(), TrainingConfig(steps=2))
    train(Toy(), Numbers(), TrainingConfig(steps=2), tmp_path)
    with pytest.raises(ValueError, match=r"weight net\.0\.weight is absent .* build the model"):
        train(Smooth(), Numbers(), TrainingConfig(steps=4), tmp_path, resume=True)
    frozen = Toy()
    frozen.out.requires_grad_(False)
    with pytest.raises(
        ValueError, match=r"the checkpoint trained out\.bias and the model does not"
    ):
        train(frozen, Numbers(), TrainingConfig(steps=4), tmp_path, resume=True)


def test_an_average_without_average_is_the_model(tmp_path: Path) -> None:
    model = Toy()
    result = train(model, Numbers(), TrainingConfig(steps=4, ema=0.0), tmp_path)
    assert_same_tensors(result.ema.state_dict(), model.state_dict())
    assert isinstance(result, Result) and not result.ema.training and model.training


def test_a_regression_is_learnt() -> None:
    result = train(Smooth(), Numbers(64), TrainingConfig(steps=400, learning_rate=0.02, warmup=10))
    assert result.loss < 0.05  # the variance of the target is 4


def test_nothing_is_pickled_and_json_is_strict(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: object, **options: object) -> None:
        raise AssertionError("pickled")

    for name in (
        "torch.save",
        "torch.load",
        "pickle.load",
        "pickle.loads",
        "pickle.dump",
        "pickle.dumps",
    ):
        monkeypatch.setattr(name, refuse)
    for steps in (2, 4):
        train(Toy(), Numbers(), TrainingConfig(steps=steps), tmp_path, resume=steps > 2)
    kinds = {path.suffix for path in tmp_path.rglob("*") if path.is_file()}
    assert kinds == {".safetensors", ".json", ".jsonl"}

    def forbid(constant: str) -> None:
        raise AssertionError(constant)

    json.loads((tmp_path / "state" / "state.json").read_text(), parse_constant=forbid)


def test_importing_is_light() -> None:
    """Neither accelerate nor rich nor safetensors is paid for before a run begins."""
    code = (
        "import sys, allegory.training; "
        "print(*{'accelerate', 'rich', 'safetensors'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
