"""Operators: what is seen of an item."""

from .base import LinearOperator, Operator, check_adjoint
from .basic import Composition, Function, Identity, Mask, Matrix, Scaled

__all__ = [
    "Composition",
    "Function",
    "Identity",
    "LinearOperator",
    "Mask",
    "Matrix",
    "Operator",
    "Scaled",
    "check_adjoint",
]
