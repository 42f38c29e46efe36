"""Random numbers for the items of a batch that several processes share.

The noise of item i of a batch does not depend on the number of processes: each process draws for
all items of the whole batch, from a generator that is in the same state in all of them, and takes
the rows of its own items. One process draws the same numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor, distributed

Draw = Callable[[tuple[int, ...], torch.Generator], Tensor]
"""(shape, generator) -> random numbers of that shape, on the device of the generator."""


def normal(
    shape: tuple[int, ...], generator: torch.Generator, dtype: torch.dtype | None = None
) -> Tensor:
    """Standard normal numbers of this `shape` and `dtype`, on the device of the `generator`."""
    return torch.randn(shape, generator=generator, device=generator.device, dtype=dtype)


def uniform(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Numbers of this `shape`, uniform on [0, 1), on the device of the `generator`."""
    return torch.rand(shape, generator=generator, device=generator.device)


class BatchGenerator(torch.Generator):
    """The generator of one of several processes that share each batch.

    What is drawn from it directly is this process's own, other in each. `shared` is a generator in
    the same state in all of them, for `draw_rows`.

    Args:
        device: where the numbers are drawn.
        seed: of `shared`; the seed of this one depends on the rank too.
        rank: the place of this process, whose items are the rank-th part of the batch.
        world: the number of processes.
    """

    def __new__(cls, device: torch.device, seed: int, rank: int, world: int) -> BatchGenerator:
        """A generator on the device."""
        made: BatchGenerator = super().__new__(cls, device)  # type: ignore[call-arg]
        return made

    def __init__(self, device: torch.device, seed: int, rank: int, world: int) -> None:
        self.rank = rank
        self.world = world
        self.shared = torch.Generator(device).manual_seed(seed)
        self._seed = seed
        self.seed_own(0)

    def seed_own(self, step: int) -> None:
        """Seed the numbers of this process alone, by seed, rank and the `step` of the run."""
        words = np.random.SeedSequence((self._seed, self.rank, step)).generate_state(2)
        self.manual_seed(int(words[0]) << 31 | int(words[1]) >> 1)


def processes_of(generator: torch.Generator) -> tuple[torch.Generator, int, int]:
    """The generator that all processes share, the rank of this process, and their number.

    Args:
        generator: that of a loss; a plain one belongs to one process.
    """
    if isinstance(generator, BatchGenerator):
        return generator.shared, generator.rank, generator.world
    return generator, 0, 1


def draw_rows(
    draw: Draw, shape: Sequence[int], generator: torch.Generator, axis: int = 0
) -> Tensor:
    """Random numbers for the items of this process, as rows of a draw for the whole batch.

    Args:
        draw: (shape, generator) -> random numbers of that shape.
        shape: the shape for the items of this process.
        generator: that of a loss.
        axis: the axis of the shape that counts the items; every process has as many.
    """
    shared, rank, world = processes_of(generator)
    if world == 1:
        return draw(tuple(shape), shared)

    count = shape[axis]
    whole = (*shape[:axis], count * world, *shape[axis + 1 :])
    return draw(whole, shared).narrow(axis, rank * count, count)


def gather_rows(rows: Tensor, generator: torch.Generator) -> Tensor:
    """The rows of all processes in order of rank: those of the items of the whole batch.

    Args:
        rows: one row per item of this process, (b, ...), without a gradient.
        generator: that of a loss; with a plain one these are the rows themselves.
    """
    _, _, world = processes_of(generator)
    if world == 1:
        return rows

    parts = [torch.empty_like(rows) for _ in range(world)]
    distributed.all_gather(parts, rows.contiguous())
    return torch.cat(parts)
