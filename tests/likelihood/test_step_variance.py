"""The bound of T steps with each variance of the reverse step, on a Gaussian in float64."""

from dataclasses import replace

import pytest
import torch
from tests.helpers.paths import FINITE

from allegory.likelihood import Continuous
from allegory.likelihood.bound import variational_bound
from allegory.models.as_hierarchy import DiffusionChain, generate_top_down, step_levels
from allegory.process import as_predict
from allegory.process.bound_terms import diffusion_loss
from allegory.process.kernel import posterior, reverse_step, step_stds
from allegory.process.path import Path
from allegory.process.prediction import Prediction

MEAN, STD, STEPS = 0.7, 0.5, 8
PATHS = {scaling: Path(FINITE["linear"], scaling) for scaling in ("vp", "flow", "ve")}


def oracle(path, share=None):
    """The exact Predict of N(MEAN, STD^2), with a share of the variance by time, or without."""

    def predict(x, t, condition=None):
        level = path.at(t, like=x)
        gain = level.alpha * STD**2 / ((level.alpha * STD) ** 2 + level.sigma**2)
        x0 = MEAN + gain * (x - level.alpha * MEAN)
        found = Prediction.solve("x0", x0, x, level)
        if share is None:
            return found
        return replace(found, variance_fraction=torch.as_tensor(share(level)).expand_as(x))

    return as_predict(predict, path)


def best_share(path):
    """The share at which p(x_s | x_t) is exact: Var = beta-tilde + c^2 Var(x0 | x_t), c the
    coefficient of x0 in the mean of the posterior.
    """

    def share(level):
        t = (torch.as_tensor(level.t) - 1 / STEPS).clamp(min=0).flatten()
        s = path.at(t, like=X[: len(t)])
        low, high = step_stds(s, level)
        c = s.alpha - s.sigma * torch.exp(level.log_snr_minus(s) / 2) * level.alpha / level.sigma
        left = 1 / (1 / STD**2 + (level.alpha / level.sigma) ** 2)
        return torch.log1p(c**2 * left / low**2) / (2 * torch.log(high / low))

    return share


X = MEAN + STD * torch.randn(64, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(3))


def bound(predict, variance=None, steps=STEPS, x=X, seeds=None):
    return variational_bound(
        predict, x, Continuous(), draws=steps, steps=steps, variance=variance, seeds=seeds
    )


@pytest.mark.parametrize("path", PATHS.values(), ids=PATHS)
@pytest.mark.parametrize("variance", ["posterior", "large", "learned"])
def test_each_term_is_the_divergence_of_the_step(path, variance):
    """T times the KL of the two kernels, which is computed by other means."""
    share = torch.linspace(-0.2, 1.1, 3, dtype=torch.float64)
    predict = oracle(path, lambda level: share)
    t = torch.tensor([1, 3, STEPS], dtype=torch.float64) / STEPS
    level, s = path.at(t, like=X[:3]), path.at(t - 1 / STEPS, like=X[:3])
    truth = Prediction.of(X[:3], X[3:6], level)

    found = diffusion_loss(predict, truth, steps=STEPS, variance=variance)

    step = reverse_step(predict(truth.x_t, level), s, variance)
    torch.testing.assert_close(found, STEPS * posterior(truth, s).kl(step), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("path", PATHS.values(), ids=PATHS)
def test_shares_0_and_1_are_the_fixed_variances(path):
    for share, name in ((0.0, "posterior"), (1.0, "large")):
        learned = bound(oracle(path, lambda level, v=share: torch.tensor(v).double()))
        fixed = bound(oracle(path), name)
        torch.testing.assert_close(learned.total, fixed.total, rtol=1e-10, atol=1e-10)
    assert torch.equal(bound(oracle(path)).total, bound(oracle(path), "posterior").total)


@pytest.mark.parametrize("path", PATHS.values(), ids=PATHS)
def test_the_exact_variance_has_the_best_bound(path):
    """Over the data and the noise: better than both ends and than shares beside it."""
    best = best_share(path)

    def mean(change):
        return bound(oracle(path, lambda level: best(level) + change)).total.mean().item()

    exact = mean(0.0)
    assert exact > mean(0.1) and exact > mean(-0.1)
    assert exact > bound(oracle(path), "posterior").total.mean()
    assert exact > bound(oracle(path), "large").total.mean()


def test_with_many_steps_the_variance_does_not_matter():
    """The difference falls as 1/T, and continuous time is the same bit for bit."""
    path = PATHS["vp"]

    def gap(steps):
        small, large = (bound(oracle(path), name, steps).total for name in ("posterior", "large"))
        return (large - small).mean().abs().item()

    assert gap(400) == pytest.approx(gap(200) / 2, rel=0.1)
    small, large = (
        variational_bound(oracle(path), X, Continuous(), variance=name).total
        for name in ("posterior", "large")
    )
    assert torch.equal(small, large)


def test_an_item_alone_has_the_bound_that_it_has_in_a_batch():
    predict = oracle(PATHS["vp"], best_share(PATHS["vp"]))
    alone = bound(predict, x=X[2:3], seeds=[2]).total
    torch.testing.assert_close(
        alone, bound(predict, seeds=range(64)).total[2:3], rtol=0, atol=1e-12
    )


def test_the_hierarchy_has_the_same_steps():
    """The mean of the chain's bound, by draws from the top down, is that of the sum over steps."""
    path = PATHS["vp"]
    predict = oracle(path, lambda level: torch.tensor(0.8).double())
    chain = DiffusionChain(predict, Continuous(), step_levels(path, STEPS))
    generator = torch.Generator().manual_seed(1)
    x = X[:1].expand(20_000, -1)

    def draw(like):
        return torch.randn(like.shape, dtype=like.dtype, generator=generator)

    found = generate_top_down(chain, x, draw).bound.diffusion
    expected = bound(predict, x=x).diffusion
    error = (found.var() / len(x) + expected.var() / len(x)).sqrt()
    assert (found.mean() - expected.mean()).abs() < 4 * error

    small = bound(predict, "posterior", x=x).diffusion
    assert (small.mean() - expected.mean()).abs() > 20 * error


def test_bad_variances_are_refused():
    with pytest.raises(ValueError, match="use variance='posterior' or 'large'"):
        bound(oracle(PATHS["vp"]), "learned")
    with pytest.raises(ValueError, match="variance='small'; give one of"):
        bound(oracle(PATHS["vp"]), "small")
