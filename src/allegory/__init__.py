"""allegory: diffusion models from one set of equations.

    data ──Path──▶ x_t ──Predict──▶ Prediction (x0 = eps = score = v = flow)
                                        │
          Bound, bits/dim, a file ◀── likelihood
                  a training loss ◀── objectives
                          samples ◀── sampling
                 another Predict  ◀── guidance

The names below load on first use, so `import allegory` costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING

__version__ = "0.2.0"

if TYPE_CHECKING:
    from .conditions import Combined as Combined
    from .conditions import EncodedText as EncodedText
    from .conditions import Labels as Labels
    from .conditions import Numbers as Numbers
    from .conditions import Picture as Picture
    from .conditions import Tags as Tags
    from .conditions import Text as Text
    from .data import Dataset as Dataset
    from .data import DataSpec as DataSpec
    from .data import load as load
    from .guidance import ClassifierFree as ClassifierFree
    from .guidance import Product as Product
    from .inverse import Measurement as Measurement
    from .inverse import Posterior as Posterior
    from .inverse import measure as measure
    from .likelihood import flow_log_prob as flow_log_prob
    from .likelihood import variational_bound as variational_bound
    from .models import VAE as VAE
    from .models import VDM as VDM
    from .models import Denoiser as Denoiser
    from .models import Energy as Energy
    from .models import Hierarchy as Hierarchy
    from .models import Ladder as Ladder
    from .networks import MLP as MLP
    from .networks import AxialTransformer as AxialTransformer
    from .networks import DiT as DiT
    from .networks import UNet as UNet
    from .networks import VideoUNet as VideoUNet
    from .process import Betas as Betas
    from .process import Bound as Bound
    from .process import Cosine as Cosine
    from .process import Empirical as Empirical
    from .process import Geometric as Geometric
    from .process import LearnedSchedule as LearnedSchedule
    from .process import Level as Level
    from .process import LinearLogSNR as LinearLogSNR
    from .process import Mixture as Mixture
    from .process import Path as Path
    from .process import Predict as Predict
    from .process import Prediction as Prediction
    from .process import RectifiedFlow as RectifiedFlow
    from .process import as_predict as as_predict
    from .process import grid as grid
    from .recipes.distill import DistillConfig as DistillConfig
    from .recipes.distill import distill as distill
    from .recipes.edit import EditConfig as EditConfig
    from .recipes.edit import edit as edit
    from .recipes.edit import edit_by_inversion as edit_by_inversion
    from .recipes.edit import interpolations as interpolations
    from .recipes.edit import variations as variations
    from .recipes.front import open as open
    from .recipes.front import train as train
    from .sampling import Sampler as Sampler
    from .sampling import initial_noise as initial_noise
    from .sampling import invert as invert
    from .sampling import sample as sample
    from .sampling import trajectory as trajectory
    from .training import TrainingConfig as TrainingConfig

_HOME = {
    # Data
    "load": "data",
    "Dataset": "data",
    "DataSpec": "data",
    # Conditions
    "Labels": "conditions",
    "Numbers": "conditions",
    "Tags": "conditions",
    "Picture": "conditions",
    "Text": "conditions",
    "EncodedText": "conditions",
    "Combined": "conditions",
    # The forward process
    "Path": "process",
    "LinearLogSNR": "process",
    "Cosine": "process",
    "RectifiedFlow": "process",
    "Geometric": "process",
    "Betas": "process",
    "LearnedSchedule": "process",
    # A network, and what it predicts
    "UNet": "networks",
    "DiT": "networks",
    "MLP": "networks",
    "AxialTransformer": "networks",
    "VideoUNet": "networks",
    "Denoiser": "models",
    "Energy": "models",
    "Level": "process",
    "Prediction": "process",
    "Predict": "process",
    "as_predict": "process",
    # Models, trained and opened
    "VDM": "models",
    "VAE": "models",
    "Hierarchy": "models",
    "Ladder": "models",
    "train": "recipes.front",
    "open": "recipes.front",
    "TrainingConfig": "training",
    # Models of few steps
    "distill": "recipes.distill",
    "DistillConfig": "recipes.distill",
    # Samples
    "Sampler": "sampling",
    "sample": "sampling",
    "trajectory": "sampling",
    "invert": "sampling",
    "grid": "process",
    "initial_noise": "sampling",
    "ClassifierFree": "guidance",
    "Product": "guidance",
    # Measurements of items, and draws of the items given them
    "Measurement": "inverse",
    "measure": "inverse",
    "Posterior": "inverse",
    # Edits of items
    "edit": "recipes.edit",
    "variations": "recipes.edit",
    "edit_by_inversion": "recipes.edit",
    "interpolations": "recipes.edit",
    "EditConfig": "recipes.edit",
    # Exact densities and likelihoods
    "Mixture": "process",
    "Empirical": "process",
    "flow_log_prob": "likelihood",
    "variational_bound": "likelihood",
    "Bound": "process",
}
"""The folder of each name, in reading order."""

__all__ = [*_HOME]


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module 'allegory' has no attribute {name!r}")
    return getattr(import_module(f".{_HOME[name]}", __name__), name)


def __dir__() -> list[str]:
    return [*globals(), *__all__]
