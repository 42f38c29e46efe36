r"""Classifier-free guidance of tokens.

    log p(x0 = v) = log p(v | x_t) + w [log p(v | x_t, y) - log p(v | x_t)] + a constant

for each token on its own, as the score is guided in the Gaussian case (Ho & Salimans 2022; Schiff
et al. 2024 for tokens). w = 0 is unconditional, 1 conditional and unguided.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Int64
from torch import Tensor

from ..process.discrete import TokenLevel, TokenPath, TokenPredict, TokenPrediction


@dataclass(frozen=True, eq=False)
class GuidedTokens:
    """A predictor of tokens under classifier-free guidance.

    Args:
        base: the predictor that is guided.
        scale: w of the formula.
    """

    base: TokenPredict
    scale: float

    @property
    def path(self) -> TokenPath:
        """The path of the base."""
        return self.base.path

    def __call__(
        self,
        x_t: Int64[Tensor, "b *shape"],
        t: Tensor | float | TokenLevel,
        condition: Tensor | None = None,
        /,
    ) -> TokenPrediction:
        """The guided prediction; without a condition it is the base's own.

        Args:
            x_t: noisy tokens.
            t: their time.
            condition: one row per item, or None.
        """
        given = self.base(x_t, t, condition)
        if condition is None or self.scale == 1:
            return given

        free = self.base(x_t, t, None)
        log_probs = free.log_probs + self.scale * (given.log_probs - free.log_probs)
        impossible = given.log_probs.isneginf() | free.log_probs.isneginf()
        log_probs = torch.where(impossible, -torch.inf, log_probs)
        return TokenPrediction(log_probs.log_softmax(-1), x_t, given.level)
