"""The exact problems by which samplers are judged: their denoisers, paths and halves."""

import pytest
import torch
from benchmarks.peers import summary
from benchmarks.problems import CHOSEN_BY, DATA, PATHS, PROBLEMS, REPORTED, data_of, trial
from torch.distributions import MultivariateNormal

PICTURES = ("fashion", "mnist", "fashion_test", "colour", "fashion_narrow", "colour_train")
SMALL = [name for name in PROBLEMS if name not in (*PICTURES, "digits")]


def log_density(data, y, u):
    """log p of y = x0 + u eps."""
    eye = torch.eye(data.dims, dtype=torch.float64)
    if data.variances.ndim == 1:
        covariances = data.variances[:, None, None] * eye
    else:
        covariances = data.axes @ data.variances.diag_embed() @ data.axes.mT
    each = [
        MultivariateNormal(mean, covariance + u * u * eye).log_prob(y)
        for mean, covariance in zip(data.means, covariances, strict=True)
    ]
    return (torch.stack(each, 1) + data.weights.log()).logsumexp(1)


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("u", [0.05, 1.0, 20.0])
def test_the_denoiser_is_that_of_tweedie(name, u):
    """E[x0 | y] = y + u^2 grad log p(y)."""
    data = data_of(name)
    generator = torch.Generator().manual_seed(0)
    y = u * torch.randn(7, data.dims, generator=generator, dtype=torch.float64)
    y = (y + data.means[:1]).requires_grad_()
    (score,) = torch.autograd.grad(log_density(data, y, u).sum(), y)
    expected = (y + u * u * score).detach()
    torch.testing.assert_close(data.denoise(y.detach(), u), expected, rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("name", SMALL)
def test_the_spread_is_that_of_draws(name):
    """Of a number, around the mean of all: by the law of total variance."""
    data = data_of(name)
    mean = data.weights @ data.means
    own = data.variances if data.variances.ndim == 1 else data.variances.mean(1)
    total = sum(
        float(w) * (float(v) + float((m - mean).square().mean()))
        for w, v, m in zip(data.weights, own, data.means, strict=True)
    )
    assert data.std == pytest.approx(total**0.5)


def test_no_problem_is_in_both_halves():
    assert len(CHOSEN_BY) >= 6 and len(REPORTED) >= 6
    assert not set(CHOSEN_BY) & set(REPORTED)


@pytest.mark.skipif(not DATA.exists(), reason="no MNIST beside the checkout")
@pytest.mark.slow
@pytest.mark.parametrize("name", PICTURES)
def test_pictures_fill_their_range(name):
    data = data_of(name)
    assert data.dims == (3072 if name.startswith("colour") else 784)
    assert -1 <= data.means.min() < -0.7
    assert 0.9 < data.means.max() <= 1


@pytest.mark.parametrize("path", PATHS)
def test_paths_have_finite_ends_and_their_slopes(path):
    schedule = PATHS[path].schedule
    assert torch.tensor(schedule.ends).isfinite().all()
    t = torch.tensor([0.1, 0.5, 0.9], dtype=torch.float64, requires_grad=True)
    log_snr = schedule(t)
    (slope,) = torch.autograd.grad(log_snr.sum(), t)
    torch.testing.assert_close(schedule.slope(t.detach()), slope, rtol=1e-6, atol=1e-8)
    torch.testing.assert_close(schedule.inverse(log_snr).detach(), t.detach())


def test_a_reference_has_converged(monkeypatch):
    """And a problem has starting points of its own."""
    monkeypatch.setattr("benchmarks.problems.FINE", 200)
    ring, uneven = trial("ring", "vp"), trial("uneven_ring", "vp")
    assert ring.moved < 1e-3
    assert not torch.equal(ring.x, uneven.x)
    assert ring.errors(ring.truth + 0.1) == pytest.approx((0.1, 0.1))


def test_the_best_and_the_one_for_all():
    """a is best once, b serves best everywhere, c has no result in one cell."""
    raw = {
        "vp": {
            "ring": {"5": {"a": [9.0, 9.0], "b": [1.0, 1.0], "c": [0.5, 0.5]}},
            "mnist": {
                "5": {"a": [0.1, 4.0], "b": [0.2, 1.0]},
                "8": {"a": [8.0, 8.0], "b": [2.0, 2.0], "c": [1.0, 1.0]},
            },
        }
    }
    found = summary(raw)
    assert found["best"]["vp"]["mnist"]["5"] == [(0.1, "a"), (1.0, "b")]
    assert found["best"]["vp"]["ring"]["5"] == [(0.5, "c"), (0.5, "c")]
    for measure in (0, 1):
        assert found["one for all"][measure]["name"] == "b"
    assert found["one for all"][0]["errors"]["vp"]["mnist"] == {"5": 0.2, "8": 2.0}
