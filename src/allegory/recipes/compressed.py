"""The configuration of an encoder, and its result: the bytes of a file with their cost."""

from __future__ import annotations

from dataclasses import dataclass

from ..lookup import check_count

MOST_ITEMS = 100
"""How many items the network sees at once, unless told."""


@dataclass(frozen=True)
class CodingConfig:
    """The choices of an encoder.

    Args:
        steps: largest number of latents of a diffusion model; None means the model's default. Other
            models have no such choice.
        batch: largest number of items in a batch of the network.
        seed: seed of the first bits.
        check: whether the file is decoded once.

    Raises:
        ValueError: for a seed outside 0 to 2^64 - 1, and for a batch that no machine can hold.
    """

    steps: int | None = None
    batch: int = MOST_ITEMS
    seed: int = 0
    check: bool = True

    def __post_init__(self) -> None:
        check_count("batch", self.batch, 1, 1_000_000)
        if not 0 <= self.seed < 2**64:
            raise ValueError(f"seed={self.seed}: give 0 to 2^64 - 1")


@dataclass(frozen=True)
class Compressed:
    """The bytes of a file, and their cost.

    Args:
        content: the bytes.
        items: the number of items.
        dims: dimensions per item.
        gross_bits: bits of all code words.
        net_bits: those without the first bits.
        bound_bits: -log2 of the densities at the coded latents, a draw of the bound for all items.
        evaluations: evaluations of the network per item.
        encode_seconds: time to encode.
        decode_seconds: time to decode; None without the check.
    """

    content: bytes
    items: int
    dims: int
    gross_bits: int
    net_bits: int
    bound_bits: float
    evaluations: int
    encode_seconds: float
    decode_seconds: float | None

    @property
    def numbers(self) -> int:
        """The number of dimensions of all items, by which bits/dim divides."""
        return self.items * self.dims
