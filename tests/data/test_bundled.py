"""The digits: sizes, permutation and the figures that their authors publish."""

import math

import numpy as np
import pytest
import torch

from allegory.data import Dataset, load


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return load("digits")


def test_the_sets_have_their_sizes(digits: Dataset) -> None:
    assert (len(digits.train), len(digits.validation), len(digits.test)) == (1397, 100, 300)
    assert digits.spec.shape == (1, 8, 8)
    assert (digits.spec.low, digits.spec.high, digits.spec.levels, digits.spec.classes) == (
        0.0,
        16.0,
        17,
        10,
    )
    assert digits.train.x.dtype == torch.uint8


def test_the_sets_are_the_fixed_permutation(digits: Dataset) -> None:
    from sklearn.datasets import load_digits

    whole = load_digits()
    order = np.random.RandomState(0).permutation(1797)
    for part, index in (
        ("train", order[:1397]),
        ("validation", order[1397:1497]),
        ("test", order[1497:]),
    ):
        arrays = getattr(digits, part)
        assert np.array_equal(arrays.x.squeeze(1).numpy(), whole.images[index])
        assert np.array_equal(arrays.labels.numpy(), whole.target[index])


def test_no_two_sets_share_an_item(digits: Dataset) -> None:
    parts = (digits.train, digits.validation, digits.test)
    images = [{item.numpy().tobytes() for item in part.x} for part in parts]
    assert sum(map(len, images)) == 1797  # no two of the digits are equal either
    assert len(set.union(*images)) == 1797


def test_the_classes_have_their_published_counts(digits: Dataset) -> None:
    """The class distribution of optdigits.tes, from the description that comes with the data."""
    labels = torch.cat([part.labels for part in (digits.train, digits.validation, digits.test)])
    assert labels.bincount().tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]


def test_an_independent_histogram_of_each_pixel_has_its_known_bits(digits: Dataset) -> None:
    """2.43 bits/dim on the test set, with one pseudo-count a level."""
    train, test = (digits.spec.index(part.x).flatten(1) for part in (digits.train, digits.test))
    counts = torch.ones(64, 17).scatter_add_(1, train.T, torch.ones(64, len(train)))
    log_p = (counts / counts.sum(1, keepdim=True)).log()
    bits = -log_p.gather(1, test.T).mean().item() / math.log(2)
    assert abs(bits - 2.43) < 0.005 + 1e-9
