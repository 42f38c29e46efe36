"""Diffusion models of tables: before training they are their mixture; loss, bound and samples."""

import math

import numpy as np
import pytest
import torch
from tests.helpers.table_models import (
    dataset_of,
    disturbed,
    fitted_model,
    mixed_columns,
)

from allegory.likelihood.flow_ode import FlowSolver
from allegory.process.rows import KnownEntries, RowMixture, RowState
from allegory.sampling.rows import RowSampler


@pytest.fixture(scope="module")
def dataset():
    return dataset_of(mixed_columns())


@pytest.fixture(scope="module")
def model(dataset):
    return fitted_model(dataset, components=2)


@pytest.fixture(scope="module")
def trained(dataset):
    """A model whose network adds something."""
    return disturbed(fitted_model(dataset, components=2), 0.1)


def numbers_model(given=()):
    generator = np.random.default_rng(1)
    x = generator.standard_normal((300, 3)) @ generator.standard_normal((3, 3))
    x[:, 1] = np.exp(x[:, 1] / 2)
    data = dataset_of(dict(zip("abc", x.T, strict=True)), given)
    return fitted_model(data, components=2), data.train.x[:5].double()


def test_before_training_log_prob_is_the_density_of_the_mixture():
    """With the noise of t = 0, in the units of the columns."""
    model, raw = numbers_model()
    assert model.exact
    mixture, path = model.denoise.mixture, model.denoise.path.numbers
    width = float(path.at(0.0).sigma / path.at(0.0).alpha)
    wide = RowMixture(
        mixture.weights,
        mixture.means,
        mixture.covariances + width**2 * torch.eye(3).double(),
        mixture.probs,
        mixture.missing,
    )
    encoded = model.encode(raw, None)
    expected = wide.log_prob(encoded.rows) + encoded.volume.sum(1)
    found = model.log_prob(raw, solver=FlowSolver(tolerance=1e-5))
    torch.testing.assert_close(found, expected, rtol=0, atol=20 * 3 * 1e-5 + 2e-3)
    coarse = model.log_prob(raw)
    torch.testing.assert_close(coarse, expected, rtol=0, atol=20 * 3 * 1e-3)


def test_given_columns_log_prob_is_the_conditional_density():
    model, raw = numbers_model(("a",))
    mixture = model.denoise.mixture
    encoded = model.encode(raw, None)
    place = model.spec.table.numbers.index("a")
    normal = torch.distributions.Normal(
        mixture.means[:, place], mixture.covariances[:, place, place].sqrt()
    )
    marginal = mixture.weights.log() + normal.log_prob(encoded.rows.numbers[:, place, None])
    rest = [each for each in range(3) if each != place]
    expected = mixture.log_prob(encoded.rows) - marginal.logsumexp(1)
    expected = expected + encoded.volume[:, rest].sum(1)
    found = model.log_prob(raw, solver=FlowSolver(tolerance=1e-5))
    torch.testing.assert_close(found, expected, rtol=0, atol=0.05)
    again = raw.clone()
    again[0, place] += 1
    assert abs(float((model.log_prob(again) - found)[0])) > 1e-3


def test_a_given_column_with_missing_numbers_changes_by_row():
    """log p(rest | given) of each row is that of the row alone, whatever is in its place."""
    columns = mixed_columns()
    data = dataset_of({name: columns[name] for name in ("size", "weight")}, ("weight",))
    model = fitted_model(data, components=2)
    assert model.exact
    raw = data.train.x[:12].double()
    is_missing = model.encode(raw, None).is_missing.any(1)
    assert 0 < int(is_missing[:4].sum()) < 4
    seeds = list(range(20, 32))
    together = model.log_prob(raw, seeds=seeds)
    for place in range(4):
        alone = model.log_prob(raw[place : place + 1], seeds=[seeds[place] + 100])
        torch.testing.assert_close(alone[0], together[place], rtol=1e-6, atol=1e-6)


def test_tables_with_categories_have_a_bound_alone(model, dataset):
    assert not model.exact
    with pytest.raises(ValueError, match="call bound"):
        model.log_prob(dataset.train.x[:2].double())


def test_the_bound_of_a_row_depends_on_its_seed_alone(trained, dataset):
    raw = dataset.train.x[:8].double()
    seeds = [4, 1, 8, 2, 9, 11, 3, 6]
    together = trained.bound(raw, seeds=seeds, draws=2).total
    for place, seed in enumerate(seeds):
        alone = trained.bound(raw[place : place + 1], seeds=[seed], draws=2).total
        torch.testing.assert_close(alone[0], together[place], rtol=1e-8, atol=1e-8)


def test_the_loss_has_the_mean_of_the_divergences(dataset):
    """Over many draws at fixed seeds, within five standard errors."""
    model = disturbed(fitted_model(dataset, components=2, known_fraction=0.0), 0.1)
    raw = dataset.train.x[:2].double().repeat(4000, 1)  # the times of each cover [0, 1]
    with torch.no_grad():
        loss = model.loss((raw, None), torch.Generator().manual_seed(0)).double()
    loss = loss.view(-1, 2).T * raw.shape[1]
    bound = model.bound(raw, draws=1).divergences[0].view(-1, 2).T
    error = ((loss.var(1) + bound.var(1)) / 4000).sqrt()
    assert bool(((loss.mean(1) - bound.mean(1)).abs() < 5 * error).all())
    assert bool((error < 0.05 * bound.mean(1)).all())


def test_where_all_columns_are_known_there_is_no_loss(dataset, monkeypatch):
    model = fitted_model(dataset, components=2)
    every = torch.ones(1, model.spec.dims, dtype=torch.bool)
    monkeypatch.setattr(model, "_known_columns", lambda *_: every)
    loss = model.loss((dataset.train.x[:8], None), torch.Generator().manual_seed(0))
    assert bool((loss == 0).all())


@pytest.mark.parametrize("fraction", [0.0, 0.25, 1.0])
def test_some_columns_are_known_in_a_fraction_of_the_steps(dataset, fraction):
    model = fitted_model(dataset, components=2, known_fraction=fraction).train()
    generator = torch.Generator().manual_seed(0)
    drawn = torch.cat([model._known_columns(6, generator) for _ in range(4000)])
    expected = fraction / 2  # the fraction of known columns is uniform
    error = math.sqrt(fraction * (1 / 3) / 4000) + 1e-9
    assert bool(((drawn.double().mean(0) - expected).abs() <= 5 * error).all())


def test_no_column_is_known_in_a_validation(dataset):
    """Rows all of whose entries are known have no loss, and any model would be the best."""
    model = fitted_model(dataset, components=2, known_fraction=1.0).eval()
    generator = torch.Generator().manual_seed(0)
    assert not any(bool(model._known_columns(6, generator).any()) for _ in range(50))


def test_the_gradient_reaches_all_weights(dataset):
    model = disturbed(fitted_model(dataset, components=2), 0.1).train()
    loss = model.loss((dataset.train.x[:64], None), torch.Generator().manual_seed(0))
    loss.mean().backward()
    for name, weight in model.denoise.network.named_parameters():
        assert weight.grad is not None, name
        assert float(weight.grad.abs().sum()) > 0, name


def test_the_network_sees_bounded_numbers():
    """What it adds to the flow of an outlier is bounded in its slope too; near rows are as they
    are.
    """
    model, raw = numbers_model()
    encoded = model.encode(raw, None).rows
    far = RowState(encoded.numbers + 1e6, encoded.tokens)
    seen = []
    model.denoise.network.register_forward_pre_hook(lambda _, given: seen.append(given[0]))

    with torch.no_grad():
        for rows in (encoded, far):
            level = model.denoise.path.at(0.1, rows)
            model.denoise(rows, level, KnownEntries.none(rows))
    near = encoded.numbers.abs() < 1.0
    torch.testing.assert_close(seen[0][:, :3][near], encoded.numbers[near], rtol=0.01, atol=0.0)
    assert float(seen[1].abs().max()) <= 8.0


def test_a_sample_depends_on_its_seed_alone(trained):
    sampler = RowSampler(15)
    together = trained.sample([5, 2, 9, 2**50], sampler=sampler)
    for place, seed in enumerate([5, 2, 9, 2**50]):
        alone = trained.sample([seed], sampler=sampler)
        torch.testing.assert_close(alone[0], together[place], rtol=1e-7, atol=1e-7)


def test_filled_in_rows_keep_what_is_known(trained, dataset):
    raw = dataset.train.x[:40].double()
    known = torch.rand(raw.shape, generator=torch.Generator().manual_seed(2)) < 0.5
    names = trained.spec.table.entries
    weight, indicator = names.index("weight"), names.index("weight is missing")
    known[:, weight] &= raw[:, indicator] == 0
    garbage = torch.where(known, raw, 1e6)
    garbage[:, 3:] = torch.where(known, raw, 1.0)[:, 3:]
    found = trained.infill(garbage, known, range(40), RowSampler(10))
    assert torch.equal(found[known], raw[known])
    assert bool((found.abs() < 1e4).all())
    is_known = known[:, weight]
    assert bool(is_known.any())
    assert bool((found[is_known, indicator] == 0).all())


def test_a_row_is_filled_in_as_it_is_alone(trained, dataset):
    raw = dataset.train.x[:10].double()
    known = torch.rand(raw.shape, generator=torch.Generator().manual_seed(2)) < 0.5
    seeds = list(range(30, 40))
    together = trained.infill(raw, known, seeds, RowSampler(10))
    for place, seed in enumerate(seeds):
        part = slice(place, place + 1)
        alone = trained.infill(raw[part], known[part], [seed], RowSampler(10))
        torch.testing.assert_close(alone[0], together[place], rtol=1e-7, atol=1e-7)


def test_samples_have_the_missing_rate_and_whole_numbers_in_range(model, dataset):
    count = 1200
    found = model.sample(range(count), sampler=RowSampler(60))
    names = model.spec.table.entries
    mixture = model.denoise.mixture
    place = names.index("weight is missing") - model.encoding.numbers
    rate = float(mixture.weights @ mixture.probs[:, place, 1])
    seen = float(found[:, names.index("weight is missing")].mean())
    assert abs(seen - rate) < 5 * math.sqrt(rate * (1 - rate) / count)

    whole, data = found[:, names.index("count")], dataset.train.x[:, names.index("count")]
    column = model.spec.table.column("count")
    assert bool((whole == whole.round()).all())
    assert column.low <= float(whole.min()) <= float(whole.max()) <= column.high
    assert abs(float(whole.mean()) - float(data.double().mean())) < 0.5
    gone = found[:, names.index("weight is missing")] == 1
    low = model.spec.table.column("weight").low
    assert bool((found[gone, names.index("weight")] == low).all())


def test_without_the_values_of_given_columns_there_is_no_sample():
    columns = mixed_columns()
    data = dataset_of({name: columns[name] for name in ("size", "kind")}, ("kind",))
    model = fitted_model(data, components=2)
    with pytest.raises(ValueError, match="kind"):
        model.sample([0])
    rows = data.train.x[:6].double()
    found = model.sample(range(6), rows, RowSampler(5))
    assert torch.equal(found[:, 1], rows[:, 1])
