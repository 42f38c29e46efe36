"""Fitting mean and scale to given columns: what is found, and where it is used."""

import math

import numpy as np
import pytest
import torch
from tests.helpers.table_models import dataset_of, fitted_model

from allegory.estimator import DiffusionDensity
from allegory.recipes.table_diffusion import TableDiffusionConfig
from allegory.recipes.table_fitting import fitted
from allegory.recipes.table_location import fit_location, new_location
from allegory.recipes.table_search import Search


def varying(count, seed=0):
    """x ~ N(sin 2y, e^(2y)), and log p(x | y) of each."""
    generator = np.random.default_rng(seed)
    y = generator.uniform(-2, 2, count)
    std = np.exp(y)
    eps = generator.standard_normal(count)
    log_p = -0.5 * eps**2 - np.log(std) - 0.5 * math.log(2 * math.pi)
    return {"x": np.sin(2 * y) + std * eps, "y": y}, log_p


@pytest.fixture(scope="module")
def data():
    return dataset_of(varying(6000)[0], given=("y",), split=(0.9, 0.1, 0.0))


def test_it_is_chosen_where_the_scale_varies_and_the_density_is_exact(data):
    model = fitted_model(data)
    assert model.encoding.location is not None
    columns, log_p = varying(400, seed=1)
    raw = dataset_of(columns, given=("y",), split=(1.0, 0.0, 0.0)).train.x
    order = [data.spec.table.names.index(name) for name in ("x", "y")]
    rows = torch.from_numpy(np.stack([columns["x"], columns["y"]], 1))[:, order].to(raw)

    encoding, place = model.encoding, order.index(0)
    numbers, tokens, is_missing = encoding.split(rows.double())
    mean, log_scale = encoding.location(
        encoding.scaled(numbers, torch.zeros_like(numbers)), tokens, is_missing
    )
    y = torch.from_numpy(columns["y"])
    mean = encoding.centre[place] + encoding.scale[place] * mean[:, place]
    log_std = log_scale[:, place] + encoding.scale[place].log()
    assert float((log_std - y).abs().mean()) < 0.1
    assert float(((mean - (2 * y).sin()) / y.exp()).abs().mean()) < 0.2

    found = model.log_prob(rows).numpy()
    without = fitted(data, Search(math.inf, 8, location=0))
    assert abs((found - log_p).mean()) < 0.02
    assert np.abs(found - log_p).mean() < 0.1
    assert fitted(data, Search(math.inf, 8)).score > without.score + 0.02


@pytest.mark.slow
def test_it_is_not_chosen_where_a_mixture_says_more():
    generator = np.random.default_rng(0)
    y = generator.standard_normal(4000)
    side = np.sign(generator.standard_normal(4000))
    x = side * (3 + y) + 0.1 * generator.standard_normal(4000)
    found = fitted(dataset_of({"x": x, "y": y}, given=("y",)), Search(math.inf, 4))
    assert found.location is None


def test_there_is_none_without_given_columns_or_units(data):
    assert new_location(dataset_of(varying(50)[0]).spec, 8) is None
    assert new_location(data.spec, 0) is None


def test_few_rows_have_none_unless_it_is_named():
    data = dataset_of(varying(200)[0], given=("y",))
    assert fitted(data, Search(math.inf, 2)).location is None
    assert fitted(data, Search(math.inf, 2, location=4)).location.units == 4


def test_weights_are_those_of_the_least_loss_on_other_rows(data):
    from allegory.recipes.table_fitting import _untransformed

    location = new_location(data.spec, 16)
    few = data.train.x[:8].double()
    fit_location(_untransformed(data.spec, location), few, data.validation.x.double(), math.inf)
    scales = location(
        torch.zeros(1, 2).double(), torch.zeros(1, 0).long(), torch.zeros(1, 2).bool()
    )[1]
    assert float(scales.abs().max()) < 2.0  # the eight rows alone are met exactly
    assert not any(each.requires_grad for each in location.parameters())


def test_a_saved_model_has_it(tmp_path):
    columns, _ = varying(400)
    choice = TableDiffusionConfig(components=1, transform=1, location=8, seconds=1.0)
    made = DiffusionDensity(None, 1, conditional=True, model=choice)
    made.fit(columns["x"][:, None], columns["y"][:, None]).save(tmp_path / "run")
    rows = columns["x"][:4, None], columns["y"][:4, None]
    again = DiffusionDensity.open(tmp_path / "run")
    np.testing.assert_array_equal(again.score_samples(*rows), made.score_samples(*rows))
    assert again.model_.encoding.location.units == 8


def test_a_number_of_units_below_zero_is_refused():
    with pytest.raises(ValueError, match=r"location=-1"):
        TableDiffusionConfig(location=-1)


def test_nothing_depends_on_the_global_generator_or_changes_it():
    columns = varying(100)[0]
    weights = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        before = torch.get_rng_state()
        fitted(dataset_of(columns, given=("y",)), Search(0.5, 1, 1, 1, location=4))
        assert torch.equal(torch.get_rng_state(), before)
        fresh = new_location(dataset_of(columns, given=("y",)).spec, 4)
        weights.append(fresh.network[0].weight)
    torch.testing.assert_close(weights[0], weights[1], atol=0, rtol=0)
