"""Items whose condition is their first frames: what is given, and that a model uses it."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

import allegory as al
from allegory.conditions import Picture
from allegory.data import Dataset, DataSpec
from allegory.data.first_frames import continues, first_frames
from allegory.data.series import DECAY, series_log_density
from allegory.lookup import Note
from allegory.recipes import PathConfig, Run, RunFolder, execute
from allegory.recipes.config import DiffusionConfig
from allegory.training import TrainingConfig


def walks(n: int = 200, seed: int = 0) -> np.ndarray:
    """Series of two channels of different units, (n, 6, 2)."""
    steps = np.random.default_rng(seed).normal(size=(n, 6, 2)).cumsum(1)
    return (steps * [1.0, 100.0] + [0.0, 1000.0]).astype(np.float32)


def test_the_first_frames_are_the_condition_and_the_item_is_the_rest():
    whole, data = al.load("moving_digits?count=100"), al.load("moving_digits?count=100&given=3")
    assert data.spec.shape == (5, 1, 16, 16) and data.spec.levels == 17
    assert data.spec.condition == Picture((3, 1, 16, 16), 0.0, 16.0, bounded=True)
    for items, before in zip(data.sets, whole.sets, strict=True):
        joined = torch.cat([items.condition.to(torch.uint8), items.x], 1)
        assert torch.equal(joined, before.x) and torch.equal(items.labels, before.labels)
    assert DataSpec.from_dict(data.spec.to_dict()) == data.spec


@pytest.mark.parametrize("suffix", [".npy", ".npz"])
def test_own_series_and_videos(tmp_path, suffix):
    """Scaled number by number, in their own units; the range of what is given is that of the
    training items.
    """
    x = walks()
    file = tmp_path / f"walks{suffix}"
    np.save(file, x) if suffix == ".npy" else np.savez(file, x=x)
    data = al.load(f"{file}?given=2")
    kind = data.spec.condition
    assert data.spec.shape == (4, 2) and len(data.spec.low) == 8 and kind.shape == (2, 2)
    low, high = kind.ends(data.train.condition)
    assert torch.equal(low, data.train.condition.amin(0))
    assert torch.equal(high, data.train.condition.amax(0))
    assert DataSpec.from_dict(data.spec.to_dict()) == data.spec

    videos = np.random.default_rng(0).normal(size=(40, 3, 1, 4, 4))
    data = al.Dataset.from_arrays(videos)
    assert data.spec.shape == (3, 1, 4, 4) and isinstance(data.spec.low, float)
    frozen = np.zeros((40, 3, 1, 4, 4), np.uint8)  # pixels that never change are no error
    frozen[:, :, 0, 1, 1] = 255
    assert al.Dataset.from_arrays(frozen).spec.levels == 256


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("series?given=32", "given=32: series has items of 32 frames; give fewer, at most 31"),
        ("series?given=0", "given=0: give the number of first frames, 1 or more"),
        ("series?given=two", "given=two: give the number of first frames"),
        ("digits?given=1", r"items of shape \(1, 8, 8\); it is for series .* leave it out"),
        ("moons?given=1", r"items of shape \(2,\); it is for series"),
        ("captions?count=100&given=1", r"items of shape \(3, 24, 24\)"),
    ],
)
def test_other_options_and_data_are_refused(source, says):
    with pytest.raises(ValueError, match=says):
        al.load(source)


def test_data_with_a_condition_are_refused(tmp_path):
    np.savez(
        tmp_path / "a.npz", x=walks(), condition=np.random.default_rng(0).normal(size=(200, 2))
    )
    with pytest.raises(ValueError, match="given=2: a has a condition; leave one out"):
        al.load(f"{tmp_path / 'a.npz'}?given=2")


def test_a_model_predicts_the_rest_from_what_is_given():
    """The density of the next point given one: a model that ignored it would be 1.7 bits/dim off.

    p(x_2 | x_1) of series of one angle is N(r R x_1, (1 - r^2) I), against N(0, I) without x_1.
    """
    ignored = -math.log2(math.sqrt(1 - DECAY**2))
    data = al.load("series?length=2&given=1")
    one = [items.take((items.labels == 1).nonzero()[:, 0]) for items in data.sets]
    data = replace(data, train=one[0], validation=one[1], test=one[2])
    torch.manual_seed(0)
    network = al.AxialTransformer(data.spec, width=32, depth=1, heads=2)
    path = al.Path(al.LinearLogSNR(9.0, -7.0))
    model = al.VDM(al.Denoiser(network, path, target="edm", data_std=0.25), data.spec)
    config = TrainingConfig(
        steps=200, batch_size=128, learning_rate=1e-2, ema=0.9, warmup=10, validation_every=0
    )
    al.train(model, data, config=config)

    some = data.test.take(torch.arange(500))
    points = torch.cat([some.condition, some.x], 1)
    exact = -series_log_density(points, torch.ones(500, dtype=torch.long), given=1) / math.log(2)
    bound = model.bound(some.x, some.condition, draws=16).bits_per_dim(data.spec).double()
    gap = (bound - exact / 2).mean().item()
    assert -0.05 < gap < ignored / 2

    other = model.bound(some.x, some.condition.roll(1, 0), draws=16).bits_per_dim(data.spec)
    assert other.mean() > bound.mean() + ignored / 2


def test_a_run_folder_gives_the_model_back_and_samples_begin_as_they_are_told(tmp_path):
    file = tmp_path / "walks.npy"
    np.save(file, walks())
    network = al.networks.AxialTransformerConfig(width=8, depth=1, heads=1)
    model = DiffusionConfig(network, PathConfig("linear", 8.0, -8.0), target="edm")
    training = TrainingConfig(steps=2, batch_size=16, validation_every=0)
    run = Run("own", f"{file}?given=2", replace(model, condition_dropout=0.5), training)
    execute(run, tmp_path / "run")

    found = RunFolder.open(tmp_path / "run").model()
    assert found.spec == al.load(run.source).spec
    for parameter in found.denoiser.network.parameters():  # two steps change next to nothing
        torch.nn.init.normal_(parameter, std=0.2)
    first = walks()[:3, :2]
    sampler = al.Sampler("ddim", 3)
    x = found.sample(range(3), first, sampler)
    assert x.shape == (3, 4, 2)
    torch.testing.assert_close(x[1:2], found.sample([1], first[1], sampler))
    assert not torch.equal(x, found.sample(range(3), first + np.array([1.0, 100.0]), sampler))
    assert torch.equal(
        found.sample(range(3), None, sampler), found.sample(range(3), first * np.nan, sampler)
    )
    guided = found.sample(range(3), first, replace(sampler, guide="cfg:2"))
    assert guided.isfinite().all() and not torch.equal(guided, x)

    with pytest.raises(ValueError, match=r"condition: shape \(3, 3, 2\); give arrays \(2, 2\)"):
        found.sample(range(3), walks()[:3, :3], sampler)
    with pytest.warns(Note, match="the model learned nothing outside"):
        found.sample(range(3), first + 1e4, sampler)


def test_other_data_are_evaluated_by_the_run(tmp_path):
    """Their own range of first frames is another, and rows are in the units of the data."""
    for name, seed in (("a", 0), ("b", 1)):
        np.save(tmp_path / f"{name}.npy", walks(seed=seed))
    own, other = (al.load(f"{tmp_path / name}.npy?given=2") for name in "ab")
    assert own.spec != other.spec
    assert torch.equal(other.as_spec(own.spec).test.condition, other.test.condition)
    wrong = al.load(f"{tmp_path / 'b.npy'}?given=3")
    with pytest.raises(ValueError, match=r"items of shape \(3, 2\), and the run learned \(4, 2\)"):
        wrong.as_spec(own.spec)


def test_first_times_in_memory_are_those_of_the_option():
    """A condition (n, k, channels) beside series is their first times, in any units."""
    x = torch.randn(60, 6, 2, generator=torch.Generator().manual_seed(0)) * torch.tensor([1, 100.0])
    option = first_frames(Dataset.from_arrays(x), 2)
    given = Dataset.from_arrays(x[:, 2:], condition=x[:, :2])
    assert given.spec.shape == option.spec.shape and given.spec.condition.shape == (2, 2)
    for end in ("low", "high"):
        assert np.allclose(getattr(given.spec, end), getattr(option.spec, end))
        assert getattr(given.spec.condition, end) == getattr(option.spec.condition, end)
    assert torch.equal(given.test.condition, option.test.condition)
    assert continues(given.spec) and not continues(Dataset.from_arrays(x).spec)

    pictures = Dataset.from_arrays(x.reshape(60, 12), condition=x)
    assert pictures.spec.condition.shape == (1, 6, 2) and not continues(pictures.spec)
