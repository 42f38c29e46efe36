"""Inverse problems: measurements of items, and methods that draw the items given them."""

from .dps import DPS
from .likelihoods import Gaussian, Likelihood
from .measurement import Measurement, measure
from .methods import METHODS, GuideMethod, Method, ParticleMethod, Particles, PlanMethod
from .operators import (
    Composition,
    Function,
    Identity,
    LinearOperator,
    Mask,
    Matrix,
    Operator,
    Scaled,
    check_adjoint,
)
from .posterior import Posterior, PosteriorSamples, method_named
from .pseudo_inverse import PseudoInverseGuidance
from .tweedie import TweedieGuidance

__all__ = [
    "DPS",
    "METHODS",
    "Composition",
    "Function",
    "Gaussian",
    "GuideMethod",
    "Identity",
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
    "Posterior",
    "PosteriorSamples",
    "PseudoInverseGuidance",
    "Scaled",
    "TweedieGuidance",
    "check_adjoint",
    "measure",
    "method_named",
]
