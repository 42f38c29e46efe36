"""Bits/dim of a set: the direct call, averaged, with its error."""

import math

import pytest
import torch
from tests.helpers.models import toy_digits, untrained

from allegory.data import DataSpec, Items, load
from allegory.evaluation import BoundConfig, evaluate_bound, label_cost, pixel_histogram
from allegory.evaluation import likelihood as module


@pytest.mark.parametrize("labelled", [False, True])
@pytest.mark.parametrize("steps", [None, 3])
def test_the_estimate_is_the_mean_of_the_bound_over_items(labelled, steps):
    data = toy_digits()
    model = untrained(data.spec, conditional=True)
    got = evaluate_bound(model, data.test, BoundConfig(5, 4, steps, labelled))
    labels = data.test.labels if labelled else None
    bound = model.bound(data.test.x, labels, seeds=range(5, 45), draws=4, steps=steps)
    bits = -bound.total.double() / (4 * math.log(2))
    assert got.total.mean == pytest.approx(bits.mean().item(), rel=1e-6)
    assert got.total.error == pytest.approx((bits.var() / len(bits)).sqrt().item(), rel=1e-5)
    assert got.prior.mean == pytest.approx(
        bound.prior.double().mean().item() / (4 * math.log(2)), rel=1e-6
    )
    assert sum(term.mean for term in got.terms.values()) == pytest.approx(got.total.mean, rel=1e-6)
    assert (got.count, got.draws, got.steps, got.labelled) == (40, 4, steps, labelled)


def test_labels_matter_where_they_are_shown():
    data = toy_digits()
    model = untrained(data.spec, conditional=True)
    hidden, shown = (
        evaluate_bound(model, data.test, BoundConfig(0, 2, labelled=flag)) for flag in (False, True)
    )
    assert hidden.total.mean != shown.total.mean


def test_an_item_draws_from_its_own_seed_in_any_batch(monkeypatch):
    data = toy_digits()
    model = untrained(data.spec)
    monkeypatch.setattr(module, "BATCH", 16)
    got = evaluate_bound(model, data.test, BoundConfig(2, 3))
    parts = [
        model.bound(x, seeds=range(2 + 16 * i, 2 + 16 * i + len(x)), draws=3)
        for i, x in enumerate(data.test.x.split(16))
    ]
    total = torch.cat([part.bits_per_dim(data.spec) for part in parts])
    assert got.total.mean == pytest.approx(total.double().mean().item(), rel=1e-6)


def test_the_model_is_in_eval_mode_and_back():
    data = toy_digits()
    model = untrained(data.spec)
    seen = []
    model.denoiser.network.register_forward_hook(lambda module, *_: seen.append(module.training))
    model.train()
    evaluate_bound(model, data.test, BoundConfig(draws=1))
    assert seen == [False] and model.training and model.denoiser.network.training


def test_continuous_data_have_a_likelihood_too():
    spec = DataSpec((2,), -4.0, 4.0)
    got = evaluate_bound(untrained(spec), Items(torch.randn(20, 2)), BoundConfig(draws=2))
    assert math.isfinite(got.total.mean) and got.total.error > 0


def test_label_cost():
    assert label_cost(DataSpec((1, 8, 8), 0, 16, 17, 10)) == pytest.approx(math.log2(10) / 64)
    with pytest.raises(ValueError, match="no labels"):
        label_cost(DataSpec((2,), 0.0, 1.0))


def test_bad_requests_are_refused():
    data = toy_digits(classes=None)
    model = untrained(data.spec)
    with pytest.raises(ValueError, match="labelled=True"):
        evaluate_bound(model, data.test, BoundConfig(draws=1, labelled=True))
    with pytest.raises(ValueError, match="at least two"):
        evaluate_bound(model, Items(data.test.x[:1]), BoundConfig(draws=1))


def test_histogram_by_hand():
    """Two places of three levels, three training items: the smoothed counts are (3, 2, 1) / 6 and
    (1, 1, 4) / 6.
    """
    spec = DataSpec((2,), 0.0, 2.0, 3)
    train = Items(torch.tensor([[0, 2], [0, 2], [1, 2]], dtype=torch.uint8))
    test = Items(torch.tensor([[0, 2], [2, 0]], dtype=torch.uint8))
    first, second = (
        -(math.log2(3 / 6) + math.log2(4 / 6)) / 2,
        -(math.log2(1 / 6) + math.log2(1 / 6)) / 2,
    )
    got = pixel_histogram(train, test, spec)
    assert got.mean == pytest.approx((first + second) / 2)
    assert got.error == pytest.approx(abs(first - second) / 2)


def test_histogram_of_the_digits():
    """2.43 bits/dim: the figure that the literature's small models are compared with."""
    digits = load("digits")
    assert pixel_histogram(digits.train, digits.test, digits.spec).mean == pytest.approx(
        2.43, abs=0.005
    )


def test_histogram_refuses_continuous_data():
    with pytest.raises(ValueError, match="continuous"):
        pixel_histogram(
            Items(torch.zeros(2, 2)), Items(torch.zeros(2, 2)), DataSpec((2,), 0.0, 1.0)
        )
