"""A Sampler is the same grid, guides and solver as by hand, and refuses what does not fit before
it begins.
"""

import json

import pytest
import torch
from tests.helpers.paths import PATHS

from allegory import Mixture, grid, sample
from allegory.guidance import ClampX0, ClassifierFree
from allegory.process import Path, Rescaled, as_predict
from allegory.sampling import SOLVERS, Sampler, TunedSampler, initial_noise, solver_named
from allegory.sampling.tuning import LearnablePlan

PATH = PATHS["linear-vp"]
LABELS = torch.tensor([0, 1, 1, 0])


def oracle(path=PATH):
    means = torch.tensor([[1.0, 0.5], [-0.8, -0.3]], dtype=torch.float64)
    return Mixture(means, 0.2, path=path, labels=torch.tensor([0, 1]))


@pytest.mark.parametrize("solver", ["dpmpp2m", "ddpm", "ddim+langevin:0.1"])
def test_a_sampler_gives_the_samples_of_its_parts(solver):
    x_T = initial_noise(PATH, (2,), range(4)).double()
    guided = ClampX0()(ClassifierFree(2.0)(oracle()))
    expected = sample(
        guided, x_T, grid(PATH, 6, "karras", "min"), solver=solver, condition=LABELS, seeds=range(4)
    )
    sampler = Sampler(solver, 6, "karras", "min", guide="cfg:2,clamp")
    got = sampler.sample(oracle(), x_T, seeds=range(4), condition=LABELS)
    assert torch.equal(got, expected)
    states = list(sampler.trajectory(oracle(), x_T, seeds=range(4), condition=LABELS))
    assert len(states) == 6 and torch.equal(states[-1].x, expected)


def test_a_guide_is_an_object_a_name_several_or_a_function():
    def twice(base):
        return as_predict(lambda x, t, condition: base(x, t, condition), base.path)

    assert Sampler(guide=ClassifierFree(2.0)).guides == Sampler(guide="cfg:2").guides
    assert Sampler(guide="cfg:2, clamp:3").guides == (ClassifierFree(2.0), ClampX0(-3.0, 3.0))
    assert Sampler(guide=twice).guides == (twice,) and Sampler().guides == ()


def test_spacing_and_end_are_the_solvers_own_if_none_are_given():
    for name in ("dpmpp2m", "auto", "ncsn2", "ddim+langevin"):
        solver, own = solver_named(name), Sampler(name, 7).grid(PATH)
        assert torch.equal(own.times, grid(PATH, 7, solver.spacing, solver.end).times)
    straight = PATHS["straight-flow"]
    assert torch.equal(Sampler("ddim", 7).grid(straight).times, grid(straight, 7, "angle").times)


def test_another_scaling():
    x_T = Sampler(scaling="ve").initial_noise(oracle(), (2,), range(4)).double()
    exploding = Rescaled(oracle(), "ve")
    assert torch.equal(x_T, initial_noise(exploding.path, (2,), range(4)).double())
    expected = sample(
        exploding, x_T, grid(exploding.path, 8, SOLVERS["euler"].spacing), solver="euler"
    )
    got = Sampler("euler", 8, scaling="ve").sample(oracle(), x_T)
    torch.testing.assert_close(got, expected, rtol=0, atol=0)
    assert not torch.allclose(Sampler("euler", 8).sample(oracle(), x_T), expected)


def test_a_shape_in_the_place_of_noise():
    sampler = Sampler("ddpm", 5)
    x_T = initial_noise(PATH, (2,), range(3))
    by_shape = sampler.sample(oracle(), (2,), seeds=range(3))
    assert torch.equal(by_shape, sampler.sample(oracle(), x_T, seeds=range(3)))


def test_a_tuned_sampler_brings_its_grid():
    walk, moves = LearnablePlan(PATH, 4).numbers()
    tuned = TunedSampler(walk, moves, 0.5, 0.25)
    sampler, x_T = Sampler(tuned), initial_noise(PATH, (2,), range(3)).double()
    expected = sample(oracle(), x_T, walk, solver=tuned.solver)
    assert sampler.steps == 4 and torch.equal(sampler.sample(oracle(), x_T), expected)
    for choice in ({"spacing": "time"}, {"end": "min"}, {"scaling": "ve"}):
        with pytest.raises(ValueError, match="has its own grid"):
            Sampler(tuned, **choice)


def test_a_sampler_is_described_in_one_line():
    sampler = Sampler("heun", 10, end="min", guide=(ClassifierFree(1.5), ClampX0()))
    assert sampler.describe() == "heun, 10 steps, end min, cfg:1.5,clamp"
    assert Sampler(**json.loads(json.dumps(sampler.to_dict()))).describe() == sampler.describe()


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ({"solver": "dpmp2m"}, "did you mean 'dpmpp2m'"),
        ({"spacing": "log"}, "unknown spacing 'log'"),
        ({"end": "zer"}, "did you mean 'zero'"),
        ({"scaling": "vee"}, "unknown scaling 'vee'"),
        ({"guide": "cgf:2"}, "did you mean 'cfg'"),
        ({"guide": "clamp:-1"}, "after 'clamp:' comes r, a finite number above 0"),
        ({"steps": 0}, "steps=0; give a whole number"),
    ],
)
def test_a_choice_that_does_not_exist_is_refused_at_once(choice, message):
    with pytest.raises(ValueError, match=message):
        Sampler(**choice)


def test_seeds_and_conditions_that_do_not_fit():
    x_T = torch.zeros(4, 2, dtype=torch.float64)
    with pytest.raises(ValueError, match="guide cfg:2 without a condition"):
        Sampler(guide="cfg:2").sample(oracle(), x_T)
    with pytest.raises(ValueError, match="condition: 4 for 3 items"):
        Sampler().sample(oracle(), x_T[:3], condition=LABELS)
    with pytest.raises(ValueError, match="seeds: none"):
        Sampler().sample(oracle(), (2,))


def test_a_sampler_takes_angle_spacing_on_a_path_with_two_infinite_ends():
    path = PATHS["straight-flow"]
    out = Sampler("heun", 8).sample(oracle(path), (2,), seeds=range(4))
    assert isinstance(path, Path) and out.isfinite().all()


@pytest.mark.parametrize("name", ["auto", "vab3c"])
def test_the_spacing_angle_goes_by_the_numbers_of_an_item(name):
    """sigma/alpha = 1.5 d^(1/5) at 45 degrees, so 1.5 for a single number."""
    x_T = initial_noise(PATH, (1,), range(4)).double()
    one = Mixture(torch.tensor([[0.5], [-0.5]], dtype=torch.float64), 0.2, path=PATH)
    sampler = Sampler(name, 6, spacing="angle", end="min")
    own = sample(one, x_T, grid(PATH, 6, "angle:1.5", "min"), solver=name)
    assert torch.equal(sampler.sample(one, x_T), own)
    other = sample(one, x_T, grid(PATH, 6, "angle", "min"), solver=name)
    assert not torch.equal(own, other)


def test_the_stochastic_default_is_er_sde_3_on_the_grid_of_auto():
    x_T = initial_noise(PATH, (2,), range(4)).double()
    found = Sampler("auto:sde", 7).sample(oracle(), x_T, seeds=range(4))
    levels = Sampler("auto", 7).grid(PATH, 2)
    assert torch.equal(found, sample(oracle(), x_T, levels, solver="er_sde3", seeds=range(4)))


@pytest.mark.parametrize("name", ["auto", "auto:pilot", "dpmpp2m"])
def test_no_items_have_no_samples(name):
    assert Sampler(name, 4).sample(oracle(), torch.zeros(0, 2).double()).shape == (0, 2)
