"""What every registered method keeps: a draw is its own, on every path, of models and Predicts."""

import pytest
import torch
from tests.helpers.inverse_problems import SHAPE, masks, matrices, mixture
from tests.helpers.models import untrained

from allegory.data import DataSpec
from allegory.inverse import POSTERIOR_METHODS, Mask, Measurement, Posterior
from allegory.sampling import Sampler

BY_NAME = {"dps": "dps:0.2"}
"""Another form where the default step does not suit measurements of few numbers."""

STEPS = {"daps_chain": 6}
"""Fewer steps of a method with a long chain in each."""


@pytest.mark.parametrize("measured", [masks, matrices])
@pytest.mark.parametrize("name", POSTERIOR_METHODS)
def test_a_draw_is_the_same_alone_and_in_a_batch_with_other_measurements(name, measured):
    measurement, sampler = measured(4), Sampler(steps=4)
    together = Posterior(mixture(), measurement, name, sampler).sample(range(10, 14)).x

    for i in (0, 3):
        alone = Posterior(mixture(), measurement.rows([i]), name, sampler).sample([10 + i]).x
        assert torch.allclose(together[i : i + 1], alone, rtol=1e-5, atol=1e-6)
    assert not torch.allclose(together[0], together[3], atol=1e-2)


@pytest.mark.parametrize("name", POSTERIOR_METHODS)
def test_batches_do_not_change_a_draw(name):
    posterior = Posterior(mixture(), masks(3), name, Sampler(steps=3))
    one, parts = posterior.sample(range(3)).x, posterior.sample(range(3), batch=2).x
    assert torch.allclose(one, parts, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("scaling", ["ve", "flow"])
@pytest.mark.parametrize("name", POSTERIOR_METHODS)
def test_every_path_is_served(name, scaling):
    # One number of each item is known almost exactly; every method keeps near it.
    known = torch.zeros(SHAPE, dtype=torch.bool)
    known[0, 0, 0] = True
    y = torch.zeros(40, *SHAPE, dtype=torch.float64)
    y[:, 0, 0, 0] = 0.7
    measurement = Measurement(Mask(known), y, 0.05)

    found = (
        Posterior(mixture(scaling), measurement, BY_NAME.get(name, name), Sampler(steps=20))
        .sample(range(40))
        .x
    )
    assert found.shape == (40, *SHAPE)
    assert bool(found.isfinite().all())
    assert float((found[:, 0, 0, 0] - 0.7).abs().median()) < 0.3


@pytest.mark.parametrize("name", POSTERIOR_METHODS)
def test_a_model_takes_and_gives_raw_items(name):
    spec = DataSpec((1, 4, 4), 0.0, 255.0, levels=256)
    model = untrained(spec)
    known = torch.arange(16).view(1, 4, 4) < 8
    y = 100.0 * torch.ones(2, 1, 4, 4) * known
    measurement, method = Measurement(Mask(known), y, 8.0), BY_NAME.get(name, name)
    sampler = Sampler(steps=STEPS.get(name, 20))
    found = Posterior(model, measurement, method, sampler).sample([1, 2])
    assert found.x.dtype == torch.uint8
    assert found.x.shape == (2, 1, 4, 4)
    if name not in BY_NAME:  # the network is random: small steps do not lead it to y
        near = (found.x.double() - 100).abs()[:, known]
        assert float(near.median()) < 64
