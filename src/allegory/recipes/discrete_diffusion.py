"""The choice of a discrete diffusion model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from ..data import DataSpec
from ..lookup import Registry, check_count
from ..models.discrete import DiscreteDiffusion, TokenDenoiser
from ..models.discrete.denoiser import network_shape
from ..networks import NetworkConfig, TransformerConfig
from ..process.discrete import BlockMaskedPath, MaskedPath, TokenPath, UniformPath
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
        block: tokens of a block of a sequence; blocks are masked one after another, the last first,
            and each is predicted from the clean ones before it (Arriola et al. 2025). 1 is an
            autoregressive model; None masks all tokens at once.

    Raises:
        ValueError: for an unknown noise, features below 1, a cross_entropy that is negative or for
            masked tokens, and a block that is not for masked tokens or for this network.
    """

    network: NetworkConfig
    noise: str = "masked"
    features: int = 8
    condition_dropout: float = 0.1
    cross_entropy: float = 0.0
    block: int | None = None

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
        if self.block is not None:
            self._check_block(self.block)

    def _check_block(self, block: int) -> None:
        """ValueError for a block below 1, and a noise or a network without blocks."""
        check_count("block", block, 1, 2**20)
        if self.noise != "masked" or not isinstance(self.network, TransformerConfig):
            raise ValueError(
                f"block={block}: is for noise='masked' and a transformer; leave it out, or give "
                "those"
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
        network, path = self._network(spec), self._path(spec)
        vocabulary = spec.vocabulary
        allowed = None if vocabulary is None else vocabulary.allowed(spec.shape)
        denoiser = TokenDenoiser(network, path, self.features, allowed)

        model = DiscreteDiffusion(denoiser, spec, self.condition_dropout)
        model.cross_entropy = self.cross_entropy
        return model

    def _path(self, spec: DataSpec) -> TokenPath:
        """The forward process of data with this spec."""
        assert spec.levels is not None
        if self.block is None:
            return TOKEN_NOISE.named(self.noise)(spec.levels)
        return BlockMaskedPath(spec.levels, spec.dims, self.block)

    def _network(self, spec: DataSpec) -> nn.Module:
        """The network for data with this spec."""
        assert spec.levels is not None
        shape = network_shape(spec.shape, self.features)
        outputs = spec.levels * shape[0] // self.features
        if self.block is None:
            return self.network.build(shape, spec.given, outputs=outputs)

        assert isinstance(self.network, TransformerConfig)
        return self.network.build_blocks(shape, self.block, spec.given, outputs)


MODELS.register(
    "discrete_diffusion",
    DiscreteDiffusionConfig,
    "a diffusion model of tokens (Austin et al. 2021; Shi et al. 2024)",
)
