"""Guides, which change the prediction of one Predict, and combinations of several Predicts."""

from ..process.guide import GUIDES, Guide, Guided
from .clamp import ClampX0
from .classifier import ClassifierGuidance
from .classifier_free import ClassifierFree
from .compose import FixedCondition, MixtureOfDensities, Product, negation
from .tilt import Tilt, tilt

__all__ = [
    "GUIDES",
    "ClampX0",
    "ClassifierFree",
    "ClassifierGuidance",
    "FixedCondition",
    "Guide",
    "Guided",
    "MixtureOfDensities",
    "Product",
    "Tilt",
    "negation",
    "tilt",
]
