"""Guides, which change the prediction of one Predict, and combinations of several Predicts."""

from ..process.guide import GUIDES, Guide, Guided
from .agree import Agree
from .apg import ProjectedGuidance
from .autoguidance import Autoguidance
from .cfgpp import CFGPlusPlus
from .clamp import ClampX0
from .classifier import ClassifierGuidance
from .classifier_free import ClassifierFree
from .compose import FixedCondition, MixtureOfDensities, Product, negation
from .compose_conditions import Composition
from .negative import Negative
from .tilt import Tilt, tilt

__all__ = [
    "GUIDES",
    "Agree",
    "Autoguidance",
    "CFGPlusPlus",
    "ClampX0",
    "ClassifierFree",
    "ClassifierGuidance",
    "Composition",
    "FixedCondition",
    "Guide",
    "Guided",
    "MixtureOfDensities",
    "Negative",
    "Product",
    "ProjectedGuidance",
    "Tilt",
    "negation",
    "tilt",
]
