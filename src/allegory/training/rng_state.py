"""The states of a run's random generators: the one of its losses, and torch's global ones of the
CPU and the GPU in use.

A loss draws from its own generator. The global ones are used by layers with dropout; a run borrows
them: they are seeded at its start, saved with each checkpoint, and given back as they were at its
end.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor

from .distributed import Processes


@contextmanager
def isolated(device: torch.device) -> Iterator[None]:
    """What is drawn or seeded inside the block leaves the generators outside as they were."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        yield


def capture(processes: Processes, generator: torch.Generator) -> dict[str, Tensor]:
    """States of the generators, (processes, bytes) each: "loss", "cpu", and "cuda" where it is in
    use.
    """
    states = {"loss": generator.get_state(), "cpu": torch.get_rng_state()}
    if processes.device.type == "cuda":
        states["cuda"] = torch.cuda.get_rng_state(processes.device)
    return {name: processes.gather(state[None]).cpu() for name, state in states.items()}


def restore(states: Mapping[str, Tensor], processes: Processes, generator: torch.Generator) -> None:
    """Put this process's generators back. ValueError if the run had another number of processes."""
    world = len(states["cpu"])
    if world != processes.world:
        raise ValueError(
            f"the run had {world} processes and now has {processes.world}: resume with {world}"
        )
    # Cloned: torch reads a state as a C structure, and a row of a file need not be aligned as one.
    mine = {name: rows[processes.rank].clone() for name, rows in states.items()}
    generator.set_state(mine["loss"])
    torch.set_rng_state(mine["cpu"])
    if processes.device.type == "cuda" and "cuda" in mine:
        torch.cuda.set_rng_state(mine["cuda"], processes.device)
