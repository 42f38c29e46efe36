"""Binarized MNIST (LeCun et al. 1998; Salakhutdinov & Murray 2008): latent-variable models."""

from __future__ import annotations

import functools
from collections.abc import Callable

from ..data.places import with_option
from ..models import LadderConfig, VAEConfig
from ..training import TrainingConfig
from .config import Run
from .registry import RECIPES, first_line, recipe

_TRAINING = TrainingConfig(
    minutes=20.0, batch_size=64, optimizer="muon", learning_rate=4e-2, ema=0.999, precision="auto"
)
_LATENTS = {levels: (*[(4, 8)] * (levels - 1), (0, 32)) for levels in (1, 3, 6)}


@recipe
def mnist_vae(data: str) -> Run:
    """A variational autoencoder of binarized MNIST, in twenty minutes on two cores.

    It should reach 91 nats on the 10,000 test images (their negative bound).

    Args:
        data: the images of MNIST, with 256 levels; they are binarized anew in each batch.
    """
    return Run(
        recipe="mnist_vae",
        source=with_option(data, "binarize", "dynamic"),
        model=VAEConfig(latents=(32,), channels=(32, 64), depth=1),
        training=_TRAINING,
    )


def mnist_hierarchy(data: str, levels: int = 3) -> Run:
    """A ladder of 1, 3 or 6 latents of binarized MNIST, in twenty minutes on two cores.

    With three latents it should reach 86 nats on the 10,000 test images (their negative bound).
    `mnist_hierarchy:6` has six.

    Args:
        data: the images of MNIST, with 256 levels; they are binarized anew in each batch.
        levels: the number of latents.

    Raises:
        ValueError: for another number of latents.
    """
    if levels not in _LATENTS:
        raise ValueError(f"levels={levels}: give one of {', '.join(map(str, _LATENTS))}")
    return Run(
        recipe="mnist_hierarchy" if levels == 3 else f"mnist_hierarchy:{levels}",
        source=with_option(data, "binarize", "dynamic"),
        model=LadderConfig(_LATENTS[levels], warmup=500),
        training=_TRAINING,
    )


def _with_levels(number: float) -> Callable[[str], Run]:
    """The recipe with this number of latents. ValueError for one that it does not have."""
    if number not in _LATENTS:
        raise ValueError(f"levels={number:g}: give one of {', '.join(map(str, _LATENTS))}")
    return functools.partial(mnist_hierarchy, levels=int(number))


RECIPES.register(
    "mnist_hierarchy",
    mnist_hierarchy,
    first_line(mnist_hierarchy),
    make=_with_levels,
    parameter="the number of latents, one of 1, 3, 6",
)
