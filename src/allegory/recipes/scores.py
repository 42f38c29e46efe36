"""The score view: noise-conditional score networks, energies, and one network for every SDE."""

from __future__ import annotations

import math

from ..networks import MLPConfig, ScalarConfig, UNetConfig
from ..training import Training
from .choices import ModelChoice, PathChoice, Run

DIGITS = UNetConfig(channels=32, multipliers=(1, 2), blocks=1, attention=(), dropout=0.1)


def toy_score(data: str = "eight_gaussians") -> Run:
    """A score network of points on the plane in half a minute, on the variance-exploding path of NCSN.

    Sample it by `--solver ncsn2`, or by any other.
    """
    model = ModelChoice(MLPConfig(width=256, depth=3), exploding(0.01, 3.0), row="eps", weight="simple")
    return Run("toy_score", data, model, Training(minutes=0.5, batch_size=512, learning_rate=2e-3, ema=0.998))


def toy_energy(data: str = "eight_gaussians") -> Run:
    """An energy of points on the plane in a minute: its score is a gradient, and it is -log p, its constant included.

    Dual score matching weighs the separate parts of the data. How near it comes to the truth:
    `python -m benchmarks energies`.
    """
    network = ScalarConfig(width=64, depth=2, fourier=(-2, -1, 0, 1, 2, 3))
    model = ModelChoice(network, PathChoice("linear", start=9.0, end=-3.0), row="energy", weight="dual")
    return Run("toy_energy", data, model, Training(minutes=0.9, batch_size=1024, learning_rate=2e-2, ema=0.998))


def digits_ncsn(data: str = "digits") -> Run:
    """A noise-conditional score network of 8x8 digits (NCSNv2, Song & Ermon 2020) in two and a half minutes.

    The largest noise is the largest distance between two of the digits. Sample it by `--solver pc` or `--solver ncsn2`.
    """
    model = ModelChoice(DIGITS, exploding(0.01, 10.0), row="edm", weight="simple", label_dropout=0.15)
    return Run("digits_ncsn", data, model, Training(minutes=2.4, batch_size=128, learning_rate=2e-3, ema=0.998))


def digits_sde(data: str = "digits") -> Run:
    """One network of 8x8 digits for the VP, sub-VP and VE SDEs and the straight flow, by likelihood weighting.

    `--split ve` and so on sample it as each of them (Song et al. 2021; ScoreFlow, Song et al. 2021).
    """
    model = ModelChoice(DIGITS, PathChoice("linear", start=9.0, end=-5.0), row="edm", weight="elbo", label_dropout=0.15)
    return Run("digits_sde", data, model, Training(minutes=2.4, batch_size=128, learning_rate=2e-3, ema=0.998))


def exploding(sigma_min: float, sigma_max: float) -> PathChoice:
    """sigma from sigma_min to sigma_max, geometric in t, at alpha = 1."""
    return PathChoice("linear", start=-2 * math.log(sigma_min), end=-2 * math.log(sigma_max), split="ve")
