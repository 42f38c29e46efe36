"""Bits-back coding: a latent-variable model as a lossless code, from a stack of bits to a file."""

from .ans import Normal, OutOfBits, Stack
from .bins import Bins, UnfitBins, choose_bins
from .bits_back import Chain, CodableModel, CodingContext, TopDownModel, pop_items, push_items
from .file import MOST_HEADER, Container, fingerprint, pack, unpack
from .stream import BitsBackCode, Encoding, decode, encode
from .tokens import TokenGroups

__all__ = [
    "MOST_HEADER",
    "Bins",
    "BitsBackCode",
    "Chain",
    "CodableModel",
    "CodingContext",
    "Container",
    "Encoding",
    "Normal",
    "OutOfBits",
    "Stack",
    "TokenGroups",
    "TopDownModel",
    "UnfitBins",
    "choose_bins",
    "decode",
    "encode",
    "fingerprint",
    "pack",
    "pop_items",
    "push_items",
    "unpack",
]  # fmt: skip
