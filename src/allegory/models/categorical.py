r"""A reading of outputs that knows the alphabet of its data.

Numbers of finitely many levels v_1..v_K (pixels, counts) leave little to believe: by Bayes' rule, number i of x0 is

    p(x0_i = v | x_t)  proportional to  p(x0_i = v | the other numbers of x_t) N(x_t,i; alpha v, sigma^2).

The second factor is known exactly at every Level and is what a plain network spends most of its training on: snapping a
slightly noisy value to the level it came from (the Fourier features of VDM are a help with just that). Here the network
gives the logits of the first factor, and the belief is the posterior mean x0 = sum_v v p(x0_i = v | x_t).
"""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from ..process.path import Level, Path
from ..process.prediction import Prediction


@dataclass(frozen=True, eq=False)
class Categorical:
    """A network's output read as logits, (b, levels * channels, *space), over the `values` that a number can take.

    `values` are in model space. Memory is (levels x numbers), so it is for data of tens of levels.
    """

    values: Float[Tensor, " levels"]

    def check(self, path: Path) -> None:
        """Every path will do."""

    def read(self, y: Tensor, x_t: Tensor, level: Level) -> Prediction:
        """x0 = sum_v v softmax(y_v - (x_t - alpha v)^2 / (2 sigma^2)), the posterior mean of each number."""
        logits = y.unflatten(1, (len(self.values), x_t.shape[1]))
        values = self.values.to(x_t).reshape(-1, *(1,) * (x_t.ndim - 1))
        z = (x_t / level.sigma)[:, None] - _over_levels(level.alpha / level.sigma) * values
        x0 = ((logits - 0.5 * z * z).softmax(1) * values).sum(1)
        return Prediction.solve("x0", x0, x_t, level)


def _over_levels(scale: Tensor | float) -> Tensor | float:
    """A scale of shape (b, 1, ...) with one more axis, to meet (b, levels, ...)."""
    return scale[:, None] if isinstance(scale, Tensor) and scale.ndim > 0 else scale
