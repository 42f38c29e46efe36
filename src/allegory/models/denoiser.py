"""A network becomes a Predict: network + path + what its output means."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..conditions import hidden_like
from ..process.coefficients import Coefficient, sqrt
from ..process.path import Level, Path, check_path
from ..process.prediction import Prediction, Target, target_named
from .categorical_output import CategoricalOutput
from .learned_variance import VARIANCE_TARGETS, LearnedVariance


class Denoiser(nn.Module):
    """A network as a Predict.

    The network sees c_in x_t with c_in = 1/sqrt(alpha^2 s^2 + sigma^2), which has unit variance for
    data of standard deviation s = `data_std`; with target="edm" its target has unit variance too
    (Karras et al. 2022, section 5).

    Args:
        network: forward(x, log_snr, condition) -> an array like x, or with more channels where the
            target needs them.
        path: the forward process.
        target: what the output is: the name of a target ("x0", "eps", "v", "flow", "score", "edm"),
            a Target, a `CategoricalOutput` or a `LearnedVariance`, whose name is e.g. "v+variance":
            twice the channels, the second half for the variance of the reverse step.
        data_std: standard deviation of the data in model space.

    Raises:
        ValueError: for what is no Path, a target that cannot be trained on it, or a data_std that
            is not positive.
    """

    def __init__(
        self,
        network: nn.Module,
        path: Path,
        target: str | Target | CategoricalOutput | LearnedVariance = "edm",
        data_std: float = 1.0,
    ) -> None:
        super().__init__()
        check_path(path)
        if not data_std > 0:
            raise ValueError(
                f"data_std={data_std}; give the positive standard deviation of the data"
            )

        self.network, self.path, self.data_std = network, path, data_std
        self.target = _output(target, data_std)
        self.target.check(path)

    @property
    def learns_variance(self) -> bool:
        """Whether the network puts out the variance of the reverse step as well."""
        return isinstance(self.target, LearnedVariance)

    def input_scale(self, level: Level) -> Coefficient:
        """c_in at this `level`."""
        return input_scale(level, self.data_std)

    def forward(
        self, x_t: Tensor, t: Tensor | float | Level, condition: Tensor | None = None
    ) -> Prediction:
        """Predict (x0, eps) from x_t (batch, *shape) at time t, given the `condition`."""
        level = self.path.at(t, like=x_t)
        y = self.output(x_t, level, condition).to(x_t.dtype)
        return self.target.read(y, x_t, level)

    def hidden(self, condition: Tensor) -> Tensor:
        """Rows that hide these conditions, as in training."""
        return hidden_like(condition)

    def output(self, x_t: Tensor, level: Level, condition: Tensor | None = None) -> Tensor:
        """The network's output at x_t, at this `level` and with this `condition`."""
        scaled, log_snr = network_inputs(self.network, x_t, level, self.data_std)
        y: Tensor = self.network(scaled, log_snr, condition)
        return y


def _output(
    target: str | Target | CategoricalOutput | LearnedVariance, data_std: float
) -> Target | CategoricalOutput | LearnedVariance:
    """What a network puts out, by its name or as it is."""
    if isinstance(target, str) and target in VARIANCE_TARGETS:
        target = VARIANCE_TARGETS[target]
    if isinstance(target, LearnedVariance):
        return target.for_data(data_std)
    return target if isinstance(target, CategoricalOutput) else target_named(target, data_std)


def input_scale(level: Level, data_std: float) -> Coefficient:
    """c_in = 1/sqrt(alpha^2 s^2 + sigma^2) at this `level`, with s = `data_std`."""
    signal = data_std * level.alpha
    return 1 / sqrt(signal * signal + level.sigma * level.sigma)


def network_inputs(
    network: nn.Module, x_t: Tensor, level: Level, data_std: float
) -> tuple[Tensor, Tensor]:
    """c_in x_t in the dtype of the network, and log-SNR per item, in float32 at least.

    Args:
        network: with parameters; one without computes in the data's dtype.
        x_t: states, (b, *shape).
        level: their noise level.
        data_std: standard deviation of the data in model space.
    """
    own = next(network.parameters(), x_t).dtype
    # log-SNR would be too coarse in half precision.
    log_snr = level.log_snr_per_item(x_t).to(torch.promote_types(own, torch.float32))
    return (input_scale(level, data_std) * x_t).to(own), log_snr
