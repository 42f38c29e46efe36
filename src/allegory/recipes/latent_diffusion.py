"""The choice of a latent diffusion model."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from torch import Tensor, nn

from ..data import DataSpec
from ..lookup import check_count, pick
from ..models import Denoiser, LadderConfig, VAEConfig
from ..models.latent import LatentDiffusion, PictureAutoencoderConfig
from ..networks import NetworkConfig
from ..objectives import objective_named
from ..process import TARGETS
from ..training import TrainingConfig
from .config import MODELS, ModelConfig, PathConfig
from .phase_budget import scaled_budget


@dataclass(frozen=True)
class LatentDiffusionConfig:
    """The choice of a latent diffusion model, which is trained in two stages.

    The autoencoder is trained first, in the folder `autoencoder` of the run; then the denoiser, or
    all parts by the bound.

    Args:
        autoencoder: the choice of a VAE, a ladder or a picture autoencoder.
        network: of the denoiser of its top latent: a `UNetConfig` or a `DiTConfig` for latents that
            are pictures, an `MLPConfig` for vectors.
        path: the forward process.
        target: what the network predicts: "x0", "eps", "score", "v", "flow" or "edm".
        objective: name of the training objective of the denoiser; "elbo" for joint training.
        condition_dropout: fraction of training items whose condition is hidden.
        joint: whether the second stage trains the autoencoder as well, by the bound (LSGM).
        draws: of time and noise for each latent of a training batch, which is encoded once: more
            where the denoiser is cheap beside the encoder.
        first_stage: the budget of the autoencoder, as a multiple of that of the run.
        trained_autoencoder: folder of a run of the autoencoder, with the same fields and for items
            of the same kind, which is taken; a relative path is made absolute. None trains one.

    Raises:
        ValueError: for an unknown name, a budget that is not positive, and another objective of
            joint training.
    """

    autoencoder: VAEConfig | LadderConfig | PictureAutoencoderConfig
    network: NetworkConfig
    path: PathConfig = field(default_factory=lambda: PathConfig("linear", start=8.0, end=-6.0))
    target: str = "edm"
    objective: str = "edm"
    condition_dropout: float = 0.1
    joint: bool = False
    draws: int = 1
    first_stage: float = 1.0
    trained_autoencoder: str | None = None

    def __post_init__(self) -> None:
        pick("target", self.target, dict.fromkeys(TARGETS))
        objective_named(self.objective)
        check_count("draws", self.draws, 1, 1000)
        if not 0 < self.first_stage < float("inf"):
            raise ValueError(f"first_stage={self.first_stage}; give a positive number")
        if self.trained_autoencoder is not None:
            path = os.path.abspath(self.trained_autoencoder)
            object.__setattr__(self, "trained_autoencoder", path)
        if self.joint and self.objective != "elbo":
            raise ValueError(
                f"objective={self.objective!r}: joint training is by the bound; give "
                "objective='elbo' (--model.objective elbo), or joint=False"
            )

    def first_model(self) -> ModelConfig:
        """The choice of the autoencoder, which is trained first."""
        return self.autoencoder

    def first_training(self, training: TrainingConfig) -> TrainingConfig:
        """How the autoencoder is trained.

        Args:
            training: that of the second stage.
        """
        return scaled_budget(training, lambda budget: budget * self.first_stage)

    def first_run(self) -> Path | None:
        """The folder of the trained autoencoder; None where one is trained."""
        return None if self.trained_autoencoder is None else Path(self.trained_autoencoder)

    def begin(self, model: LatentDiffusion, first: nn.Module, items: Tensor) -> None:
        """Give a new model its autoencoder, and measure the scale of the latents.

        Args:
            model: of the second stage.
            first: the trained autoencoder.
            items: raw training items.
        """
        model.autoencoder.load_state_dict(first.state_dict())
        model.measure_scale(items)

    @property
    def unit(self) -> str:
        """The unit of the training loss of the second stage."""
        return "bits/dim" if self.joint else objective_named(self.objective).unit

    def build(self, spec: DataSpec) -> LatentDiffusion:
        """A new model for data with this spec, whose latents have no scale yet.

        Raises:
            ValueError: where model and data do not fit.
        """
        autoencoder = self.autoencoder.build(spec)
        network = self.network.build(tuple(autoencoder.top), spec.given)
        denoiser = Denoiser(network, self.path.build(), self.target, data_std=1.0)
        model = LatentDiffusion(
            autoencoder, denoiser, self.objective, self.condition_dropout, self.joint
        )
        model.draws = self.draws
        return model


MODELS.register(
    "picture_autoencoder",
    PictureAutoencoderConfig,
    "a VAE of pictures whose latent is a smaller picture",
)
MODELS.register(
    "latent_diffusion",
    LatentDiffusionConfig,
    "a diffusion model as the prior of an autoencoder (Rombach et al. 2022; Vahdat et al. 2021)",
)
