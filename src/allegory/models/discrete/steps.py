"""T steps of a discrete diffusion model as a hierarchy of latents."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from jaxtyping import Float, Int64, Shaped
from torch import Tensor

from ...data.spec import DataSpec
from ...likelihood.inference import DrawNoise, Inference, Latent
from ...process.decoder import Observation
from ...process.discrete import (
    Categorical,
    TokenLevel,
    TokenPath,
    TokenPredict,
    TokenPrediction,
)
from ...process.noise import Noise, Stream, item_seeds


@dataclass(frozen=True, eq=False)
class TokenObservation(Observation):
    """p(x | x_1) as a distribution of data in model space.

    Args:
        tokens: the distribution of the tokens.
        values: the levels in model space.
    """

    tokens: Categorical
    values: Float[Tensor, " levels"]

    def log_prob(self, x0: Float[Tensor, "b *shape"]) -> Float[Tensor, " b"]:
        """log p(x0 | x_1) in nats per item."""
        return self.tokens.log_prob(token_index(x0, self.values))

    def draw(self, noise: Float[Tensor, "b *shape"]) -> Float[Tensor, "b *shape"]:
        """A draw of x, from standard-normal `noise`."""
        return self.values[self.tokens.draw(noise)]

    @property
    def mean(self) -> Float[Tensor, "b *shape"]:
        """E[x | x_1]."""
        mean: Tensor = self.tokens.probs @ self.values.double()
        return mean


@dataclass(frozen=True, eq=False)
class TokenSteps:
    """The latents x_1, ..., x_T of a discrete diffusion model, drawn from the top down.

    Args:
        predict: the predictor, with its path.
        spec: what the data are.
        levels: those of the latents, the cleanest first.
        condition: one row per item, so that it is a model of batches of that length; or None.
    """

    predict: TokenPredict
    spec: DataSpec
    levels: Sequence[TokenLevel]
    condition: Tensor | None = None

    @property
    def path(self) -> TokenPath:
        """The forward process."""
        return self.predict.path

    def infer(self, x0: Float[Tensor, "b *shape"], draw: DrawNoise) -> Inference:
        """One draw of all latents, each from q(x_{i-1} | x_i, x), so that all costs are KLs.

        Args:
            x0: data in model space.
            draw: standard normal noise like a tensor.
        """
        tokens = token_index(x0, self.spec.values)
        q = self.path.marginal(tokens, self.levels[-1])
        z = q.draw(draw(x0))
        latents = [Latent(z, q, self.path.prior(tokens), free=True)]

        for s, t in reversed(tuple(pairwise(self.levels))):
            q = self.path.posterior(TokenPrediction.of(tokens, z, t), s)
            p = self.path.posterior(self.predict(z, t, self.condition), s)
            z = q.draw(draw(x0))
            latents.append(Latent(z, q, p, free=True))

        likelihood = self._observe(z).log_prob(x0)
        return Inference(likelihood, tuple(reversed(latents)))

    def generate(self, count: int, draw: DrawNoise) -> TokenObservation:
        """p(x | x_1) of `count` items, after a draw of all latents from the prior by `draw`."""
        like = torch.zeros(count, *self.spec.shape, dtype=torch.float64)
        z = self.path.prior(like.long()).draw(draw(like))
        for s, t in reversed(tuple(pairwise(self.levels))):
            z = self.path.posterior(self.predict(z, t, self.condition), s).draw(draw(like))
        return self._observe(z)

    @torch.no_grad()
    def log_weights(
        self,
        x: Shaped[Tensor, "b *shape"],
        condition: Tensor | None = None,
        *,
        seeds: Sequence[int] | None = None,
        draws: int = 1,
    ) -> Float[Tensor, "draws b"]:
        """log p(x, x_1..x_T) - log q(x_1..x_T | x) in nats.

        Args:
            x: raw items.
            condition: None; it was given with the steps.
            seeds: one integer per item; 0, 1, 2, ... for None.
            draws: draws of the latents per item.
        """
        if condition is not None:
            raise ValueError("condition: give it to as_hierarchy, where the steps are made")
        self.spec.check(x)
        x0 = self.spec.encode(x).double()
        noise = Noise(item_seeds(seeds, len(x)), self.spec.shape, Stream.BOUND)
        return torch.stack([self.infer(x0, noise.draw).log_weight for _ in range(draws)])

    def _observe(self, z: Int64[Tensor, "b *shape"]) -> TokenObservation:
        prediction = self.predict(z, self.levels[0], self.condition)
        return TokenObservation(prediction.x0, self.spec.values.to(z.device))


def token_index(
    x0: Float[Tensor, "b *shape"], values: Float[Tensor, " levels"]
) -> Int64[Tensor, "b *shape"]:
    """The tokens of data in model space, from -1 to 1.

    Args:
        x0: the data.
        values: the levels in model space.
    """
    step = 2 / (len(values) - 1)
    return ((x0.double() + 1) / step).round().long()
