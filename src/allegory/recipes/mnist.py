"""Handwritten digits of 28x28 pixels and 256 levels (LeCun et al. 1998), with a likelihood."""

from __future__ import annotations

from ..networks import UNetConfig
from ..training import Training
from .choices import CATEGORICAL, ModelChoice, PathChoice, Run


def mnist(data: str) -> Run:
    """A diffusion model of 8-bit MNIST in half an hour on two cores.

    Should reach 0.95 bits/dim or less on the test images with their labels hidden.
    `benchmarks/mnist.py` compares the choices: logits over the levels, Muon, small batches, products in bfloat16.

    The ends: at log-SNR 13.3 neighbouring levels stand 6 standard deviations apart, and at -7 the prior costs less than
    0.001 bits/dim.
    """
    return Run(
        recipe="mnist",
        data=data,
        model=ModelChoice(
            network=UNetConfig(
                32, multipliers=(1, 2, 2), blocks=1, attention=(7,), fourier=(0, 1, 2, 3, 4, 5, 6, 7), head=1
            ),
            path=PathChoice("linear", start=13.3, end=-7.0),
            row=CATEGORICAL,
            label_dropout=0.5,
        ),
        training=Training(
            minutes=30.0, batch_size=32, optimizer="muon", learning_rate=4e-3, ema=0.998, precision="bf16"
        ),
    )
