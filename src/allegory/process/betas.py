r"""Schedules that are given by beta, the rate at which noise is added.

In discrete time (DDPM) beta_1..beta_T are the variances of the steps, alpha_bar_i = prod_{j <= i} (1 - beta_j).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from .schedule import Schedule


class Betas(Schedule):
    """The schedule of a DDPM array beta_1..beta_T, joined by straight lines in log-SNR.

    alpha_bar_i = prod_{j <= i} (1 - beta_j) and log_snr_i = log(alpha_bar_i / (1 - alpha_bar_i)) (Ho et al. 2020).
    Entry i sits at t = (i - 1) / (T - 1): t = 0 is the first noise level and t = 1 the last. The table is float64
    whatever the dtype of the model. A solver that steps in log-SNR does not see the corners.
    """

    def __init__(self, betas: Sequence[float] | Tensor) -> None:
        super().__init__()
        beta = torch.as_tensor(betas, dtype=torch.float64).detach().cpu().flatten()
        if len(beta) < 2 or not bool(((beta > 0) & (beta < 1)).all()):
            raise ValueError(
                f"betas: {len(beta)} values, {beta[:4].tolist()}...; give two or more inside (0, 1)"
            )
        log_alpha_bar = torch.log1p(-beta).cumsum(0)
        # log(a / (1 - a)) = log a - log(-expm1(log a)) keeps every digit where alpha_bar is close to 1.
        self._table = log_alpha_bar - torch.log(-torch.expm1(log_alpha_bar))
        self._on_device: dict[torch.device, Tensor] = {}

    def _nodes(self, like: Tensor) -> Tensor:
        # Not a buffer: `.half()` on a model would round it.
        if like.device not in self._on_device:
            self._on_device[like.device] = self._table.to(like.device)
        return self._on_device[like.device]

    def _segment(self, t: Float[Tensor, "*t"]) -> tuple[Tensor, Tensor, Tensor]:
        nodes = self._nodes(t)
        i = (t * (len(nodes) - 1)).long().clamp(0, len(nodes) - 2)
        return i, nodes[i], nodes[i + 1]

    def forward(self, t: Float[Tensor, "*t"]) -> Float[Tensor, "*t"]:
        i, left, right = self._segment(t)
        return left + (right - left) * (t * (len(self._table) - 1) - i)

    def slope(self, t: Float[Tensor, "*t"]) -> Float[Tensor, "*t"]:
        _, left, right = self._segment(t)
        return (right - left) * (len(self._table) - 1)

    def inverse(self, log_snr: Float[Tensor, "*t"]) -> Float[Tensor, "*t"]:
        nodes = self._nodes(log_snr)
        i = (torch.searchsorted(-nodes, -log_snr.to(nodes.dtype), right=True) - 1).clamp(
            0, len(nodes) - 2
        )
        return (i + (log_snr - nodes[i]) / (nodes[i + 1] - nodes[i])) / (len(nodes) - 1)

    def extra_repr(self) -> str:
        return f"{len(self._table)} betas"
