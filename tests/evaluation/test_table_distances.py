"""Distances of samples of a table by column, and from its training rows."""

import math

import numpy as np
import pytest
import torch

from allegory.data.table_dataset import table_dataset
from allegory.evaluation.distances import wasserstein_1
from allegory.evaluation.table_distances import TableSets, column_distances
from allegory.evaluation.table_neighbours import nearness


def table(count=400):
    random = np.random.default_rng(0)
    frame = np.empty(count, dtype=[("x", float), ("kind", object)])
    frame["x"] = 5 + 2 * random.normal(size=count)
    frame["x"][::4] = np.nan
    frame["kind"] = random.choice(["a", "b"], count)
    return table_dataset(frame)


def test_wasserstein_of_numbers():
    a = torch.tensor([[0.0, 3.0], [1.0, 1.0], [2.0, 2.0]], dtype=torch.float64)
    assert wasserstein_1(a, a + 0.7).tolist() == pytest.approx([0.7, 0.7])
    # F^-1 of {0, 1} and {0}: they differ by 1 on half of the probabilities
    one, two = torch.tensor([[0.0]]).double(), torch.tensor([[0.0], [1.0]]).double()
    assert wasserstein_1(one, two).item() == pytest.approx(0.5)
    # {0, 1, 2} and {0, 2}: quantiles differ on (1/3, 1/2) by 1 and on (1/2, 2/3) by 1
    other = torch.tensor([[0.0], [2.0]]).double()
    assert wasserstein_1(a[:, :1], other).item() == pytest.approx(1 / 3)


def test_distances_by_column():
    """x is shifted by half of its deviation; the probability of a rises from p to 1."""
    data = table()
    test = data.train.x
    samples = test.clone()
    present = samples[:, 2] == 0
    shift = 0.5 * samples[present, 0].std()
    samples[present, 0] += shift
    samples[:, 1] = 0
    sets = TableSets(samples, test, test)
    x, kind = column_distances(sets, data.spec.table)
    assert x.name == "x" and x.is_number and x.samples.mean == pytest.approx(0.5)
    assert x.train == 0 and kind.train == 0
    share = float((test[:, 1] == 0).double().mean())
    assert kind.samples.mean == pytest.approx(1 - share)
    assert kind.samples.error == pytest.approx(math.sqrt(share * (1 - share) / len(test)), rel=0.2)
    assert x.missing.mean == x.test_missing.mean == pytest.approx(float((~present).double().mean()))
    assert kind.missing is None


def test_standard_error_of_a_shift():
    """For a shift far above the noise, W1 is the difference of means."""
    random = torch.Generator().manual_seed(0)
    a, b = (torch.randn(300, 1, generator=random, dtype=torch.float64) for _ in range(2))
    frame = np.concatenate([a.numpy(), a.numpy()], axis=1)
    schema = table_dataset(frame).spec.table
    sets = TableSets(torch.cat([a + 9, a], 1), torch.cat([b, b], 1), None)
    first, _ = column_distances(sets, schema)
    assert first.train is None
    expected = math.sqrt((a.var() / b.var() + 1) / 300)  # in deviations of the test rows
    assert first.samples.error == pytest.approx(expected, rel=0.2)


def test_a_column_without_any_value_has_no_distance():
    data = table()
    samples = data.train.x.clone()
    samples[:, 2] = 1
    x, _ = column_distances(TableSets(samples, data.test.x, None), data.spec.table)
    assert x.samples is None and x.missing.mean == 1


def test_copies_of_training_rows_are_memorised():
    data = table(800)
    train = data.train.x
    copies = nearness(train[:100], data.test.x, train, data.spec.table)
    assert copies.samples.max() == 0 and copies.is_memorised
    new = nearness(data.validation.x, data.test.x, train, data.spec.table)
    assert not new.is_memorised and abs(new.probability.mean - 0.5) < 4 * new.probability.error


def test_the_distance_of_rows():
    """Numbers in standard deviations, 1 for another value; a missing number is at the mean."""
    frame = np.empty(4, dtype=[("x", float), ("kind", object)])
    frame["x"], frame["kind"] = [0.0, 2.0, np.nan, 1.0], ["a", "a", "b", "b"]
    data = table_dataset(np.concatenate([frame] * 9))
    schema = data.spec.table
    train = torch.tensor([[0.0, 0.0, 0.0], [2.0, 0.0, 0.0]]).double()  # x, kind, x is missing
    rows = torch.tensor([[0.5, 1.0, 0.0], [0.0, 0.0, 1.0]]).double()
    found = nearness(rows, rows, train, schema)
    # mean 1, standard deviation 1: sqrt(0.5^2 + 1); at the mean and missing: sqrt(1 + 1)
    assert found.samples.tolist() == pytest.approx([math.sqrt(1.25), math.sqrt(2)])
    assert found.probability.mean == 0.5
