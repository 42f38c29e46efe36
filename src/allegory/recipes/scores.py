"""Noise-conditional score networks, energies, and one network for several SDEs."""

from __future__ import annotations

from ..networks import MLPConfig, PotentialConfig, UNetConfig
from ..training import TrainingConfig
from .config import DiffusionConfig, PathConfig, Run
from .registry import recipe

_DIGITS = UNetConfig(channels=32, multipliers=(1, 2), blocks=1, attention=(), dropout=0.1)


@recipe
def toy_score(data: str = "eight_gaussians") -> Run:
    """A score network of points in the plane on the path of NCSN, in half a minute.

    No figure was evaluated for it. Annealed Langevin dynamics samples it, `--solver ncsn2`, and so
    does any other solver.

    Args:
        data: moons, swiss_roll, checkerboard, eight_gaussians, pinwheel or rings.
    """
    model = DiffusionConfig(
        MLPConfig(width=256, depth=3), exploding(0.01, 3.0), target="eps", objective="simple"
    )

    return Run(
        "toy_score",
        data,
        model,
        TrainingConfig(minutes=0.5, batch_size=512, learning_rate=2e-3, ema=0.998),
    )


@recipe
def toy_energy(data: str = "eight_gaussians") -> Run:
    """An energy of points in the plane, -log p with its constant, in a minute.

    Its correlation with -log p at test points of eight_gaussians should reach 0.99 (`python -m
    benchmarks energies`). Dual score matching (Guth et al. 2025) is what weighs the separate parts
    of the data.

    Args:
        data: moons, swiss_roll, checkerboard, eight_gaussians, pinwheel or rings.
    """
    network = PotentialConfig(width=64, depth=2, fourier=(-2, -1, 0, 1, 2, 3))
    model = DiffusionConfig(
        network, PathConfig("linear", start=9.0, end=-3.0), target="energy", objective="dual"
    )

    return Run(
        "toy_energy",
        data,
        model,
        TrainingConfig(minutes=0.9, batch_size=1024, learning_rate=2e-2, ema=0.998),
    )


@recipe
def digits_ncsn(data: str = "digits") -> Run:
    """A noise-conditional score network of 8x8 digits (NCSNv2), in two and a half minutes.

    With 100 evaluations of `--solver pc` its samples should reach a Fréchet distance of 0.77 to the
    digits (`python -m benchmarks corrector`). As in Song & Ermon 2020, the largest noise is the
    largest distance between two of the digits.

    Args:
        data: images of a few levels; the bundled digits by default.
    """
    model = DiffusionConfig(
        _DIGITS, exploding(0.01, 10.0), target="edm", objective="simple", condition_dropout=0.15
    )

    return Run(
        "digits_ncsn",
        data,
        model,
        TrainingConfig(minutes=2.4, batch_size=128, learning_rate=2e-3, ema=0.998),
    )


@recipe
def digits_sde(data: str = "digits") -> Run:
    """One network of 8x8 digits for the VP, sub-VP and VE SDEs and rectified flow.

    No figure was evaluated for it. It is trained by likelihood weighting (ScoreFlow, Song et al.
    2021), and `--scaling ve` and so on sample it as each of the processes (Song et al. 2021).

    Args:
        data: images of a few levels; the bundled digits by default.
    """
    model = DiffusionConfig(
        _DIGITS,
        PathConfig("linear", start=9.0, end=-5.0),
        target="edm",
        objective="elbo",
        condition_dropout=0.15,
    )

    return Run(
        "digits_sde",
        data,
        model,
        TrainingConfig(minutes=2.4, batch_size=128, learning_rate=2e-3, ema=0.998),
    )


def exploding(sigma_min: float, sigma_max: float) -> PathConfig:
    """The path of NCSN: alpha = 1, and sigma geometric in t from sigma_min to sigma_max."""
    return PathConfig(
        "geometric", scaling="ve", arguments={"sigma_min": sigma_min, "sigma_max": sigma_max}
    )
