"""A pilot finds weights by which sums of known slopes are known increments, spends at most ten
evaluations a step, and what it finds holds for other items.
"""

import json

import pytest
import torch
from tests.helpers.paths import PATHS

from allegory import Mixture
from allegory.process import as_predict
from allegory.process.grid import ENDS
from allegory.sampling import Sampler, TunedSampler, initial_noise, pilot
from allegory.sampling.partial import PartialSampler
from allegory.sampling.pilot import ridge

NAMES = ("linear-vp", "cosine-flow", "linear-ve", "straight-flow")


def mixture(path, dims=32, components=12):
    source = torch.Generator().manual_seed(0)
    means = torch.rand(components, dims, generator=source, dtype=torch.float64) * 2 - 1
    return Mixture(means, 0.15, path=path)


def noise(path, count, dims=32, first=0):
    return initial_noise(path, (dims,), range(first, first + count)).double()


def normal(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def test_the_ridge_finds_weights_that_hold_for_all_items():
    slopes, weights = normal(3, 8, 10), torch.tensor([0.7, -0.2, 0.1], dtype=torch.float64)
    increment = torch.einsum("k,knd->nd", weights, slopes)
    found = ridge(slopes, increment, torch.tensor([0.5, 0.0, 0.0], dtype=torch.float64))
    torch.testing.assert_close(found, weights, rtol=1e-6, atol=1e-6)


def test_an_item_that_agrees_with_no_weights_does_not_decide():
    slopes, weights = normal(3, 8, 40), torch.tensor([0.7, -0.2, 0.1], dtype=torch.float64)
    increment = torch.einsum("k,knd->nd", weights, slopes)
    increment[0] += 5 * normal(40)
    found = ridge(slopes, increment, torch.tensor([0.5, 0.0, 0.0], dtype=torch.float64))
    torch.testing.assert_close(found, weights, rtol=0.01, atol=0.01)


def test_slopes_that_say_nothing_leave_the_weights():
    prior = torch.tensor([0.5, -0.1], dtype=torch.float64)
    assert torch.equal(ridge(torch.zeros(2, 4, 3).double(), normal(4, 3), prior), prior)


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("steps", [1, 2, 6])
def test_it_takes_at_most_ten_evaluations_a_step_and_is_no_worse_on_its_items(name, end, steps):
    path, calls = PATHS[name], []
    exact = mixture(path)

    def counted(x, t, condition=None):
        calls.append(len(x))
        return exact(x, t)

    found = pilot(as_predict(counted, path), noise(path, 8), steps, end=end)
    assert len(calls) <= 10 * steps and set(calls) == {8}
    assert found.grid.steps == steps and found.after <= found.before
    fine = Sampler("auto", 400, end=end).sample(exact, noise(path, 8))

    def error(sampler):
        x = sampler.sample(exact, noise(path, 8))
        return (x - fine).square().mean(1).sqrt().log().mean().exp()

    assert error(Sampler(found)) <= 1.1 * error(Sampler("auto", steps, end=end))


@pytest.mark.parametrize("name", ["linear-vp", "straight-flow"])
@pytest.mark.parametrize(("steps", "part"), [(8, 0.75), (12, 0.75)])
def test_other_items_have_less_error(name, steps, part):
    path = PATHS[name]
    exact, x = mixture(path, 64, 32), noise(path, 200, 64)
    fine = Sampler("auto", 200).sample(exact, x)
    found = pilot(exact, noise(path, 8, 64, 1000), steps)

    def error(sampler):
        return (sampler.sample(exact, x) - fine).square().mean(1).sqrt().median()

    assert error(Sampler(found)) < part * error(Sampler("auto", steps))


def test_a_sampler_makes_its_own_and_an_item_is_the_same_alone():
    path = PATHS["linear-vp"]
    exact, x, sampler = mixture(path), noise(path, 5), Sampler("auto:pilot", 6)
    together = sampler.sample(exact, x)
    assert torch.equal(sampler.sample(exact, x[2:3])[0], together[2])
    assert torch.equal(Sampler(sampler.piloted(exact, x).solver).sample(exact, x), together)
    assert not torch.equal(Sampler("auto", 6).sample(exact, x), together)
    assert sampler.describe() == "auto:pilot, 6 steps"
    assert sampler.sample(exact, (32,), seeds=range(2)).shape == (2, 32)


def test_written_and_read_it_is_the_same():
    path = PATHS["cosine-flow"]
    found = pilot(mixture(path), noise(path, 8), 6)
    again = TunedSampler.from_dict(path, json.loads(json.dumps(found.to_dict())))
    one, other = (Sampler(each).sample(mixture(path), noise(path, 3)) for each in (found, again))
    assert torch.equal(one, other)


def test_conditions_reach_the_predict():
    path, seen = PATHS["linear-vp"], set()

    def predict(x, t, condition=None):
        seen.update(condition.tolist())
        return mixture(path)(x, t)

    pilot(as_predict(predict, path), noise(path, 4), 3, condition=torch.arange(4))
    assert seen == {0, 1, 2, 3}


def test_one_item_is_enough():
    path = PATHS["linear-vp"]
    found = pilot(mixture(path), noise(path, 1), 4)
    assert found.after <= found.before


def test_what_is_refused():
    path = PATHS["linear-vp"]
    exact, x = mixture(path), noise(path, 4)
    with pytest.raises(ValueError, match="no items"):
        pilot(exact, x[:0], 4)
    with pytest.raises(ValueError, match="steps=0"):
        pilot(exact, x, 0)
    with pytest.raises(ValueError, match="3 for 4 items"):
        pilot(exact, x, 4, condition=torch.arange(3))
    with pytest.raises(ValueError, match="depend on the conditions"):
        Sampler("auto:pilot", 4).sample(exact, x, condition=torch.arange(4))
    with pytest.raises(ValueError, match="without a condition"):
        Sampler("auto:pilot", 4, guide="cfg:2").sample(exact, x)
    for name in ("spacing", "scaling"):
        with pytest.raises(ValueError, match="chooses its own grid"):
            Sampler("auto:pilot", 4, **{name: {"spacing": "karras", "scaling": "ve"}[name]})
    with pytest.raises(ValueError, match="all the way from noise"):
        PartialSampler(Sampler("auto:pilot", 4), 0.5)


def test_a_predict_without_memory_or_that_is_not_finite_is_refused():
    path = PATHS["linear-vp"]

    def too_large(x, t, condition=None):
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 GB")

    def infinite(x, t, condition=None):
        return mixture(path)(x * float("nan"), t)

    with pytest.raises(ValueError, match="too little memory for 4 items and 5 states"):
        pilot(as_predict(too_large, path), noise(path, 4), 4)
    with pytest.raises(ValueError, match="NaN or infinite"):
        pilot(as_predict(infinite, path), noise(path, 4), 4)
