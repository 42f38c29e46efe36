r"""Exact problems for samplers: a mixture, a path, starting points, and the end of their flow.

    python -m benchmarks problems          what there is, and how far each reference moves

Every problem is a mixture of Gaussians, whose denoiser is in closed form, on one of four paths.
Settings may be chosen by those of CHOSEN_BY; those of REPORTED are for reporting alone.

    CHOSEN_BY    ring          2 numbers, eight even modes of standard deviation .05
                 grid          2, 25 modes of unequal weights, .04
                 low_rank      16, six planes of three dimensions, .03 across them
                 mixture       64, 32 Gaussians, .1 to .3
                 digits        64, the digits of scikit-learn, each widened by .1
                 fashion       784, 400 training pictures of Fashion-MNIST, .1
                 fashion_narrow  784, 600 more of them, .04
                 colour_train  3,072, 100 training pictures of MNIST in colour, .1
    REPORTED     uneven_ring   2, seven modes at uneven angles and radii, .02 to .15
                 spirals       2, two arms of 60 modes each, .03
                 anisotropic   24, ten covariances with variances from .001 to 1
                 unequal       48, 20 Gaussians of weights from 1 to 50, .05 to .4
                 mnist         784, the first 400 test pictures of MNIST, .15
                 fashion_test  784, 600 test pictures of Fashion-MNIST, .05
                 colour        3,072, 100 test pictures of MNIST in colour, 32 by 32, .1

Pictures are in [-1, 1]. A reference is the end of `vab4c` with 1,000 steps.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path as File

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from allegory import Path, Prediction, grid, sample
from allegory.data import load
from allegory.process import Betas, Cosine, Geometric, Level, RectifiedFlow, Schedule

ON_REQUEST = True
ITEMS, FINE = 128, 1000
DATA = File(__file__).parents[2] / "shared" / "data"
"""Where MNIST and Fashion-MNIST are."""


class CutFlow(Schedule):
    """Rectified flow from t = .999 to .001: its ends are finite, as samplers of others need."""

    def __init__(self) -> None:
        super().__init__()
        self.whole = RectifiedFlow()

    def forward(self, t: Tensor) -> Tensor:
        return self.whole(0.001 + 0.998 * t)

    def slope(self, t: Tensor) -> Tensor:
        return 0.998 * self.whole.slope(0.001 + 0.998 * t)

    def scaled_slope(self, t: Tensor) -> Tensor:
        return 0.998 * self.whole.scaled_slope(0.001 + 0.998 * t)

    def inverse(self, log_snr: Tensor) -> Tensor:
        return (self.whole.inverse(log_snr) - 0.001) / 0.998


PATHS = {
    "vp": Path(Betas(torch.linspace(1e-4, 0.02, 1000))),
    "ve": Path(Geometric(0.002, 80.0), scaling="ve"),
    "flow": Path(CutFlow(), scaling="flow"),
    "cosine": Path(Cosine(10.0, -10.0)),
}


def _total_std(means: Tensor, variances: Tensor, weights: Tensor) -> float:
    """The root of the variance of a number, within and between components."""
    between = weights @ (means - weights @ means).square().mean(1)
    return math.sqrt(float(between + weights @ variances))


@dataclass(frozen=True, eq=False)
class Isotropic:
    """sum_k w_k N(m_k, s_k^2 I).

    Args:
        means: (K, d).
        variances: (K,).
        weights: (K,).
    """

    means: Tensor
    variances: Tensor
    weights: Tensor

    @classmethod
    def of(cls, means: Tensor, std: Tensor | float, weights: Tensor | None = None) -> Isotropic:
        """From standard deviations, with equal weights for None."""
        ones = torch.ones(len(means), dtype=torch.float64)
        weights = ones if weights is None else weights
        return cls(means.double(), (ones * std).square(), weights / weights.sum())

    @property
    def dims(self) -> int:
        return self.means.shape[1]

    @property
    def std(self) -> float:
        """The standard deviation of a number around the mean of all, root mean square."""
        return _total_std(self.means, self.variances, self.weights)

    def denoise(self, y: Tensor, u: float) -> Tensor:
        """E[x0 | y] = sum_k r_k (u^2 m_k + s_k^2 y) / w_k with w_k = s_k^2 + u^2.

        r_k are the responsibilities of N(y; m_k, w_k I).
        """
        wide = self.variances + u * u
        rows = self.means / wide[:, None]
        level = -self.means.square().sum(1) / (2 * wide) - self.dims / 2 * wide.log()
        logits = torch.addmm(level + self.weights.log(), y, rows.T)
        logits = logits - y.square().sum(1, keepdim=True) / (2 * wide)
        r = logits.softmax(1)
        return (u * u) * (r @ rows) + (r @ (self.variances / wide))[:, None] * y


@dataclass(frozen=True, eq=False)
class Correlated:
    """sum_k w_k N(m_k, Q_k diag(v_k) Q_k^T).

    Args:
        means: (K, d).
        axes: Q_k, (K, d, d).
        variances: v_k, (K, d).
        weights: (K,).
    """

    means: Tensor
    axes: Tensor
    variances: Tensor
    weights: Tensor

    @property
    def dims(self) -> int:
        return self.means.shape[1]

    @property
    def std(self) -> float:
        """The standard deviation of a number around the mean of all, root mean square."""
        return _total_std(self.means, self.variances.mean(1), self.weights)

    def denoise(self, y: Tensor, u: float) -> Tensor:
        """E[x0 | y] = sum_k r_k (m_k + Q_k diag(v_k / (v_k + u^2)) Q_k^T (y - m_k))."""
        wide = self.variances + u * u
        gap = torch.einsum("kde,bkd->bke", self.axes, y[:, None] - self.means)
        logits = self.weights.log() - 0.5 * (gap.square() / wide + wide.log()).sum(-1)
        r = logits.softmax(1)
        pulled = torch.einsum("kde,bke->bkd", self.axes, gap * (self.variances / wide))
        return torch.einsum("bk,bkd->bd", r, self.means + pulled)


Data = Isotropic | Correlated


class Exact:
    """The denoiser of data as a Predict on a path, which counts its evaluations.

    Args:
        data: the mixture.
        path: the forward process.
    """

    def __init__(self, data: Data, path: Path) -> None:
        self.data, self.path, self.evaluations = data, path, 0

    def denoise(self, y: Tensor, u: float) -> Tensor:
        """E[x0] of y = x_t / alpha at u = sigma / alpha."""
        self.evaluations += 1
        return self.data.denoise(y, u)

    def __call__(
        self, x_t: Tensor, t: Tensor | float | Level, condition: Tensor | None = None
    ) -> Prediction:
        level = t if isinstance(t, Level) else self.path.at(t)
        alpha, sigma = float(level.alpha), float(level.sigma)
        x0 = self.denoise(x_t / alpha, sigma / alpha)
        return Prediction.of(x0, (x_t - alpha * x0) / sigma, level)


def _generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def ring() -> Data:
    turns = torch.arange(8, dtype=torch.float64) * math.pi / 4
    return Isotropic.of(torch.stack([turns.cos(), turns.sin()], 1), 0.05)


def grid_of_modes() -> Data:
    places = torch.linspace(-1, 1, 5, dtype=torch.float64)
    weights = torch.rand(25, generator=_generator(2), dtype=torch.float64) ** 2 + 0.02
    return Isotropic.of(torch.cartesian_prod(places, places), 0.04, weights)


def low_rank() -> Data:
    source = _generator(3)
    means = torch.randn(6, 16, generator=source, dtype=torch.float64) * 0.5
    axes = torch.linalg.qr(torch.randn(6, 16, 16, generator=source, dtype=torch.float64))[0]
    variances = torch.full((6, 16), 0.03**2, dtype=torch.float64)
    variances[:, :3] = torch.tensor([0.8, 0.5, 0.3]).double().square()
    return Correlated(means, axes, variances, torch.full((6,), 1 / 6, dtype=torch.float64))


def mixture() -> Data:
    means = torch.rand(32, 64, generator=_generator(0), dtype=torch.float64) * 2 - 1
    return Isotropic.of(means, torch.linspace(0.1, 0.3, 32, dtype=torch.float64))


def digits() -> Data:
    data = load("digits")
    x = torch.cat([part.x for part in (data.train, data.validation, data.test)])
    return Isotropic.of(data.spec.encode(x).flatten(1), 0.1)


def uneven_ring() -> Data:
    turns = torch.tensor([0.0, 0.4, 1.1, 2.5, 3.0, 4.4, 5.5], dtype=torch.float64)
    radii = torch.tensor([1.0, 1.2, 0.7, 1.0, 0.5, 1.4, 0.9], dtype=torch.float64)
    stds = torch.tensor([0.05, 0.02, 0.1, 0.03, 0.15, 0.05, 0.08], dtype=torch.float64)
    weights = torch.tensor([3.0, 1.0, 2.0, 0.5, 1.0, 4.0, 0.2], dtype=torch.float64)
    means = radii[:, None] * torch.stack([turns.cos(), turns.sin()], 1)
    return Isotropic.of(means, stds, weights)


def spirals() -> Data:
    turn = torch.linspace(0.3, 3.5, 60, dtype=torch.float64)
    arm = 0.35 * turn[:, None] * torch.stack([(2 * turn).cos(), (2 * turn).sin()], 1)
    return Isotropic.of(torch.cat([arm, -arm]), 0.03)


def anisotropic() -> Data:
    source = _generator(5)
    means = torch.randn(10, 24, generator=source, dtype=torch.float64) * 0.6
    axes = torch.linalg.qr(torch.randn(10, 24, 24, generator=source, dtype=torch.float64))[0]
    powers = torch.rand(10, 24, generator=source, dtype=torch.float64)
    weights = torch.linspace(1, 4, 10, dtype=torch.float64)
    return Correlated(means, axes, 10 ** (-3 * powers), weights / weights.sum())


def unequal() -> Data:
    source = _generator(6)
    means = torch.rand(20, 48, generator=source, dtype=torch.float64) * 2 - 1
    stds = 0.05 * 8 ** torch.rand(20, generator=source, dtype=torch.float64)
    weights = 50 ** torch.linspace(0, 1, 20, dtype=torch.float64)
    return Isotropic.of(means, stds, weights)


def pictures(name: str, part: str, count: int) -> Tensor:
    """The first pictures of a data set in [-1, 1], (count, 28, 28)."""
    data = load(str(DATA / name))
    x = {"train": data.train, "test": data.test}[part].x[:count]
    return x.double().reshape(count, 28, 28) / 127.5 - 1


TEST_COLOURS = [(1, 0.2, 0.2), (0.2, 1, 0.2), (0.3, 0.4, 1), (1, 1, 0.3), (1, 0.4, 1), (0.9,) * 3]
TRAIN_COLOURS = [
    (1, 0.3, 0.5),
    (0.5, 1, 0.2),
    (0.2, 0.5, 1),
    (1, 0.8, 0.1),
    (0.8, 0.3, 1),
    (0.8,) * 3,
]


def coloured(part: str, colours: list[tuple[float, ...]]) -> Data:
    """100 pictures on a dark ground, each in one of six colours, padded to 32 by 32."""
    shade = (pictures("mnist", part, 500)[-100:] + 1) / 2
    shade = torch.nn.functional.pad(shade, (2, 2, 2, 2))
    chosen = torch.from_numpy(np.array(colours)[np.arange(100) % 6])
    x = shade[:, None] * chosen[:, :, None, None] + 0.1 * (1 - shade[:, None])
    return Isotropic.of((2 * x - 1).flatten(1), 0.1)


def narrow_fashion() -> Data:
    """Pictures that no other problem has, each widened little."""
    return Isotropic.of(pictures("fashion_mnist", "train", 1000)[400:].flatten(1), 0.04)


def of_pictures(name: str, part: str, count: int, std: float) -> Callable[[], Data]:
    """Pictures, each widened."""
    return lambda: Isotropic.of(pictures(name, part, count).flatten(1), std)


_FIRST: dict[str, Callable[[], Data]] = {
    "ring": ring,
    "grid": grid_of_modes,
    "low_rank": low_rank,
    "mixture": mixture,
    "digits": digits,
    "fashion": of_pictures("fashion_mnist", "train", 400, 0.1),
}
REPORTED: dict[str, Callable[[], Data]] = {
    "uneven_ring": uneven_ring,
    "spirals": spirals,
    "anisotropic": anisotropic,
    "unequal": unequal,
    "mnist": of_pictures("mnist", "test", 400, 0.15),
    "fashion_test": of_pictures("fashion_mnist", "test", 600, 0.05),
    "colour": lambda: coloured("test", TEST_COLOURS),
}
"""Problems whose figures are reported; no setting may be chosen by them."""
_LATER: dict[str, Callable[[], Data]] = {
    "fashion_narrow": narrow_fashion,
    "colour_train": lambda: coloured("train", TRAIN_COLOURS),
}
CHOSEN_BY = _FIRST | _LATER
"""Problems by which settings may be chosen."""
PROBLEMS = _FIRST | REPORTED | _LATER
"""All, in the order by which their starting points are seeded."""


@dataclass(frozen=True, eq=False)
class Trial:
    """A problem on a path, its starting points, and the end of their flow.

    Args:
        exact: the denoiser.
        x: starting points (ITEMS, d), of a seed of the problem's own.
        truth: where the flow takes them.
        moved: how far that moves at half the steps.
    """

    exact: Exact
    x: Tensor
    truth: Tensor
    moved: float

    @property
    def dims(self) -> int:
        """The numbers of an item."""
        return self.x.shape[1]

    def errors(self, x: Tensor) -> tuple[float, float]:
        """RMSE over items and numbers, and the median of the items' own RMSE."""
        wrong = (x - self.truth).square().mean(1).sqrt()
        return wrong.square().mean().sqrt().item(), wrong.median().item()


@cache
def data_of(name: str) -> Data:
    """The mixture of a problem."""
    return PROBLEMS[name]()


def trial(name: str, path: str) -> Trial:
    """The problem of a name on a path.

    Args:
        name: one of PROBLEMS.
        path: one of PATHS.
    """
    exact = Exact(data_of(name), PATHS[path])
    source = _generator(1000 + list(PROBLEMS).index(name))
    noise = torch.randn(ITEMS, exact.data.dims, generator=source, dtype=torch.float64)
    x = exact.path.prior_std * noise
    coarse, truth = (
        sample(exact, x, grid(exact.path, n, "angle", "min"), solver="vab4c")
        for n in (FINE // 2, FINE)
    )
    return Trial(exact, x, truth, (coarse - truth).abs().max().item())


def cached_trial(name: str, path: str, folder: File) -> Trial:
    """The same, with its reference in a file.

    Args:
        name: one of PROBLEMS.
        path: one of PATHS.
        folder: of the files.
    """
    file = folder / f"{name}, {path}.safetensors"
    if not file.exists():
        made = trial(name, path)
        moved = torch.tensor(made.moved, dtype=torch.float64)
        save_file({"x": made.x, "truth": made.truth, "moved": moved}, file)

    found = load_file(file)
    exact = Exact(data_of(name), PATHS[path])
    return Trial(exact, found["x"], found["truth"], found["moved"].item())


def main() -> None:
    """Print every problem on every path."""
    torch.set_num_threads(1)
    for name in PROBLEMS:
        for path in PATHS:
            found = trial(name, path)
            print(
                f"{name:14s}{path:8s}{found.exact.data.dims:6d} numbers, spread "
                f"{found.exact.data.std:.2f}, moved {found.moved:.0e}",
                flush=True,
            )


if __name__ == "__main__":
    main()
