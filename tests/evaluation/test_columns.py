"""Figures of each number of an item, by a model that is exact: a Gaussian for each column."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from allegory.data import Dataset
from allegory.evaluation import EvaluationConfig, evaluate
from allegory.evaluation.columns import column_moments
from allegory.models import VDM, Denoiser
from allegory.process import LinearLogSNR, Path
from allegory.sampling import Sampler

MEAN, STD = np.array([50_000.0, 0.5, 35.0]), np.array([20_000.0, 0.1, 10.0])


class Zero(nn.Module):
    """With the edm target it is the exact denoiser of N(0, data_std^2)."""

    def forward(self, x, log_snr, condition):
        return torch.zeros_like(x)


@pytest.fixture(scope="module")
def table():
    x = MEAN + STD * np.random.default_rng(0).standard_normal((4000, 3))
    return Dataset.from_arrays(x, columns=["income", "rate", "age"], split=(0.5, 0.05, 0.45))


@pytest.fixture(scope="module")
def exact(table):
    """Its density is that of the columns, as scaled by the training items."""
    return VDM(Denoiser(Zero(), Path(LinearLogSNR(12, -8)), "edm", 0.5), table.spec)


def test_samples_and_likelihood_are_in_the_units_of_each_column(table, exact):
    found = evaluate(exact, table, EvaluationConfig(0, 4, 3000, 0, sampler=Sampler(steps=25)))
    for place, each in enumerate(found.columns):
        assert each.name == f"column {('income', 'rate', 'age')[place]!r}"
        test = table.test.x[:, place].double()
        assert each.test_mean == pytest.approx(test.mean().item(), rel=1e-9)
        assert each.test_std == pytest.approx(test.std(unbiased=False).item(), rel=1e-9)
        assert abs(each.mean.mean - MEAN[place]) < 4 * STD[place] / math.sqrt(2000)
        assert each.std.mean == pytest.approx(STD[place], rel=0.06)
        assert each.mean.error == pytest.approx(each.std.mean / math.sqrt(3000))
    rows = {row.name: row for row in found.rows()}
    rate = found.columns[1]
    assert rows[f"column 'rate', mean (test {rate.test_mean:.6g})"].value == rate.mean.mean
    assert rows[f"column 'rate', std (test {rate.test_std:.6g})"].error == rate.std.error

    entropy = 1.5 * math.log(2 * math.pi * math.e) + np.log(STD).sum()
    assert found.likelihood.nats.mean == pytest.approx(entropy, abs=0.15)  # 1,800 test items
    density = torch.distributions.Normal(torch.tensor(MEAN), torch.tensor(STD))
    x = table.test.x[:50]
    expected = density.log_prob(x.double()).sum(1)
    torch.testing.assert_close(exact.log_prob(x).double(), expected, rtol=0, atol=0.3)


def test_pictures_and_long_items_are_not_described(table):
    for shape in ((1, 3, 1), (13,)):
        data = Dataset.from_arrays(np.random.default_rng(0).random((40, *shape)))
        assert column_moments(data.test.x, data) == ()
    data = Dataset.from_arrays(np.random.default_rng(0).random((40, 2, 2)))
    assert [each.name for each in column_moments(data.test.x, data)] == [
        f"x[:, {i}, {j}]" for i in range(2) for j in range(2)
    ]
