"""How many tokens each of a few steps should reveal, by the cost of a token.

Tokens that are revealed in one step are drawn independently of each other. With h(m) the cost of a
token where m are masked, steps that begin with m_1 > m_2 > ... masked tokens cost

    sum_k (m_k - m_{k+1}) h(m_k)

in nats per item, and the least over all grids is found by dynamic programming
(`likelihood.codec.tokens.group_sizes`). It is the mean length of a code in these steps, over all
orders; what it exceeds the bound in continuous time by is the divergence of the samples that these
steps draw from those of one token a step.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from jaxtyping import Int64
from torch import Tensor

from ...likelihood.codec.tokens import grid_cost, group_sizes
from ...process.discrete import TokenPredict, masked_path
from ...sampling.tokens import TokenSampler


@dataclass(frozen=True)
class TunedTokens:
    """The grid of least cost for a number of steps.

    Args:
        times: from 1 to 0, one more than steps: the fractions that are masked.
        before: nats per item of the grid "cosine" with as many steps.
        after: those of this one.
    """

    times: tuple[float, ...]
    before: float
    after: float

    @property
    def steps(self) -> int:
        """The number of steps."""
        return len(self.times) - 1

    @property
    def sampler(self) -> TokenSampler:
        """The sampler with this grid."""
        return TokenSampler("first_hitting", self.steps, self.times)

    def to_dict(self) -> dict[str, Any]:
        """As plain values."""
        return {"times": list(self.times), "before": self.before, "after": self.after}

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> TunedTokens:
        """What `to_dict` returned. ValueError for other content."""
        if set(content) != {"times", "before", "after"} or not isinstance(content["times"], list):
            raise ValueError("it must hold times, before and after")
        numbers = (*content["times"], content["before"], content["after"])
        if not all(isinstance(number, int | float) for number in numbers):
            raise ValueError("its values must be numbers")

        found = cls(tuple(map(float, content["times"])), content["before"], content["after"])
        assert found.sampler.steps == found.steps, "the sampler checks the times"
        return found


def tune_tokens(predict: TokenPredict, x0: Int64[Tensor, "b *shape"], steps: int) -> TunedTokens:
    """The grid of least cost on some items.

    Args:
        predict: a predictor of masked tokens, without guides.
        x0: clean tokens of the items.
        steps: how many steps, below the number of tokens of an item.

    Raises:
        ValueError: for tokens that are not masked, or have blocks, and for so many steps that each
            reveals one token.
    """
    path, length = masked_path(predict, "tune"), x0[0].numel()
    if path.blocks > 1:
        raise ValueError(
            "tune: this model reveals blocks of a few tokens; choose --steps, a multiple of "
            f"{path.blocks}"
        )
    if not 1 <= steps < length:
        raise ValueError(
            f"steps={steps}: give 1 to {length - 1}; with {length} and more there is nothing to "
            "tune, each reveals one token"
        )

    times = _fractions(group_sizes(predict, x0, steps), length)
    cosine = TokenSampler("first_hitting", steps).times.tolist()
    before, after = (grid_cost(predict, x0, grid) for grid in (cosine, times))
    return TunedTokens(times, before, after)


def _fractions(known: Sequence[int], length: int) -> tuple[float, ...]:
    """The fractions that are masked, from 1 to 0."""
    return (*(1 - count / length for count in known), 0.0)
