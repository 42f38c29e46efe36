"""A network becomes a Predict: network + path + what its output means."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..process.coefficients import Coefficient, sqrt
from ..process.path import Level, Path
from ..process.prediction import Prediction, Target, target_named
from .categorical_output import CategoricalOutput
from .learned_variance import LearnedVariance


class Denoiser(nn.Module):
    """A network as a Predict; `target` says what its output is: a target by name, a Target,
    `CategoricalOutput`, `LearnedVariance`.

    The network sees c_in x_t with c_in = 1/sqrt(alpha^2 s^2 + sigma^2), which has unit variance for
    data of standard deviation s = `data_std`; with target="edm" its target has unit variance too
    (Karras et al. 2022, section 5). ValueError when the target cannot be trained on the path.
    """

    def __init__(
        self,
        network: nn.Module,
        path: Path,
        target: str | Target | CategoricalOutput | LearnedVariance = "edm",
        data_std: float = 1.0,
    ) -> None:
        super().__init__()
        if not data_std > 0:
            raise ValueError(
                f"data_std={data_std}; give the positive standard deviation of the data"
            )
        self.network, self.path, self.data_std = network, path, data_std
        self.target = (
            target
            if isinstance(target, (CategoricalOutput, LearnedVariance))
            else target_named(target, data_std)
        )
        self.target.check(path)

    def input_scale(self, level: Level) -> Coefficient:
        """c_in."""
        signal = self.data_std * level.alpha
        return 1 / sqrt(signal * signal + level.sigma * level.sigma)

    def forward(
        self, x_t: Tensor, t: Tensor | float | Level, condition: Tensor | None = None
    ) -> Prediction:
        """x_t (batch, *shape) and t -> what is predicted of x0 and eps."""
        level = self.path.at(t, like=x_t)
        return self.target.read(self.output(x_t, level, condition).to(x_t.dtype), x_t, level)

    def output(self, x_t: Tensor, level: Level, condition: Tensor | None = None) -> Tensor:
        """What the network says at x_t, before it is read."""
        own = next(
            self.network.parameters(), x_t
        ).dtype  # a network without parameters computes in the data's
        log_snr = level.log_snr_per_item(x_t).to(
            torch.promote_types(own, torch.float32)
        )  # too coarse in half precision
        y: Tensor = self.network((self.input_scale(level) * x_t).to(own), log_snr, condition)
        return y
