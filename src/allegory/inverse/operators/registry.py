"""Operators by name, such as "downsample:4", for items of any shape."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Bool
from torch import Tensor

from ...lookup import Registry, option_whole, pick, whole_number
from .base import Operator
from .blur import PADDINGS, Blur
from .fourier import Fourier
from .images import Crop, Downsample, Grey
from .masks import HALVES, box_mask, centred_box, half_mask, random_mask, random_order
from .matrix import RandomProjection
from .pointwise import Identity, Mask

Shape = tuple[int, ...]
MakeOperator = Callable[[Shape], Operator]
"""The shape of an item -> an operator for such items."""

OPERATORS: Registry[MakeOperator] = Registry("operator")
"""The operators by name; each makes one for items of a shape."""

_SEED = {"seed": "a whole number, 0 if absent"}


def operator_named(name: str, shape: Shape) -> Operator:
    """The operator of a name for items of a shape.

    Args:
        name: such as "grey", "downsample:4" or "mask:0.5:seed=1".
        shape: of an item.

    Raises:
        ValueError: for an unknown name, and an operator that does not fit the shape.
    """
    make = OPERATORS.named(name)
    try:
        return make(tuple(shape))
    except ValueError as error:
        raise ValueError(f"operator {name!r}: {error}") from None


def sampled_frequencies(space: Shape, fraction: float, seed: int = 0) -> Bool[Tensor, "*space"]:
    """Random frequencies of an image, with k also -k; the mean (k = 0) is always known.

    Args:
        space: the sides of an image.
        fraction: of the numbers of an image that are known, above 0 and at most 1.
        seed: a whole number of 0 or more.

    Raises:
        ValueError: for another fraction or seed.
    """
    if not 0 < fraction <= 1:
        raise ValueError(f"fraction={fraction}: give a number above 0, at most 1")
    count = torch.Size(space).numel()
    sides = torch.tensor(space)
    strides = torch.tensor([count // torch.Size(space[: i + 1]).numel() for i in range(len(space))])

    known = torch.zeros(count, dtype=torch.bool)
    known[0] = True
    for k in random_order(count, seed):
        if int(known.sum()) >= fraction * count:
            break
        at = k // strides % sides
        known[[int(k), int(((-at) % sides * strides).sum())]] = True

    return known.reshape(space)


def _lowest_frequencies(space: Shape, fraction: float) -> Bool[Tensor, "*space"]:
    """Frequencies |k_i| below a bound on each axis, about this fraction of all."""
    side_fraction = fraction ** (1 / len(space))
    lines = [torch.fft.fftfreq(side).abs() < side_fraction / 2 for side in space]
    grid = torch.meshgrid(*lines, indexing="ij")
    return torch.stack(grid).all(0)


def _seed(text: str) -> int:
    return option_whole("seed", text, "a seed")


def _mask(fraction: float, seed: str = "0") -> MakeOperator:
    number = _seed(seed)
    random_mask((1,), fraction, number)
    return lambda shape: Mask(random_mask(shape, fraction, number))


def _box(fraction: float) -> MakeOperator:
    box_mask((1, 1), fraction)
    return lambda shape: Mask(box_mask(shape, fraction))


def _crop(fraction: float) -> MakeOperator:
    centred_box((1, 1), fraction)
    return lambda shape: Crop(shape, *centred_box(shape, fraction))


def _blur(std: float, padding: str = "reflect") -> MakeOperator:
    pick("padding", padding, PADDINGS)
    Blur.gaussian((1, 1), std)
    return lambda shape: Blur.gaussian(shape, std, padding)


def _downsample(factor: float) -> MakeOperator:
    sides = whole_number("factor", factor)
    Downsample((0, 0), sides)
    return lambda shape: Downsample(shape, sides)


def _projection(count: float, seed: str = "0") -> MakeOperator:
    directions, number = whole_number("count", count), _seed(seed)
    random_order(directions, number)
    return lambda shape: RandomProjection(shape, directions, number)


def _fourier(fraction: float, seed: str = "0") -> MakeOperator:
    number = _seed(seed)
    sampled_frequencies((1,), fraction, number)
    return lambda shape: Fourier(sampled_frequencies(shape[-2:], fraction, number), shape)


def _low_pass(fraction: float) -> MakeOperator:
    sampled_frequencies((1,), fraction)
    return lambda shape: Fourier(_lowest_frequencies(shape[-2:], fraction), shape)


def _half(side: str) -> MakeOperator:
    return lambda shape: Mask(half_mask(shape, side))


OPERATORS.register("identity", Identity, "the item itself; with noise: denoising")
for _side in HALVES:
    OPERATORS.register(
        f"{_side}_half", _half(_side), f"all but the {_side} half of an image: inpainting"
    )
OPERATORS.register(
    "box",
    None,
    "all but a box in the centre of an image: inpainting",
    make=_box,
    parameter="fraction, the sides of the box over those of the image, above 0 and at most 1",
)
OPERATORS.register(
    "mask",
    None,
    "all but a random fraction of the pixels, or of the numbers of a table: inpainting, imputation",
    make=_mask,
    parameter="fraction, that of unknown pixels, from 0 to 1",
    options=_SEED,
)
OPERATORS.register(
    "crop",
    None,
    "a box in the centre of an image: outpainting",
    make=_crop,
    parameter="fraction, the sides of the box over those of the image, above 0 and at most 1",
)
OPERATORS.register(
    "downsample",
    None,
    "the means over blocks of pixels: super-resolution",
    make=_downsample,
    parameter="factor, the sides of a block in pixels, a whole number",
)
OPERATORS.register(
    "blur",
    None,
    "the convolution with a Gaussian kernel: deblurring",
    make=_blur,
    parameter="std, its standard deviation in pixels, a positive number",
    options={"padding": "reflect, circular or zero; reflect if absent"},
)
OPERATORS.register(
    "grey", Grey, "0.299 red + 0.587 green + 0.114 blue, or the mean of the channels: colorization"
)
OPERATORS.register(
    "projection",
    None,
    "products with orthonormal random directions: compressed sensing",
    make=_projection,
    parameter="count, the number of directions, a whole number",
    options=_SEED,
)
OPERATORS.register(
    "fourier",
    None,
    "random samples of the Fourier transform, and the mean: magnetic resonance imaging",
    make=_fourier,
    parameter="fraction, that of known frequencies, above 0 and at most 1",
    options=_SEED,
)
OPERATORS.register(
    "lowpass",
    None,
    "the samples of the Fourier transform at the lowest frequencies",
    make=_low_pass,
    parameter="fraction, that of known frequencies, above 0 and at most 1",
)
