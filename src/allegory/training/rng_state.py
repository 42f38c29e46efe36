"""The random generators of a run: that of its losses, and those of layers with dropout.

The `Dropout` layers of this library draw from a generator of their own where several processes
share each batch, and from torch's global one in one process; other layers draw from the global
ones. Those are seeded at the start of a run, and restored to their earlier states at its end.

A checkpoint has the states by name, one row each:

    loss            the losses; with several processes, of what they share
    cpu, cuda       torch's global generators; with several processes, the masks of dropout
    own.loss, ...   with several processes, what each draws for itself: a row per process

A run goes on with another number of processes from what is shared, which is all that the losses of
this library draw from.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress

import torch
from torch import Tensor

from ..numerics.generators import BatchGenerator
from .distributed import Processes
from .weights import REMEDY

_OWN = "own."


@contextmanager
def isolated(device: torch.device) -> Iterator[None]:
    """Inside the block, draws and seeds do not change torch's global generators outside it.

    Args:
        device: the generator of this GPU is restored too; the CPU's always is.
    """
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        yield


class Generators:
    """The random generators of a run in this process.

    Args:
        processes: the processes that train together, and the device.
        seed: of the run.
    """

    def __init__(self, processes: Processes, seed: int) -> None:
        self.processes = processes
        self.seed = seed
        device, rank, world = processes.device, processes.rank, processes.world

        self.loss: torch.Generator
        self.dropout: BatchGenerator | None = None
        if world == 1:
            self.loss = torch.Generator(device).manual_seed(seed)
        else:
            self.loss = BatchGenerator(device, seed, rank, world)
            self.dropout = BatchGenerator(device, seed, rank, world)

    def start(self, step: int = 0) -> None:
        """Seed torch's global generators, and in several processes what each draws for itself.

        Args:
            step: that at which the run starts or goes on.
        """
        if isinstance(self.loss, BatchGenerator):
            self.loss.seed_own(step)
        torch.manual_seed(self.loss.initial_seed())

    def capture(self) -> dict[str, Tensor]:
        """The states of all processes by name, (1, bytes) or (processes, bytes) each."""
        shared = {name: each.get_state()[None] for name, each in self._shared().items()}
        own = {
            f"{_OWN}{name}": self.processes.gather(each.get_state()[None]).cpu()
            for name, each in self._own().items()
        }
        return shared | own

    def restore(self, states: Mapping[str, Tensor], step: int) -> None:
        """Restore the generators of this process.

        Args:
            states: what `capture` returned, in this number of processes or another.
            step: the step of the run.

        Raises:
            ValueError: for states that are missing or damaged.
        """
        self.start(step)
        for name, generator in self._shared().items():
            if name in ("loss", self.processes.device.type) or name in states:
                _restore(generator, states, name, (0, 1))

        before = states.get(f"{_OWN}loss", torch.empty(0, 0))
        if before.ndim == 2 and len(before) == self.processes.world:
            place = (self.processes.rank, self.processes.world)
            for name, generator in self._own().items():
                _restore(generator, states, f"{_OWN}{name}", place)

    def _shared(self) -> dict[str, torch.Generator]:
        """By name the generators whose states are those of one process."""
        if self.dropout is None:
            return {"loss": self.loss, **self._global()}
        assert isinstance(self.loss, BatchGenerator)
        return {"loss": self.loss.shared, self.processes.device.type: self.dropout.shared}

    def _own(self) -> dict[str, torch.Generator]:
        """By name the generators of each of several processes."""
        return {} if self.dropout is None else {"loss": self.loss, **self._global()}

    def _global(self) -> dict[str, torch.Generator]:
        """By device torch's own generators."""
        found = {"cpu": torch.default_generator}
        device = self.processes.device
        if device.type == "cuda":
            place = torch.cuda.current_device() if device.index is None else device.index
            found["cuda"] = torch.cuda.default_generators[place]
        return found


def _restore(
    generator: torch.Generator, states: Mapping[str, Tensor], name: str, place: tuple[int, int]
) -> None:
    """Set the state of a generator to row i of n saved ones; ValueError if they do not fit."""
    row, count = place
    mine, rows = generator.get_state(), states.get(name, torch.empty(0))
    if rows.dtype == mine.dtype and rows.shape == (count, *mine.shape):
        # Cloned: torch reads a state as a C structure, and a row need not be aligned as one.
        with suppress(RuntimeError):
            generator.set_state(rows[row].clone())
            return
    raise ValueError(f"random state {name!r} of the checkpoint is damaged: {REMEDY}")
