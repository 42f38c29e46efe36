"""The unknown numbers of rows as a Predict, for the probability-flow ODE."""

from __future__ import annotations

import torch
from jaxtyping import Float64
from torch import Tensor, nn

from ...process.path import Level, Path
from ...process.prediction import Prediction
from ...process.rows import KnownEntries, RowLevel, RowState
from .denoiser import RowDenoiser


class GivenNumbers(nn.Module):
    """A predictor of the numbers that are not known, given all other entries of a row.

    Args:
        denoise: the predictor of rows.
        known: one row, of the numbers that are known; all tokens are.
    """

    def __init__(self, denoise: RowDenoiser, known: KnownEntries) -> None:
        super().__init__()
        self.denoise, self.known = denoise, known

    @property
    def path(self) -> Path:
        """The forward process of the numbers."""
        return self.denoise.path.numbers

    def forward(
        self,
        x_t: Float64[Tensor, "b rest"],
        t: Tensor | float | Level,
        condition: Tensor | None = None,
        /,
    ) -> Prediction:
        """Predict the unknown numbers.

        Args:
            x_t: noisy unknown numbers.
            t: one time, one per row, or a Level.
            condition: numbers and tokens of each row; the unknown ones are not read.
        """
        assert condition is not None, "the rows are the condition"
        known = self.known.numbers[:1]
        d = known.shape[1]
        rest = ~known[0]
        numbers = condition[:, :d].to(x_t).clone()
        numbers[:, rest] = x_t

        level = self.path.at(t, like=numbers)
        tokens = self.denoise.path.tokens.at(0.0)
        rows = RowState(numbers, condition[:, d:].long())
        found = self.denoise(
            rows, RowLevel(level, tokens, 0.0), KnownEntries(known, self._all(rows))
        )
        own = found.numbers
        return Prediction.of(own.x0[:, rest], own.eps[:, rest], self.path.at(t, like=x_t))

    def _all(self, rows: RowState) -> Tensor:
        """All tokens are known."""
        return torch.ones(1, rows.tokens.shape[1], dtype=torch.bool, device=rows.tokens.device)
