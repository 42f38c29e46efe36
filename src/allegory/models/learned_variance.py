"""A network that learns the mean and the variance of a reverse step (Nichol & Dhariwal 2021)."""

from __future__ import annotations

from dataclasses import dataclass, replace

from torch import Tensor

from ..process.path import Level, Path
from ..process.prediction import TARGETS, Prediction, Target, target_named

VARIANCE = "+variance"
"""What follows the name of a target where the network learns the variance as well."""


@dataclass(frozen=True)
class LearnedVariance:
    """An output with twice the channels: the first half is a target, the second v in [-1, 1] with
    share = (v + 1)/2.

    Improved DDPM (Nichol & Dhariwal 2021, eq. 15), and the networks of others that follow it.
    Solver `ddpm_learned` and the bound of a finite number of steps use the share; to every other
    solver, to guides, the codec and the likelihoods in continuous time it is the same model
    without.
    The objective `hybrid` trains it. v is not bounded: where the best variance is beyond one of the
    two, so is the share.

    Args:
        target: the target of the first half, that of the mean.
    """

    target: str | Target = "eps"

    @property
    def name(self) -> str:
        """E.g. "v+variance"."""
        return target_named(self.target).name + VARIANCE

    def for_data(self, data_std: float) -> LearnedVariance:
        """The same for data of this standard deviation, on which the target "edm" depends."""
        return LearnedVariance(target_named(self.target, data_std))

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


VARIANCE_TARGETS = {name + VARIANCE: LearnedVariance(name) for name in TARGETS}
"""The targets with a learned variance, by name: "eps+variance", "v+variance", ..."""


def check_trains_variance(predict: object, objective: object) -> None:
    """ValueError for a learned variance that an objective would leave untrained.

    Args:
        predict: what is trained.
        objective: by what; one that trains the variance has `trains_variance` = True.
    """
    if getattr(predict, "learns_variance", False) and not getattr(
        objective, "trains_variance", False
    ):
        name = getattr(objective, "name", type(objective).__name__.lower())
        raise ValueError(
            f"objective={name!r}: would leave the learned variance untrained; use "
            "objective='hybrid', or a target without '+variance'"
        )
