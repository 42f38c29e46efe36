"""One Predict, every split: a belief of one path is a belief of all others with its schedule.

At one time two such paths have the same log-SNR, so x_t = alpha x0 + sigma eps and x'_t = alpha' x0 + sigma' eps are one
state in two units, x_t = (alpha/alpha') x'_t, and the pair (x0, eps) believed of the one is that of the other. A network
that was trained as a variance-preserving process is a variance-exploding one too (Song et al. 2021, appendix C; Karras et
al. 2022, section 2). What differs is the SDE, and with it every sampler that steps in t.
"""

from __future__ import annotations

from dataclasses import replace

from jaxtyping import Float
from torch import Tensor

from .path import Level, Path
from .prediction import Predict, Prediction, energy_of
from .scale import Scale, larger


class Resplit:
    """A Predict of `own`, asked on a path of another split: `path`, which has the same schedule."""

    def __init__(self, base: Predict, own: Path, split: str) -> None:
        self.base, self.own, self.path = base, own, Path(own.schedule, split)

    def __call__(self, x_t: Tensor, t: Tensor | float | Level, condition: Tensor | None = None) -> Prediction:
        """The base's x0 and eps, at the Level of this path."""
        asked, level = self.path.at(t, like=x_t), self.own.at(self.path.at(t), like=x_t)
        belief = self.base(_ratio(level, asked) * x_t, level, condition)
        return replace(Prediction.of(belief.x0, belief.eps, asked), share=belief.share)

    def energy(
        self, x_t: Float[Tensor, "b *shape"], t: Tensor | float | Level, condition: Tensor | None = None
    ) -> Float[Tensor, " b"]:
        """The base's energy of the same state. ValueError for a base that has none."""
        asked, level = self.path.at(t, like=x_t), self.own.at(self.path.at(t), like=x_t)
        return energy_of(self.base, _ratio(level, asked) * x_t, level, condition)


def _ratio(level: Level, asked: Level) -> Scale:
    """alpha/alpha' = sigma/sigma', by the larger of each pair, which is never 0."""
    return larger(level.alpha, level.sigma) / larger(asked.alpha, asked.sigma)
