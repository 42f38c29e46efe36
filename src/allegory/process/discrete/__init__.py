"""Diffusion of tokens: forward processes over finitely many values, with their kernels."""

from .bound_terms import diffusion_loss, prior_matching, step_loss
from .categorical import Categorical, known
from .exact import TokenTable
from .path import MaskedPath, TokenLevel, TokenPath, TokenPrediction, UniformPath
from .predict import TokenPredict, masked_path

__all__ = [
    "Categorical",
    "MaskedPath",
    "TokenLevel",
    "TokenPath",
    "TokenPredict",
    "TokenPrediction",
    "TokenTable",
    "UniformPath",
    "diffusion_loss",
    "known",
    "masked_path",
    "prior_matching",
    "step_loss",
]
