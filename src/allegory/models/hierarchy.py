r"""The Markovian hierarchical VAE: a chain of latents, each seen only by its neighbours.

    p(x, z_1..L) = p(z_L) p(x | z_1) prod_{i=2}^L p(z_{i-1} | z_i)           (Luo 2022, eq. 23)
    q(z_1..L | x) = q(z_1 | x) prod_{i=2}^L q(z_i | z_{i-1})                             (eq. 24)

Any Gaussian kernels will do. One level is a VAE (eq. 17 to 19). Kernels that add fixed noise, with
a decoder that predicts in one x0, are variational diffusion (`VDM.as_hierarchy`): the same model,
the same bound.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ..data.spec import DataSpec
from ..likelihood.inference import (
    DrawNoise,
    Emission,
    GaussianKernel,
    Inference,
    LatentChain,
    infer_bottom_up,
)
from ..process.decoder import Observation
from ..process.kernel import Gaussian
from .latent_variable import LatentVariableModel


class Hierarchy(LatentVariableModel):
    """A Markov chain of L latents.

    Args:
        spec: what the data are.
        up: q(z_1 | x), q(z_2 | z_1), ..., q(z_L | z_{L-1}).
        down: p(z_1 | z_2), ..., p(z_{L-1} | z_L).
        observe: p(x | z_1).
        top: the shape of z_L.
        prior_std: s of the prior p(z_L) = N(0, s^2 I).

    Raises:
        ValueError: when the numbers of kernels do not fit.
    """

    def __init__(
        self,
        spec: DataSpec,
        up: Sequence[GaussianKernel],
        down: Sequence[GaussianKernel],
        observe: Emission,
        *,
        top: Sequence[int],
        prior_std: float = 1.0,
    ) -> None:
        super().__init__(spec)
        if not up or len(down) != len(up) - 1:
            raise ValueError(
                f"{len(up)} kernels up and {len(down)} down; give L of them up and L - 1 down, L "
                ">= 1"
            )

        self.up = _held(up)
        self.down = _held(down)
        self.observe = observe
        self.top = tuple(top)
        self.prior_std = prior_std

    @property
    def levels(self) -> int:
        """L, the number of latents."""
        return len(self.up)

    @property
    def kernels_up(self) -> tuple[GaussianKernel, ...]:
        """q(z_1 | x), q(z_2 | z_1), ..., q(z_L | z_{L-1})."""
        return cast("tuple[GaussianKernel, ...]", tuple(self.up))

    @property
    def kernels_down(self) -> tuple[GaussianKernel, ...]:
        """p(z_1 | z_2), ..., p(z_{L-1} | z_L)."""
        return cast("tuple[GaussianKernel, ...]", tuple(self.down))

    def infer(self, x0: Float[Tensor, "b *shape"], draw: DrawNoise) -> Inference:
        """z_1..z_L of x0 from the data upwards, by the numbers of `draw` (eq. 24)."""
        chain = LatentChain(self.kernels_up, self.kernels_down, self.observe, self.prior_std)
        return infer_bottom_up(chain, x0, draw)

    def generate(
        self, count: int, draw: DrawNoise, top: Float[Tensor, "b *top"] | None = None
    ) -> Observation:
        """p(x | z) of `count` items: z_L from the prior, then down the chain by `draw` (eq. 23).

        Args:
            count: the number of items.
            draw: the noise.
            top: z_L; None draws it from the prior.
        """
        z = self.prior(count).draw(draw(self._blank(count))) if top is None else top
        for kernel in reversed(self.kernels_down):
            p = kernel(z)
            z = p.draw(draw(p.mean))
        return self.observe(z)

    def prior(self, count: int) -> Gaussian:
        """p(z_L) for `count` items."""
        return Gaussian(self._blank(count), self.prior_std)

    def _blank(self, count: int) -> Tensor:
        like = next(self.parameters(), torch.zeros(()))
        return torch.zeros(count, *self.top, dtype=like.dtype, device=like.device)


def _held(kernels: Sequence[GaussianKernel]) -> nn.ModuleList | tuple[GaussianKernel, ...]:
    """Modules in a list that registers their weights; functions as they are."""
    modules = [kernel for kernel in kernels if isinstance(kernel, nn.Module)]
    return nn.ModuleList(modules) if modules and len(modules) == len(kernels) else tuple(kernels)
