"""Distillation: a model that needs few evaluations per sample, from one that needs many."""

from .config import DISTILLATION_METHODS, DistillConfig
from .consistency import Consistency
from .guided import GuidedTeacher, WithScale
from .progressive import Progressive, halvings
from .self_distillation import IDENTITIES, SelfDistillation

__all__ = [
    "DISTILLATION_METHODS",
    "IDENTITIES",
    "Consistency",
    "DistillConfig",
    "GuidedTeacher",
    "Progressive",
    "SelfDistillation",
    "WithScale",
    "halvings",
]
