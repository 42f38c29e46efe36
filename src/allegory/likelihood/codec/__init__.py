"""Bits-back coding: a latent-variable model as a lossless code, from a stack of bits to a file."""

from .file import Container, fingerprint, pack, unpack
from .grid import Grid, grids
from .order import Book, Chain, Model, Walk, pop_items, push_items
from .stack import Dry, Normal, Stack
from .stream import Coded, decode, encode

__all__ = [
    "Book", "Chain", "Coded", "Container", "Dry", "Grid", "Model", "Normal", "Stack", "Walk",
    "decode", "encode", "fingerprint", "grids", "pack", "pop_items", "push_items", "unpack",
]  # fmt: skip
