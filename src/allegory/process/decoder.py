"""p(x | z): a distribution of data, and the decoder of a diffusion model."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Protocol, runtime_checkable

from torch import Tensor

from .path import Level


class Observation(ABC):
    """p(x | z) for a batch of latents."""

    @abstractmethod
    def log_prob(self, x0: Tensor) -> Tensor:
        """log p(x0 | z) in nats per item, shape (batch,)."""

    @abstractmethod
    def draw(self, noise: Tensor) -> Tensor:
        """A draw of x, from standard-normal noise of the shape of x."""

    @property
    @abstractmethod
    def mean(self) -> Tensor:
        """E[x | z]."""


@runtime_checkable
class Decoder(Protocol):
    """p(x | z_0) for z_0 = alpha_0 x0 + sigma_0 eps."""

    def observe(self, z0: Tensor, level: Level) -> Observation:
        """p(x | z0) at this level, as a distribution of x."""
        ...

    def log_prob(self, x0: Tensor, eps: Tensor, level: Level) -> Tensor:
        """log p(x0 | z_0) in nats per item, or its expectation over eps where that is known.

        Args:
            x0: data in model space.
            eps: the noise of z_0.
            level: that of z_0.
        """
        ...
