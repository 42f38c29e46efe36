"""Discrete diffusion of pictures and of sequences."""

from __future__ import annotations

from ..data.places import with_option
from ..networks import MLPConfig, TransformerConfig, UNetConfig
from ..training import TrainingConfig
from .config import Run
from .discrete_diffusion import DiscreteDiffusionConfig
from .registry import recipe


@recipe
def digits_tokens(data: str = "digits") -> Run:
    """A masked diffusion model of 8x8 digits, each pixel a token, in two and a half minutes.

    Its bits/dim stand beside those of the recipe `digits`, on the same images.

    Args:
        data: images of a few levels; the bundled digits by default.
    """
    return Run(
        recipe="digits_tokens",
        source=data,
        model=DiscreteDiffusionConfig(
            network=UNetConfig(
                channels=32, multipliers=(1, 2), blocks=1, attention=(), dropout=0.25
            ),
            condition_dropout=0.15,
        ),
        training=TrainingConfig(minutes=2.4, batch_size=128, learning_rate=2e-3, ema=0.998),
    )


@recipe
def mnist_masked(data: str) -> Run:
    """A masked diffusion model of binarized MNIST, in twenty minutes on two cores.

    Its nats stand beside those of `mnist_vae` and `mnist_hierarchy`.

    Args:
        data: the images of MNIST, with 256 levels; they are binarized anew in each batch.
    """
    return Run(
        recipe="mnist_masked",
        source=with_option(data, "binarize", "dynamic"),
        model=DiscreteDiffusionConfig(
            network=UNetConfig(channels=32, multipliers=(1, 2, 2), blocks=1, attention=(7,)),
            features=3,
        ),
        training=TrainingConfig(
            minutes=20.0, batch_size=32, optimizer="muon", learning_rate=2e-3, ema=0.999
        ),
    )


@recipe
def heartbeat(data: str = "heartbeat") -> Run:
    """Binomial diffusion of 20 bits, every fifth of them 1 (Sohl-Dickstein et al. 2015).

    The entropy is log2 5 = 2.322 bits; the paper reached 2.414.

    Args:
        data: sequences of bits; the heartbeat by default.
    """
    return Run(
        recipe="heartbeat",
        source=data,
        model=DiscreteDiffusionConfig(
            network=MLPConfig(width=256, depth=3),
            noise="uniform",
            cross_entropy=10.0,
        ),
        training=TrainingConfig(minutes=3.0, batch_size=256, learning_rate=1e-3, ema=0.998),
    )


@recipe
def text(data: str) -> Run:
    """A masked diffusion model of text, in twenty minutes on two cores; fills in any gaps.

    A transformer over windows of 256 tokens, or other items. The tokens of a .txt file are its
    characters, unless ?unit= says others.

    Args:
        data: a .txt file, such as book.txt?unit=bytes, or other sequences of tokens or categories:
            text:table.csv?text=COLUMN, a table of categories, an array (n, length) with ?levels=.
    """
    return _of_text("text", data, block=None)


@recipe
def text_blocks(data: str) -> Run:
    """Text in blocks of 2 tokens, from left to right (Arriola et al. 2025), as long as `text`.

    Each block is a masked diffusion model given the clean text before it. It needs fewer bits than
    `text`, and fills in what follows a known beginning alone.

    Args:
        data: as for `text`; the length of an item must be even.
    """
    return _of_text("text_blocks", data, block=2)


def _of_text(name: str, data: str, block: int | None) -> Run:
    """A run on text, as characters unless the source says what its tokens are."""
    is_open = data.partition("?")[0].lower().endswith(".txt") and "unit=" not in data
    return Run(
        recipe=name,
        source=with_option(data, "unit", "characters") if is_open else data,
        model=DiscreteDiffusionConfig(
            network=TransformerConfig(width=128, depth=4, heads=4, kernel=7),
            features=64,
            block=block,
        ),
        training=TrainingConfig(
            minutes=20.0,
            batch_size=8,
            optimizer="muon",
            learning_rate=3e-3,
            ema=0.999,
            precision="auto",
        ),
    )
