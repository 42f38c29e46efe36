"""A sample is its own: it depends on the model, its seed and its label, and on nothing else."""

import pytest
import torch
from tests.helpers.models import untrained

from allegory.data import DataSpec
from allegory.guidance import ClassifierFree
from allegory.process import grid
from allegory.sampling import Sampler, initial_noise, sample

SPEC = DataSpec((1, 2, 2), 0.0, 255.0, 256, 3)
LABELS = torch.tensor([0, 2, 1, 1, 0, 2, 0])


@pytest.mark.parametrize("solver", ["dpmpp2m", "ddpm"])
@pytest.mark.parametrize("guidance", [1.0, 2.0])
def test_alone_in_a_batch_and_across_batches(solver, guidance):
    model = untrained(SPEC, conditional=True)
    sampler = Sampler(solver, steps=4, guide=None if guidance == 1 else f"cfg:{guidance}")
    whole = model.sample(range(10, 17), LABELS, sampler)
    pieces = model.sample(range(10, 17), LABELS, sampler, batch=3)
    alone = model.sample([14], LABELS[4:5], sampler)
    assert whole.equal(pieces)
    assert whole[4:5].equal(alone)
    assert len(whole.flatten(1).unique(dim=0)) == 7


def test_samples_of_a_model_are_those_of_its_sampler():
    model = untrained(SPEC, conditional=True)
    path = model.denoiser.path
    model.eval()
    x = initial_noise(path, SPEC.shape, range(7))
    levels = grid(path, 5, "karras", "denoise")
    expected = sample(
        ClassifierFree(1.5)(model.denoiser), x, levels, solver="heun", condition=LABELS
    )
    sampler = Sampler("heun", steps=5, spacing="karras", end="denoise", guide="cfg:1.5")
    got = model.sample(range(7), LABELS, sampler)
    assert got.equal(SPEC.decode(expected)) and got.dtype == torch.uint8
    states = list(model.trajectory(range(7), LABELS, sampler))
    assert len(states) == 5 and states[-1].x.equal(expected)


def test_labels_and_guidance_change_the_samples():
    model = untrained(SPEC, conditional=True)
    plain = model.sample(range(7), LABELS)
    other = model.sample(range(7), (LABELS + 1) % 3)
    guided = model.sample(range(7), LABELS, Sampler(guide="cfg:3"))
    free = model.sample(range(7))
    assert not plain.equal(other) and not plain.equal(guided) and not plain.equal(free)


def test_one_label_for_all():
    model = untrained(SPEC, conditional=True)
    three = model.sample(range(3), torch.full((3,), 2))
    assert model.sample(range(3), 2).equal(three) and model.sample(range(3), [2, 2, 2]).equal(three)


def test_progress_runs_over_all_batches():
    seen = []
    untrained(SPEC).sample(
        range(5),
        sampler=Sampler(steps=2),
        batch=2,
        on_step=lambda done, steps: seen.append((done, steps)),
    )
    assert seen == [(i, 6) for i in range(1, 7)]


def test_the_mode_of_the_model_is_given_back():
    model = untrained(SPEC)
    seen = []
    model.denoiser.network.register_forward_hook(lambda module, *_: seen.append(module.training))
    model.train().sample(range(2), sampler=Sampler(steps=3))
    assert seen == [False] * 3 and model.training


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"seeds": []}, "seeds: none"),
        ({"seeds": range(2), "condition": torch.zeros(3, dtype=torch.int64)}, "for 2 items"),
        ({"seeds": range(2), "batch": 0}, "batch=0"),
        ({"seeds": range(2), "sampler": Sampler(guide="cfg:2")}, "without a condition"),
    ],
)
def test_bad_requests_are_refused(given, message):
    with pytest.raises(ValueError, match=message):
        untrained(SPEC).sample(**given)


def test_a_trajectory_refuses_labels_that_do_not_fit():
    with pytest.raises(ValueError, match="3 rows for 2 seeds"):
        next(untrained(SPEC).trajectory(range(2), torch.zeros(3, dtype=torch.int64)))
