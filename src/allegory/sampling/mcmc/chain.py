"""Markov chains: repeated calls of one kernel on one density."""

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
    """A Markov chain: each state from x on. Warns at the end where every proposal was rejected.

    Args:
        kernel: a Markov kernel.
        density: the density that it leaves as it is.
        x: the first states, shape (b, *shape), one chain per item.
        steps: how many calls of the kernel.
        seeds: one integer per item; item i is the same in any batch, unless the kernel says
            otherwise.

    Yields:
        A Transition per step.

    Raises:
        ValueError: for seeds that do not fit, or steps below 1.
    """
    if len(seeds) != len(x):
        raise ValueError(
            f"seeds: {len(seeds)} for {len(x)} items; give one per item, e.g. range({len(x)})"
        )
    if steps < 1:
        raise ValueError(f"steps={steps}; give at least 1")

    draw = Noise(seeds, x.shape[1:]).draw
    acceptance = AcceptanceCounter()
    for _ in range(steps):
        with torch.no_grad():
            transition = kernel(density, x, draw)
        acceptance.add(transition.accepted)
        x = transition.x
        yield transition

    acceptance.warn()


def run_chain(
    kernel: Kernel,
    density: Density,
    x: Float[Tensor, "b *shape"],
    steps: int,
    *,
    seeds: Sequence[int],
) -> Transition:
    """The last state of a Markov chain.

    Args:
        kernel: a Markov kernel.
        density: the density that it leaves as it is.
        x: the first states, shape (b, *shape), one chain per item.
        steps: how many calls of the kernel.
        seeds: one integer per item.

    Returns:
        The last states, and the fraction of all its proposals that each item accepted.
    """
    acceptance = AcceptanceCounter()
    for transition in chain(kernel, density, x, steps, seeds=seeds):
        acceptance.add(transition.accepted)
        x = transition.x
    return Transition(x, acceptance.fraction)


class AcceptanceCounter:
    """Fractions of accepted proposals, summed on the device and read once, at the end."""

    def __init__(self) -> None:
        self._calls = 0
        self._total = torch.zeros(())

    def add(self, accepted: Tensor | None) -> None:
        """Count one call: the fraction that each item accepted; None where nothing is proposed."""
        if accepted is not None:
            self._total = self._total.to(accepted.device) + accepted
            self._calls += 1

    @property
    def fraction(self) -> Tensor | None:
        """Of each item, over all calls; None where nothing was proposed."""
        return self._total / self._calls if self._calls else None

    def warn(self) -> None:
        """A RuntimeWarning where every proposal of every item was rejected."""
        if self._calls and not bool(self._total.any()):
            warnings.warn(
                f"every proposal was rejected, of {self._total.numel()} items in {self._calls} "
                "calls of the kernel: they stayed where they were; make its step smaller",
                RuntimeWarning,
                stacklevel=3,
            )
