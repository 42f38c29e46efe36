"""The states of a run's random generators.

They are the generator of its losses, and torch's global ones of the CPU and the GPU in use, from
which layers with dropout draw. The global ones are seeded at the start of a run, saved in each
checkpoint, and restored to their earlier states at its end.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor

from .distributed import Processes
from .weights import REMEDY


@contextmanager
def isolated(device: torch.device) -> Iterator[None]:
    """Inside the block, draws and seeds do not change torch's global generators outside it.

    Args:
        device: the generator of this GPU is restored too; the CPU's always is.
    """
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        yield


def capture(processes: Processes, generator: torch.Generator) -> dict[str, Tensor]:
    """The states of the random generators of all processes.

    Args:
        processes: the group of processes, and the device.
        generator: the generator of the losses.

    Returns:
        States (processes, bytes) by name: "loss", "cpu", and "cuda" on a GPU.
    """
    states = {"loss": generator.get_state(), "cpu": torch.get_rng_state()}
    if processes.device.type == "cuda":
        states["cuda"] = torch.cuda.get_rng_state(processes.device)
    return {name: processes.gather(state[None]).cpu() for name, state in states.items()}


def restore(states: Mapping[str, Tensor], processes: Processes, generator: torch.Generator) -> None:
    """Restore the random generators of this process.

    Args:
        states: what `capture` returned.
        processes: the group of processes, and the device.
        generator: the generator of the losses.

    Raises:
        ValueError: for states of another number of processes, missing, or damaged.
    """
    own = {"loss": generator.get_state(), "cpu": torch.get_rng_state()}
    if processes.device.type == "cuda" and "cuda" in states:
        own["cuda"] = torch.cuda.get_rng_state(processes.device)
    _check(states, own)

    world = len(states["cpu"])
    if world != processes.world:
        raise ValueError(
            f"the run had {world} processes and now has {processes.world}: resume with {world}"
        )

    # Cloned: torch reads a state as a C structure, and a row of a file need not be aligned as one.
    mine = {name: rows[processes.rank].clone() for name, rows in states.items()}
    try:
        generator.set_state(mine["loss"])
        torch.set_rng_state(mine["cpu"])
        if "cuda" in own:
            torch.cuda.set_rng_state(mine["cuda"], processes.device)
    except RuntimeError as error:
        raise ValueError(f"the random states of the checkpoint are damaged: {REMEDY}") from error


def _check(states: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> None:
    """ValueError where saved states are not of the sizes of this process's own."""
    rows = {len(each) if each.ndim else 0 for each in states.values()}
    for name, mine in own.items():
        theirs = states.get(name, torch.empty(0))
        if theirs.dtype != mine.dtype or theirs.shape[1:] != mine.shape or len(rows) != 1:
            raise ValueError(f"random state {name!r} of the checkpoint is damaged: {REMEDY}")
