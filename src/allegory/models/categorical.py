r"""A denoiser that knows the alphabet of its data.

Numbers of finitely many levels v_1..v_K (pixels, counts) leave little to believe: by Bayes' rule, number i of x0 is

    p(x0_i = v | x_t)  proportional to  p(x0_i = v | the other numbers of x_t) N(x_t,i; alpha v, sigma^2).

The second factor is known exactly at every Level and is what a plain network spends most of its training on: snapping a
slightly noisy value to the level it came from (the Fourier features of VDM are a help with just that). Here the network
gives the logits of the first factor, and the belief is the posterior mean x0 = sum_v v p(x0_i = v | x_t).
"""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn

from ..process.path import Level, Path
from ..process.prediction import Prediction
from .denoiser import Denoiser


class CategoricalDenoiser(Denoiser):
    """A network with `levels` logits a number, (b, levels * channels, *space), as a Predict.

    `values` are the levels in model space. Memory is (levels x numbers), so it is for data of tens of levels.
    """

    values: Tensor

    def __init__(self, network: nn.Module, path: Path, values: Float[Tensor, " levels"], data_std: float = 1.0) -> None:
        super().__init__(network, path, "x0", data_std)
        self.register_buffer("values", values)

    def forward(self, x_t: Tensor, t: Tensor | float | Level, condition: Tensor | None = None) -> Prediction:
        """x_t (batch, *shape) and t -> what is believed of x0 and eps."""
        level = self.path.at(t, like=x_t)
        logits = self.output(x_t, level, condition).to(x_t.dtype)
        logits = logits.unflatten(1, (len(self.values), x_t.shape[1]))
        values = self.values.to(x_t).reshape(-1, *(1,) * (x_t.ndim - 1))
        z = (x_t / level.sigma)[:, None] - _over_levels(level.alpha / level.sigma) * values
        x0 = ((logits - 0.5 * z * z).softmax(1) * values).sum(1)
        return Prediction.solve(self.row, x0, x_t, level)


def _over_levels(scale: Tensor | float) -> Tensor | float:
    """A scale of shape (b, 1, ...) with one more axis, to meet (b, levels, ...)."""
    return scale[:, None] if isinstance(scale, Tensor) and scale.ndim > 0 else scale
