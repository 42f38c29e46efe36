r"""Mean and scale of the columns that are modelled, from those that are given.

The spread of x given y can vary with y over decades, and its place bends with it. Both are learned
by regression before anything else, and the model is one of what is left,

    r = (x - m(y)) / s(y),        log p(x | y) = log p(r | y) - sum log s(y)

(Nix & Weigend 1994, "Estimating the mean and variance of the target probability distribution").
With s constant and m linear it is the residual of a linear regression.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float64, Int64
from torch import Tensor, nn

from ...networks.embeddings import zeroed
from .denoiser import near

_REACH = 8.0
"""Of log s, in nats."""


class LocationScale(nn.Module):
    """The residuals of the numbers of a row given some of its columns.

    Weights do not require a gradient: they are fitted before the model is trained
    (`recipes.table_location`). A new one has m = 0 and s = 1.

    Args:
        is_given: which numbers and, after them, which tokens are given.
        values: how many values each token has.
        units: of the two hidden layers.
    """

    is_given: Tensor

    def __init__(
        self, is_given: Bool[Tensor, " dims"], values: tuple[int, ...], units: int
    ) -> None:
        super().__init__()
        self.register_buffer("is_given", is_given, persistent=False)
        self.units, self.numbers = units, len(is_given) - len(values)
        self.tokens = [
            (place, count)
            for place, count in enumerate(values)
            if bool(is_given[self.numbers + place])
        ]

        inputs = 3 * int(is_given[: self.numbers].sum()) + sum(count for _, count in self.tokens)
        hidden = (nn.Linear(inputs, units), nn.SiLU(), nn.Linear(units, units), nn.SiLU())
        self.network = nn.Sequential(*hidden, zeroed(nn.Linear(units, 2 * self.numbers))).double()
        self.requires_grad_(False)

    def forward(
        self,
        x: Float64[Tensor, "b d"],
        tokens: Int64[Tensor, "b k"],
        is_missing: Bool[Tensor, "b d"],
    ) -> tuple[Float64[Tensor, "b d"], Float64[Tensor, "b d"]]:
        """m and log s of each number; 0 and 0 of those that are given.

        Args:
            x: numbers of about unit variance; those that are not given are not read.
            tokens: of the rows; those that are not given are not read.
            is_missing: which numbers are.
        """
        given = self.is_given[: self.numbers]
        seen = self._features(torch.where(is_missing, 0.0, x)[:, given], tokens)
        mean, log_scale = self.network(seen.to(next(self.network.parameters()))).to(x).chunk(2, 1)

        log_scale = _REACH * (log_scale / _REACH).tanh()
        return torch.where(given, 0.0, mean), torch.where(given, 0.0, log_scale)

    def _features(self, y: Float64[Tensor, "b given"], tokens: Tensor) -> Float64[Tensor, "b _"]:
        """Given numbers, bounded, with their sinusoids, and each value of given tokens."""
        y = near(y)
        values = [
            nn.functional.one_hot(tokens[:, place], count).double() for place, count in self.tokens
        ]
        return torch.cat([y, (2 * y).sin(), (2 * y).cos(), *values], 1)
