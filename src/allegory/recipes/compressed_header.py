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
from ..likelihood.level_placement import NODES
from ..models.base import CanCode
from ..plain_json import read_json
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
        nodes: levels of a diffusion model's latents; None for fixed latents.
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
        fields = _Fields(values)
        nodes = values.get("nodes", ())
        return cls(
            model=_text("model", values.get("model")),
            data=fields.object("data"),
            items=fields.whole("items", 0, 2**32 - 1),
            sizes=fields.wholes("sizes", 1, _MOST_COUNT),
            seed=fields.whole("seed", 0, 2**64 - 1),
            initial=fields.whole("initial", 1, _MOST_COUNT),
            nodes=None if nodes is None else fields.wholes("nodes", 0, NODES - 1),
            bins=fields.exponents("bins"),
            machine=_machine(fields.object("machine")),
        )

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


@dataclass(frozen=True)
class _Fields:
    """JSON values by name, each with the kind and range that it must have.

    Args:
        values: the values.
    """

    values: Mapping[str, Any]

    def whole(self, name: str, least: int, most: int) -> int:
        """A whole number. ValueError for anything else, or one out of its range."""
        return _whole(name, self.values.get(name), least, most)

    def wholes(self, name: str, least: int, most: int) -> tuple[int, ...]:
        """A list of whole numbers that is not empty. ValueError for anything else."""
        return tuple(_whole(name, each, least, most) for each in self._list(name))

    def exponents(self, name: str) -> tuple[tuple[int, ...], ...]:
        """A list of lists of exponents of bins. ValueError for anything else."""
        rows = self._list(name)
        if len(rows) > _MOST_LATENTS:
            raise ValueError(f"{name}: {len(rows)} latents, and there are at most {_MOST_LATENTS}")
        return tuple(_Fields({name: row}).wholes(name, MIN_EXPONENT, MAX_EXPONENT) for row in rows)

    def object(self, name: str) -> Mapping[str, Any]:
        """Values by name. ValueError for anything else."""
        found = self.values.get(name)
        if not isinstance(found, dict):
            raise ValueError(f"{name} is {_kind(found)}, not values by name")
        return found

    def _list(self, name: str) -> Sequence[Any]:
        found = self.values.get(name)
        if not isinstance(found, list) or not found:
            raise ValueError(f"{name} is {_kind(found)}, not a list of numbers")
        return found


def _whole(name: str, value: Any, least: int, most: int) -> int:
    if type(value) is not int or not least <= value <= most:
        raise ValueError(f"{name} holds {_kind(value)}, not a whole number from {least} to {most}")
    return value


def _text(name: str, value: Any) -> str:
    """A short text that can be printed. ValueError for anything else."""
    if not isinstance(value, str) or len(value) > _MOST_TEXT or not value.isprintable():
        raise ValueError(f"{name} holds {_kind(value)}, not a short text")
    return value


def _machine(values: Mapping[str, Any]) -> dict[str, Any]:
    """What `this_machine` returned, elsewhere: texts, and the number of threads."""
    threads = _Fields(values).whole("threads", 1, 1024)
    texts = {
        _text("machine", name): _text("machine", text)
        for name, text in values.items()
        if name != "threads"
    }
    return {**texts, "threads": threads}


def _kind(value: Any) -> str:
    """A value in an error: a number itself, else its kind."""
    if value is None or isinstance(value, (int, float)):
        return repr(value)
    return f"a {type(value).__name__} of {len(value)}"


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
