"""Inverse problems: measurements of items, and methods that draw the items given them."""

from .conditional_draws import ChainDraw, IsotropicGaussian, TweedieGaussian
from .daps import DAPS
from .ddrm import DDRM
from .diffpir import DiffPIR
from .dps import DPS
from .importance import ImportanceDraw
from .likelihoods import FunctionNoise, GaussianNoise, NoiseModel, PoissonNoise
from .measurement import Measurement, measure
from .methods import POSTERIOR_METHODS, GuideMethod, Method, ParticleMethod, Particles, PlanMethod
from .null_space import DDNM, DDNMPlus
from .operators import (
    OPERATORS,
    Blur,
    ComposedOperator,
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
from .posterior import Posterior, PosteriorSamples, posterior_method, takes_solver
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
    "OPERATORS",
    "POSTERIOR_METHODS",
    "Blur",
    "ChainDraw",
    "ComposedOperator",
    "Crop",
    "DDNMPlus",
    "DiffPIR",
    "Downsample",
    "FKSteering",
    "Fourier",
    "Function",
    "FunctionNoise",
    "GaussianNoise",
    "Grey",
    "GuideMethod",
    "Identity",
    "ImportanceDraw",
    "IsotropicGaussian",
    "LinearOperator",
    "Mask",
    "Matrix",
    "Measurement",
    "Method",
    "NoiseModel",
    "Operator",
    "ParticleMethod",
    "Particles",
    "PlanMethod",
    "PoissonNoise",
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
    "operator_named",
    "posterior_method",
    "takes_solver",
]
