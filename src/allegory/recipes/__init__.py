"""Recipes: functions that return a frozen Run, by the names that the command line knows."""

from . import (  # noqa: F401  they register
    captions,
    digits,
    flow_maps,
    images,
    latents,
    mnist,
    mnist_binary,
    mnist_superres,
    moving_digits,
    plane,
    scores,
    series,
    tables,
    tokens,
)
from .classifier import ClassifierConfig
from .config import MODELS, DiffusionConfig, ModelConfig, PathConfig, Run
from .destination import Destination
from .discrete_diffusion import DiscreteDiffusionConfig
from .execute import execute
from .few_step import FewStepConfig
from .latent_diffusion import LatentDiffusionConfig
from .registry import RECIPES, recipe, recipe_named
from .run_folder import RunFolder
from .serialize import CONFIGS
from .table_diffusion import TableDiffusionConfig

__all__ = [
    "CONFIGS",
    "MODELS",
    "RECIPES",
    "ClassifierConfig",
    "Destination",
    "DiffusionConfig",
    "DiscreteDiffusionConfig",
    "FewStepConfig",
    "LatentDiffusionConfig",
    "ModelConfig",
    "PathConfig",
    "Run",
    "RunFolder",
    "TableDiffusionConfig",
    "execute",
    "recipe",
    "recipe_named",
]
