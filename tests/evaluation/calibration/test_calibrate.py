"""`calibrate` as a whole, on a mixture whose posterior is known: exact methods are accepted,
and others rejected.
"""

import json
import math
from dataclasses import replace

import pytest
import torch
from benchmarks.calibration import ExactPosterior

from allegory.evaluation.calibration import CalibrationConfig, calibrate, own_samples
from allegory.evaluation.calibration.draws import draw_all, seeds_of
from allegory.evaluation.calibration.score import posterior_score, prior_score
from allegory.inverse import Function, Matrix, measure
from allegory.process import Mixture, Path, as_predict
from allegory.sampling import Sampler

F64 = torch.float64
STD = 0.5


def normal(*shape, seed=0):
    return torch.randn(*shape, dtype=F64, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def mixture():
    """Four components of full covariance in 5-D."""
    root = 0.4 * normal(4, 5, 5, seed=1)
    covariances = root @ root.mT + 0.1 * torch.eye(5, dtype=F64)
    path = Path.vdm(9, -9)
    return Mixture(1.5 * normal(4, 5), None, covariances=covariances, path=path)


@pytest.fixture(scope="module")
def matrix():
    return normal(2, 5, seed=2)


@pytest.fixture(scope="module")
def exact(mixture, matrix):
    return ExactPosterior(mixture, matrix, STD)


def card(mixture, matrix, method, **choices):
    config = CalibrationConfig(method=method, items=200, prior=mixture.sample)
    return calibrate(mixture, Matrix(matrix), STD, replace(config, **choices))


def p_of(found):
    return {each.name: each.adjusted for each in found.findings}


@pytest.mark.parametrize("seed", range(3))
def test_the_exact_posterior_is_accepted(mixture, matrix, exact, seed):
    found = card(mixture, matrix, exact, seed=seed)
    assert not found.rejected, found.verdict
    assert len(found.findings) == 11
    assert found.verdict == "not rejected by 11 tests at level 0.01 together"
    assert abs(found.intervals.mean - 0.9) < 4 * found.intervals.error


def test_a_method_that_ignores_y_is_rejected_by_the_log_likelihood(mixture, matrix):
    """The ranks of functions of x alone, and TARP, are uniform (Modrak et al. 2023)."""

    def prior(measurement, seeds):
        return mixture.sample(seeds)

    found = card(mixture, matrix, prior)
    p = p_of(found)
    assert p["ranks of log-likelihood"] < 1e-10
    assert min(p[f"ranks of projection {k}"] for k in (1, 2, 3, 4)) > 0.01
    assert p["ranks of norm"] > 0.01 and p["TARP"] > 0.01
    assert p["scale of the score"] < 0.01
    assert found.verdict.startswith("rejected by ")
    assert "ranks of log-likelihood (too small, p < 1e-99)" in found.verdict
    assert found.method == "prior"


def squeezed(mixture, matrix, exact, factor):
    """The exact draws, nearer to the mean of many of them."""

    def draw(measurement, seeds):
        x = exact(measurement, seeds)
        many = [exact(measurement, [s + k * 10**6 for s in seeds]) for k in range(1, 41)]
        mean = torch.stack(many).mean(0)
        return mean + factor * (x - mean)

    return draw


@pytest.mark.parametrize("factor, says", [(0.75, "too narrow"), (1.3, "too wide")])
def test_a_wrong_width_is_rejected_and_named(mixture, matrix, exact, factor, says):
    found = card(mixture, matrix, squeezed(mixture, matrix, exact, factor), draws=8)
    by_name = {each.name: each for each in found.rejections}
    assert by_name["90 % intervals"].says == says
    assert "ranks of distance from the mean" in by_name
    assert by_name["scale of the score"].says == says


def test_the_right_posterior_of_other_noise_is_rejected(mixture, matrix):
    found = card(mixture, matrix, ExactPosterior(mixture, matrix, 2 * STD))
    assert found.rejected


def test_methods_by_name_with_the_models_own_chain():
    """Guidance by Tweedie's covariance on a Gaussian is accepted, DPS rejected; the score of the
    density is not that of a chain of 30 steps, and does not count.
    """
    root = normal(3, 3, seed=4)
    prior = Mixture(
        normal(1, 3), None, covariances=(root @ root.mT + torch.eye(3))[None], path=Path.vdm(9, -9)
    )
    config = CalibrationConfig("mmps", items=150, draws=7, sampler=Sampler("ddpm", 30))
    operator = Matrix(normal(1, 3, seed=5))
    accepted = calibrate(prior, operator, 0.3, config)
    rejected = calibrate(prior, operator, 0.3, replace(config, method="dps:1:rule=norm"))
    assert not accepted.rejected, accepted.verdict
    assert rejected.rejected
    assert not accepted.score_counts and accepted.stein is not None
    assert len(accepted.findings) == 9
    assert accepted.chain == "ddpm, 30 steps"


def test_the_items_are_those_of_the_ancestral_chain(mixture):
    sampler = Sampler("dpmpp2m", 12, end="denoise")
    found = own_samples(mixture, (5,), range(30), sampler)
    chain = Sampler("ddpm", 12, spacing="log_snr", end="denoise")
    assert sampler.grid(mixture.path).times.equal(chain.grid(mixture.path).times)
    torch.testing.assert_close(found, chain.sample(mixture, (5,), seeds=range(30)))


def test_an_item_and_its_draws_are_their_own(mixture, matrix):
    """The first 30 of 33 items are those of 30, whatever the batch."""
    config = CalibrationConfig("mmps", items=33, draws=3, sampler=Sampler("ddpm", 5), batch=7)
    more = draw_all(mixture, Matrix(matrix), STD, config)
    few = draw_all(mixture, Matrix(matrix), STD, replace(config, items=30, batch=100))
    torch.testing.assert_close(more.truth[:30], few.truth)
    torch.testing.assert_close(more.measurement.y[:30], few.measurement.y)
    torch.testing.assert_close(more.draws[:30], few.draws)


def test_no_two_parts_or_seeds_have_a_seed_in_common():
    whole = set()
    parts = ("items", "references", "noise", "posterior", "score", "chain score")
    for seed in (0, 1, 2**30):
        for part in parts:
            config = CalibrationConfig(seed=seed)
            first = {*seeds_of(config, part, 100)}
            assert not first & whole and max(first) < 2**64
            whole |= first


def test_another_function_may_be_ranked(mixture, matrix, exact):
    def first(x, measurement):
        return x[:, 0] * measurement.y[:, 0]

    found = card(mixture, matrix, exact, quantities={"x1 y1": first}, projections=0, score=False)
    assert [each.name for each in found.ranks] == [
        "norm",
        "log-likelihood",
        "x1 y1",
        "distance from the mean",
    ]
    assert found.stein is None and found.chain_stein is None
    wrong = {"all": lambda x, measurement: x}
    with pytest.raises(ValueError, match="'all' gave shape"):
        card(mixture, matrix, exact, quantities=wrong)


def test_the_card_is_plain_values(mixture, matrix, exact):
    found = card(mixture, matrix, exact)
    read = json.loads(json.dumps(found.to_dict()))
    assert read["verdict"] == found.verdict and read["rejected"] is False
    assert [sum(each["counts"]) for each in read["ranks"]] == [200] * 7
    assert {each["level"] for each in read["regions"]} == {0.5, 0.8, 0.9, 0.95}
    assert read["stein"]["scale"].keys() == {"mean", "error"}
    assert "shown" not in read
    assert all(math.isfinite(row.value) for row in found.rows())


def test_the_score_of_a_gaussian_posterior(matrix):
    """C^-1 (m - x) + A^T (y - A x) / std^2 at clean data; a Predict without an energy has it at its
    cleanest level, with the covariance of x_0 there.
    """
    root = normal(5, 5, seed=6)
    covariance, mean = root @ root.mT + torch.eye(5, dtype=F64), normal(1, 5, seed=7)
    path = Path.vdm(6, -9)
    prior = Mixture(mean, None, covariances=covariance[None], path=path)
    x = normal(8, 5, seed=8)
    measurement = measure(Matrix(matrix), x, STD, range(8))

    place, score = posterior_score(prior, measurement, x, range(8))
    inverse = torch.linalg.inv(covariance)
    misfit = (measurement.y - x @ matrix.T) @ matrix / STD**2
    torch.testing.assert_close(place, x)
    torch.testing.assert_close(score, (mean - x) @ inverse + misfit)
    torch.testing.assert_close(prior_score(prior, x, range(8))[1], (mean - x) @ inverse)

    bare = as_predict(lambda x_t, t, condition=None: prior(x_t, t, condition), path)
    place, score = posterior_score(bare, measurement, x, range(8))
    level = path.levels([0.0])[0]
    seen = matrix @ covariance @ matrix.T + STD**2 * torch.eye(2, dtype=F64)
    gain = covariance @ matrix.T @ torch.linalg.inv(seen)
    narrow = covariance - gain @ matrix @ covariance
    centre = mean + (measurement.y - mean @ matrix.T) @ gain.T
    noised = level.alpha**2 * narrow + level.sigma**2 * torch.eye(5, dtype=F64)
    exact = (level.alpha * centre - place) @ torch.linalg.inv(noised)
    assert (place - level.alpha * x).std() == pytest.approx(level.sigma, rel=0.4)
    torch.testing.assert_close(score, exact, rtol=5e-3, atol=5e-3)


def test_the_score_for_an_operator_that_is_not_linear():
    """grad log p(y | x0(x_0)) of a standard Gaussian: x0 = alpha x_0."""
    path = Path.vdm(8, -8)
    prior = Mixture(torch.zeros(1, 2, dtype=F64), 1.0, path=path)
    bare = as_predict(lambda x_t, t, condition=None: prior(x_t, t, condition), path)
    operator = Function(lambda x: x**2, (2,), "square")
    x = normal(4, 2)
    measurement = measure(operator, x, STD, range(4))
    place, score = posterior_score(bare, measurement, x, range(4))
    alpha = path.levels([0.0])[0].alpha
    x0 = alpha * place
    slope = (measurement.y - x0**2) / STD**2 * 2 * x0 * alpha
    torch.testing.assert_close(score, -place + slope)


@pytest.mark.parametrize(
    "choices, said",
    [
        ({"items": 29}, "items=29"),
        ({"draws": 1}, "draws=1"),
        ({"level": 0.0}, "level=0.0"),
        ({"seed": -1}, "seed=-1"),
        ({"items": 10**7, "draws": 10**4}, r"items \* draws="),
    ],
)
def test_numbers_that_mean_nothing_are_refused(choices, said):
    with pytest.raises(ValueError, match=said):
        CalibrationConfig(**choices)


def test_what_cannot_be_calibrated_is_refused(mixture, matrix, exact):
    with pytest.raises(ValueError, match="noise=0"):
        calibrate(mixture, Matrix(matrix), 0.0, CalibrationConfig(exact, items=30))
    with pytest.raises(ValueError, match=r"method: gave draws of shape \(1,\)"):
        card(mixture, matrix, lambda measurement, seeds: torch.zeros(1))
    with pytest.raises(ValueError, match="method 'nonsense'"):
        card(mixture, matrix, "nonsense")
