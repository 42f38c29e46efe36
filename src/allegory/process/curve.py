"""What every schedule is: a curve of log-SNR that falls (`schedule.py` has the curves)."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import torch
from jaxtyping import Float
from torch import Tensor, nn


class Schedule(nn.Module, ABC):
    """A strictly decreasing log-SNR of t in [0, 1]."""

    @abstractmethod
    def forward(self, t: Float[Tensor, "*t"]) -> Float[Tensor, "*t"]:
        """log-SNR at t."""

    @abstractmethod
    def slope(self, t: Float[Tensor, "*t"]) -> Float[Tensor, "*t"]:
        """d log-SNR / dt, negative; infinite where log-SNR is."""

    @abstractmethod
    def inverse(self, log_snr: Float[Tensor, "*t"]) -> Float[Tensor, "*t"]:
        """The t at which the schedule has this log-SNR."""

    def scaled_slope(self, t: Float[Tensor, "*t"]) -> Float[Tensor, "*t"]:
        """slope * exp(-|log_snr| / 2), finite at infinite ends too."""
        return self.slope(t) * torch.exp(-self(t).abs() / 2)

    @property
    def ends(self) -> tuple[float, float]:
        """log-SNR at t = 0 and t = 1."""
        with torch.no_grad():
            start, end = self(torch.tensor([0.0, 1.0], dtype=torch.float64)).tolist()
        return start, end


def check_ends(start: float, end: float, finite: bool) -> None:
    """ValueError unless log-SNR falls from start to end, between finite ends where they must be."""
    if not start > end:
        raise ValueError(f"start={start}, end={end}: log-SNR falls with t; give start > end")
    if finite and not (math.isfinite(start) and math.isfinite(end)):
        raise ValueError(
            f"start={start}, end={end}: both ends must be finite; Cosine and RectifiedFlow allow infinite ones"
        )
