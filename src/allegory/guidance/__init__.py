"""Guides: Predicts in, a Predict out."""

from .blend import Clamp, ClassifierFree

__all__ = ["Clamp", "ClassifierFree"]
