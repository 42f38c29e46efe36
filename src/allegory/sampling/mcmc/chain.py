"""Markov chains: a kernel, again and again, on one density."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from ...process.noise import Noise
from .target import Density, Kernel, Transition


def chain(
    kernel: Kernel,
    density: Density,
    x: Float[Tensor, "b *shape"],
    steps: int,
    *,
    seeds: Sequence[int],
) -> Iterator[Transition]:
    """Each state of a chain from x, one item a seed; item i is the same in any batch unless the kernel says otherwise.

    Warns at the end where not one proposal was accepted: the items still stand at x. ValueError for seeds that do not fit.
    """
    if len(seeds) != len(x):
        raise ValueError(
            f"seeds: {len(seeds)} for {len(x)} items; give one per item, e.g. range({len(x)})"
        )
    if steps < 1:
        raise ValueError(f"steps={steps}; give at least 1")
    draw, tally = Noise(seeds, x.shape[1:]).draw, AcceptanceCounter()
    for _ in range(steps):
        with torch.no_grad():
            moved = kernel(density, x, draw)
        tally.add(moved)
        x = moved.x
        yield moved
    tally.report()


def run_chain(
    kernel: Kernel,
    density: Density,
    x: Float[Tensor, "b *shape"],
    steps: int,
    *,
    seeds: Sequence[int],
) -> Transition:
    """The last state of `chain`, and the share of all its proposals that each item accepted."""
    tally = AcceptanceCounter()
    for moved in chain(kernel, density, x, steps, seeds=seeds):
        tally.add(moved)
        x = moved.x
    return Transition(x, tally.fraction)


class AcceptanceCounter:
    """How many proposals were accepted; it counts on the device and looks once, at the end."""

    def __init__(self) -> None:
        self.calls, self.total = 0, torch.zeros(())

    def add(self, moved: Transition) -> None:
        """Count one more call of a kernel."""
        if moved.accepted is not None:
            self.total = self.total.to(moved.accepted.device) + moved.accepted
            self.calls += 1

    @property
    def fraction(self) -> Tensor | None:
        """Of each item, over all calls; None where nothing was proposed."""
        return self.total / self.calls if self.calls else None

    def report(self) -> None:
        """A warning where nothing was ever accepted."""
        if self.calls and not bool(self.total.any()):
            warnings.warn(
                f"every proposal was rejected, of {self.total.numel()} items in {self.calls} calls of the kernel: they "
                "stand where they stood; make its step smaller",
                RuntimeWarning,
                stacklevel=3,
            )
