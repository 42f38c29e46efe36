"""Latent-variable models: what a VAE, a hierarchy and a ladder have in common.

A model says how its latents are drawn for given data (`infer`) and how data are made from nothing
(`generate`). Loss, bound, importance weights and samples follow from these two.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn

from ..data.spec import DataSpec
from ..likelihood.codec import Chain, CodableModel, TopDownModel
from ..likelihood.inference import DrawNoise, Inference
from ..objectives.draws import normal_like
from ..process.bound import Bound
from ..process.decoder import Observation
from ..process.noise import Noise, Stream, item_seeds
from ..sampling.driver import OnStep
from .base import check_samples, evaluating, seed_batches


class LatentVariableModel(nn.Module, ABC):
    """p(x) = int p(z_L) ... p(z_1 | z_2) p(x | z_1) dz with an inference model q(z_1, ..., z_L |
    x).

    Args:
        spec: what the data are.
        warmup: training steps of KL warm-up against posterior collapse (Sønderby et al. 2016,
            section 2.3): at step n the costs of the latents are multiplied by min(n/warmup, 1). It
            affects the training loss only, not `bound`. The count is a buffer, so a resumed run
            continues it.
    """

    unit = "bits/dim"
    trained: Tensor

    def __init__(self, spec: DataSpec, warmup: int = 0) -> None:
        super().__init__()
        self.spec, self.warmup = spec, warmup
        if warmup:
            self.register_buffer("trained", torch.zeros((), dtype=torch.int64))

    @abstractmethod
    def infer(self, x0: Float[Tensor, "b *shape"], draw: DrawNoise) -> Inference:
        """One draw of all latents of x0, in model space, by the normal numbers of `draw`."""

    @abstractmethod
    def generate(
        self, count: int, draw: DrawNoise, top: Float[Tensor, "b *top"] | None = None
    ) -> Observation:
        """p(x | z) for `count` items, after a draw of all latents from the prior by `draw`.

        Args:
            count: the number of items.
            draw: the noise.
            top: z_L; None draws it from the prior.
        """

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
    def bound(
        self,
        x: Shaped[Tensor, "b *shape"],
        condition: Tensor | None = None,
        *,
        seeds: Sequence[int] | None = None,
        draws: int = 1,
    ) -> Bound:
        """The evidence lower bound of log p(x) in nats per item.

        Args:
            x: raw items.
            condition: None; these models have no condition.
            seeds: one integer per item; 0, 1, 2, ... for None.
            draws: draws of the latents per item, whose mean is taken.

        Raises:
            ValueError: for a condition, draws below 1, and items that do not fit the data.
        """
        _refuse(condition, None)
        bounds = [inference.bound for inference in self._inferences(x, seeds, draws)]
        terms = zip(*(bound.divergences for bound in bounds), strict=True)

        return Bound(
            torch.stack([bound.reconstruction for bound in bounds]).mean(0),
            torch.stack([bound.prior for bound in bounds]).mean(0),
            tuple(torch.stack(term).mean(0) for term in terms),
        )

    @torch.no_grad()
    def log_weights(
        self,
        x: Shaped[Tensor, "b *shape"],
        condition: Tensor | None = None,
        *,
        seeds: Sequence[int] | None = None,
        draws: int = 1,
    ) -> Float[Tensor, "draws b"]:
        """log p(x, z) - log q(z | x) in nats (Burda et al. 2016, eq. 7).

        Args:
            x: raw items.
            condition: None; these models have no condition.
            seeds: one integer per item; 0, 1, 2, ... for None.
            draws: draws of the latents per item, the rows of the result.

        Raises:
            ValueError: for a condition, draws below 1, and items that do not fit the data.
        """
        _refuse(condition, None)
        inferences = self._inferences(x, seeds, draws)
        return torch.stack([inference.log_weight for inference in inferences])

    @torch.no_grad()
    def sample(
        self,
        seeds: Sequence[int],
        condition: Tensor | None = None,
        sampler: object = None,
        *,
        batch: int = 250,
        on_step: OnStep | None = None,
    ) -> Shaped[Tensor, "n *shape"]:
        """Raw samples, on the CPU; item i depends on the model and seeds[i] alone.

        Args:
            seeds: one integer per item.
            condition: None; these models have no condition.
            sampler: None; the latents are drawn once, from the top down.
            batch: items that are computed at once.
            on_step: called as on_step(batches done, batches).

        Raises:
            ValueError: without seeds, for a batch below 1, a condition or a sampler, and samples
                that are not finite.
        """
        _refuse(condition, sampler)
        parts = [*seed_batches(seeds, None, batch)]
        samples = []

        with evaluating(self):
            for done, (some, _) in enumerate(parts, start=1):
                draw = Noise(some, self.spec.shape, Stream.START).draw
                observation = self.generate(len(some), draw)
                drawn = observation.draw(draw(self._blank_items(len(some))))
                samples.append(self.spec.decode(check_samples(drawn, "one draw")).cpu())
                if on_step is not None:
                    on_step(done, len(parts))

        return torch.cat(samples)

    def coding_chain(self, nodes: tuple[int, ...] | None = None) -> CodableModel:
        """The model itself. ValueError for nodes, and for latents that have no order of coding."""
        if nodes is not None:
            raise ValueError(f"nodes={nodes}: the latents of this model are fixed; give None")
        if not isinstance(self, Chain | TopDownModel):
            raise ValueError(
                f"{type(self).__name__}: neither a chain of latents nor generated from the top "
                "down; it cannot code"
            )

        return self

    def coding_nodes(self, x0: Float[Tensor, "b *shape"], steps: int | None = None) -> None:
        """None, whatever x0 is: the latents are fixed. ValueError for a number of steps."""
        if steps is not None:
            raise ValueError(
                f"steps={steps}: this run is no diffusion model, its latents are its steps; leave "
                "it out"
            )

    def _encode(self, raw: Tensor) -> Tensor:
        """Model space, in the dtype of the networks (of the data where there are none)."""
        x0 = self.spec.encode(raw)
        own = next((parameter.dtype for parameter in self.parameters()), x0.dtype)
        return x0.to(own)

    def _blank_items(self, count: int) -> Tensor:
        """Zeros like items in model space, where the model is."""
        own = next(self.parameters(), torch.zeros(()))
        return own.new_zeros(count, *self.spec.shape)

    def _latent_weight(self) -> float | Tensor:
        """The weight of the latents' costs in the loss, 1 in eval mode; one more step is counted in
        training.
        """
        if not self.warmup or not self.training:
            return 1.0
        weight = (self.trained / self.warmup).clamp(max=1.0)
        self.trained += 1
        return weight

    def _inferences(self, raw: Tensor, seeds: Sequence[int] | None, draws: int) -> list[Inference]:
        """Draws of the latents, each with all that follows from it."""
        if draws < 1:
            raise ValueError(f"draws={draws}; give at least 1")

        self.spec.check(raw)
        x0 = self._encode(raw)
        noise = Noise(item_seeds(seeds, len(raw)), self.spec.shape, Stream.BOUND)

        return [self.infer(x0, noise.draw) for _ in range(draws)]


def _refuse(condition: object, sampler: object) -> None:
    """ValueError for a condition or a sampler: these models have neither."""
    if condition is not None:
        raise ValueError("condition: a latent-variable model has none; leave it out")
    if sampler is not None:
        raise ValueError(
            f"sampler={sampler}: this model has no steps, it draws its latents once; leave it out"
        )
