"""The choice of a discrete diffusion model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ..data import DataSpec
from ..lookup import Registry, check_count
from ..models.discrete import DiscreteDiffusion, TokenDenoiser
from ..models.discrete.denoiser import network_shape
from ..networks import NetworkConfig
from ..process.discrete import MaskedPath, TokenPath, UniformPath
from .config import MODELS

TOKEN_NOISE: Registry[Callable[[int], TokenPath]] = Registry("noise of tokens")
"""What tokens are replaced by, by name."""

TOKEN_NOISE.register("masked", MaskedPath, "a mask (Austin et al. 2021; Shi et al. 2024)")
TOKEN_NOISE.register(
    "uniform", UniformPath, "any value, all alike; of two, as Sohl-Dickstein et al. 2015"
)


@dataclass(frozen=True)
class DiscreteDiffusionConfig:
    """The choice of a diffusion model of tokens.

    Args:
        network: a `TransformerConfig`, or for pictures a `UNetConfig` or a `DiTConfig`.
        noise: what tokens are replaced by: "masked" or "uniform".
        features: numbers per token that the network sees, which are learned.
        condition_dropout: fraction of training items whose condition is hidden.
        cross_entropy: the multiple of the cross-entropy of the clean tokens that is added to the
            bound in training, for noise="uniform" (Austin et al. 2021, eq. 5).

    Raises:
        ValueError: for an unknown noise, features below 1, and a cross_entropy that is negative or
            for masked tokens.
    """

    network: NetworkConfig
    noise: str = "masked"
    features: int = 8
    condition_dropout: float = 0.1
    cross_entropy: float = 0.0

    def __post_init__(self) -> None:
        TOKEN_NOISE.named(self.noise)
        check_count("features", self.features, 1, 4096)
        if not 0 <= self.cross_entropy < float("inf"):
            raise ValueError(f"cross_entropy={self.cross_entropy}; give 0 or more")
        if self.cross_entropy and self.noise == "masked":
            raise ValueError(
                f"cross_entropy={self.cross_entropy}: the bound of masked tokens is a cross-entropy"
                " already; leave it out, or give noise='uniform'"
            )

    @property
    def unit(self) -> str:
        """The unit of the training loss."""
        return "bits/dim" if self.cross_entropy == 0 else "weighted bits/dim"

    def build(self, spec: DataSpec) -> DiscreteDiffusion:
        """A new model for data with this spec.

        Raises:
            ValueError: for continuous data, and a network that they do not fit.
        """
        if spec.levels is None:
            raise ValueError(
                "the data are continuous, and a discrete diffusion model is of finitely many "
                "levels; take another recipe, or arrays with levels"
            )
        shape = network_shape(spec.shape, self.features)
        outputs = spec.levels * shape[0] // self.features
        network = self.network.build(shape, spec.given, outputs=outputs)
        path = TOKEN_NOISE.named(self.noise)(spec.levels)
        vocabulary = spec.vocabulary
        allowed = None if vocabulary is None else vocabulary.allowed(spec.shape)
        denoiser = TokenDenoiser(network, path, self.features, allowed)

        model = DiscreteDiffusion(denoiser, spec, self.condition_dropout)
        model.cross_entropy = self.cross_entropy
        return model


MODELS.register(
    "discrete_diffusion",
    DiscreteDiffusionConfig,
    "a diffusion model of tokens (Austin et al. 2021; Shi et al. 2024)",
)
