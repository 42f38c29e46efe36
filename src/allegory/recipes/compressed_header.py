"""The header of a compressed file: which model wrote it, and what decoding needs."""

from __future__ import annotations

import json
import platform
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from .. import __version__
from ..likelihood.codec import Bins, Encoding, fingerprint
from ..models.base import CanCode
from .run_folder import RunFolder


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
        try:
            counts = [
                *values["sizes"],
                values["initial"],
                values["machine"]["threads"],
                values["seed"] + 1,
            ]
            lists = [values["sizes"], values["bins"], *values["bins"]]
            nodes = values["nodes"]
            is_ours = (
                all(isinstance(each, list) and each for each in lists)
                and (nodes is None or isinstance(nodes, list))
                and all(type(count) is int and count > 0 for count in counts)
            )
            if not is_ours:
                raise ValueError("a number or list is out of its range")

            return cls(
                **{name: values[name] for name in ("model", "data", "items", "seed", "initial")},
                sizes=tuple(values["sizes"]),
                nodes=None if nodes is None else tuple(nodes),
                bins=tuple(tuple(exponents) for exponents in values["bins"]),
                machine=values["machine"],
            )
        except (KeyError, TypeError) as error:
            raise ValueError(f"a value is missing or of another type ({error})") from None

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

    def encoding(self, words: Any) -> Encoding:
        """The code words with what reading them takes."""
        return Encoding(words, self.sizes, self.seed, self.initial, torch.zeros(0))

    @property
    def codec_bins(self) -> tuple[Bins, ...]:
        """The bins of each latent."""
        return tuple(Bins(exponents) for exponents in self.bins)


def model_fingerprint(folder: RunFolder, model: CanCode) -> str:
    """A fingerprint of the weights of a run's model, its config and its data.

    The config is taken as run.json has it, so that a file from an earlier version fits the run
    folder of that version.

    Args:
        folder: the run.
        model: its model.
    """
    written = json.loads((folder.path / "run.json").read_text())
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
