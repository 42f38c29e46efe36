"""The score view: noise-conditional score networks, energies, and one network for every SDE."""

from __future__ import annotations

from ..networks import MLPConfig, PotentialConfig, UNetConfig
from ..training import TrainingConfig
from .config import DiffusionConfig, PathConfig, Run
from .registry import recipe

DIGITS = UNetConfig(channels=32, multipliers=(1, 2), blocks=1, attention=(), dropout=0.1)


@recipe
def toy_score(data: str = "eight_gaussians") -> Run:
    """A score network of points on the plane in half a minute, on the variance-exploding path of NCSN.

    Sample it by `--solver ncsn2`, or by any other.
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
    """An energy of points on the plane in a minute: its score is a gradient, and it is -log p, its constant included.

    Dual score matching weighs the separate parts of the data. How near it comes to the truth:
    `python -m benchmarks energies`.
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
    """A noise-conditional score network of 8x8 digits (NCSNv2, Song & Ermon 2020) in two and a half minutes.

    The largest noise is the largest distance between two of the digits. Sample it by `--solver pc` or `--solver ncsn2`.
    """
    model = DiffusionConfig(
        DIGITS, exploding(0.01, 10.0), target="edm", objective="simple", label_dropout=0.15
    )
    return Run(
        "digits_ncsn",
        data,
        model,
        TrainingConfig(minutes=2.4, batch_size=128, learning_rate=2e-3, ema=0.998),
    )


@recipe
def digits_sde(data: str = "digits") -> Run:
    """One network of 8x8 digits for the VP, sub-VP and VE SDEs and the straight flow, by likelihood weighting.

    `--scaling ve` and so on sample it as each of them (Song et al. 2021; ScoreFlow, Song et al. 2021).
    """
    model = DiffusionConfig(
        DIGITS,
        PathConfig("linear", start=9.0, end=-5.0),
        target="edm",
        objective="elbo",
        label_dropout=0.15,
    )
    return Run(
        "digits_sde",
        data,
        model,
        TrainingConfig(minutes=2.4, batch_size=128, learning_rate=2e-3, ema=0.998),
    )


def exploding(sigma_min: float, sigma_max: float) -> PathConfig:
    """sigma from sigma_min to sigma_max, geometric in t, at alpha = 1."""
    return PathConfig(
        "geometric", scaling="ve", arguments={"sigma_min": sigma_min, "sigma_max": sigma_max}
    )
