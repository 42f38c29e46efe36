"""Validation changes nothing in the run, keeps the best weights, and tells overfitting."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tests.training.toy import Batch, Numbers, Smooth, Toy
from torch import Tensor, nn

from allegory.training import Interrupted, TrainingConfig, train
from allegory.training.checkpoint import read_checkpoint as read
from allegory.training.metrics import read_reports as reports
from allegory.training.metrics import read_validation
from allegory.training.validation import Validator, is_due, item_count

HELD_OUT = (torch.randn(40, 4, generator=torch.Generator().manual_seed(9)), torch.zeros(40))
CONFIG = TrainingConfig(steps=20, batch_size=8, warmup=3, log_every=4, ema=0.9)


class Away(nn.Module):
    """The training loss falls as w grows; on held-out items (y = 1) it is (w - 0.05)^2."""

    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.zeros(()))

    def loss(self, batch: Batch, generator: torch.Generator) -> Tensor:
        x, y = batch
        assert x is not None and y is not None
        apart = torch.where(y == 1, (self.w - 0.05) ** 2, -self.w)
        return apart + 0 * x[:, 0] + torch.rand(len(x), generator=generator) * (y == 1) * 1e-3


class Zeros(Numbers):
    def __next__(self) -> Batch:
        x, _ = super().__next__()
        assert x is not None
        return x, torch.zeros(len(x))


def test_watching_the_held_out_items_does_not_change_the_run(tmp_path: Path) -> None:
    train(Toy(), Numbers(), CONFIG, tmp_path / "plain")
    train(Toy(), Numbers(), CONFIG, tmp_path / "watched", validation=HELD_OUT)
    plain, watched = read(tmp_path / "plain"), read(tmp_path / "watched")
    for part in ("model", "ema", "optimizer", "random"):
        for name, tensor in getattr(plain, part).items():
            assert torch.equal(tensor, getattr(watched, part)[name]), name
    mine, theirs = (reports(tmp_path / name / "metrics.jsonl") for name in ("plain", "watched"))
    assert [line["loss"] for line in mine] == [line["loss"] for line in theirs]


@pytest.mark.parametrize("stop", [3, 7, 12])
def test_a_resumed_run_validates_as_one_that_never_stopped(tmp_path: Path, stop: int) -> None:
    whole = train(Toy(), Numbers(), CONFIG, tmp_path / "whole", validation=HELD_OUT)
    with pytest.raises(Interrupted):
        train(Toy(), Numbers(interrupt_at=stop), CONFIG, tmp_path / "halves", validation=HELD_OUT)
    halves = train(Toy(), Numbers(), CONFIG, tmp_path / "halves", resume=True, validation=HELD_OUT)
    assert whole.validation == halves.validation
    lines = [read_validation(tmp_path / name / "metrics.jsonl") for name in ("whole", "halves")]
    assert lines[0] == lines[1] and len(lines[0]) == 20
    best = [load_file(tmp_path / name / "best.safetensors") for name in ("whole", "halves")]
    for name, tensor in best[0].items():
        assert torch.equal(tensor, best[1][name])


@pytest.mark.parametrize("in_memory", [False, True])
def test_the_best_weights_are_kept_and_overfitting_is_said(tmp_path: Path, in_memory: bool) -> None:
    held_out = (torch.zeros(64, 4), torch.ones(64))
    config = TrainingConfig(
        steps=60, batch_size=8, learning_rate=0.01, warmup=0, decay="none", ema=0.0
    )
    folder = None if in_memory else tmp_path
    result = train(Away(), Zeros(), config, folder, validation=held_out)
    found = result.validation
    assert found is not None
    # AdamW moves w by about 0.01 a step: the held-out loss is lowest near step 5, and every third
    # step is validated.
    assert found.best_step == 6 and found.overfitted and found.last > 0.1 > found.best
    assert result.best.w.item() == pytest.approx(0.05, abs=0.015)
    assert result.ema.w.item() > 0.5
    if not in_memory:
        assert load_file(tmp_path / "best.safetensors")["w"].item() == result.best.w.item()
        last = read_validation(tmp_path / "metrics.jsonl")[-1]
        assert (last["step"], last["best_step"], last["best"]) == (60, 6, found.best)


def test_a_run_that_still_improves_ends_with_its_best() -> None:
    batch = next(Numbers(64))
    config = TrainingConfig(steps=100, batch_size=8, learning_rate=0.02, warmup=0)
    result = train(Smooth(), Numbers(64), config, validation=batch)
    assert result.validation is not None and not result.validation.overfitted
    assert result.validation.best_step == 100 and result.best is result.ema


def test_going_on_without_validation_leaves_no_best_weights_of_before(tmp_path: Path) -> None:
    train(Toy(), Numbers(), CONFIG, tmp_path, validation=HELD_OUT)
    assert (tmp_path / "best.safetensors").exists()
    longer = replace(CONFIG, steps=22, validation_every=0)
    result = train(Toy(), Numbers(), longer, tmp_path, resume=True, validation=HELD_OUT)
    assert result.validation is None and not (tmp_path / "best.safetensors").exists()


def test_without_held_out_items_the_last_is_the_best() -> None:
    result = train(Toy(), Numbers(), CONFIG)
    assert result.validation is None and result.best is result.ema


def test_losses_are_those_of_a_fixed_generator_in_any_batch_size() -> None:
    model = Smooth().eval()
    x, y = next(Numbers(20))
    assert x is not None and y is not None
    expected = ((model.net(x)[:, 0] - y) ** 2).double()
    chosen = np.random.RandomState(0).permutation(20)[:11]
    for size in (3, 20, 50):
        config = TrainingConfig(steps=1, batch_size=size)
        losses = Validator((x, y), config, torch.device("cpu")).losses(model, 11)
        assert torch.allclose(losses, expected[chosen].detach(), rtol=1e-6)
    noisy = Toy().eval()
    validator = Validator((x, y), TrainingConfig(steps=1, batch_size=8), torch.device("cpu"))
    torch.manual_seed(1)
    first = validator.losses(noisy, 20)
    torch.manual_seed(2)
    assert torch.equal(first, validator.losses(noisy, 20))


def test_more_items_than_there_are_mean_all() -> None:
    """As a damaged state.json may say; no memory is taken for them."""
    config = TrainingConfig(steps=1, batch_size=8)
    validator = Validator(HELD_OUT, config, torch.device("cpu"))
    found = validator.losses(Toy(), 2 * 10**18)
    assert len(found) == 40 and torch.equal(found, validator.losses(Toy(), 40))


def test_about_twenty_times_a_run_or_every_so_many_steps() -> None:
    by_share = TrainingConfig(steps=1000)
    due = [
        step for step in range(1, 1001) if is_due(by_share, step, (step - 1) / 1000, step / 1000)
    ]
    assert len(due) == 20 and due[-1] == 1000
    every = TrainingConfig(steps=10, validation_every=4)
    due = [step for step in range(1, 11) if is_due(every, step, (step - 1) / 10, step / 10)]
    assert due == [4, 8, 10]
    never = TrainingConfig(steps=10, validation_every=0)
    assert not is_due(never, 10, 0.9, 1.0)


def test_items_are_so_few_that_they_cost_three_per_cent() -> None:
    long = TrainingConfig(steps=10_000, batch_size=100)
    n = item_count(long, step=500, images=50_000, seconds=10.0)
    assert n * 20 / 3 == pytest.approx(0.03 * 10_000 * 100, rel=0.01)
    assert item_count(TrainingConfig(steps=10, batch_size=100), 1, 100, 1.0) == 100
    # 600 items a second for a minute are 36,000.
    minute = TrainingConfig(minutes=1.0, batch_size=10)
    assert item_count(minute, 60, 600, 1.0) * 20 / 3 == pytest.approx(0.03 * 36_000, rel=0.01)
    both = TrainingConfig(steps=100_000, minutes=1.0, batch_size=10)
    assert item_count(both, 60, 600, 1.0) == item_count(minute, 60, 600, 1.0)
    often = TrainingConfig(steps=10_000, batch_size=100, validation_every=50)
    assert item_count(often, 50, 5000, 1.0) == pytest.approx(n / 10, rel=0.01)


def test_a_loss_that_is_not_finite_on_held_out_items_is_no_best(tmp_path: Path) -> None:
    held_out = (torch.full((8, 4), math.nan), torch.zeros(8))
    result = train(Toy(), Numbers(), CONFIG, tmp_path, validation=held_out)
    assert result.validation is None and result.best is result.ema
    assert read_validation(tmp_path / "metrics.jsonl")[-1]["validation"] is None


def test_some_validation_items_of_sorted_data_are_of_all_classes():
    """A set that is sorted by class: 40 of its 400 items are not 40 of the first class."""
    seen = []

    class Recorder(nn.Module):
        def loss(self, batch, generator):
            seen.extend(batch[1].tolist())
            return batch[0][:, 0]

    labels = torch.arange(400) // 200
    config = TrainingConfig(steps=1, batch_size=16)
    validator = Validator((torch.zeros(400, 1), labels), config, torch.device("cpu"))
    assert len(validator.losses(Recorder(), 40)) == 40 and 10 <= sum(seen) <= 30
    first, seen[:] = list(seen), []
    validator.losses(Recorder(), 40)
    assert seen == first
    seen.clear()
    validator.losses(Recorder(), 400)
    assert seen == labels.tolist()
