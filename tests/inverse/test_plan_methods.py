"""Every method with steps of its own: an item alone and in a batch, paths, clean measurements."""

import pytest
import torch
from tests.helpers.paths import ENDLESS, ONE_PER_SCALING, PATHS
from tests.helpers.posteriors import normal

from allegory.inverse import (
    DAPS,
    POSTERIOR_METHODS,
    ChainDraw,
    Identity,
    IsotropicGaussian,
    Mask,
    Matrix,
    Measurement,
    Posterior,
)
from allegory.inverse.methods import PlanMethod
from allegory.process import Mixture
from allegory.sampling import Sampler

SHAPE = (1, 2, 3)
COUNT = 4
NAMES = ("replacement", "repaint:3", "repaint:2:jump=3", "ddnm", "ddnm_plus", "ddrm", "diffpir")
NAMES += ("daps", "daps_tweedie", "split_gibbs:3")
NEEDS_SIGNAL = ("daps_tweedie",)
"""No covariance by Tweedie's formula where alpha = 0."""
AGREES = ("replacement", "repaint:2:jump=3", "ddnm", "ddnm_plus", "ddrm", "diffpir", "daps")
"""Without noise A x0 = y."""
SHORT_CHAIN = DAPS(IsotropicGaussian(draw=ChainDraw(count=2)))
PAIRS = [*zip(ONE_PER_SCALING, ("mask", "matrix", "matrix", "mask"), strict=True)]
ENDS = [*zip(ENDLESS, ("matrix", "identity"), strict=True)]


def exact(path):
    means = normal(3, *SHAPE, seed=1)
    return Mixture(means, torch.tensor([0.3, 0.5, 0.2], dtype=torch.float64), path=path)


def measurement(name, noise):
    """Of each kind of operator, one per item."""
    x = normal(COUNT, *SHAPE, seed=2)
    operator = {
        "mask": Mask(normal(COUNT, *SHAPE, seed=3) > 0, SHAPE),
        "matrix": Matrix(normal(COUNT, 2, 6, seed=4), SHAPE),
        "identity": Identity(SHAPE),
    }[name]
    std = noise * (1 + torch.arange(COUNT, dtype=torch.float64).view(-1, *(1,) * (x.ndim - 1)))
    if name == "matrix":
        std = std.flatten(1)
    y = operator(x)
    return Measurement(operator, y + std * normal(*y.shape, seed=5), std.expand(y.shape))


def sampled(path, given, name, seeds, start=None):
    sampler = Sampler("ddpm", steps=4, spacing="time")
    x_T = path.prior_std * normal(COUNT, *SHAPE, seed=6) if start is None else start
    return Posterior(exact(path), given, name, sampler).sample(seeds, x_T=x_T).x


def test_the_names_are_registered():
    plans = {name for name in POSTERIOR_METHODS if isinstance(POSTERIOR_METHODS[name], PlanMethod)}
    named = {name.partition(":")[0] for name in NAMES} - {"ddnm"}
    assert named <= plans


@pytest.mark.parametrize(("path", "operator"), PAIRS)
@pytest.mark.parametrize("name", [*NAMES, SHORT_CHAIN], ids=[*NAMES, "chain"])
def test_an_item_is_the_same_alone_and_in_a_batch(name, path, operator):
    path = PATHS[path]
    given = measurement(operator, 0.1)
    x_T = path.prior_std * normal(COUNT, *SHAPE, seed=6)
    together = sampled(path, given, name, range(COUNT), x_T)

    for i in (0, 2):
        alone = sampled(path, given.rows([i]), name, [i], x_T[i : i + 1])
        assert (alone - together[i]).abs().max() <= 1e-9
    assert (sampled(path, given, name, range(1, COUNT + 1), x_T) - together).abs().max() > 1e-3


@pytest.mark.parametrize(("path", "operator"), [*PAIRS, *ENDS])
@pytest.mark.parametrize("name", AGREES)
def test_without_noise_the_item_agrees_with_the_measurement(name, path, operator):
    given = measurement(operator, 0.0)
    x = sampled(PATHS[path], given, name, range(COUNT))
    assert given.residual(x).abs().max() <= 1e-9


@pytest.mark.parametrize("path", ENDLESS)
@pytest.mark.parametrize("name", [name for name in NAMES if name not in NEEDS_SIGNAL])
def test_a_path_without_signal_at_its_end(name, path):
    x = sampled(PATHS[path], measurement("matrix", 0.1), name, range(COUNT))
    assert x.isfinite().all()
    assert x.abs().max() < 10


def test_no_covariance_without_signal_is_refused():
    with pytest.raises(ValueError, match="no signal"):
        sampled(PATHS["straight-flow"], measurement("mask", 0.1), "daps_tweedie", range(COUNT))


@pytest.mark.parametrize("name", ["replacement", "ddnm", "ddrm", "diffpir", "daps", "split_gibbs"])
def test_float32_agrees_to_its_precision(name):
    path = PATHS["linear-vp"]
    given = measurement("matrix", 0.1)
    x_T = normal(COUNT, *SHAPE, seed=6)
    oracle = Mixture(normal(3, *SHAPE, seed=1).float(), torch.tensor([0.3, 0.5, 0.2]), path=path)

    sampler = Sampler("ddpm", steps=4, spacing="time")
    found = Posterior(oracle, given, name, sampler).sample(range(COUNT), x_T=x_T.float()).x
    want = sampled(path, given, name, range(COUNT), x_T)
    assert found.dtype == torch.float32
    assert (found - want).abs().max() <= 1e-3
