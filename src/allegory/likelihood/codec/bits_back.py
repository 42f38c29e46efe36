r"""The order of bits-back coding: which latent is popped and pushed when.

A model p(x, z) and its q(z | x) code x in  -log2 p(x, z) + log2 q(z | x)  bits, whose mean is the
negative bound: z is *popped* from q, off bits that are on the stack already, then x and z are
pushed under p (Townsend et al. 2019). Who reads pops z and x under p and, now that x is known,
pushes z under q: the bits that were borrowed are back.

A Markov chain need not borrow for all of its latents at once (Bit-Swap, Kingma et al. 2019):

    pop z_1 from q(z_1 | x)   push x under p(x | z_1)
    pop z_2 from q(z_2 | z_1)   push z_1 under p(z_1 | z_2)   ...   push z_L under p(z_L)

A model that is inferred from the top down needs all of its latents before it can say p(x | z): pop
z_L, ..., z_1, push x, push z_1, ..., z_L.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from ...process.decoder import Observation
from ...process.kernel import Gaussian
from ..inference import Draw, Emission, Inference, Kernel
from ..observation import Discrete
from .ans import Floats, Ints, Stack
from .bins import Bins


@runtime_checkable
class Chain(Protocol):
    """A Markov chain of latents (`models.Hierarchy` is one)."""

    def infer(self, x0: Tensor, draw: Draw) -> Inference:
        """One draw of all latents."""
        ...

    @property
    def kernels_up(self) -> Sequence[Kernel]:
        """q(z_1 | x), ..., q(z_L | z_{L-1})."""
        ...

    @property
    def kernels_down(self) -> Sequence[Kernel]:
        """p(z_1 | z_2), ..., p(z_{L-1} | z_L)."""
        ...

    @property
    def observe(self) -> Emission:
        """p(x | z_1)."""
        ...

    def prior(self, count: int) -> Gaussian:
        """p(z_L)."""
        ...


@runtime_checkable
class TopDownModel(Protocol):
    """A model that is walked from the top down (`models.Ladder` is one): see there."""

    def infer(self, x0: Tensor, draw: Draw) -> Inference:
        """One draw of all latents."""
        ...

    @property
    def levels(self) -> int:
        """L, the number of latents."""
        ...

    def encoder_features(self, x0: Tensor) -> tuple[Tensor, ...]:
        """What is seen in x."""
        ...

    def start(self, count: int) -> Tensor:
        """The state before any latent is known."""
        ...

    def step(
        self, i: int, h: Tensor, features: tuple[Tensor, ...] | None = None
    ) -> tuple[Gaussian | None, Gaussian]:
        """q and p of latent i, counted from 0 next to the data; q needs features."""
        ...

    def advance(self, i: int, h: Tensor, z: Tensor) -> Tensor:
        """The state once latent i is known."""
        ...

    def observe(self, h: Tensor) -> Observation:
        """p(x | z), from the last state."""
        ...


Model = Chain | TopDownModel


@dataclass(frozen=True)
class CodingContext:
    """What both ends of a stream agree on: the bins of each latent, and which batch of which stream
    this is.
    """

    bins: tuple[Bins, ...]
    seed: int
    batch: int = 0

    def key(self, latent: int) -> tuple[int, ...]:
        """A key that no other pop of the stream has."""
        return (self.seed, self.batch, latent)


def push_items(
    stack: Stack,
    model: Model,
    index: Int64[Tensor, "b *shape"],
    values: Float[Tensor, " levels"],
    book: CodingContext,
) -> Float[Tensor, " b"]:
    """Items, as numbers of their levels, onto the stack.

    Returns log q(z | x) - log p(x, z) in nats for each, by densities: what the code would cost in
    bins that are infinitely small. OutOfBits when the stack cannot lend enough.
    """
    x0 = values[index]
    return _push_walk(stack, model, x0, index, book) if isinstance(model, TopDownModel) else _push_chain(
        stack, model, x0, index, book
    )  # fmt: skip


def pop_items(
    stack: Stack,
    model: Model,
    shape: Sequence[int],
    values: Float[Tensor, " levels"],
    book: CodingContext,
) -> Int64[Tensor, "b *shape"]:
    """The items that `push_items` put there, of shape (b, *shape)."""
    if isinstance(model, TopDownModel):
        return _pop_walk(stack, model, shape, values, book)
    return _pop_chain(stack, model, shape, values, book)


def _push_chain(
    stack: Stack, chain: Chain, x0: Tensor, index: Tensor, book: CodingContext
) -> Float[Tensor, " b"]:
    below, nats = x0, torch.zeros(len(x0), dtype=torch.float64)
    for i, kernel in enumerate(chain.kernels_up):
        q = kernel(below)
        z = book.bins[i].draw(stack, q, book.key(i))
        if i == 0:
            nats += _push_data(stack, index, x0, chain.observe(z))
        else:
            p = chain.kernels_down[i - 1](z)
            book.bins[i - 1].push(stack, below, p)
            nats -= p.log_prob(below)
        nats += q.log_prob(z)
        below = z
    prior = chain.prior(len(x0))
    book.bins[-1].push(stack, below, prior)
    return nats - prior.log_prob(below)


def _pop_chain(
    stack: Stack, chain: Chain, shape: Sequence[int], values: Tensor, book: CodingContext
) -> Int64[Tensor, "b *shape"]:
    z = book.bins[-1].pop(stack, chain.prior(shape[0]))
    for i in range(len(chain.kernels_up) - 1, 0, -1):
        below = book.bins[i - 1].pop(stack, chain.kernels_down[i - 1](z))
        book.bins[i].push_back(stack, z, chain.kernels_up[i](below), book.key(i))
        z = below
    index = _pop_data(stack, shape, chain.observe(z))
    book.bins[0].push_back(stack, z, chain.kernels_up[0](values[index]), book.key(0))
    return index


def _push_walk(
    stack: Stack, walk: TopDownModel, x0: Tensor, index: Tensor, book: CodingContext
) -> Float[Tensor, " b"]:
    features, h = walk.encoder_features(x0), walk.start(len(x0))
    nats, drawn = torch.zeros(len(x0), dtype=torch.float64), list[tuple[Tensor, Gaussian]]()
    for i in reversed(range(walk.levels)):
        q, p = walk.step(i, h, features)
        assert q is not None
        z = book.bins[i].draw(stack, q, book.key(i))
        h = walk.advance(i, h, z)
        drawn.append((z, p))
        nats += q.log_prob(z) - p.log_prob(z)
    nats += _push_data(stack, index, x0, walk.observe(h))
    for grid, (z, p) in zip(book.bins, reversed(drawn), strict=True):
        grid.push(stack, z, p)
    return nats


def _pop_walk(
    stack: Stack, walk: TopDownModel, shape: Sequence[int], values: Tensor, book: CodingContext
) -> Int64[Tensor, "b *shape"]:
    h, latents = walk.start(shape[0]), dict[int, Tensor]()
    for i in reversed(range(walk.levels)):
        _, p = walk.step(i, h)
        latents[i] = book.bins[i].pop(stack, p)
        h = walk.advance(i, h, latents[i])
    index = _pop_data(stack, shape, walk.observe(h))
    features, h, inferred = (
        walk.encoder_features(values[index]),
        walk.start(shape[0]),
        dict[int, Gaussian](),
    )
    for i in reversed(range(walk.levels)):
        q, _ = walk.step(i, h, features)
        assert q is not None
        inferred[i], h = q, walk.advance(i, h, latents[i])
    for i, grid in enumerate(book.bins):
        grid.push_back(stack, latents[i], inferred[i], book.key(i))
    return index


def _push_data(
    stack: Stack, index: Tensor, x0: Tensor, observation: Observation
) -> Float[Tensor, " b"]:
    symbols: Ints = index.reshape(-1).numpy()
    stack.push_table(symbols, _table(observation))
    return -observation.log_prob(x0).double()


def _pop_data(
    stack: Stack, shape: Sequence[int], observation: Observation
) -> Int64[Tensor, "b *shape"]:
    return torch.from_numpy(stack.pop_table(_table(observation))).reshape(tuple(shape))


def _table(observation: Observation) -> Floats:
    if not isinstance(observation, Discrete):
        raise ValueError(
            f"{type(observation).__name__}: a density codes no data without loss; use a model of data with levels"
        )
    log_pmf = observation.log_pmf
    table: Floats = log_pmf.detach().to(torch.float64).reshape(-1, log_pmf.shape[-1]).numpy()
    return table
