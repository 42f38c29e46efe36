"""The sampler with steps of its own: against the exact flow, at the tolerance, item by item."""

import pytest
import torch
from tests.helpers.mixtures import three_modes
from tests.helpers.paths import PATHS

from allegory import Mixture
from allegory.process import grid
from allegory.process.prediction import Prediction, as_predict
from allegory.sampling import initial_noise, sample
from allegory.sampling.adaptive import AdaptiveSolver, adaptive


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("name", "end"),
    [
        ("linear-vp", "denoise"),
        ("cosine-flow", "min"),
        ("linear-ve", "min"),
        ("cosine-sub_vp", "min"),
    ],
)
def test_the_error_follows_the_tolerance(name, end):
    path = PATHS[name]
    x = initial_noise(path, (2,), range(40)).double()
    walk = grid(path, 400, "angle", "min")
    truth = sample(three_modes(path), x, walk, solver="vab4c")
    truth = three_modes(path)(truth, walk.levels[-1]).x0 if end == "denoise" else truth
    errors, costs = [], []
    for tolerance in (1e-2, 1e-4, 1e-6):
        found = adaptive(three_modes(path), x, AdaptiveSolver(tolerance, end=end))
        errors.append((found.x - truth).square().mean(1).sqrt().median().item())
        costs.append(found.evaluations.double().mean().item())
    assert errors[1] < 1e-3 and errors[2] < 1e-5 and errors[2] < errors[1] < errors[0]
    assert costs[0] < costs[1] < costs[2] < 150


def test_exact_on_one_gaussian_of_the_size_of_the_data():
    """The v form's slope does not change there: as few steps as may grow from the first."""
    path = PATHS["linear-vp"]
    unit = Mixture(torch.zeros(1, 2, dtype=torch.float64), torch.ones(1).double(), path=path)
    x = torch.randn(5, 2, dtype=torch.float64)
    found = adaptive(unit, x, AdaptiveSolver(1e-8, end="min"))
    torch.testing.assert_close(found.x, x, rtol=1e-9, atol=1e-9)
    assert found.evaluations.max() <= 6


def test_alone_as_in_a_batch():
    """Steps and all: bit for bit, with an easy item and a hard one beside it."""
    path = PATHS["linear-vp"]
    x = initial_noise(path, (2,), range(6)).double()

    def one_by_one(x_t, t, condition=None):
        parts = []
        for i in range(len(x_t)):
            time = t.t.reshape(-1)[i : i + 1] if t.t.numel() > 1 else t.t.reshape(-1)
            parts.append(three_modes(path)(x_t[i : i + 1], time))
        level = path.at(t, like=x_t)
        return Prediction.of(
            torch.cat([p.x0 for p in parts]), torch.cat([p.eps for p in parts]), level
        )

    alike = as_predict(one_by_one, path)
    together = adaptive(alike, x, AdaptiveSolver(1e-4, end="min"))
    assert len(set(together.evaluations.tolist())) > 1
    for i in range(6):
        alone = adaptive(alike, x[i : i + 1], AdaptiveSolver(1e-4, end="min"))
        assert (
            torch.equal(alone.x[0], together.x[i])
            and alone.evaluations[0] == together.evaluations[i]
        )


def test_each_item_keeps_its_condition():
    path = PATHS["linear-vp"]
    exact = three_modes(path)
    label = torch.tensor([0, 1, 2] * 4)
    found = adaptive(exact, initial_noise(path, (2,), range(12)).double(), condition=label)
    nearest = (found.x[:, None] - exact.means.reshape(3, 2)).square().sum(2).argmin(1)
    assert torch.equal(nearest, label)


def test_float32_and_pure_noise_at_the_start():
    path = PATHS["linear-vp"]
    out = adaptive(three_modes(path), initial_noise(path, (2,), range(4)))
    assert out.x.dtype == torch.float32 and out.x.isfinite().all()


@pytest.mark.parametrize("tolerance", [0.0, -1.0, float("nan"), float("inf")])
def test_bad_tolerance(tolerance):
    with pytest.raises(ValueError, match=r"tolerance=.*; give positive"):
        AdaptiveSolver(tolerance)


def test_infinite_starts_ends_and_limits_are_refused():
    straight, path = PATHS["straight-flow"], PATHS["linear-vp"]
    with pytest.raises(ValueError, match="log-SNR is infinite at t = 0"):
        adaptive(three_modes(straight), torch.zeros(1, 2))
    with pytest.raises(ValueError, match="give 'denoise' or 'min'"):
        AdaptiveSolver(end="zero")
    with pytest.raises(RuntimeError, match="needs more than 3 evaluations"):
        adaptive(
            three_modes(path), torch.ones(1, 2).double(), AdaptiveSolver(1e-8, max_evaluations=3)
        )
