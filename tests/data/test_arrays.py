"""Data sets from arrays in memory: types, levels, splits, labels, and what is refused."""

import numpy as np
import pytest
import torch

from allegory.data import Dataset

RNG = np.random.default_rng(0)
FLOATS = RNG.normal(size=(100, 3)).astype(np.float32)


def everything(dataset: Dataset) -> torch.Tensor:
    return torch.cat([dataset.train.x, dataset.validation.x, dataset.test.x])


@pytest.mark.parametrize(
    "make", [np.asarray, torch.from_numpy, lambda x: torch.from_numpy(x).requires_grad_()]
)
def test_floats_are_continuous_between_their_ends(make):
    dataset = Dataset.from_arrays(make(FLOATS.copy()))
    assert (
        dataset.spec.shape == (3,) and dataset.spec.levels is None and dataset.spec.classes is None
    )
    assert (dataset.spec.low, dataset.spec.high) == (FLOATS.min(), FLOATS.max())
    assert [len(dataset.train), len(dataset.validation), len(dataset.test)] == [90, 5, 5]
    assert everything(dataset).dtype == torch.float32
    assert sorted(everything(dataset)[:, 0].tolist()) == sorted(FLOATS[:, 0].tolist())


def test_float_levels_span_the_range():
    values = RNG.integers(0, 5, (60, 2)) * 0.25 - 0.5
    dataset = Dataset.from_arrays(values, levels=5)
    assert (dataset.spec.low, dataset.spec.high, dataset.spec.levels) == (-0.5, 0.5, 5)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int64])
def test_integers_with_levels_run_from_zero(dtype):
    pictures = RNG.integers(0, 16, (40, 8, 8)).astype(dtype)
    dataset = Dataset.from_arrays(pictures, levels=17)
    assert dataset.spec.shape == (1, 8, 8)
    assert (dataset.spec.low, dataset.spec.high, dataset.spec.levels) == (0, 16, 17)
    assert everything(dataset).dtype == torch.uint8


def test_the_type_gives_the_levels_where_it_can():
    bytes_ = Dataset.from_arrays(RNG.integers(0, 256, (40, 6, 6, 3), dtype=np.uint8))
    assert bytes_.spec.shape == (3, 6, 6) and bytes_.spec.levels == 256
    for flags in (RNG.random((40, 5)) > 0.5, torch.rand(40, 5) > 0.5):
        bits = Dataset.from_arrays(flags)
        assert (bits.spec.low, bits.spec.high, bits.spec.levels) == (0, 1, 2)


def test_labels_stay_with_their_items_and_the_seed_moves_them():
    x = np.arange(100, dtype=np.float32)[:, None]
    dataset = Dataset.from_arrays(x, [i % 7 for i in range(100)], split=(0.5, 0.2, 0.3))
    assert dataset.spec.classes == 7
    assert [len(dataset.train), len(dataset.validation), len(dataset.test)] == [50, 20, 30]
    for part in (dataset.train, dataset.validation, dataset.test):
        assert torch.equal(part.labels, part.x[:, 0].long() % 7)
    again, other = (Dataset.from_arrays(x, seed=seed).train.x for seed in (0, 1))
    assert torch.equal(again, Dataset.from_arrays(x).train.x) and not torch.equal(again, other)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((np.arange(80).reshape(40, 2),), "dtype int64; save uint8"),
        ((np.arange(80).reshape(40, 2), None, 80), None),
        ((np.arange(80).reshape(40, 2), None, 40), r"integers in \[0, 79\]; 40 levels are 0 to 39"),
        ((np.arange(80).reshape(40, 2), None, 1000), "2 to 256 values"),
        ((-np.arange(80).reshape(40, 2), None, 40), r"integers in \[-79, 0\]"),
        ((FLOATS, None, 4), "round them"),
        ((FLOATS[:, 0],), r"shape \(100,\)"),
        ((FLOATS * np.nan,), "NaN"),
        ((FLOATS[:2],), "leave none to train on"),
        ((FLOATS[:0],), "no items"),
        (([[1.0], [1.0, 2.0]],), "lists of different lengths"),
        ((np.array([[None], [1]]),), "Python objects"),
        ((FLOATS, np.zeros(99, int)), "one label an item"),
        ((FLOATS, np.zeros(100)), "labels: dtype float64"),
    ],
)
def test_bad_arrays_are_refused(arguments, says):
    x, labels, levels = (*arguments, None, None)[:3]
    if says is None:
        assert Dataset.from_arrays(x, labels, levels=levels).spec.levels == levels
        return
    with pytest.raises(ValueError, match=says):
        Dataset.from_arrays(x, labels, levels=levels)


@pytest.mark.parametrize("split", [(0.9, 0.1, 0.1), (0.0, 0.5, 0.5), (1.2, -0.1, -0.1)])
def test_fractions_sum_to_one(split):
    with pytest.raises(ValueError, match="three fractions that sum to 1"):
        Dataset.from_arrays(FLOATS, split=split)


def test_a_transform_makes_each_batch():
    """Random flips: each item is itself or its mirror image, the same for the same seed."""

    def flip(stored, seed):
        chosen = torch.from_numpy(np.random.default_rng(seed).random(len(stored)) < 0.5)
        return torch.where(chosen[:, None], stored.flip(1), stored)

    plain = Dataset.from_arrays(FLOATS)
    flipped = Dataset(plain.name, plain.spec, plain.train, plain.validation, plain.test, flip)
    given, made = (next(each.batches(90, seed=0))[0] for each in (plain, flipped))
    same = (given == made).all(1)
    assert torch.equal(torch.where(same[:, None], given, given.flip(1)), made)
    assert 20 < int(same.sum()) < 70
    assert torch.equal(made, next(flipped.batches(90, seed=0))[0])
