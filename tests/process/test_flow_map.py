"""Flow maps: that of a Gaussian satisfies every identity, on every scaling and at both ends."""

import itertools
import math

import pytest
import torch

from allegory.process import Mixture, Path
from allegory.process.angle import angle, angle_range, level_at_angle, norm, velocity
from allegory.process.flow_identities import (
    consistency_residual,
    diagonal_residual,
    eulerian_residual,
    lagrangian_residual,
    semigroup_residual,
)
from allegory.process.flow_map import (
    FlowMap,
    GaussianFlowMap,
    MidpointMap,
    check_flow_map,
    jump,
)
from allegory.process.schedule import Cosine, LinearLogSNR, RectifiedFlow

SCALINGS = ("vp", "sub_vp", "flow", "ve")
PATHS = {
    **{f"linear, {name}": Path(LinearLogSNR(9.0, -7.0), name) for name in SCALINGS},
    "cosine to pure noise": Path(Cosine(), "vp"),
    "rectified flow": Path(RectifiedFlow(), "flow"),
}
GENERATOR = torch.Generator().manual_seed(0)
ROOT = torch.randn(3, 3, dtype=torch.float64, generator=GENERATOR)
MEAN = torch.tensor([1.0, -0.5, 2.0], dtype=torch.float64)
COVARIANCE = ROOT @ ROOT.mT + 0.1 * torch.eye(3, dtype=torch.float64)
STATES = torch.randn(5, 3, dtype=torch.float64, generator=GENERATOR)


@pytest.fixture(params=PATHS, ids=str)
def path(request):
    return PATHS[request.param]


def gaussian(path):
    return GaussianFlowMap(MEAN, COVARIANCE, path)


def levels(path):
    """Both ends of the path, three levels between them, and clean data."""
    return [*path.levels([1.0, 0.8, 0.5, 0.15, 0.0]), path.clean]


def scaled(level):
    return norm(level) * STATES


def per_item(level):
    return torch.full((len(STATES),), float(angle(level)), dtype=torch.float64)


def test_the_map_is_that_of_the_marginals(path):
    # x_s = alpha_s m + M_s M_t^-1 (x_t - alpha_t m), M_t^2 = alpha_t^2 S + sigma_t^2 I
    def root(level):
        eye = torch.eye(3, dtype=torch.float64)
        values, axes = torch.linalg.eigh(level.alpha**2 * COVARIANCE + level.sigma**2 * eye)
        return axes @ values.sqrt().diag() @ axes.mT

    for t, s in itertools.product(levels(path)[:-1], levels(path)):
        x_t = scaled(t)
        expected = (x_t - t.alpha * MEAN) @ torch.linalg.solve(root(t), root(s)) + s.alpha * MEAN
        torch.testing.assert_close(gaussian(path).jump(x_t, t, s).at(s), expected)


def test_the_diagonal_is_the_denoiser(path):
    oracle = Mixture(MEAN[None], None, covariances=COVARIANCE[None], path=path)
    for t in levels(path)[:-1]:
        found = diagonal_residual(gaussian(path), oracle, scaled(t), t)
        assert found.abs().max() < 1e-9
        x_t = scaled(t)
        torch.testing.assert_close(gaussian(path)(x_t, t).x0, oracle(x_t, t).x0)


def test_two_steps_are_one(path):
    exact = gaussian(path)
    for t, m, s in itertools.permutations(levels(path)[:-1], 3):
        assert semigroup_residual(exact, scaled(t), t, m, s).abs().max() < 1e-9
        x_m = exact.jump(scaled(t), t, m).at(m)
        torch.testing.assert_close(
            exact.jump(x_m, m, s).at(s), exact.jump(scaled(t), t, s).at(s), atol=1e-9, rtol=1e-9
        )


def test_the_end_moves_along_the_flow(path):
    inner = levels(path)[1:4]
    for t, s in itertools.product(levels(path)[:-1], inner):
        found = lagrangian_residual(gaussian(path), scaled(t), t, per_item(s))
        assert found.abs().max() < 1e-9


def test_the_end_stays_as_the_start_moves(path):
    exact, inner = gaussian(path), levels(path)[1:4]
    for t, s in itertools.product(inner, levels(path)):
        found = eulerian_residual(exact, exact, scaled(t), per_item(t), s)
        assert found.abs().max() < 1e-9


def test_neighbours_on_the_flow_end_alike(path):
    exact = gaussian(path)
    for t, r, s in itertools.product(levels(path)[:-1], repeat=3):
        if t is not r:
            x_r = exact.jump(scaled(t), t, r).at(r)
            found = consistency_residual(exact, (scaled(t), t), (x_r, r), s)
            assert found.abs().max() < 1e-9


def test_every_residual_sees_another_map():
    """A map with another mean fails each identity but that of its own flow."""
    path = PATHS["linear, vp"]
    exact, start = gaussian(path), path.levels([0.8])[0]

    class Wrong:
        """One DDIM step: right on the diagonal, and no flow map."""

        def __init__(self):
            self.path = path

        def __call__(self, x_t, t, condition=None):
            return exact(x_t, t)

        def jump(self, x_t, t, s, condition=None):
            return exact(x_t, t)

    wrong, x_t = Wrong(), scaled(start)
    middle, end = path.levels([0.5, 0.2])
    x_r = exact.jump(x_t, start, middle).at(middle)
    residuals = {
        "semigroup": semigroup_residual(wrong, x_t, start, middle, end),
        "lagrangian": lagrangian_residual(wrong, x_t, start, per_item(end)),
        "eulerian": eulerian_residual(wrong, exact, x_t, per_item(start), end),
        "consistency": consistency_residual(wrong, (x_t, start), (x_r, middle), end),
    }
    assert all(found.abs().max() > 0.05 for found in residuals.values()), residuals
    other = GaussianFlowMap(MEAN + 0.1, COVARIANCE, path)
    assert diagonal_residual(other, exact, x_t, start).abs().max() > 0.01


@pytest.mark.parametrize("scaling", SCALINGS)
def test_a_jump_by_the_midpoint_has_an_error_of_third_order(scaling):
    path = PATHS[f"linear, {scaling}"]
    exact = gaussian(path)

    def error(predict, width):
        ends = torch.tensor([0.8, 0.8 - width], dtype=torch.float64)
        t, s = level_at_angle(path, ends).unbind()
        x_t = scaled(t)
        away = jump(predict, x_t, t, s).at(s) - exact.jump(x_t, t, s).at(s)
        return float(away.norm())

    denoiser = Mixture(MEAN[None], None, covariances=COVARIANCE[None], path=path)
    for predict, order in ((denoiser, 2), (MidpointMap(denoiser), 3)):
        found = math.log2(error(predict, 0.08) / error(predict, 0.04))
        assert found == pytest.approx(order, abs=0.25)


def test_angles():
    path = PATHS["rectified flow"]
    first, last = angle_range(path)
    assert first == pytest.approx(0.0)
    assert last == pytest.approx(math.pi / 2)
    level = level_at_angle(path, torch.tensor([0.3, 1.2], dtype=torch.float64), STATES[:2])
    torch.testing.assert_close(angle(level).flatten(), torch.tensor([0.3, 1.2]).double())
    assert velocity(gaussian(path)(STATES[:2], level)).shape == (2, 3)


def test_bad_input():
    path = PATHS["linear, vp"]
    with pytest.raises(ValueError, match=r"give \(d,\) and \(d, d\)"):
        GaussianFlowMap(MEAN, COVARIANCE[:2], path)
    with pytest.raises(ValueError, match="eigenvalue"):
        GaussianFlowMap(MEAN, -COVARIANCE, path)
    with pytest.raises(ValueError, match="condition"):
        gaussian(path)(STATES, 0.5, torch.zeros(5))
    with pytest.raises(ValueError, match="says where the flow goes"):
        check_flow_map(Mixture(MEAN[None], 1.0, path=path))
    assert isinstance(gaussian(path), FlowMap)
