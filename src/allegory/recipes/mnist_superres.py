"""Super-resolution of handwritten digits, 7x7 to 28x28 (Ho et al. 2021; Saharia et al. 2021)."""

from __future__ import annotations

from ..data.places import with_option
from ..networks import UNetConfig
from ..training import TrainingConfig
from .config import DiffusionConfig, PathConfig, Run
from .registry import recipe


@recipe
def mnist_superres(data: str) -> Run:
    """A diffusion model of 8-bit MNIST given its means over 4x4 pixels, in 25 minutes on two cores.

    With `--solver ddpm --steps 50` a classifier finds the true digit in 97.3 ± 0.4 % of 2,000 test
    images, where samples of the exact conditional distribution would show it in 97.1 ± 0.3 %
    (`python -m benchmarks superres`, after 273,000 images of training).

    Args:
        data: the images of MNIST, a folder, an array or a table; ?lowres=4 unless it says another.
    """
    return Run(
        recipe="mnist_superres",
        source=with_option(data, "lowres", "4"),
        model=DiffusionConfig(
            network=UNetConfig(32, multipliers=(1, 2, 2), blocks=1, attention=(7,)),
            path=PathConfig("linear", start=10.0, end=-6.0),
            target="edm",
            objective="edm",
            condition_dropout=0.05,
        ),
        training=TrainingConfig(
            minutes=25.0,
            batch_size=64,
            optimizer="muon",
            learning_rate=8e-3,
            ema=0.998,
            precision="auto",
        ),
    )
