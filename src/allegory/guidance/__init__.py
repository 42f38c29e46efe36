"""Guides: Predicts in, a Predict out."""

from .classifier_free import ClampX0, ClassifierFree
from .compose import FixedCondition, MixtureOfDensities, Product, negation

__all__ = [
    "ClampX0",
    "ClassifierFree",
    "FixedCondition",
    "MixtureOfDensities",
    "Product",
    "negation",
]
