"""DDRM and DDNM+ against their formulas, one coordinate at a time, and the decomposition."""

import math

import pytest
import torch
from tests.helpers.paths import ONE_PER_SCALING, PATHS
from tests.helpers.posteriors import normal

from allegory.inverse import (
    DDNM,
    DDRM,
    ComposedOperator,
    DDNMPlus,
    Mask,
    Matrix,
    Measurement,
    Scaled,
)
from allegory.inverse.ddrm import SpectralStart, SpectralStep
from allegory.inverse.decomposition import decompose, dense
from allegory.inverse.null_space import NullSpaceStep
from allegory.process import Mixture
from allegory.process.grid import grid
from allegory.sampling import Noise, ddim, sample
from allegory.sampling.loop import SamplingLoop

DIMS = 5
VALUES = (3.0, 1.0, 0.2)
STD = 0.4


def problem(path, std=STD, count=2):
    """A matrix U S V^T of known factors, and the factors."""
    left = torch.linalg.qr(normal(3, 3, seed=1)).Q
    right = torch.linalg.qr(normal(DIMS, DIMS, seed=2)).Q
    matrix = left @ torch.diag(torch.tensor(VALUES, dtype=torch.float64)) @ right[:, :3].T
    y = normal(count, 3, seed=3)
    exact = Mixture(normal(2, DIMS, seed=4), 0.5, path=path)
    return exact, Measurement(Matrix(matrix), y, std), y @ left, right


def loop_at(exact, level, x):
    return SamplingLoop(exact, x, level, None, Noise(range(len(x)), x.shape[1:]).draw)


def ddrm_by_hand(right, spectral_y, prediction, noise, to, eta, eta_b):
    """Kawar et al. 2022, eq. 8, for the variable x/alpha of noise sigma/alpha."""
    scale = to.sigma / to.alpha
    x0, eps = prediction.x0 @ right, prediction.eps @ right
    z = noise @ right
    found = torch.zeros_like(x0)

    for i in range(DIMS):
        s = VALUES[i] if i < len(VALUES) else 0.0
        if s == 0.0:
            mean, std = x0[:, i] + math.sqrt(1 - eta**2) * scale * eps[:, i], eta * scale
        elif scale < STD / s:
            gap = (spectral_y[:, i] / s - x0[:, i]) / (STD / s)
            mean, std = x0[:, i] + math.sqrt(1 - eta**2) * scale * gap, eta * scale
        else:
            mean = (1 - eta_b) * x0[:, i] + eta_b * spectral_y[:, i] / s
            std = math.sqrt(scale**2 - (STD / s * eta_b) ** 2)
        found[:, i] = to.alpha * (mean + std * z[:, i])
    return found @ right.T


@pytest.mark.parametrize("eta_b", [1.0, 0.6])
@pytest.mark.parametrize("t", [0.9, 0.55, 0.4, 0.1])
@pytest.mark.parametrize("path", ONE_PER_SCALING)
def test_a_step_of_ddrm(path, t, eta_b):
    path = PATHS[path]
    exact, given, spectral_y, right = problem(path)
    here, to = path.levels([t + 0.05, t])
    x = normal(2, DIMS, seed=6)

    found = loop_at(exact, here, x).run([SpectralStep(to, decompose(given), 0.85, eta_b)])
    noise = Noise(range(2), (DIMS,)).draw(x)
    want = ddrm_by_hand(right, spectral_y, exact(x, here), noise, to, 0.85, eta_b)
    assert (found - want).abs().max() <= 1e-10


def test_the_times_of_the_step_meet_every_case():
    (*levels,) = PATHS["linear-vp"].levels([0.9, 0.55, 0.4, 0.1])
    less_noisy = {level.sigma / level.alpha < STD / s for level in levels for s in VALUES}
    assert less_noisy == {True, False}


def test_the_first_state_of_ddrm_has_the_measured_coordinates():
    path = PATHS["linear-vp"]
    exact, given, spectral_y, right = problem(path)
    (level,) = path.levels([0.5])
    x = normal(2, DIMS, seed=6)

    found = loop_at(exact, level, x).run([SpectralStart(level, decompose(given))]) @ right
    noise = Noise(range(2), (DIMS,)).draw(x) @ right
    for i in range(DIMS):
        std = STD / VALUES[i] if i < len(VALUES) else math.inf
        if level.alpha * std > level.sigma:
            want = (x @ right)[:, i]
        else:
            left = math.sqrt(level.sigma**2 - (level.alpha * std) ** 2)
            want = level.alpha * spectral_y[:, i] / VALUES[i] + left * noise[:, i]
        assert (found[:, i] - want).abs().max() <= 1e-10


@pytest.mark.parametrize("path", ONE_PER_SCALING)
def test_a_step_of_ddnm_plus(path):
    # By Wang et al. 2023, section 3.3, in each coordinate: x0 is corrected by lambda, and the noise
    # of the step and that of the measurement have the variance of the step.
    path = PATHS[path]
    exact, given, spectral_y, right = problem(path)
    here, to = path.levels([0.5, 0.4])
    x = normal(2, DIMS, seed=6)
    found = loop_at(exact, here, x).run([NullSpaceStep(to, decompose(given), 1.0)]) @ right

    new = to.sigma * math.sqrt(1 - math.exp(here.log_snr - to.log_snr))
    old = math.sqrt(to.sigma**2 - new**2)
    x0, noise = exact(x, here).x0 @ right, Noise(range(2), (DIMS,)).draw(x) @ right
    weight = to.alpha - old * here.alpha / here.sigma
    fractions = []
    for i in range(DIMS):
        clean, left = x0[:, i], new
        if i < len(VALUES):
            carried = weight * STD / VALUES[i]
            fractions.append(min(1.0, new / carried))
            clean = clean + fractions[-1] * (spectral_y[:, i] / VALUES[i] - clean)
            left = math.sqrt(max(0.0, new**2 - (fractions[-1] * carried) ** 2))
        eps = ((x @ right)[:, i] - here.alpha * clean) / here.sigma
        want = to.alpha * clean + old * eps + left * noise[:, i]
        assert (found[:, i] - want).abs().max() <= 1e-10
    assert min(fractions) < 1 or path is not PATHS["linear-vp"]


@pytest.mark.parametrize("path", ONE_PER_SCALING)
def test_without_noise_ddnm_plus_is_ddnm_with_ancestral_steps(path):
    path = PATHS[path]
    exact, given, *_ = problem(path, std=0.0)
    steps = grid(path, 6, spacing="time")
    x_T = path.prior_std * normal(2, DIMS, seed=6)

    plan = DDNMPlus().plan(given, steps.levels)
    found = loop_at(exact, steps.levels[0], x_T).run(plan)
    guided = DDNM().guide(given)(exact)
    want = sample(guided, x_T, steps, solver=ddim(1.0), seeds=range(2))
    assert (found - want).abs().max() <= 1e-9


def test_the_guide_of_ddnm_puts_the_measured_part_in_x0():
    path = PATHS["cosine-flow"]
    exact, given, *_ = problem(path)
    guided = DDNM().guide(given)(exact)
    x, level = normal(2, DIMS, seed=6), path.at(0.5)
    found, base = guided(x, 0.5), exact(x, 0.5)

    matrix = given.operator.matrix
    assert given.residual(found.x0).abs().max() <= 1e-12
    null = torch.eye(DIMS, dtype=torch.float64) - torch.linalg.pinv(matrix) @ matrix
    assert ((found.x0 - base.x0) @ null).abs().max() <= 1e-12
    assert (level.alpha * found.x0 + level.sigma * found.eps - x).abs().max() <= 1e-12


def test_noise_that_differs_between_numbers():
    # In whitened coordinates the posterior precision is that of the rows, V^T A^T A V / std^2.
    matrix, x = normal(3, DIMS, seed=1), normal(2, DIMS, seed=2)
    std = torch.tensor([0.1, 0.4, 2.0], dtype=torch.float64)
    given = Measurement(Matrix(matrix), x @ matrix.T, std)
    found = decompose(given)

    assert (found.measured - found.coordinates(x)).abs().max() <= 1e-12
    basis = found.basis[0]
    want = (matrix / std[:, None]).T @ (matrix / std[:, None])
    assert (basis @ torch.diag(1 / found.variance[0]) @ basis.T - want).abs().max() <= 1e-10

    with pytest.raises(ValueError, match="positive ones"):
        decompose(Measurement(Matrix(matrix), x @ matrix.T, torch.tensor([0.1, 0.0, 1.0])))


@pytest.mark.parametrize("shared", [True, False])
def test_a_diagonal_operator_and_its_matrix_have_the_same_steps(shared):
    path = PATHS["linear-vp"]
    known = normal(DIMS, seed=1) > 0 if shared else normal(2, DIMS, seed=1) > 0
    operator = ComposedOperator(Mask(known, (DIMS,)), Scaled(torch.tensor(0.5), (DIMS,)))
    x0 = normal(2, DIMS, seed=2)
    as_matrix = Matrix(dense(operator, 2) if not shared else dense(operator, 2)[0])
    exact = Mixture(normal(2, DIMS, seed=4), 0.5, path=path)
    levels = grid(path, 5).levels
    assert dense(operator, 2).shape == (1 if shared else 2, DIMS, DIMS)
    assert operator.diagonal is not None and as_matrix.diagonal is None

    found = [
        loop_at(exact, levels[0], normal(2, DIMS, seed=6)).run(
            DDRM().plan(Measurement(each, operator(x0), 0.1), levels)
        )
        for each in (operator, as_matrix)
    ]
    assert (found[0] - found[1]).abs().max() <= 1e-10


def test_a_matrix_that_is_too_large_is_refused():
    # 4,000 x 4,000 numbers, of an operator that is no diagonal.
    shape = (4000,)
    given = Measurement(_Reversed(shape), torch.zeros(1, 4000), 0.1)
    with pytest.raises(ValueError, match="too large"):
        DDRM().plan(given, grid(PATHS["linear-vp"], 3).levels)


class _Reversed(Matrix):
    def __init__(self, shape):
        object.__setattr__(self, "matrix", torch.zeros(1, 1))
        object.__setattr__(self, "shape", shape)

    @property
    def measured_shape(self):
        return self.shape

    def __call__(self, x0):
        return x0.flip(-1)

    def adjoint(self, y):
        return y.flip(-1)


@pytest.mark.parametrize("name", ["eta", "eta_b"])
def test_numbers_outside_their_range_are_refused(name):
    with pytest.raises(ValueError, match=name):
        DDRM(**{name: 1.5})
