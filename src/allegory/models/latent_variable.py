"""Latent-variable models: what a VAE, a hierarchy and a ladder have in common.

A model says how its latents are drawn for given data (`infer`) and how data are made from nothing (`generate`). Loss,
bound, importance weights and samples follow from these two.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn

from ..data.spec import DataSpec
from ..likelihood.inference import Draw, Inference
from ..objectives.draws import normal_like
from ..process.bound import Bound
from ..process.decoder import Observation
from ..process.noise import Noise, Stream, item_seeds


class LatentVariableModel(nn.Module, ABC):
    """p(x) = int p(z_L) ... p(z_1 | z_2) p(x | z_1) dz with an inference model q(z_1, ..., z_L | x)."""

    unit = "bits/dim"
    trained: Tensor

    def __init__(self, spec: DataSpec, warmup: int = 0) -> None:
        """`warmup`: so many training steps in which the loss charges less than the whole cost of the latents.

        At step n < warmup their costs count n/warmup (Sønderby et al. 2016, section 2.3): otherwise a network learns to
        be silent about latents that do not pay at once. The count is a buffer, so a resumed run goes on with it; `bound`
        and all else know nothing of it.
        """
        super().__init__()
        self.spec, self.warmup = spec, warmup
        if warmup:
            self.register_buffer("trained", torch.zeros((), dtype=torch.int64))

    @abstractmethod
    def infer(self, x0: Float[Tensor, "b *shape"], draw: Draw) -> Inference:
        """One draw of all latents for data in model space."""

    @abstractmethod
    def generate(self, count: int, draw: Draw) -> Observation:
        """p(x | z) after a draw of all latents from the prior."""

    def loss(
        self, batch: tuple[Tensor, Tensor | None], generator: torch.Generator
    ) -> Float[Tensor, " b"]:
        """One draw of the negative bound per item; labels are not used.

        Args:
            batch: raw data (batch, *shape), and labels or None.
            generator: where the latents are drawn from.

        Returns:
            The loss of each item, in bits/dim.
        """
        x0 = self._encode(batch[0])
        bound = self.infer(x0, lambda like: normal_like(like, generator)).bound
        weight = self._latent_weight()
        costs = tuple(weight * cost for cost in bound.divergences)
        return Bound(bound.reconstruction, weight * bound.prior, costs).bits_per_dim(self.spec)

    @torch.no_grad()
    def bound(self, raw: Shaped[Tensor, "b *shape"], *, seed: int = 0, draws: int = 1) -> Bound:
        """The evidence lower bound of log p(raw) in nats, a mean over draws; item i draws from seed + i."""
        bounds = [
            inference.bound
            for inference in self._inferences(raw, range(seed, seed + len(raw)), draws)
        ]
        terms = zip(*(bound.divergences for bound in bounds), strict=True)
        return Bound(
            torch.stack([bound.reconstruction for bound in bounds]).mean(0),
            torch.stack([bound.prior for bound in bounds]).mean(0),
            tuple(torch.stack(term).mean(0) for term in terms),
        )

    @torch.no_grad()
    def log_weights(
        self,
        raw: Shaped[Tensor, "b *shape"],
        condition: Tensor | None = None,
        *,
        seeds: Sequence[int] | None = None,
        draws: int = 1,
    ) -> Float[Tensor, "draws b"]:
        """log p(x, z) - log q(z | x) in nats, one row a draw (Burda et al. 2016, eq. 7)."""
        return torch.stack(
            [inference.log_weight for inference in self._inferences(raw, seeds, draws)]
        )

    @torch.no_grad()
    def sample(self, seeds: Sequence[int]) -> Shaped[Tensor, "n *shape"]:
        """Raw samples, item i from seeds[i]. ValueError without any seed."""
        if len(seeds) == 0:
            raise ValueError("seeds: empty; give one integer per item")
        draw = Noise(seeds, self.spec.shape, Stream.START).draw
        observation = self.generate(len(seeds), draw)
        return self.spec.decode(observation.draw(draw(observation.mean)))

    def _encode(self, raw: Tensor) -> Tensor:
        """Model space, in the dtype of the networks (of the data where there are none)."""
        x0 = self.spec.encode(raw)
        own = next((parameter.dtype for parameter in self.parameters()), x0.dtype)
        return x0.to(own)

    def _latent_weight(self) -> float | Tensor:
        """The weight of the latents' costs in the loss, 1 in eval mode; one more step is counted in training."""
        if not self.warmup or not self.training:
            return 1.0
        weight = (self.trained / self.warmup).clamp(max=1.0)
        self.trained += 1
        return weight

    def _inferences(self, raw: Tensor, seeds: Sequence[int] | None, draws: int) -> list[Inference]:
        if draws < 1:
            raise ValueError(f"draws={draws}; give at least 1")
        self.spec.check(raw)
        x0 = self._encode(raw)
        noise = Noise(item_seeds(seeds, len(raw)), self.spec.shape, Stream.BOUND)
        return [self.infer(x0, noise.draw) for _ in range(draws)]
