r"""The forward process of rows of numbers and tokens: Gaussian noise and masks at one time.

    numbers   x_t = alpha(t) x0 + sigma(t) eps                  a Gaussian path
    tokens    masked with probability t^2, each on its own      a masked path at the time t^2

The square leaves the terms of the bound of the tokens, which have the weight 2/t with probability
t^2, a finite variance where t is uniform.

Known numbers of a row have no noise at any time, and known tokens are never masked: with them, the
process is one of the rest of the row, and its bound is one of p(rest | known).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn

from ..coefficients import Coefficient
from ..discrete import Categorical, MaskedPath, TokenLevel, TokenPrediction
from ..kernel import Gaussian, reverse_step
from ..path import Level, Path
from ..prediction import Prediction


@dataclass(frozen=True, eq=False)
class RowState:
    """Rows of a table in model space.

    Args:
        numbers: the numbers, clean or noisy.
        tokens: the tokens, clean or masked.
    """

    numbers: Float[Tensor, "b d"]
    tokens: Int64[Tensor, "b k"]

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.numbers)


@dataclass(frozen=True, eq=False)
class KnownEntries:
    """Which entries of rows are known.

    Args:
        numbers: of the numbers; one row stands for all.
        tokens: of the tokens, likewise.
    """

    numbers: Bool[Tensor, "#rows d"]
    tokens: Bool[Tensor, "#rows k"]

    @classmethod
    def none(cls, rows: RowState) -> KnownEntries:
        """No entry of these rows."""
        shapes = (rows.numbers.shape[1], rows.tokens.shape[1])
        return cls(
            *(torch.zeros(1, n, dtype=torch.bool, device=rows.tokens.device) for n in shapes)
        )


@dataclass(frozen=True, eq=False)
class RowLevel:
    """A path of rows at one time.

    Args:
        numbers: the Level of the numbers.
        tokens: the Level of the tokens.
        token_speed: the slope of the time of the tokens.
    """

    numbers: Level
    tokens: TokenLevel
    token_speed: Coefficient


@dataclass(frozen=True, eq=False)
class RowPrediction:
    """What a model predicts of clean rows, given noisy ones.

    Args:
        numbers: x0 and eps of the numbers.
        tokens: the distribution of the clean tokens.
    """

    numbers: Prediction
    tokens: TokenPrediction


class RowPath(nn.Module):
    """The forward process of rows.

    Args:
        numbers: that of the numbers, with finite ends.
        values: the largest number of values of a token.
    """

    def __init__(self, numbers: Path, values: int) -> None:
        super().__init__()
        self.numbers = numbers
        self.tokens = MaskedPath(max(2, values))

    def at(self, t: Float[Tensor, " b"] | float, like: RowState) -> RowLevel:
        """The Level at a time, or at one time for each of these rows."""
        return RowLevel(
            self.numbers.at(t, like=like.numbers), self.tokens.at(t * t, like=like.tokens), 2 * t
        )

    def mix(self, x0: RowState, eps: RowState, level: RowLevel, known: KnownEntries) -> RowState:
        """Rows with noise.

        Args:
            x0: clean rows.
            eps: normal numbers, and as tokens the mask where a token is masked.
            level: the Level.
            known: the entries that stay clean.
        """
        noisy = level.numbers.mix(x0.numbers, eps.numbers)
        is_masked = (eps.tokens == self.tokens.mask) & ~known.tokens
        return RowState(
            torch.where(known.numbers, x0.numbers, noisy),
            torch.where(is_masked, eps.tokens, x0.tokens),
        )

    def step(self, prediction: RowPrediction, s: RowLevel) -> tuple[Gaussian, Categorical]:
        """p(x_s | x_t) of a prediction, of the numbers and of the tokens.

        Args:
            prediction: of the clean rows given x_t.
            s: the cleaner level.
        """
        numbers = reverse_step(prediction.numbers, s.numbers)
        return numbers, self.tokens.posterior(prediction.tokens, s.tokens)
