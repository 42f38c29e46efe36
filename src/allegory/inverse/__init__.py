"""Inverse problems: measurements of items, and methods that draw the items given them."""

from .conditional_draws import ChainDraw, IsotropicGaussian, TweedieGaussian
from .daps import DAPS
from .ddrm import DDRM
from .diffpir import DiffPIR
from .dps import DPS
from .importance import ImportanceDraw
from .likelihoods import FunctionLikelihood, Gaussian, Likelihood, Poisson
from .measurement import Measurement, measure
from .methods import METHODS, GuideMethod, Method, ParticleMethod, Particles, PlanMethod
from .null_space import DDNM, DDNMPlus
from .operators import (
    OPERATORS,
    Blur,
    Composition,
    Crop,
    Downsample,
    Fourier,
    Function,
    Grey,
    Identity,
    LinearOperator,
    Mask,
    Matrix,
    Operator,
    RandomProjection,
    Scaled,
    check_adjoint,
    operator_named,
)
from .posterior import Posterior, PosteriorSamples, method_named
from .pseudo_inverse import PseudoInverseGuidance
from .replacement import Replacement
from .smc import FKSteering, TwistedSMC
from .split_gibbs import SplitGibbs
from .tweedie import TweedieGuidance

__all__ = [
    "DAPS",
    "DDNM",
    "DDRM",
    "DPS",
    "METHODS",
    "OPERATORS",
    "Blur",
    "ChainDraw",
    "Composition",
    "Crop",
    "DDNMPlus",
    "DiffPIR",
    "Downsample",
    "FKSteering",
    "Fourier",
    "Function",
    "FunctionLikelihood",
    "Gaussian",
    "Grey",
    "GuideMethod",
    "Identity",
    "ImportanceDraw",
    "IsotropicGaussian",
    "Likelihood",
    "LinearOperator",
    "Mask",
    "Matrix",
    "Measurement",
    "Method",
    "Operator",
    "ParticleMethod",
    "Particles",
    "PlanMethod",
    "Poisson",
    "Posterior",
    "PosteriorSamples",
    "PseudoInverseGuidance",
    "RandomProjection",
    "Replacement",
    "Scaled",
    "SplitGibbs",
    "TweedieGaussian",
    "TweedieGuidance",
    "TwistedSMC",
    "check_adjoint",
    "measure",
    "method_named",
    "operator_named",
]
