r"""The scale of the latents of an autoencoder: u = (z - mean)/std.

The mean and the standard deviation are those of draws of q(z | x) over the training data, one pair
for each channel of a latent of the shape (channels, height, width), and for each number of a
vector. They are measured once, and saved with the weights: u has the standard deviation 1, for
which the denoiser is preconditioned. A density of u becomes one of z by a constant,
log p(z) = log p(u) - sum log std.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn


class LatentScale(nn.Module):
    """The affine map between the latents z of an autoencoder and the x0 of a denoiser.

    Args:
        shape: of a latent, without the batch.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, shape: Sequence[int]) -> None:
        super().__init__()
        self.shape = tuple(shape)
        each = (self.shape[0], *[1] * (len(self.shape) - 1))
        self.register_buffer("mean", torch.full(each, math.nan))
        self.register_buffer("std", torch.full(each, math.nan))

    @property
    def is_measured(self) -> bool:
        """Whether there are a mean and a standard deviation."""
        return bool(self.std.isfinite().all())

    @property
    def log_scale(self) -> float:
        """log |du/dz| in nats per item."""
        return -self.std.double().log().expand(self.shape).sum().item()

    def measure(self, z: Float[Tensor, "n *shape"]) -> None:
        """Take the mean and the standard deviation of draws.

        Args:
            z: latents of training items.

        Raises:
            ValueError: for fewer than two, and a channel whose numbers are all alike.
        """
        over = (0, *range(2, z.ndim))
        mean, std = z.double().mean(over), z.double().std(over)

        if not bool((std > 0).all()):
            count = int((~(std > 0)).sum())
            raise ValueError(
                f"latents: {count} of {len(std)} channels are the same number for all "
                f"{len(z)} items; give more items, or fewer latents"
            )

        self.mean.copy_(mean.view_as(self.mean))
        self.std.copy_(std.view_as(self.std))

    def forward(self, z: Float[Tensor, "b *shape"]) -> Float[Tensor, "b *shape"]:
        """u = (z - mean)/std."""
        self.check()
        return (z - self.mean) / self.std

    def inverse(self, u: Float[Tensor, "b *shape"]) -> Float[Tensor, "b *shape"]:
        """z = mean + std u."""
        self.check()
        return self.mean + self.std * u

    def check(self) -> None:
        """ValueError unless it was measured."""
        if not self.is_measured:
            raise ValueError(
                "latents: their scale was never measured; train with `allegory train`, which "
                "measures it, or call model.measure_scale(items)"
            )
