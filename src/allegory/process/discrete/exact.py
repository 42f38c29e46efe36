"""The exact prediction for a joint table of a few tokens."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from .path import TokenLevel, TokenPath, TokenPrediction

_MOST_CELLS = 2**24


class TokenTable:
    """The prediction p(x0_i | x_t) of a joint distribution that is given as a table.

    It is what a loss would reach with unlimited capacity, so every bound and sampler of tokens can
    be compared with the table itself.

    Args:
        log_probs: log p(x) for all x, (values,) * length; need not be normalised.
        path: the forward process of x_t.

    Raises:
        ValueError: for a table of other sizes than the path's values, or a very large one.
    """

    def __init__(self, log_probs: Float[Tensor, "*cells"], path: TokenPath) -> None:
        if log_probs.ndim < 1 or set(log_probs.shape) != {path.values}:
            raise ValueError(
                f"log_probs of shape {tuple(log_probs.shape)}; give one axis of {path.values} "
                "values for each token"
            )
        if log_probs.numel() > _MOST_CELLS:
            raise ValueError(f"log_probs: {log_probs.numel()} cells; give at most {_MOST_CELLS}")

        self.path = path
        self.length = log_probs.ndim
        table = log_probs.double()
        self.table = table - table.logsumexp(tuple(range(self.length)))

    def __call__(
        self,
        x_t: Int64[Tensor, "b length"],
        t: Tensor | float | TokenLevel,
        condition: Tensor | None = None,
        /,
    ) -> TokenPrediction:
        """The marginals of p(x0 | x_t), proportional to p(x0) q(x_t | x0).

        Args:
            x_t: noisy tokens.
            t: their time.
            condition: None; a table has none.
        """
        level = self.path.at(t, like=x_t)
        evidence = self.path.evidence(x_t, level)

        joint = self.table.expand(len(x_t), *self.table.shape)
        for i in range(self.length):
            other = [1] * self.length
            other[i] = self.path.values
            joint = joint + evidence[:, i].view(-1, *other)

        axes = range(1, self.length + 1)
        marginals = [joint.logsumexp([j for j in axes if j != i]) for i in axes]
        log_probs = torch.stack(marginals, 1).log_softmax(-1)
        return TokenPrediction(log_probs, x_t, level)

    def log_prob(self, x: Int64[Tensor, "b length"]) -> Float[Tensor, " b"]:
        """log p(x) in nats."""
        return self.table[tuple(x.unbind(1))]
