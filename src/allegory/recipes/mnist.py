"""Handwritten digits of 28x28 pixels and 256 levels (LeCun et al. 1998), with a likelihood."""

from __future__ import annotations

from ..networks import UNetConfig
from ..training import TrainingConfig
from .config import CATEGORICAL, DiffusionConfig, PathConfig, Run
from .registry import recipe


@recipe
def mnist(data: str) -> Run:
    """A diffusion model of 8-bit MNIST, in half an hour on two cores.

    It should reach 0.95 bits/dim on the 10,000 test images with their labels hidden.

    `benchmarks/mnist.py` compares the choices: logits over the levels, Muon, small batches,
    products in bfloat16. The ends of log-SNR: at 14 the levels are 8.6 standard deviations apart
    and the reconstruction costs nothing (0.005 bits/dim at 13.3); at -6 the prior costs 0.002
    bits/dim (0.004 at -5).

    Args:
        data: the images of MNIST, a folder, an array or a table.
    """
    return Run(
        recipe="mnist",
        source=data,
        model=DiffusionConfig(
            network=UNetConfig(
                32,
                multipliers=(1, 2, 2),
                blocks=1,
                attention=(7,),
                fourier=(0, 1, 2, 3, 4, 5, 6, 7),
                head=1,
            ),
            path=PathConfig("linear", start=14.0, end=-6.0),
            target=CATEGORICAL,
            condition_dropout=0.5,
        ),
        training=TrainingConfig(
            minutes=30.0,
            batch_size=32,
            optimizer="muon",
            learning_rate=8e-3,
            ema=0.998,
            precision="auto",
        ),
    )
