"""Guides: Predicts in, a Predict out."""

from .blend import Clamp, ClassifierFree
from .compose import Given, Mixed, Product, negation

__all__ = ["Clamp", "ClassifierFree", "Given", "Mixed", "Product", "negation"]
