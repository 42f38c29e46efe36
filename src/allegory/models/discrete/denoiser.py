r"""A network becomes a prediction of clean tokens.

By Bayes' rule, token i of x0 has

    p(x0_i = v | x_t)  proportional to  p(x0_i = v | the other tokens of x_t) q(x_t,i | x0_i = v).

The second factor is known. The network gives the logits of the first; a token that is not masked is
then known, as q is zero for all values but its own, and a masked one has the softmax of the logits.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn

from ...conditions import hidden_like
from ...process.discrete import BlockMaskedPath, MaskedPath, TokenLevel, TokenPath, TokenPrediction

_SHARPEST = 20.0
"""The largest log-SNR that a network sees; it is infinite at t = 0."""


class TokenDenoiser(nn.Module):
    """A network as a predictor of tokens.

    Args:
        network: forward(x, log_snr, condition) -> logits (batch, values * channels, *space), of
            items (features * channels, *space).
        path: the forward process.
        features: numbers per token that the network sees, which are learned.
        allowed: which values are possible at each place; None where all are.
    """

    allowed: Tensor | None

    def __init__(
        self,
        network: nn.Module,
        path: TokenPath,
        features: int,
        allowed: Bool[Tensor, "*shape values"] | None = None,
    ) -> None:
        super().__init__()
        self.network, self.path = network, path
        self.embedding = nn.Embedding(path.states, features)
        self.register_buffer("allowed", allowed, persistent=False)

    def forward(
        self,
        x_t: Int64[Tensor, "b *shape"],
        t: Tensor | float | TokenLevel,
        condition: Tensor | None = None,
        /,
    ) -> TokenPrediction:
        """Predict the clean tokens from x_t at time t, given the `condition`."""
        return self._predicted(x_t, self.path.at(t, like=x_t), condition, x_t)

    def _predicted(
        self, x_t: Tensor, level: TokenLevel, condition: Tensor | None, before: Tensor
    ) -> TokenPrediction:
        """The prediction; a path of blocks looks at the blocks of `before` that precede each."""
        if isinstance(self.path, BlockMaskedPath):
            logits = self._logits(torch.cat([before, x_t], 1), level, condition)
        else:
            logits = self._logits(x_t, level, condition)

        evidence = self.path.evidence(x_t, level).to(logits)
        if self.allowed is not None:
            evidence = torch.where(self.allowed, evidence, -torch.inf)

        return TokenPrediction((logits + evidence).log_softmax(-1), x_t, level)

    def all_blocks(
        self,
        x_t: Int64[Tensor, "b length"],
        x0: Int64[Tensor, "b length"],
        condition: Tensor | None = None,
        /,
    ) -> TokenPrediction:
        """The prediction of each block from its noisy tokens and the clean blocks before it.

        For paths of blocks, and for one block.

        Args:
            x_t: noisy tokens.
            x0: clean tokens.
            condition: one row per item, or None.
        """
        return self._predicted(x_t, self.path.at(1.0), condition, x0)

    def hidden(self, condition: Tensor) -> Tensor:
        """Rows that hide these conditions, as in training."""
        return hidden_like(condition)

    def _logits(
        self, seen: Int64[Tensor, "b *seen"], level: TokenLevel, condition: Tensor | None
    ) -> Float[Tensor, "b *shape values"]:
        """The network's output for every token, from all that it sees."""
        rows = seen if seen.ndim > 2 else seen[:, None]
        features = self.embedding(rows).movedim(-1, 1).flatten(1, 2)
        out: Tensor = self.network(features, self._log_snr(seen, level), condition)

        logits = out.unflatten(1, (self.path.values, rows.shape[1])).movedim(1, -1)
        each: Tensor = logits if seen.ndim > 2 else logits.squeeze(1)
        return each

    def _log_snr(self, x_t: Tensor, level: TokenLevel) -> Float[Tensor, " b"]:
        """The time as the network sees it: 0 where tokens are masked."""
        if isinstance(self.path, MaskedPath):
            return self.embedding.weight.new_zeros(len(x_t))
        log_snr = torch.as_tensor(level.log_snr).clamp(-_SHARPEST, _SHARPEST)
        each: Tensor = log_snr.reshape(-1).expand(len(x_t)).to(self.embedding.weight)
        return each


def network_shape(shape: tuple[int, ...], features: int) -> tuple[int, ...]:
    """The shape of an item as the network sees it.

    Args:
        shape: of the tokens of an item; a sequence has one channel.
        features: numbers per token.
    """
    channels, *space = shape if len(shape) > 1 else (1, *shape)
    return (features * channels, *space)
