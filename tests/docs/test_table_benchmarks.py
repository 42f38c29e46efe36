"""What the benchmarks of tables say of their preparation, distances and rivals holds."""

import numpy as np
import pytest
import torch
from benchmarks import density_rivals, table_data, table_scores
from scipy.spatial.distance import cdist
from scipy.stats import gaussian_kde


def test_a_prepared_table_rounds_back_to_the_raw_one():
    rng = np.random.default_rng(1)
    raw = np.column_stack(
        [rng.integers(0, 9, 1000) / 4, rng.normal(size=1000).round(1), np.ones(1000)]
    )
    found = table_data.prepared(raw)
    assert [len(found[part]) for part in ("train", "validation", "test")] == [800, 100, 100]
    assert np.allclose(found["train"].mean(0), 0) and np.allclose(found["train"].std(0), 1)

    rows = np.concatenate([found[part] for part in ("train", "validation", "test")])
    rows = rows * found["std"] + found["mean"]
    rounded = np.column_stack([(rows[:, 0] * 4).round() / 4, rows[:, 1].round(1)])
    assert np.allclose(np.sort(rounded, 0), np.sort(raw[:, :2], 0))
    assert len(np.unique(rows)) == 2000
    assert np.array_equal(table_data.prepared(raw)["test"], found["test"])


def test_kernels_are_those_of_scipy():
    rng = np.random.default_rng(2)
    train, x = rng.normal(size=(50, 3)), rng.normal(size=(7, 3))
    peer = gaussian_kde(train.T, 1.0)
    to = np.linalg.inv(np.linalg.cholesky(peer.covariance)).T
    log_det = np.linalg.slogdet(to)[1]
    for h in (0.3, 1.0):
        peer.set_bandwidth(h)
        parts = (torch.tensor(each @ to) for each in (train, x))
        found = density_rivals._kernels(*parts, (h,))[0].numpy() + log_det
        assert np.allclose(found, peer.logpdf(x.T))


@pytest.mark.parametrize("name", table_scores.SETS)
def test_different_classes_are_at_distance_one(name):
    split = table_scores.Split.of(name, 0)
    assert np.isclose(len(split.train) / len(split.test), 4, atol=0.1)

    rows = np.repeat(split.train[:1], len(split.classes), 0)
    rows[:, -1] = split.classes
    apart = cdist(split.scaled(rows), split.scaled(rows), "cityblock")
    assert np.allclose(apart, 1 - np.eye(len(rows)))

    test = split.scaled(split.test)
    far = split.scaled(split.test + 1e6)
    assert table_scores.coverage(test, test) == 1 and table_scores.coverage(test, far) == 0
