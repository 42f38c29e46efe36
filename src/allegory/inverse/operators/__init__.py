"""Operators: what is seen of an item."""

from .base import LinearOperator, Operator, check_adjoint
from .blur import Blur
from .combined import AffineInput, ComposedOperator, Function
from .fourier import Fourier
from .images import Crop, Downsample, Grey
from .masks import box_mask, half_mask, random_mask
from .matrix import Matrix, RandomProjection
from .pointwise import Identity, Mask, Scaled
from .registry import OPERATORS, operator_named, sampled_frequencies

__all__ = [
    "OPERATORS",
    "AffineInput",
    "Blur",
    "ComposedOperator",
    "Crop",
    "Downsample",
    "Fourier",
    "Function",
    "Grey",
    "Identity",
    "LinearOperator",
    "Mask",
    "Matrix",
    "Operator",
    "RandomProjection",
    "Scaled",
    "box_mask",
    "check_adjoint",
    "half_mask",
    "operator_named",
    "random_mask",
    "sampled_frequencies",
]
