r"""Network output as logits over the levels of the data, number by number.

The posterior of a number of finitely many levels v_1..v_K (a pixel, a count) has two factors: by
Bayes' rule, number i of x0 is

    p(x0_i = v | x_t)  proportional to
        p(x0_i = v | the other numbers of x_t) N(x_t,i; alpha v, sigma^2).

The second factor is known exactly at every Level and is what a plain network spends most of its
training on: snapping a slightly noisy value to the level it came from (the Fourier features of VDM
are a help with just that). Here the network gives the logits of the first factor, and the
prediction is the posterior mean x0 = sum_v v p(x0_i = v | x_t).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from ..numerics.broadcast import expand_like
from ..process.coefficients import Coefficient
from ..process.path import Level, Path
from ..process.prediction import Prediction

_CHUNK = 2**18
"""Logits that are read at a time: 1 MB in float32, which stays in a core's cache from the first
operation to the last.
"""


@dataclass(frozen=True, eq=False)
class CategoricalOutput:
    """A network's output read as logits, (b, levels * channels, *space), over the `values` that a
    number can take.

    `values` are in model space. What is kept for the backward pass is the probabilities, levels x
    numbers of them: 0.8 MB an item of 28x28 and 256 levels.
    """

    values: Float[Tensor, " levels"]

    def check(self, path: Path) -> None:
        """Every path will do."""

    def read(self, y: Tensor, x_t: Tensor, level: Level) -> Prediction:
        """x0 = sum_v v softmax(y_v - (x_t - alpha v)^2 / (2 sigma^2)), each number's posterior
        mean.

        Args:
            y: the network's output, (b, levels * channels, *space).
            x_t: the state that it was computed at, (b, channels, *space).
            level: the Level of x_t.
        """
        logits = y.unflatten(1, (len(self.values), x_t.shape[1]))
        values = expand_like(self.values.to(x_t), x_t)
        size = max(1, _CHUNK // (len(self.values) * max(1, x_t[:1].numel())))

        pieces = logits.split(size)
        z = (x_t / level.sigma).split(size)
        signal = _split(level.alpha / level.sigma, size, len(pieces))
        means = [_mean(*piece, values) for piece in zip(pieces, z, signal, strict=True)]

        return Prediction.solve("x0", torch.cat(means), x_t, level)


def _mean(logits: Tensor, z: Tensor, signal: Coefficient, values: Tensor) -> Tensor:
    """sum_v v softmax(logits_v - (z - signal v)^2 / 2), z = x_t / sigma, signal = alpha / sigma."""
    distance = z[:, None] - signal * values
    return (torch.addcmul(logits, distance, distance, value=-0.5).softmax(1) * values).sum(1)


def _split(scale: Coefficient, each: int, count: int) -> list[Coefficient]:
    """A scale of shape (b, 1, ...) in `count` pieces of `each` items, with one more axis to meet
    (b, levels, ...).
    """
    if isinstance(scale, Tensor) and scale.ndim > 0:
        return [*scale[:, None].split(each)]
    return [scale] * count
