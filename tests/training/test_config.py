"""The choices of a run: their ranges, and the two curves."""

import dataclasses
import json
import math

import pytest

from allegory.training import TrainingConfig


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("steps", 0),
        ("steps", -3),
        ("batch_size", 0),
        ("accumulate", 0),
        ("batch_size", 2**24 + 1),
        ("accumulate", 10**12),
        ("log_every", 100_001),
        ("log_every", 0),
        ("learning_rate", 0.0),
        ("learning_rate", math.nan),
        ("learning_rate", math.inf),
        ("clip", -1.0),
        ("checkpoint_minutes", 0.0),
        ("weight_decay", -0.1),
        ("warmup", -1),
        ("seed", -1),
        ("ema", 1.0),
        ("ema", -0.5),
        ("betas", (0.9, 1.0)),
    ],
)
def test_a_value_out_of_range_is_named(field: str, value: object) -> None:
    with pytest.raises(ValueError) as error:
        TrainingConfig(**{"steps": 10, field: value})  # type: ignore[arg-type]
    message = str(error.value)
    assert field in message and str(value) in message and "\n" not in message


@pytest.mark.parametrize("minutes", [0.0, -2.0, math.inf, math.nan])
def test_minutes_are_positive(minutes: float) -> None:
    with pytest.raises(ValueError, match="minutes must be above 0"):
        TrainingConfig(minutes=minutes)


def test_a_run_needs_a_budget() -> None:
    with pytest.raises(ValueError, match="needs a budget"):
        TrainingConfig()


def test_of_steps_and_minutes_the_one_that_is_spent_first_counts() -> None:
    both = TrainingConfig(steps=10, minutes=1.0)
    assert both.progress(5, 15.0) == 0.5
    assert both.progress(5, 45.0) == 0.75
    assert both.progress(10, 1.0) == both.progress(1, 60.0) == 1.0


def test_progress_is_the_share_of_the_budget() -> None:
    assert TrainingConfig(steps=8).progress(2, 1e9) == 0.25
    assert TrainingConfig(steps=8).progress(9, 0.0) == 1.0
    assert TrainingConfig(minutes=2.0).progress(10**9, 30.0) == 0.25
    assert TrainingConfig(minutes=2.0).progress(0, 500.0) == 1.0


@pytest.mark.parametrize(
    ("decay", "shares"),
    [
        ("cosine", (1, 0.75, 0.5, 0.25, 0)),
        ("linear", (1, 2 / 3, 0.5, 1 / 3, 0)),
        ("none", (1,) * 5),
    ],
)
def test_the_decay_follows_its_formula(decay: str, shares: tuple[float, ...]) -> None:
    # cos(pi/3) = 1/2 and cos(2 pi/3) = -1/2, so the cosine is at 3/4 and 1/4 there.
    config = TrainingConfig(steps=9, learning_rate=0.5, warmup=0, decay=decay)
    for progress, share in zip((0, 1 / 3, 1 / 2, 2 / 3, 1), shares, strict=True):
        assert config.rate(5, progress) == pytest.approx(0.5 * share, abs=1e-15)


def test_the_warmup_is_a_straight_line_in_steps() -> None:
    config = TrainingConfig(steps=100, learning_rate=0.5, warmup=4, decay="none")
    assert [config.rate(step, 0.0) for step in range(6)] == [0.125, 0.25, 0.375, 0.5, 0.5, 0.5]
    assert (
        TrainingConfig(steps=100, warmup=4, decay="linear", learning_rate=1.0).rate(1, 0.5) == 0.25
    )


def test_all_choices_are_plain_json() -> None:
    config = TrainingConfig(minutes=2.5, betas=(0.8, 0.95))
    back = json.loads(json.dumps(dataclasses.asdict(config)))
    assert TrainingConfig(**{**back, "betas": tuple(back["betas"])}) == config
