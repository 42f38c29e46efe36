"""Diffusion of tokens: forward processes over finitely many values, with their kernels."""

from .blocks import BlockMaskedPath, PredictsBlocks
from .bound_terms import TokenDraw, token_loss, token_prior_cost, token_step_loss
from .categorical import Categorical, known
from .exact import TokenTable
from .masked import MaskedPath
from .path import TokenLevel, TokenPath, TokenPrediction
from .predict import TokenPredict, masked_path
from .uniform import UniformPath

__all__ = [
    "BlockMaskedPath",
    "Categorical",
    "MaskedPath",
    "PredictsBlocks",
    "TokenDraw",
    "TokenLevel",
    "TokenPath",
    "TokenPredict",
    "TokenPrediction",
    "TokenTable",
    "UniformPath",
    "known",
    "masked_path",
    "token_loss",
    "token_prior_cost",
    "token_step_loss",
]
