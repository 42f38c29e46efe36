"""Rows without missing values, by a model of rows some of whose values are missing.

The probability of "missing" is set to 0 in each prediction of a token, and the others are
renormalised: draws of p(row | nothing is missing) where values are missing at random, whatever they
are (Rubin 1976). Where they are missing for what they are, a token is drawn from p(value | not
missing, what is known so far).
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Bool
from torch import Tensor

from ...data.table_schema import TableSchema
from ...process.discrete import TokenPrediction
from ...process.rows import KnownEntries, RowLevel, RowPrediction, RowState


class CompleteRows:
    """A predictor of rows whose unknown tokens are never "missing".

    Args:
        predict: the predictor of rows.
        is_missing: which of the values of each token say that it is missing.
    """

    def __init__(self, predict: Any, is_missing: Bool[Tensor, "k v"]) -> None:
        self.predict, self.is_missing = predict, is_missing
        self.path, self.mixture, self.components = predict.path, predict.mixture, predict.components

    def __call__(
        self, x_t: RowState, level: RowLevel, known: KnownEntries, parts: Any = None
    ) -> RowPrediction:
        """Predict the clean rows.

        Args:
            x_t: noisy rows.
            level: their Level.
            known: entries that have no noise.
            parts: the components of the mixture given the known numbers; None computes them.
        """
        found = self.predict(x_t, level, known, parts)
        tokens = found.tokens

        never = self.is_missing & ~known.tokens[..., None]
        log_probs = tokens.log_probs.masked_fill(never, -torch.inf).log_softmax(-1)
        return RowPrediction(found.numbers, TokenPrediction(log_probs, tokens.x_t, tokens.level))


def missing_values(schema: TableSchema, values: int) -> Bool[Tensor, "k v"]:
    """Which values of each token say that something is missing.

    Args:
        schema: the columns.
        values: the largest number of values of a token.
    """
    is_missing = torch.zeros(len(schema.tokens), values, dtype=torch.bool)
    own = [column for column in schema.columns if column.is_token]

    for place, (_, levels) in enumerate(schema.tokens):
        # after the columns of finitely many values, a token for each number that may be missing
        if place >= len(own) or own[place].missing:
            is_missing[place, levels - 1] = True

    return is_missing
