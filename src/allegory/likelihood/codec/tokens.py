r"""Coding of masked tokens: group after group, each given those before.

A masked diffusion model needs no latents to code: the order in which tokens are revealed is fixed,
and a group of n tokens costs -sum log2 p(x_i | the groups before). With one token a group it is an
autoregressive model; its mean over all orders is the bound in continuous time. Fewer groups take
fewer evaluations, and cost the total correlation of the tokens in a group.

The order spreads the tokens of a group over the item: token i has the place of the fraction of i
times the golden ratio. The sizes of the groups are chosen by dynamic programming, from the cost
h(m) of a token where m are masked,

    best_k(m) = min_{m' < m} best_{k-1}(m') + (m - m') h(m).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from jaxtyping import Float, Int64
from numpy.typing import NDArray
from torch import Tensor

from ...numerics.sequences import GOLDEN
from ...process.discrete import MaskedPath, TokenPredict, masked_path
from ...process.discrete.bound_terms import mask_of
from ...process.noise import Noise, Stream
from .ans import Floats, Stack

_MOST_NODES = 65
"""Numbers of masked tokens at which the cost is measured, and groups may begin."""


@dataclass(frozen=True, eq=False)
class TokenGroups:
    """A predictor of masked tokens with the groups in which they are coded.

    Args:
        predict: the predictor.
        shape: of the tokens of an item.
        known: how many tokens are known where each group begins, rising from 0.

    Raises:
        ValueError: for tokens that are not masked, and numbers that do not rise from 0.
    """

    predict: TokenPredict
    shape: tuple[int, ...]
    known: tuple[int, ...]

    def __post_init__(self) -> None:
        masked_path(self.predict, "coding")
        length = math.prod(self.shape)
        rises = all(a < b for a, b in pairwise((*self.known, length)))
        if not self.known or self.known[0] != 0 or not rises:
            raise ValueError(
                f"nodes={self.known[:6]}: give numbers of known tokens, rising from 0 to below "
                f"{length}"
            )

    @property
    def groups(self) -> tuple[Int64[Tensor, " n"], ...]:
        """The places of the tokens of each group."""
        order = coding_order(math.prod(self.shape), masked_path(self.predict, "coding"))
        ends = (*self.known[1:], len(order))
        return tuple(order[a:b] for a, b in zip(self.known, ends, strict=True))

    def tables(
        self, known: Int64[Tensor, "b length"], group: Int64[Tensor, " n"]
    ) -> Float[Tensor, "b n values"]:
        """Log-probabilities of the tokens of a group, in float64.

        Args:
            known: the tokens, masked where they are not known.
            group: the places of the group.
        """
        x = known.view(-1, *self.shape)
        masked = (known == self._mask).double().mean().item()
        log_probs = self.predict(x, masked, None).log_probs
        return log_probs.flatten(1, -2)[:, group].double()

    def push(self, stack: Stack, index: Int64[Tensor, "b *shape"]) -> Float[Tensor, " b"]:
        """Encode items; the last group first, so that the first is decoded first.

        Args:
            stack: the bits.
            index: the tokens.

        Returns:
            -log p(x) in nats per item.
        """
        flat = index.flatten(1)
        x = torch.full_like(flat, self._mask)
        coded: list[tuple[Tensor, Tensor]] = []
        for group in self.groups:
            coded.append((flat[:, group], self.tables(x, group)))
            x[:, group] = flat[:, group]

        nats = torch.zeros(len(flat), dtype=torch.float64)
        for tokens, table in reversed(coded):
            stack.push_table(tokens.reshape(-1).numpy(), _rows(table))
            nats -= table.gather(-1, tokens[..., None]).flatten(1).sum(1)
        return nats

    def pop(self, stack: Stack, count: int) -> Int64[Tensor, "b *shape"]:
        """Decode `count` items."""
        x = torch.full((count, math.prod(self.shape)), self._mask)
        for group in self.groups:
            tokens = stack.pop_table(_rows(self.tables(x, group)))
            x[:, group] = torch.from_numpy(tokens).view(count, -1)
        return x.view(count, *self.shape)

    @property
    def _mask(self) -> int:
        return self.predict.path.states - 1


def coding_order(length: int, path: MaskedPath) -> Int64[Tensor, " length"]:
    """The order in which tokens are coded.

    Args:
        length: tokens of an item.
        path: the forward process.
    """
    places = torch.from_numpy((np.arange(1, length + 1) * GOLDEN) % 1)
    return path.in_order(places[None])[0].argsort(stable=True)


@torch.no_grad()
def group_sizes(
    predict: TokenPredict, x0: Int64[Tensor, "b *shape"], steps: int
) -> tuple[int, ...]:
    """The numbers of known tokens where each of `steps` groups begins, of least cost on some items.

    Args:
        predict: a predictor of masked tokens.
        x0: the items.
        steps: how many groups; as many as tokens at most. Where tokens have blocks, a multiple of
            these, each of as many groups.
    """
    length, path = x0[0].numel(), masked_path(predict, "coding")
    if steps >= length:
        return tuple(range(length))
    if path.blocks > 1:
        size = length // path.blocks
        each = torch.linspace(0, size, path.steps_of_a_block(steps) + 1).round()[:-1]
        return tuple((torch.arange(0, length, size)[:, None] + each).int().flatten().tolist())

    nodes = np.unique(np.linspace(0, length, max(_MOST_NODES, steps + 1)).round().astype(int))
    cost = _token_costs(predict, x0, nodes[1:])
    best = np.full(len(nodes), np.inf)
    best[0] = 0.0

    choices: list[NDArray[np.int64]] = []
    for _ in range(steps):
        sizes = nodes[:, None] - nodes[None, :]
        total = np.where(sizes > 0, best[None, :] + sizes * cost[:, None], np.inf)
        choices.append(total.argmin(1))
        best = total.min(1)

    place, known = len(nodes) - 1, []
    for choice in reversed(choices):
        known.append(length - int(nodes[place]))
        place = int(choice[place])
    return tuple(known)


def grid_cost(
    predict: TokenPredict, x0: Int64[Tensor, "b *shape"], times: Sequence[float]
) -> float:
    """The cost of revealing tokens in steps, in nats per item: the sum of (m_k - m_{k+1}) h(m_k).

    Args:
        predict: a predictor of masked tokens.
        x0: the items.
        times: the fractions that are masked, from 1 to 0.
    """
    length = x0[0].numel()
    masked = [length - round(length * (1 - time)) for time in times]
    pairs = [(m, after) for m, after in pairwise(masked) if m > after]
    costs = _token_costs(predict, x0, [m for m, _ in pairs])[1:]
    return float(sum((m - after) * cost for (m, after), cost in zip(pairs, costs, strict=True)))


def _token_costs(
    predict: TokenPredict, x0: Int64[Tensor, "b *shape"], counts: Sequence[int] | NDArray[np.int64]
) -> Floats:
    """h(m) in nats for these numbers of masked tokens, and 0 before them for none."""
    path = masked_path(predict, "coding")
    length = x0[0].numel()
    u = Noise(range(len(x0)), x0.shape[1:], Stream.BOUND).uniforms()

    costs = [0.0]
    for count in counts:
        masked = mask_of(path, u, torch.full((len(x0),), float(count), dtype=torch.float64))
        prediction = predict(torch.where(masked, path.mask, x0), count / length, None)
        costs.append(path.masked_nats(prediction, x0).double().sum().item() / count / len(x0))
    return np.array(costs)


def _rows(table: Float[Tensor, "b n values"]) -> Floats:
    """One row per token."""
    rows: Floats = table.reshape(-1, table.shape[-1]).numpy()
    return rows
