"""Measurements: rows, model space, and those that no item can have."""

import numpy as np
import pytest
import torch

from allegory.data.spec import DataSpec
from allegory.inverse import (
    Blur,
    ComposedOperator,
    Downsample,
    Fourier,
    Function,
    FunctionNoise,
    GaussianNoise,
    Grey,
    Identity,
    Mask,
    Matrix,
    Measurement,
    PoissonNoise,
    RandomProjection,
    Scaled,
    measure,
)
from allegory.inverse.likelihoods import noise_model

IMAGE = (3, 4, 6)
DIMS = 12
BYTES = DataSpec(IMAGE, 0.0, 255.0, levels=256)
TABLE = DataSpec((DIMS,), tuple(range(DIMS)), tuple(range(2, DIMS + 2)))


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def raw(count: int = 4) -> torch.Tensor:
    generator = torch.Generator().manual_seed(5)
    return torch.randint(0, 256, (count, *IMAGE), generator=generator).to(torch.uint8)


KNOWN = torch.rand(IMAGE, generator=torch.Generator().manual_seed(1)) < 0.5

OPERATORS = {
    "mask": Mask(KNOWN),
    "block means": Downsample(IMAGE, 2),
    "grey": Grey(IMAGE),
    "blur": Blur.gaussian(IMAGE, 0.7),
    "projection": RandomProjection(IMAGE, 9),
    "fourier": Fourier(KNOWN[0], IMAGE),
    "composition": ComposedOperator(Downsample(IMAGE, 2), Mask(KNOWN)),
}


@pytest.mark.parametrize("noise", [0.0, 20.0, PoissonNoise(0.5)])
@pytest.mark.parametrize("name", OPERATORS)
def test_a_measurement_in_model_space_is_the_same(name, noise):
    if isinstance(noise, PoissonNoise) and not OPERATORS[name].nonnegative:
        pytest.skip("counts of what may be negative")
    measurement = measure(OPERATORS[name], raw(), noise)
    inner = measurement.in_model_space(BYTES)
    x = BYTES.encode(raw()).double()

    if noise == 0.0:
        assert inner.residual(x).norm() <= 1e-5 * measurement.y.norm()
        return
    want, found = measurement.log_likelihood(raw().double()), inner.log_likelihood(x)
    assert torch.allclose(found, want, rtol=1e-5)


def test_a_measurement_of_columns_in_model_space_is_the_same():
    v = normal(5, DIMS) + torch.arange(DIMS)
    x = (v - 1 - torch.arange(DIMS)) / 1.0
    measurement = measure(Matrix(normal(3, DIMS, seed=2)), v, 0.5)
    found = measurement.in_model_space(TABLE).log_likelihood(x)
    assert torch.allclose(found, measurement.log_likelihood(v), rtol=1e-9)


@pytest.mark.parametrize("noise", [0.3, torch.rand(5, 1) + 0.1, torch.rand(5, DIMS) + 0.1])
def test_rows_and_repeats_are_those_of_the_items(noise):
    known = torch.rand(5, DIMS, generator=torch.Generator().manual_seed(3)) < 0.7
    x = normal(5, DIMS)
    measurement = measure(Mask(known, (DIMS,)), x, noise)
    want = measurement.log_likelihood(x)

    assert torch.allclose(measurement.rows([3, 0, 3]).log_likelihood(x[[3, 0, 3]]), want[[3, 0, 3]])
    assert torch.allclose(measurement.rows(slice(1, 3)).log_likelihood(x[1:3]), want[1:3])
    twice = measurement.repeat(2)
    assert len(twice) == 10
    found = twice.log_likelihood(x.repeat_interleave(2, 0))
    assert torch.allclose(found, want.repeat_interleave(2))


def test_a_measurement_is_its_own():
    x = normal(3, DIMS)
    whole = measure(Matrix(normal(4, DIMS)), x, 0.3, seeds=[5, 6, 7])
    alone = measure(Matrix(normal(4, DIMS)), x[1:2], 0.3, seeds=[6])
    assert torch.allclose(alone.y, whole.y[1:2], rtol=1e-12)


def test_what_is_not_observed_may_be_anything():
    x = normal(3, *IMAGE)
    gaps = torch.where(KNOWN, x, torch.full_like(x, float("nan")))
    found = Measurement(Mask(KNOWN), gaps, 0.0)
    assert torch.equal(found.y, Mask(KNOWN)(x))
    assert torch.equal(Measurement(Mask(KNOWN), x, 0.0).residual(x), torch.zeros_like(x))


def test_likelihoods_of_the_user_and_any_function_measure():
    x = normal(3, DIMS)
    laplace = FunctionNoise(lambda y, clean: -(y - clean).abs())
    operator = Function(torch.tanh, (DIMS,))
    measurement = Measurement(operator, x, laplace)
    want = -(x - x.tanh()).abs().sum(1)
    assert torch.allclose(measurement.log_likelihood(x), want)
    with pytest.raises(ValueError, match="operator Function: is not linear"):
        _ = measurement.linear
    with pytest.raises(ValueError, match="noise: FunctionNoise, and this method is for Gauss"):
        _ = measurement.variance


def test_what_is_refused_of_a_model_is_named_as_the_user_knows_it():
    x = normal(3, DIMS)
    function = Measurement(Function(torch.tanh, (DIMS,)), x, 0.1).in_model_space(TABLE)
    with pytest.raises(ValueError, match="operator Function: is not linear"):
        function.check()
    counts = Measurement(Identity((DIMS,)), torch.ones(3, DIMS), PoissonNoise(1.0))
    with pytest.raises(ValueError, match="noise: PoissonNoise, and this method is for Gaussian"):
        counts.in_model_space(TABLE).check(gaussian=False)


class Shifted(Matrix):
    """A matrix with another's adjoint."""

    def adjoint(self, y):
        return super().adjoint(y.roll(1, 1))


LOW_RANK = Matrix(normal(5, 2) @ normal(2, DIMS, seed=1))
Y = normal(2, DIMS)
TOO_BRIGHT = raw(2).double()
TOO_BRIGHT[1, 1, 1, 1] = 300.0

BAD = {
    # the shape of y, of the mask, of the noise
    "y: shape (2, 11); give (items, 12), as operator Identity": lambda: Measurement(
        Identity((DIMS,)), Y[:, 1:], 0.1
    ),
    "y: shape (12,); give (items, 12)": lambda: Measurement(Identity((DIMS,)), Y[0], 0.1),
    "operator Mask: has numbers for 3 items, and y for 2": lambda: Measurement(
        Mask(torch.ones(3, DIMS).bool(), (DIMS,)), Y, 0.1
    ),
    "noise: shape (5,) for y of (2, 12)": lambda: Measurement(Identity((DIMS,)), Y, torch.rand(5)),
    "x0: shape (2, 12), and the operator is for items of shape (11,)": lambda: measure(
        Identity((11,)), Y
    ),
    # the numbers of y
    "y: holds NaN or infinite numbers in 1 of 2 items": lambda: Measurement(
        Identity((DIMS,)), Y / torch.tensor([[1.0], [0.0]]), 0.1
    ),
    "x0: holds NaN or infinite numbers": lambda: measure(Identity((DIMS,)), Y / 0),
    "noise=-0.1: give a standard deviation": lambda: Measurement(Identity((DIMS,)), Y, -0.1),
    "counts; give whole numbers of 0 or more": lambda: Measurement(
        Identity((DIMS,)), Y.abs(), PoissonNoise(10.0)
    ),
    "y: -3 counts; give whole numbers": lambda: Measurement(
        Identity((1,)), torch.tensor([[-3.0]]), PoissonNoise()
    ),
    "y: of torch.complex128, and measurements are real": lambda: Measurement(
        Identity((DIMS,)), Y * 1j, 0.1
    ),
    "x0: of torch.complex128, and measurements are real": lambda: measure(
        Identity((DIMS,)), Y * 1j
    ),
    # as many seeds as items
    "seeds: 1 for 2 items": lambda: measure(Identity((DIMS,)), Y, 0.1, seeds=[7]),
    # an adjoint that is another's
    "operator Shifted: its adjoint is wrong, <A x, y> =": lambda: Measurement(
        Shifted(normal(4, DIMS)), normal(2, 4), 0.1
    ),
    # no item has it
    "y: no item has measurement 1 without noise, |A A^+ y - y| =": lambda: Measurement(
        LOW_RANK, torch.stack([LOW_RANK(Y)[0], normal(5, seed=3)]), 0.0
    ),
    "y: no item has measurement 0 without noise": lambda: Measurement(
        ComposedOperator(Matrix(normal(3, DIMS)), Mask(torch.arange(DIMS) < 2)), normal(1, 3), 0
    ),
    "y: 300 in item 1 is beyond 0 to 255, so that no item": lambda: Measurement(
        Identity(IMAGE), TOO_BRIGHT, 0
    ).in_model_space(BYTES),
    "is beyond 0 to 255": lambda: Measurement(
        Downsample(IMAGE, 2), torch.full((1, 3, 2, 3), -1.0), 0
    ).in_model_space(BYTES),
    "operator Identity: is for items of shape (3, 4, 6), and those of the model have (12,)": (
        lambda: Measurement(Identity(IMAGE), raw(1), 0).in_model_space(TABLE)
    ),
}


@pytest.mark.parametrize("message", BAD)
def test_bad_measurements_are_refused(message):
    with pytest.raises(ValueError) as error:
        BAD[message]()
    assert message in str(error.value)


def test_a_number_of_numpy_is_a_standard_deviation():
    assert noise_model(np.float32(0.5)).std == 0.5
    with pytest.raises(ValueError, match="noise: of type list; give a standard deviation"):
        noise_model([0.1, 0.2])


@pytest.mark.parametrize("noise", [0.1, GaussianNoise(0.1)])
def test_noise_may_take_a_measurement_anywhere(noise):
    y = torch.stack([LOW_RANK(Y)[0], normal(5, seed=3)])
    assert len(Measurement(LOW_RANK, y, noise)) == 2
    assert len(Measurement(Identity(IMAGE), 300 * torch.ones(1, *IMAGE), noise)) == 1


@pytest.mark.parametrize("name", OPERATORS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_every_exact_measurement_is_possible(name, dtype):
    measurement = measure(OPERATORS[name], raw().to(dtype))
    assert measurement.in_model_space(BYTES).y.shape == measurement.y.shape


def test_a_measurement_has_the_precision_of_a_state():
    measurement = measure(
        ComposedOperator(Mask(KNOWN), Scaled(torch.rand(IMAGE), IMAGE)), raw(), 0.1
    )
    moved = measurement.to(torch.zeros((), dtype=torch.float64))
    assert moved.y.dtype == torch.float64
    assert torch.equal(moved.y.float(), measurement.y)
    assert moved.fingerprint == measurement.fingerprint
