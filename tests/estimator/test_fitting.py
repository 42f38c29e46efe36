"""The budget of a fit, what it takes, and its warning of samples that repeat rows."""

import time

import numpy as np
import pytest
import torch

from allegory.data.table_dataset import dataset_with_held_out
from allegory.data.table_schema import table_schema
from allegory.estimator import DiffusionDensity, fitting
from allegory.estimator.fitting import Budget, fit_table, held_out_of, nearness_of
from allegory.recipes.table_diffusion import TableDiffusionConfig
from allegory.recipes.tables import table_training

pytestmark = pytest.mark.filterwarnings("ignore")


def data(rows=60, columns=2):
    x = np.random.default_rng(0).standard_normal((rows, columns))
    return dataset_with_held_out(x, table_schema(x), held_out_of(rows))


@pytest.mark.parametrize(
    ("rows", "held_out"), [(2, 0), (20, 6), (60, 20), (1000, 100), (10**6, 10_000)]
)
def test_how_many_rows_are_for_validation(rows, held_out):
    assert held_out_of(rows) == held_out


def test_each_row_is_for_training_or_validation():
    """More rows than are moved at once."""
    x = np.arange(25_000.0)[:, None]
    dataset = dataset_with_held_out(x, table_schema(x), 2500)
    train, held_out = dataset.train.x[:, 0], dataset.validation.x[:, 0]
    assert sorted([*train.tolist(), *held_out.tolist()]) == x[:, 0].tolist()
    assert train.tolist() == sorted(train.tolist())


def test_two_rows_can_be_fitted():
    x = np.array([[0.0, 1.0], [1.0, 3.0]])
    density = DiffusionDensity(None, 2).fit(x)
    assert np.isfinite(density.score_samples(x)).all()


@pytest.mark.slow
def test_minutes_and_steps_are_both_budgets():
    x = np.random.default_rng(0).standard_normal((60, 2))
    started = time.monotonic()
    by_time = DiffusionDensity(minutes=0.1, max_steps=10**7).fit(x)
    assert time.monotonic() - started < 60  # 6 s on an idle core
    assert by_time.n_steps_ < 10**7
    assert DiffusionDensity(minutes=5, max_steps=1).fit(x).n_steps_ == 1


def test_the_time_of_the_mixture_is_part_of_the_budget():
    budget = Budget(2.0, None, began=time.monotonic() - 60)
    assert budget.training_minutes == pytest.approx(0.9, abs=0.01)
    late = Budget(2.0, None, began=time.monotonic() - 600)
    assert 0 < late.training_minutes < 0.01


def test_the_better_of_network_and_mixture_is_taken(monkeypatch):
    """A network that training spoils is dropped: the density is that of the mixture, exactly."""
    choice, dataset = TableDiffusionConfig(components=1, transform=1, start=7.0), data()

    def spoiled(built):
        result = train(built)
        with torch.no_grad():
            for weight in result.best.denoise.network.parameters():
                weight += 0.3
        return result

    train = fitting._trained
    monkeypatch.setattr(fitting, "_trained", spoiled)
    found = fit_table(dataset, choice, Budget(None, 2), 0)
    assert not found.is_trained

    x = dataset.validation.x
    encoded = found.model.encode(x, None)
    exact = found.model.denoise.mixture.log_prob(encoded.rows) + encoded.volume.sum(1)
    torch.testing.assert_close(found.model.log_prob(x), exact, atol=0.02, rtol=0)


def test_a_mixture_that_is_used_alone_is_fitted_to_all_rows(monkeypatch):
    """Its mean is that of the rows for training and for validation."""
    monkeypatch.setattr(fitting, "_choose", lambda *_: False)
    dataset = data(100)
    choice = TableDiffusionConfig(components=1, transform=1)
    found = fit_table(dataset, choice, Budget(None, 1), 0)
    rows = torch.cat([dataset.train.x, dataset.validation.x]).double()
    encoded = found.model.encode(rows, None).rows.numbers
    torch.testing.assert_close(found.model.denoise.mixture.means[0], encoded.mean(0))
    assert not found.is_trained


@pytest.mark.parametrize(("rows", "patience"), [(0, 0.3), (9999, 0.3), (10_000, None)])
def test_training_with_many_rows_goes_on_to_the_end(rows, patience):
    assert table_training(1.0, None, rows).patience == patience


def test_a_network_that_training_improves_stays():
    """A ring is no Gaussian."""
    rng = np.random.default_rng(0)
    angle = rng.uniform(0, 2 * np.pi, 2000)
    x = np.stack([np.cos(angle), np.sin(angle)], 1) + 0.1 * rng.standard_normal((2000, 2))
    dataset = dataset_with_held_out(x, table_schema(x), held_out_of(len(x)))
    choice = TableDiffusionConfig(components=1, transform=1, start=8.0)
    found = fit_table(dataset, choice, Budget(None, 150), 0)
    assert found.is_trained
    assert not found.notes


def test_a_model_that_repeats_training_rows_is_found(monkeypatch):
    dataset = data(120, 3)
    choice = TableDiffusionConfig(components=1, transform=1, start=7.0)
    found = fit_table(dataset, choice, Budget(None, 2), 0)
    assert not found.notes

    def repeated(x, known, seeds, sampler):
        return dataset.train.x[torch.arange(len(x)) % len(dataset.train.x)] + 0.01

    monkeypatch.setattr(found.model, "infill", repeated)
    seen = nearness_of(found.model, dataset)
    assert seen.is_memorised
    assert seen.samples.median() < 0.05 < seen.test.median()
    assert "standard deviations from a sample" in str(seen)
