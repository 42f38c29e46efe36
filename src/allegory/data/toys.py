"""Densities on the plane: small enough to plot, continuous, and known exactly (`densities.py`).

Every toy lies in [-4, 4]^2 with eight standard deviations of its noise to spare, so all share one
`DataSpec`.
"""

import math
from collections.abc import Callable

import torch
from jaxtyping import Float, Shaped
from torch import Generator, Tensor

from .dataset import Dataset
from .items import Items
from .spec import DataSpec

MOON_NOISE = 0.15
ROLL_NOISE = 0.1
CENTRE_NOISE = 0.15
RING_NOISE = 0.08
ARM_RADIUS = (1.5, 0.3)
"""Of an arm of the pinwheel: mean and standard deviation along it."""
ARM_WIDTH = 0.15
"""Of an arm of the pinwheel: standard deviation across it."""

_COUNTS = (20_000, 2_000, 2_000)


def toy_dataset(name: str, *, seed: int = 0) -> Dataset:
    """Independent draws of a toy: 20,000 to train, 2,000 to validate, 2,000 to test.

    Args:
        name: of the toy.
        seed: of the draws, 0 or more.

    Raises:
        ValueError: for a negative seed.
    """
    if seed < 0:
        raise ValueError(f"seed={seed}: give 0 or more")
    points = TOYS[name](sum(_COUNTS), Generator().manual_seed(seed))
    train, validation, test = (Items(part) for part in torch.split(points, list(_COUNTS)))
    return Dataset(name, DataSpec(shape=(2,), low=-4.0, high=4.0), train, validation, test)


def moons(n: int, generator: Generator) -> Float[Tensor, "n 2"]:
    """Two interleaved half circles of radius 2, noise 0.15.

    Args:
        n: the number of points.
        generator: where they are drawn from.
    """
    angle = math.pi * torch.rand(n, generator=generator)
    # The lower moon is the upper one turned by pi.
    sign = 2.0 * torch.randint(2, (n,), generator=generator) - 1.0
    return _noisy(moon(angle, sign), MOON_NOISE, generator)


def swiss_roll(n: int, generator: Generator) -> Float[Tensor, "n 2"]:
    """A spiral r = 3 angle / (4.5 pi), the angle uniform on [1.5 pi, 4.5 pi], noise 0.1.

    Args:
        n: the number of points.
        generator: where they are drawn from.
    """
    return _noisy(roll(torch.rand(n, generator=generator)), ROLL_NOISE, generator)


def checkerboard(n: int, generator: Generator) -> Float[Tensor, "n 2"]:
    """Uniform on the eight squares of side 2 in [-4, 4)^2 with floor(x/2) + floor(y/2) even.

    Args:
        n: the number of points.
        generator: where they are drawn from.
    """
    x = 8.0 * torch.rand(n, generator=generator) - 4.0
    row = 2 * torch.randint(2, (n,), generator=generator) + (x / 2).floor().remainder(2)
    y = 2.0 * (row + torch.rand(n, generator=generator)) - 4.0
    return torch.stack([x, y], 1)


def eight_gaussians(n: int, generator: Generator) -> Float[Tensor, "n 2"]:
    """Eight equal Gaussians (std 0.15) on a circle of radius 2.5, the first at (2.5, 0).

    Args:
        n: the number of points.
        generator: where they are drawn from.
    """
    return _noisy(centre(torch.randint(8, (n,), generator=generator)), CENTRE_NOISE, generator)


def pinwheel(n: int, generator: Generator) -> Float[Tensor, "n 2"]:
    """Five Gaussian arms, radius 1.5 ± 0.3, twisted by exp(r/1.5) / 4 (Johnson et al. 2016).

    Args:
        n: the number of points.
        generator: where they are drawn from.
    """
    arm = torch.randint(5, (n,), generator=generator)
    mean, std = ARM_RADIUS
    offset = torch.randn(n, 2, generator=generator) * torch.tensor([std, ARM_WIDTH])

    radial = mean + offset[:, 0]
    tangential = offset[:, 1]
    angle = arm_angle(arm, radial)
    return _polar(radial, angle) + _polar(tangential, angle + math.pi / 2)


def rings(n: int, generator: Generator) -> Float[Tensor, "n 2"]:
    """Four circles of radius 0.75, 1.5, 2.25 and 3, equally likely, noise 0.08.

    Args:
        n: the number of points.
        generator: where they are drawn from.
    """
    radius = ring(torch.randint(4, (n,), generator=generator))
    angle = math.tau * torch.rand(n, generator=generator)
    return _noisy(_polar(radius, angle), RING_NOISE, generator)


TOYS: dict[str, Callable[[int, Generator], Tensor]] = {
    "moons": moons,
    "swiss_roll": swiss_roll,
    "checkerboard": checkerboard,
    "eight_gaussians": eight_gaussians,
    "pinwheel": pinwheel,
    "rings": rings,
}
"""Each toy by name: so many points from a generator."""


def moon(angle: Float[Tensor, " n"], sign: Tensor | float) -> Float[Tensor, "n 2"]:
    """The upper moon, sign 1, or the lower one, -1, at an angle from 0 to pi."""
    return torch.stack([sign * (2.0 * angle.cos() - 1.0), sign * (2.0 * angle.sin() - 0.5)], 1)


def roll(u: Float[Tensor, " n"]) -> Float[Tensor, "n 2"]:
    """The point of the spiral at u, from 0 at its inner end to 1."""
    angle = 1.5 * math.pi * (1.0 + 2.0 * u)
    return _polar(3.0 * angle / (4.5 * math.pi), angle)


def centre(k: Shaped[Tensor, " n"]) -> Float[Tensor, "n 2"]:
    """The mean of the k-th of the eight Gaussians."""
    angle = math.tau / 8 * k
    return _polar(torch.tensor(2.5), angle)


def ring(k: Shaped[Tensor, " n"]) -> Float[Tensor, " n"]:
    """The radius of the k-th ring, from 0."""
    return 0.75 * (1 + k)


def arm_angle(arm: Shaped[Tensor, "*#n"], radius: Float[Tensor, "*#n"]) -> Float[Tensor, "*n"]:
    """theta of arm 0 to 4 of the pinwheel at this radius."""
    return math.tau / 5 * arm + 0.25 * (radius / 1.5).exp()


def arm_slope(radius: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
    """d theta/d radius."""
    return 0.25 / 1.5 * (radius / 1.5).exp()


def _polar(radius: Tensor, angle: Float[Tensor, " n"]) -> Float[Tensor, "n 2"]:
    return torch.stack([radius * angle.cos(), radius * angle.sin()], 1)


def _noisy(points: Float[Tensor, "n 2"], std: float, generator: Generator) -> Float[Tensor, "n 2"]:
    return points + std * torch.randn(points.shape, generator=generator)
