"""Guides, which change the prediction of one Predict, and combinations of several Predicts."""

from ..process.guide import GUIDES, Guide, Guided
from .clamp import ClampX0
from .classifier_free import ClassifierFree
from .compose import FixedCondition, MixtureOfDensities, Product, negation

__all__ = [
    "GUIDES",
    "ClampX0",
    "ClassifierFree",
    "FixedCondition",
    "Guide",
    "Guided",
    "MixtureOfDensities",
    "Product",
    "negation",
]
