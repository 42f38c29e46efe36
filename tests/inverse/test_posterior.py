"""The front of the methods: Posterior, and DPS beside the guide of the same likelihood."""

import pytest
import torch
from tests.helpers.inverse_problems import masks, mixture, normal

from allegory.guidance import tilt
from allegory.inverse import DPS, Identity, Mask, Matrix, Measurement, Posterior, measure
from allegory.process import grid
from allegory.process.guide import Guided
from allegory.sampling import Sampler, sample
from allegory.sampling.loop import SamplingLoop


def test_dps_with_the_likelihood_rule_is_ancestral_sampling_of_the_tilted_score():
    exact, measurement = mixture(), masks(4)
    sampler = Sampler(steps=12, end="min")
    found = Posterior(exact, measurement, DPS(1.0, "likelihood"), sampler).sample(range(4)).x

    tilted = tilt(exact, lambda x, *_: measurement.log_likelihood(x), at="x0")
    x_T = sampler.initial_noise(exact, (1, 3, 2), range(4)).double()
    want = sample(tilted, x_T, sampler.grid(exact.path), solver="ddpm", seeds=range(4))
    assert torch.allclose(found.double(), want, rtol=1e-5, atol=1e-6)


def test_dps_takes_the_published_step():
    exact, measurement = mixture(), masks(2)
    x = normal(2, 1, 3, 2, seed=5)
    levels = grid(exact.path, 4).levels

    def after(method: DPS) -> torch.Tensor:
        loop = SamplingLoop(exact, x, levels[0])
        return loop.run(method.plan(measurement, levels)[:1])

    free = after(DPS(0.0))
    at = x.clone().requires_grad_()
    level = exact.path.at(levels[0], like=at)
    misfit = (measurement.y - measurement.operator(exact(at, level).x0)).flatten(1).norm(dim=1)
    (slope,) = torch.autograd.grad(misfit.sum(), at)
    assert torch.allclose(after(DPS(0.7)), free - 0.7 * slope, rtol=1e-10, atol=1e-12)


def test_measurements_of_raw_items_are_those_of_model_space():
    from allegory.data import DataSpec

    spec = DataSpec((4,), (0.0, -1.0, 10.0, 3.0), (2.0, 1.0, 30.0, 3.5))
    raw = normal(5, 4, seed=1)
    seen = measure(Matrix(normal(2, 4, seed=2)), raw, 0.3, range(5))
    inside = seen.in_model_space(spec)
    x0 = (raw - spec.affine()[0]) / spec.affine()[1]
    assert torch.allclose(inside.residual(x0), seen.residual(raw), atol=1e-10)
    assert torch.allclose(inside.log_likelihood(x0), seen.log_likelihood(raw), atol=1e-9)


def test_rows_and_repeats():
    measurement = masks(4)
    twice = measurement.repeat(2)
    x = normal(4, 1, 3, 2, seed=6)
    assert torch.equal(
        twice.log_likelihood(x.repeat_interleave(2, 0)),
        measurement.log_likelihood(x).repeat_interleave(2),
    )
    assert torch.equal(
        measurement.rows([2]).log_likelihood(x[2:3])[0], measurement.log_likelihood(x)[2]
    )


def test_a_mask_has_no_density_where_nothing_was_measured():
    known = torch.tensor([True, False, False])
    one = Measurement(Mask(known), torch.zeros(1, 3), 0.5)
    whole = Measurement(Identity((1,)), torch.zeros(1, 1), 0.5)
    assert torch.allclose(
        one.log_likelihood(torch.ones(1, 3)), whole.log_likelihood(torch.ones(1, 1))
    )


@pytest.mark.parametrize("method", ["mmps", "ddnm", "dps", "ddrm", "tds:2", "fk:2"])
def test_a_guide_whose_x0_and_eps_do_not_add_up_is_refused(method):
    sampler = Sampler(steps=2, guide=_Apart())
    with pytest.raises(ValueError, match=r"guide apart: its x0 and eps do not add up to x_t.*cfg"):
        Posterior(mixture(), masks(3), method, sampler).sample(range(3))


class _Apart:
    """A guide like CFG++, whose x0 and eps are of different predictions."""

    consistent = False

    def __str__(self):
        return "apart"

    def __call__(self, base):
        return Guided(base, self)

    def predict(self, base, x_t, t, condition):
        return base(x_t, t, condition)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Posterior(mixture(), masks(3), "mmsp"), "did you mean 'mmps'"),
        (lambda: Posterior(mixture(), masks(3)).sample(range(4)), "3 for 4 seeds"),
        (lambda: Posterior(mixture(), masks(3), DPS), "give a method"),
        (lambda: DPS(rule="l1"), "norm, square, likelihood"),
        (lambda: Measurement(Mask(torch.ones(3)), torch.zeros(2, 4), 0.1), "give (items, 3)"),
        (lambda: Measurement(Mask(torch.ones(3)), torch.full((2, 3), torch.nan), 0.1), "NaN"),
        (lambda: Measurement(Mask(torch.ones(3)), torch.zeros(2, 3), -0.1), "0 or more"),
    ],
)
def test_errors_say_what_to_give(make, words):
    with pytest.raises(ValueError, match=words.replace("(", r"\(").replace(")", r"\)")):
        make()


def test_a_pilot_is_refused():
    with pytest.raises(ValueError, match="takes eight items of its own"):
        Posterior(mixture(), masks(4), "mmps", Sampler("auto:pilot", 8))
