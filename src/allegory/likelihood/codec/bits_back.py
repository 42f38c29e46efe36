r"""Bits-back coding: the order in which latents and data are coded.

A model p(x, z) with its q(z | x) codes x in  -log2 p(x, z) + log2 q(z | x)  bits, whose mean is the
negative bound (Townsend et al. 2019).

    encoding    decode z with q(z | x) from bits already on the stack,
                encode x with p(x | z), encode z with p(z)
    decoding    decode z with p(z), decode x with p(x | z),
                encode z with q(z | x), which restores the initial bits

A Markov chain does not need the bits of all its latents at once (Bit-Swap, Kingma et al. 2019).
With *pop* for decoding from the stack and *push* for encoding onto it,

    pop z_1 from q(z_1 | x)          push x under p(x | z_1)
    pop z_2 from q(z_2 | z_1)        push z_1 under p(z_1 | z_2)    ...    push z_L under p(z_L)

A model that is inferred from the top down needs all of its latents for p(x | z): pop z_L, ..., z_1,
push x, push z_1, ..., z_L.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias, runtime_checkable

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from ...process.decoder import Observation
from ...process.kernel import Gaussian
from ..inference import DrawNoise, Emission, GaussianKernel, Inference
from ..observation import Discrete
from .ans import Floats, Ints, Stack
from .bins import Bins
from .tokens import TokenGroups


@runtime_checkable
class Chain(Protocol):
    """A Markov chain of latents (`models.Hierarchy` is one)."""

    def infer(self, x0: Tensor, draw: DrawNoise) -> Inference:
        """One draw of all latents of x0, by noise from `draw`."""
        ...

    @property
    def kernels_up(self) -> Sequence[GaussianKernel]:
        """q(z_1 | x), ..., q(z_L | z_{L-1})."""
        ...

    @property
    def kernels_down(self) -> Sequence[GaussianKernel]:
        """p(z_1 | z_2), ..., p(z_{L-1} | z_L)."""
        ...

    @property
    def observe(self) -> Emission:
        """p(x | z_1)."""
        ...

    def prior(self, count: int) -> Gaussian:
        """p(z_L) for `count` items."""
        ...


@runtime_checkable
class TopDownModel(Protocol):
    """A model whose latents are inferred from the top down (`models.Ladder` is one)."""

    def infer(self, x0: Tensor, draw: DrawNoise) -> Inference:
        """One draw of all latents of x0, by noise from `draw`."""
        ...

    @property
    def levels(self) -> int:
        """L, the number of latents."""
        ...

    def encoder_features(self, x0: Tensor) -> tuple[Tensor, ...]:
        """What the encoder computes from x0."""
        ...

    def start(self, count: int) -> Tensor:
        """The state of `count` items before any latent is known."""
        ...

    def step(
        self, i: int, h: Tensor, features: tuple[Tensor, ...] | None = None
    ) -> tuple[Gaussian | None, Gaussian]:
        """q and p of a latent.

        Args:
            i: which latent, counted from 0 next to the data.
            h: the state.
            features: those of the encoder, without which q is None.
        """
        ...

    def advance(self, i: int, h: Tensor, z: Tensor) -> Tensor:
        """The state after `h` once latent i is known to be z."""
        ...

    def observe(self, h: Tensor) -> Observation:
        """p(x | z), from the last state h."""
        ...


CodableModel: TypeAlias = Chain | TopDownModel | TokenGroups
"""What can be coded."""


@dataclass(frozen=True)
class CodingContext:
    """What encoder and decoder agree on.

    Args:
        bins: those of each latent.
        seed: of the stream.
        batch: the number of the batch within the stream.
    """

    bins: tuple[Bins, ...]
    seed: int
    batch: int = 0

    def key(self, latent: int) -> tuple[int, ...]:
        """A key for the pop of a `latent` that no other pop of the stream has."""
        return (self.seed, self.batch, latent)


def push_items(
    stack: Stack,
    model: CodableModel,
    index: Int64[Tensor, "b *shape"],
    values: Float[Tensor, " levels"],
    context: CodingContext,
) -> Float[Tensor, " b"]:
    """Encode items onto the stack.

    Args:
        stack: bits, of which the latents are decoded first.
        model: p and q.
        index: the items, as numbers of their values.
        values: the values in model space.
        context: what the decoder will be given as well.

    Returns:
        log q(z | x) - log p(x, z) in nats per item, by densities: the length of the code in the
        limit of small bins.

    Raises:
        OutOfBits: when the stack has not enough bits to decode the latents from.
    """
    if isinstance(model, TokenGroups):
        return model.push(stack, index)
    x0 = values[index]
    if isinstance(model, TopDownModel):
        return _push_top_down(stack, model, x0, index, context)
    return _push_chain(stack, model, x0, index, context)


def pop_items(
    stack: Stack,
    model: CodableModel,
    shape: Sequence[int],
    values: Float[Tensor, " levels"],
    context: CodingContext,
) -> Int64[Tensor, "b *shape"]:
    """Decode the items that `push_items` encoded.

    Args:
        stack: the bits.
        model: p and q.
        shape: (batch, *shape) of the items.
        values: the values in model space.
        context: that of `push_items`.
    """
    if isinstance(model, TokenGroups):
        return model.pop(stack, shape[0])
    if isinstance(model, TopDownModel):
        return _pop_top_down(stack, model, shape, values, context)
    return _pop_chain(stack, model, shape, values, context)


def _push_chain(
    stack: Stack, chain: Chain, x0: Tensor, index: Tensor, context: CodingContext
) -> Float[Tensor, " b"]:
    below = x0
    nats = torch.zeros(len(x0), dtype=torch.float64)
    for i, kernel in enumerate(chain.kernels_up):
        q = kernel(below)
        z = context.bins[i].draw(stack, q, context.key(i))
        if i == 0:
            nats += _push_data(stack, index, x0, chain.observe(z))
        else:
            p = chain.kernels_down[i - 1](z)
            context.bins[i - 1].push(stack, below, p)
            nats -= p.log_prob(below)
        nats += q.log_prob(z)
        below = z

    prior = chain.prior(len(x0))
    context.bins[-1].push(stack, below, prior)

    return nats - prior.log_prob(below)


def _pop_chain(
    stack: Stack, chain: Chain, shape: Sequence[int], values: Tensor, context: CodingContext
) -> Int64[Tensor, "b *shape"]:
    z = context.bins[-1].pop(stack, chain.prior(shape[0]))
    for i in range(len(chain.kernels_up) - 1, 0, -1):
        below = context.bins[i - 1].pop(stack, chain.kernels_down[i - 1](z))
        context.bins[i].push_back(stack, z, chain.kernels_up[i](below), context.key(i))
        z = below

    index = _pop_data(stack, shape, chain.observe(z))
    context.bins[0].push_back(stack, z, chain.kernels_up[0](values[index]), context.key(0))

    return index


def _push_top_down(
    stack: Stack, model: TopDownModel, x0: Tensor, index: Tensor, context: CodingContext
) -> Float[Tensor, " b"]:
    features = model.encoder_features(x0)
    h = model.start(len(x0))
    nats = torch.zeros(len(x0), dtype=torch.float64)
    drawn: list[tuple[Tensor, Gaussian]] = []

    for i in reversed(range(model.levels)):
        q, p = model.step(i, h, features)
        assert q is not None
        z = context.bins[i].draw(stack, q, context.key(i))
        h = model.advance(i, h, z)
        drawn.append((z, p))
        nats += q.log_prob(z) - p.log_prob(z)

    nats += _push_data(stack, index, x0, model.observe(h))
    for bins, (z, p) in zip(context.bins, reversed(drawn), strict=True):
        bins.push(stack, z, p)

    return nats


def _pop_top_down(
    stack: Stack, model: TopDownModel, shape: Sequence[int], values: Tensor, context: CodingContext
) -> Int64[Tensor, "b *shape"]:
    h = model.start(shape[0])
    latents: dict[int, Tensor] = {}
    for i in reversed(range(model.levels)):
        _, p = model.step(i, h)
        latents[i] = context.bins[i].pop(stack, p)
        h = model.advance(i, h, latents[i])

    index = _pop_data(stack, shape, model.observe(h))

    features = model.encoder_features(values[index])
    h = model.start(shape[0])
    inferred: dict[int, Gaussian] = {}

    for i in reversed(range(model.levels)):
        q, _ = model.step(i, h, features)
        assert q is not None
        inferred[i] = q
        h = model.advance(i, h, latents[i])

    for i, bins in enumerate(context.bins):
        bins.push_back(stack, latents[i], inferred[i], context.key(i))

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
    """Rows of log-probabilities, one per number of the batch."""
    if not isinstance(observation, Discrete):
        raise ValueError(
            f"{type(observation).__name__}: a density codes no data without loss; "
            "use a model of data with levels"
        )

    log_pmf = observation.log_pmf
    table: Floats = log_pmf.detach().to(torch.float64).reshape(-1, log_pmf.shape[-1]).numpy()

    return table
