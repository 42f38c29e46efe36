"""One Predict, every scaling: a prediction of one path is a prediction of all others with its
schedule.

At one time two such paths have the same log-SNR, so x_t = alpha x0 + sigma eps and x'_t = alpha' x0
+ sigma' eps are one state in two units, x_t = (alpha/alpha') x'_t, and the pair (x0, eps) predicted
of the one is that of the other. A network that was trained as a variance-preserving process is a
variance-exploding one too (Song et al. 2021, appendix C; Karras et al. 2022, section 2). What
differs is the SDE, and with it every sampler that steps in t.
"""

from __future__ import annotations

from dataclasses import replace

from jaxtyping import Float
from torch import Tensor

from .coefficients import Coefficient, larger
from .path import Level, Path
from .prediction import Predict, Prediction, energy_of


class Rescaled:
    """A Predict of `own`, asked on a path of another scaling: `path`, which has the same schedule."""

    def __init__(self, base: Predict, own: Path, scaling: str) -> None:
        self.base, self.own, self.path = base, own, Path(own.schedule, scaling)

    def __call__(
        self, x_t: Tensor, t: Tensor | float | Level, condition: Tensor | None = None
    ) -> Prediction:
        """The base's x0 and eps, at the Level of this path."""
        asked, level = self.path.at(t, like=x_t), self.own.at(self.path.at(t), like=x_t)
        prediction = self.base(_ratio(level, asked) * x_t, level, condition)
        return replace(
            Prediction.of(prediction.x0, prediction.eps, asked),
            variance_fraction=prediction.variance_fraction,
        )

    def energy(
        self,
        x_t: Float[Tensor, "b *shape"],
        t: Tensor | float | Level,
        condition: Tensor | None = None,
    ) -> Float[Tensor, " b"]:
        """The base's energy of the same state. ValueError for a base that has none."""
        asked, level = self.path.at(t, like=x_t), self.own.at(self.path.at(t), like=x_t)
        return energy_of(self.base, _ratio(level, asked) * x_t, level, condition)


def _ratio(level: Level, asked: Level) -> Coefficient:
    """alpha/alpha' = sigma/sigma', by the larger of each pair, which is never 0."""
    return larger(level.alpha, level.sigma) / larger(asked.alpha, asked.sigma)
