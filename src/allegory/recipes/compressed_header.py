"""The header of a compressed file: which model wrote it, and what decoding needs.

Its values are compared with their ranges, and with the bits that are there, before a model is built
or memory is taken.
"""

from __future__ import annotations

import json
import os
import platform
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from .. import __version__
from ..likelihood.codec import Bins, Encoding, fingerprint
from ..likelihood.codec.ans import Words
from ..likelihood.codec.bins import MAX_EXPONENT, MIN_EXPONENT
from ..models.base import CanCode
from ..plain_json import read_json
from ..typed import fields_of
from .run_folder import RunFolder

MOST_THREADS = 128
"""Threads that every machine sets; one of more than 32 processors sets 4 for each."""

_MOST_COUNT = 2**40
_MOST_LATENTS = 1000
_MOST_TEXT = 100
_BITS = 32
"""Bits of a word."""


@dataclass(frozen=True)
class Header:
    """The plain values in front of the code words.

    Args:
        model: fingerprint of the model.
        data: the DataSpec, as a dict.
        items: checksum of the items.
        sizes: items per batch.
        seed: of the first bits.
        initial: how many words they are.
        nodes: levels of a diffusion model's latents, or the sizes of its groups of tokens; None for
            fixed latents.
        bins: exponents of the bins of each latent.
        machine: what floating-point results depend on.
    """

    model: str
    data: Mapping[str, Any]
    items: int
    sizes: tuple[int, ...]
    seed: int
    initial: int
    nodes: tuple[int, ...] | None
    bins: tuple[tuple[int, ...], ...]
    machine: Mapping[str, Any]

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Header:
        """The header in a file with a right checksum, which may still be made to do harm.

        Args:
            values: the JSON values.

        Raises:
            ValueError: for values that `to_dict` never writes.
        """
        header = fields_of(cls, values, "header")
        in_range = {
            "items": 0 <= header.items < 2**32,
            "sizes": _are(header.sizes, 1, _MOST_COUNT),
            "seed": 0 <= header.seed < 2**64,
            "initial": 1 <= header.initial <= _MOST_COUNT,
            "nodes": header.nodes is None or _are(header.nodes, 0, _MOST_COUNT),
            "bins": len(header.bins) <= _MOST_LATENTS
            and all(_are(row, MIN_EXPONENT, MAX_EXPONENT) for row in header.bins),
            "machine": _is_machine(header.machine),
        }
        for name, is_good in in_range.items():
            if not is_good:
                raise ValueError(f"{name}: out of its range, or empty")

        return header

    def check(self, words: int, batch: int) -> None:
        """Compare the counts with the bits that are there.

        An item takes a bit at least. All bits of the first words come back in decoding, so a file
        of fewer words than half of them holds nothing.

        Args:
            words: the number of words.
            batch: the largest batch that the network may see.

        Raises:
            ValueError: for counts that do not fit, with the remedy.
        """
        items, largest, threads = sum(self.sizes), max(self.sizes), self.machine["threads"]
        if items > _BITS * words or self.initial > 2 * words:
            raise ValueError(
                f"it names {items:,} items and {self.initial:,} first words, too many for "
                f"{words:,} words of bits; make the file anew"
            )
        if largest > batch:
            raise ValueError(
                f"made with batches of {largest:,} items; give --batch {largest} if they fit into "
                "memory"
            )

        most = max(MOST_THREADS, 4 * (os.cpu_count() or 1))
        if threads > most:
            raise ValueError(
                f"made with {threads:,} threads, and this machine can take {most}; decode it on "
                "one of as many processors"
            )

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "model": self.model,
            "data": dict(self.data),
            "items": self.items,
            "sizes": list(self.sizes),
            "seed": self.seed,
            "initial": self.initial,
            "nodes": None if self.nodes is None else list(self.nodes),
            "bins": [list(exponents) for exponents in self.bins],
            "machine": dict(self.machine),
        }

    def encoding(self, words: Words) -> Encoding:
        """The code words with what reading them takes."""
        return Encoding(words, self.sizes, self.seed, self.initial, torch.zeros(0))

    @property
    def codec_bins(self) -> tuple[Bins, ...]:
        """The bins of each latent."""
        return tuple(Bins(exponents) for exponents in self.bins)


def _are(numbers: Sequence[int], least: int, most: int) -> bool:
    """Whether there are numbers, and all lie in a range."""
    return bool(numbers) and all(least <= number <= most for number in numbers)


def _is_machine(values: Mapping[str, Any]) -> bool:
    """Whether values are what `this_machine` returned: short texts, and the number of threads."""
    threads = values.get("threads")
    texts = [each for name in values for each in (name, values[name]) if name != "threads"]
    return (
        type(threads) is int
        and 1 <= threads <= 1024
        and all(isinstance(t, str) and len(t) <= _MOST_TEXT and t.isprintable() for t in texts)
    )


def model_fingerprint(folder: RunFolder, model: CanCode) -> str:
    """A fingerprint of the weights of a run's model, its config and its data.

    The config is taken as run.json has it, so that a file from an earlier version fits the run
    folder of that version.

    Args:
        folder: the run.
        model: its model.
    """
    written = read_json(folder.path / "run.json")
    choice = {"model": written["run"]["model"], "data": written["data"]}
    assert isinstance(model, nn.Module), "a run's model is a module"
    return fingerprint(model, json.dumps(choice, sort_keys=True))


def checksum(index: Tensor) -> int:
    """CRC-32 of the index of every number."""
    return zlib.crc32(index.numpy().tobytes())


def this_machine() -> dict[str, Any]:
    """What floating-point results depend on."""
    return {
        "allegory": __version__,
        "torch": torch.__version__,
        "processor": f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()}",
        "threads": torch.get_num_threads(),
        "dtype": str(torch.get_default_dtype()),
    }


def why_results_differ(wrote: Mapping[str, Any], reads: Mapping[str, Any]) -> str:
    """Why an intact file of the right model does not decode.

    Args:
        wrote: the machine that wrote it.
        reads: this machine.
    """
    names = [name for name in wrote if name != "threads" and reads.get(name) != wrote[name]]
    differences = ", ".join(
        f"{name} {wrote[name]} there and {reads.get(name)} here" for name in names
    )
    return (
        "the network's results differ from those of encoding in the last bits "
        f"({differences or 'the same versions, so another processor'}); decode it where it was made"
    )
