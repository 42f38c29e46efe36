r"""A decoder that asks the network: p(x | z) by the logits of a `Categorical` reading.

    p(x_i = v | z) proportional to exp(logit_{i,v}(z)) N(z_i; alpha v, sigma^2)

The decoder of VDM has no logits: it sees nothing but z_i, so z must be clean enough to tell neighbouring levels apart.
A network knows most levels from their surroundings long before, so that a chain which is read by it may begin at more noise,
and steps are saved. Its latents beyond that noise are the same.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from ..likelihood.decoder import Discretised
from ..likelihood.observation import Levels
from ..process.path import Level
from .categorical import Categorical
from .denoiser import Denoiser


@dataclass(frozen=True, eq=False)
class Reader:
    """p(x | z) as the denoiser has it, one evaluation of the network. ValueError unless its row is `Categorical`."""

    denoiser: Denoiser

    def __post_init__(self) -> None:
        if not isinstance(self.denoiser.row, Categorical):
            raise ValueError(f"row={self.denoiser.row.name!r} has no logits; use a `Categorical` row, or Discretised")

    def observe(self, z0: Float[Tensor, "b c *space"], level: Level) -> Levels:
        """p(x | z_0) as a table of logits a number."""
        row = self.denoiser.row
        assert isinstance(row, Categorical)
        level = self.denoiser.path.at(level, like=z0)
        logits = self.denoiser.output(z0, level).to(z0.dtype).unflatten(1, (len(row.values), z0.shape[1]))
        return Levels(logits.movedim(1, -1) + Discretised(row.values).observe(z0, level).logits)

    def log_prob(
        self, x0: Float[Tensor, "b c *space"], eps: Float[Tensor, "b c *space"], level: Level
    ) -> Float[Tensor, " b"]:
        """sum_i log p(x_i | z_0)."""
        return self.observe(level.mix(x0, eps), level).log_prob(x0)
