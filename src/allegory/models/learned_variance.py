"""A network that learns the mean and the variance of a reverse step (Nichol & Dhariwal 2021)."""

from __future__ import annotations

from dataclasses import dataclass, replace

from torch import Tensor

from ..process.path import Level, Path
from ..process.prediction import Prediction, Target, target_named


@dataclass(frozen=True)
class LearnedVariance:
    """An output with twice the channels: the first half is a target, the second v in [-1, 1] with
    share = (v + 1)/2.

    Improved DDPM (Nichol & Dhariwal 2021, eq. 15), and the networks of others that follow it.
    Solver `ddpm_learned` and the bound of a finite number of steps use the share; to every other
    solver, to guides, the codec and the likelihoods in continuous time it is the same model
    without.
    """

    target: str | Target = "eps"

    def check(self, path: Path) -> None:
        """ValueError when the target cannot be trained on the path."""
        target_named(self.target).check(path)

    def read(self, y: Tensor, x_t: Tensor, level: Level) -> Prediction:
        """The Prediction of y at x_t and this `level`. ValueError unless y has 2 x its channels."""
        if y.ndim != x_t.ndim or y.shape[1] != 2 * x_t.shape[1]:
            raise ValueError(
                f"y: shape {tuple(y.shape)} for x_t {tuple(x_t.shape)}; a network that learns its "
                "variance puts out twice "
                "the channels"
            )

        mean, v = y.chunk(2, dim=1)
        return replace(
            Prediction.solve(target_named(self.target), mean, x_t, level),
            variance_fraction=(v + 1) / 2,
        )
