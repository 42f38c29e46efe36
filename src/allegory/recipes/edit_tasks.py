"""The tasks of an edit that are inverse problems: what is seen of a picture, by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from jaxtyping import Bool
from torch import Tensor

from ..inverse.operators import Blur, Downsample, Grey, Identity, LinearOperator, Mask
from ..lookup import Registry

_LUMA = (0.299, 0.587, 0.114)


@dataclass(frozen=True, eq=False)
class Degradation:
    """What a task takes besides pictures.

    Args:
        missing: True where a pixel is missing, (h, w) for all pictures or (n, h, w); of inpaint.
        factor: the sides of a block of pixels; of superres.
        blur: the standard deviation of a Gaussian kernel, in pixels; of deblur.
    """

    missing: Bool[Tensor, "*n h w"] | None = None
    factor: int | None = None
    blur: float = 1.0


@dataclass(frozen=True)
class MeasuredTask:
    """A task that is an inverse problem.

    Args:
        operator: (shape of a picture, Degradation) -> what is seen of it; ValueError for what does
            not fit.
        noise: the standard deviation of the noise, as a fraction of the range of the data, unless
            another is given.
    """

    operator: Callable[[tuple[int, ...], Degradation], LinearOperator]
    noise: float = 0.025


def _inpaint(shape: tuple[int, ...], given: Degradation) -> LinearOperator:
    """All but the missing pixels."""
    if given.missing is None:
        raise ValueError("mask: none; say which pixels are missing, e.g. lower or center")
    missing = given.missing.bool()
    height, width = missing.shape[-2:]
    if (height, width) != shape[-2:]:
        raise ValueError(
            f"mask: {height}x{width} pixels, and the pictures have {shape[-2]}x{shape[-1]}; give "
            "one of their size"
        )
    if not bool(missing.flatten(-2).any(-1).all()):
        raise ValueError("mask: no pixel is missing; mark those that are, white in a picture")

    known = ~missing.unsqueeze(-3)
    return Mask(known.expand(*missing.shape[:-2], *shape).clone(), shape)


def _enlarge(shape: tuple[int, ...], given: Degradation) -> LinearOperator:
    """The means over blocks of pixels."""
    if given.factor is None:
        raise ValueError("factor: none; give the sides of a block of pixels, e.g. 4")
    return Downsample(shape, given.factor)


def _colorize(shape: tuple[int, ...], given: Degradation) -> LinearOperator:
    """The brightness of a colour picture."""
    if shape[0] < len(_LUMA):
        raise ValueError(
            "task colorize: the pictures of this model are grey; take a model of colour pictures"
        )
    return Grey(shape, (*_LUMA, *(0.0,) * (shape[0] - len(_LUMA))))


MEASURED_TASKS: Registry[MeasuredTask] = Registry("task")
"""The tasks that are inverse problems, by name."""

MEASURED_TASKS.register("inpaint", MeasuredTask(_inpaint), "draws the missing pixels (--mask)")
MEASURED_TASKS.register(
    "superres",
    MeasuredTask(_enlarge),
    "enlarges a small picture, each of its pixels the mean of a block (--factor)",
)
MEASURED_TASKS.register("colorize", MeasuredTask(_colorize), "gives a grey picture its colours")
MEASURED_TASKS.register(
    "deblur",
    MeasuredTask(lambda shape, given: Blur.gaussian(shape, given.blur)),
    "makes a picture sharp that has a Gaussian blur (--blur)",
)
MEASURED_TASKS.register(
    "denoise",
    MeasuredTask(lambda shape, given: Identity(shape), noise=0.2),
    "takes the noise from a picture (--noise)",
)


def blocks_between(small: tuple[int, ...], whole: tuple[int, ...]) -> int | None:
    """The factor by which a whole picture is larger than a small one; None where there is none.

    Args:
        small: (c, h, w) of the small picture.
        whole: (c, h, w) of the whole one.
    """
    factor = whole[-1] // max(small[-1], 1)
    enlarged = (small[0], factor * small[1], factor * small[2])
    return factor if factor >= 1 and enlarged == tuple(whole) else None


@dataclass(frozen=True)
class FreeTask:
    """A task without a measurement.

    Args:
        takes_seeds: whether its edits draw noise, so that there are several by seed.
    """

    takes_seeds: bool = False


FREE_TASKS: Registry[FreeTask] = Registry("task")
"""The tasks that are no inverse problems, by name."""

FREE_TASKS.register(
    "variations",
    FreeTask(takes_seeds=True),
    "pictures like a given one, by noise of some --strength (SDEdit, Meng et al. 2022)",
)
FREE_TASKS.register(
    "invert",
    FreeTask(),
    "the picture with other conditions: DDIM inversion with --source, samples with --condition",
)
FREE_TASKS.register(
    "interpolate", FreeTask(), "pictures between each of the given ones and the next"
)
