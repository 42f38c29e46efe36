"""A sample is its own: it depends on the model, its seed and its label, and on nothing else."""

import pytest
import torch
from tests.helpers.models import untrained

from allegory.data import DataSpec
from allegory.evaluation import draw, walk
from allegory.guidance import ClassifierFree
from allegory.process import grid
from allegory.sampling import initial_noise, sample

SPEC = DataSpec((1, 2, 2), 0.0, 255.0, 256, 3)
LABELS = torch.tensor([0, 2, 1, 1, 0, 2, 0])


@pytest.mark.parametrize("solver", ["dpmpp2m", "ddpm"])
@pytest.mark.parametrize("guidance", [1.0, 2.0])
def test_alone_in_a_batch_and_across_batches(solver, guidance):
    model = untrained(SPEC, conditional=True)
    how = {"solver": solver, "steps": 4, "guidance": guidance}
    whole = draw(model, 7, seeds=range(10, 17), labels=LABELS, **how)
    pieces = draw(model, 7, seeds=range(10, 17), labels=LABELS, batch=3, **how)
    alone = draw(model, 1, seeds=[14], labels=LABELS[4:5], **how)
    assert whole.equal(pieces)
    assert whole[4:5].equal(alone)
    assert len(whole.flatten(1).unique(dim=0)) == 7


def test_it_is_the_sampler_called_by_hand():
    model = untrained(SPEC, conditional=True)
    path = model.denoiser.path
    model.eval()
    x = initial_noise(path, SPEC.shape, range(7))
    levels = grid(path, 5, "karras", "denoise")
    expected = sample(
        ClassifierFree(1.5)(model.denoiser), x, levels, solver="heun", condition=LABELS
    )
    how = {"solver": "heun", "steps": 5, "spacing": "karras", "end": "denoise", "guidance": 1.5}
    got = draw(model, 7, seeds=range(7), labels=LABELS, **how)
    assert got.equal(SPEC.decode(expected)) and got.dtype == torch.uint8
    states = list(walk(model, seeds=range(7), labels=LABELS, **how))
    assert len(states) == 5 and states[-1].x.equal(expected)


def test_labels_and_guidance_change_the_samples():
    model = untrained(SPEC, conditional=True)
    plain, other = (
        draw(model, 7, seeds=range(7), labels=LABELS),
        draw(model, 7, seeds=range(7), labels=(LABELS + 1) % 3),
    )
    guided, free = (
        draw(model, 7, seeds=range(7), labels=LABELS, guidance=3.0),
        draw(model, 7, seeds=range(7)),
    )
    assert not plain.equal(other) and not plain.equal(guided) and not plain.equal(free)


def test_progress_runs_over_all_batches():
    seen = []
    draw(
        untrained(SPEC),
        5,
        seeds=range(5),
        steps=2,
        batch=2,
        on_step=lambda done, steps: seen.append((done, steps)),
    )
    assert seen == [(i, 6) for i in range(1, 7)]


def test_the_mode_of_the_model_is_given_back():
    model = untrained(SPEC)
    seen = []
    model.denoiser.network.register_forward_hook(lambda module, *_: seen.append(module.training))
    draw(model.train(), 2, seeds=range(2), steps=3)
    assert seen == [False] * 3 and model.training


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"count": 3, "seeds": range(2)}, "2 seeds for count=3"),
        (
            {"count": 2, "seeds": range(2), "labels": torch.zeros(3, dtype=torch.int64)},
            "3 labels for count=2",
        ),
        ({"count": 0, "seeds": []}, "count=0"),
        ({"count": 2, "seeds": range(2), "batch": 0}, "batch=0"),
        ({"count": 2, "seeds": range(2), "guidance": 2.0}, "without a condition"),
        ({"count": 2, "seeds": range(2), "solver": "dpmp2m"}, "did you mean 'dpmpp2m'"),
    ],
)
def test_bad_requests_are_refused(given, message):
    with pytest.raises(ValueError, match=message):
        draw(untrained(SPEC), **given)


def test_walk_refuses_labels_that_do_not_fit():
    with pytest.raises(ValueError, match="3 for 2 seeds"):
        next(walk(untrained(SPEC), seeds=range(2), labels=torch.zeros(3, dtype=torch.int64)))
