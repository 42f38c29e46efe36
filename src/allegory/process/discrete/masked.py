"""Masked tokens: diffusion with an absorbing state (Austin et al. 2021; Shi et al. 2024, MD4)."""

from __future__ import annotations

import torch
from jaxtyping import Float64, Int64
from torch import Tensor, nn

from .categorical import Categorical, known
from .path import TokenLevel, TokenPath, TokenPrediction, last_axis


class MaskedPath(TokenPath):
    """Tokens are replaced by a mask, the value K (D3PM's absorbing state; MD4).

    Args:
        values: K.
    """

    def __init__(self, values: int) -> None:
        super().__init__(values)

    @property
    def states(self) -> int:
        """K + 1: the mask is the last."""
        return self.values + 1

    @property
    def mask(self) -> int:
        """The value of a token that is masked."""
        return self.values

    @property
    def pi(self) -> Float64[Tensor, " states"]:
        """All on the mask."""
        return nn.functional.one_hot(torch.tensor(self.mask), self.states).double()

    def evidence(
        self, x_t: Int64[Tensor, "b *shape"], level: TokenLevel
    ) -> Float64[Tensor, "b *shape values"]:
        """0 for the value of a token and -inf for all others; 0 for all where it is masked."""
        masked = (x_t == self.mask)[..., None]
        own = known(x_t.clamp(max=self.values - 1), self.values)
        return torch.where(masked, torch.zeros_like(own), own)

    def posterior(self, prediction: TokenPrediction, s: TokenLevel) -> Categorical:
        """A masked token stays so with the probability (1 - alpha_s)/(1 - alpha_t), or is revealed;
        all others stay as they are.

        Args:
            prediction: of the clean tokens given x_t.
            s: the cleaner level.
        """
        x_t, t = prediction.x_t, prediction.level
        stays = last_axis(s.noise / t.noise)
        p = prediction.x0.probs
        step = torch.cat([(1 - stays) * p, stays * torch.ones_like(p[..., :1])], -1)

        masked = (x_t == self.mask)[..., None]
        return Categorical(torch.where(masked, step.log(), known(x_t, self.states)))

    def rate(
        self, prediction: TokenPrediction, x0: Int64[Tensor, "b *shape"]
    ) -> Float64[Tensor, " b"]:
        """-alpha'/(1 - alpha) times the sum of -log p(x0 | x_t) over the masked tokens."""
        level = prediction.level
        each = self.masked_nats(prediction, x0).double()
        terms = torch.where(each > 0, -level.slope / level.noise * each, torch.zeros_like(each))
        return terms.flatten(1).sum(1)

    def in_order(self, u: Float64[Tensor, "b *shape"]) -> Float64[Tensor, "b *shape"]:
        """Numbers whose rising order is one of revealing the tokens, from uniform ones."""
        return u

    def masked_nats(self, prediction: TokenPrediction, x0: Int64[Tensor, "b *shape"]) -> Tensor:
        """-log p(x0 | x_t) of each masked token, 0 for the others, (b, *shape).

        Args:
            prediction: of noisy tokens.
            x0: the clean tokens.
        """
        nats = -prediction.log_probs.gather(-1, x0[..., None]).squeeze(-1)
        return torch.where(prediction.x_t == self.mask, nats, torch.zeros_like(nats))
