"""Densities on the plane: small enough to see, and continuous.

Every toy fits in [-4, 4]^2 with eight standard deviations of its noise to spare, so all share one `Data`.
"""

import math
from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from .dataset import Arrays, Dataset
from .spec import Data

COUNTS = (20_000, 2_000, 2_000)  # train, validation, test


def toy(name: str, seed: int) -> Dataset:
    """The toy of this name, sampled from this seed; the three sets are independent draws."""
    if seed < 0:
        raise ValueError(f"seed={seed}: give 0 or more")
    points = TOYS[name](sum(COUNTS), Generator().manual_seed(seed))
    train, validation, test = (Arrays(part) for part in torch.split(points, list(COUNTS)))
    return Dataset(name, Data(shape=(2,), low=-4.0, high=4.0), train, validation, test)


def moons(n: int, generator: Generator) -> Float[Tensor, "n 2"]:
    """Two half circles of radius 2 that reach into each other, noise 0.15."""
    angle = math.pi * torch.rand(n, generator=generator)
    sign = 2.0 * torch.randint(2, (n,), generator=generator) - 1.0  # the lower moon is the upper one turned by pi
    x = sign * (2.0 * angle.cos() - 1.0)
    y = sign * (2.0 * angle.sin() - 0.5)
    return _noisy(torch.stack([x, y], 1), 0.15, generator)


def swiss_roll(n: int, generator: Generator) -> Float[Tensor, "n 2"]:
    """A spiral r = 3 angle / (4.5 pi), the angle uniform on [1.5 pi, 4.5 pi], noise 0.1."""
    angle = 1.5 * math.pi * (1.0 + 2.0 * torch.rand(n, generator=generator))
    return _noisy(_polar(3.0 * angle / (4.5 * math.pi), angle), 0.1, generator)


def checkerboard(n: int, generator: Generator) -> Float[Tensor, "n 2"]:
    """Uniform on the eight squares of side 2 in [-4, 4)^2 with floor(x/2) + floor(y/2) even."""
    x = 8.0 * torch.rand(n, generator=generator) - 4.0
    row = 2 * torch.randint(2, (n,), generator=generator) + (x / 2).floor().remainder(2)
    y = 2.0 * (row + torch.rand(n, generator=generator)) - 4.0
    return torch.stack([x, y], 1)


def eight_gaussians(n: int, generator: Generator) -> Float[Tensor, "n 2"]:
    """Eight equal Gaussians of standard deviation 0.15 on a circle of radius 2.5, the first at (2.5, 0)."""
    angle = math.tau / 8 * torch.randint(8, (n,), generator=generator)
    return _noisy(_polar(torch.tensor(2.5), angle), 0.15, generator)


def pinwheel(n: int, generator: Generator) -> Float[Tensor, "n 2"]:
    """Five Gaussian arms (radius 1.5 +- 0.3, width 0.15) turned by exp(r/1.5) / 4 (Johnson et al. 2016)."""
    arm = math.tau / 5 * torch.randint(5, (n,), generator=generator)
    spread = torch.randn(n, 2, generator=generator) * torch.tensor([0.3, 0.15])
    radial, tangential = (1.5 + spread[:, 0], spread[:, 1])
    angle = arm + 0.25 * (radial / 1.5).exp()
    return _polar(radial, angle) + _polar(tangential, angle + math.pi / 2)


def rings(n: int, generator: Generator) -> Float[Tensor, "n 2"]:
    """Four circles of radius 0.75, 1.5, 2.25 and 3, equally likely, noise 0.08."""
    radius = 0.75 * (1 + torch.randint(4, (n,), generator=generator))
    return _noisy(_polar(radius, math.tau * torch.rand(n, generator=generator)), 0.08, generator)


TOYS: dict[str, Callable[[int, Generator], Tensor]] = {
    "moons": moons,
    "swiss_roll": swiss_roll,
    "checkerboard": checkerboard,
    "eight_gaussians": eight_gaussians,
    "pinwheel": pinwheel,
    "rings": rings,
}


def _polar(radius: Tensor, angle: Float[Tensor, " n"]) -> Float[Tensor, "n 2"]:
    return torch.stack([radius * angle.cos(), radius * angle.sin()], 1)


def _noisy(points: Float[Tensor, "n 2"], std: float, generator: Generator) -> Float[Tensor, "n 2"]:
    return points + std * torch.randn(points.shape, generator=generator)
