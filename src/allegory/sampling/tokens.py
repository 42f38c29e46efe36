r"""Samplers of tokens.

    ancestral       x_s from p(x_s | x_t) at each step (Austin et al. 2021)
    first_hitting   masked tokens are revealed in a random order, at each step as many as its share
                    of the grid (Zheng et al. 2024); with one token a step it is exact in time

Tokens that are revealed in one step are drawn independently of each other, given the others. That
is the error of a few steps; it is the sum of their total correlations. Draws are by the inverse of
the cumulative distribution in float64 (`Categorical.quantile`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import torch
from jaxtyping import Bool, Float64, Int64
from torch import Tensor

from ..lookup import Registry, check_count
from ..process.discrete import (
    MaskedPath,
    TokenLevel,
    TokenPath,
    TokenPredict,
    masked_path,
)
from ..process.discrete.predict import GuidesTokens
from ..process.grid import MAX_STEPS
from ..process.guide import Guide, guide_names, guides_named
from ..process.noise import Noise
from .driver import OnStep

TOKEN_SPACINGS: Registry[Callable[[int], Float64[Tensor, " n"]]] = Registry("spacing of tokens")
"""The times of N steps by name, from 1 down to 0."""

TOKEN_SPACINGS.register(
    "cosine",
    lambda steps: torch.cos(torch.linspace(0, math.pi / 2, steps + 1, dtype=torch.float64)),
    "few tokens at first, when few are known (Shi et al. 2024, MD4)",
)
TOKEN_SPACINGS.register(
    "time",
    lambda steps: torch.linspace(1, 0, steps + 1, dtype=torch.float64),
    "as many tokens in every step",
)

TOKEN_SOLVERS: Registry[str] = Registry("solver of tokens")
"""How tokens are drawn, by name."""

TOKEN_SOLVERS.register(
    "ancestral", "ancestral", "each token from p(x_s | x_t), at every step (Austin et al. 2021)"
)
TOKEN_SOLVERS.register(
    "first_hitting",
    "first_hitting",
    "masked tokens are revealed in a random order, a share of them at every step (Zheng et al. "
    "2024)",
)


@dataclass(frozen=True)
class TokenSampler:
    """How samples of tokens are drawn.

    Args:
        solver: a name of `TOKEN_SOLVERS`.
        steps: the number of steps, one evaluation each.
        spacing: where they lie: a name of `TOKEN_SPACINGS`, or the times themselves, from 1 down to
            0, which are then the number of steps and one.
        guide: a guide that is for tokens as well, or its name, such as "cfg:2"; None for none.

    Raises:
        ValueError: for an unknown name, a number of steps below 1, times that do not fall from 1 to
            0, and a guide that is not for tokens.
    """

    solver: str = "ancestral"
    steps: int = 64
    spacing: str | tuple[float, ...] = "cosine"
    guide: str | Guide | Sequence[str | Guide] | None = None

    def __post_init__(self) -> None:
        TOKEN_SOLVERS.named(self.solver)
        check_count("steps", self.steps, 1, MAX_STEPS)
        if isinstance(self.spacing, str):
            TOKEN_SPACINGS.named(self.spacing)
        else:
            _check_times(self.spacing, self.steps)

        for guide in guides_named(self.guide):
            if not isinstance(guide, GuidesTokens):
                raise ValueError(
                    f"guide {guide}: is for noise that is Gaussian; give cfg:W for tokens"
                )

    @property
    def guides(self) -> tuple[Guide, ...]:
        """The guides, the innermost first."""
        return guides_named(self.guide)

    @property
    def times(self) -> Float64[Tensor, " n"]:
        """The times, from 1 to 0, one more than steps."""
        if not isinstance(self.spacing, str):
            return torch.tensor(self.spacing, dtype=torch.float64)
        times = TOKEN_SPACINGS.named(self.spacing)(self.steps)
        times[-1] = 0.0
        return times

    def times_on(self, path: TokenPath) -> Float64[Tensor, " n"]:
        """The times on this path, which has the spacing in each of its blocks.

        Raises:
            ValueError: for steps that are no multiple of the blocks, and given times without the
                end of a block.
        """
        each = path.steps_of_a_block(self.steps)
        if isinstance(self.spacing, str):
            return path.times(replace(self, steps=each).times)

        ends = torch.arange(path.blocks, dtype=torch.float64) / path.blocks
        if not bool(torch.isclose(ends[:, None], self.times, rtol=0, atol=1e-9).any(1).all()):
            raise ValueError(
                f"spacing: the ends of the {path.blocks} blocks, multiples of 1/{path.blocks}, must"
                " be among the times; give them, or a name"
            )
        return self.times

    def guided(self, predict: TokenPredict) -> TokenPredict:
        """The predictor under the guides."""
        for guide in guides_named(self.guide):
            assert isinstance(guide, GuidesTokens), "checked when it was made"
            predict = guide.for_tokens(predict)
        return predict

    def describe(self) -> str:
        """One line for reports, such as "ancestral, 64 steps, cosine"."""
        choices = self.to_dict()
        words = [self.solver, f"{self.steps} step{'s' if self.steps > 1 else ''}"]
        return ", ".join([*words, choices["spacing"], *filter(None, [choices["guide"]])])

    def to_dict(self) -> dict[str, Any]:
        """The choices as text and numbers."""
        return {
            "solver": self.solver,
            "steps": self.steps,
            "spacing": self.spacing if isinstance(self.spacing, str) else "given times",
            "guide": ",".join(guide_names(self.guide)) or None,
        }


@dataclass(frozen=True, eq=False)
class TokenState:
    """A state of a trajectory of tokens.

    Args:
        x: the tokens; the mask is the value K.
        level: their Level.
    """

    x: Int64[Tensor, "b *shape"]
    level: TokenLevel


@dataclass(frozen=True, eq=False)
class TokenBatch:
    """The items of one batch that is sampled.

    Args:
        x: tokens of the shape of the samples, where they shall be; their values count where they
            are known.
        seeds: one integer per item.
        condition: one row per item, or None.
        known: which tokens of x are known, and stay as they are; None for none.
    """

    x: Int64[Tensor, "b *shape"]
    seeds: Sequence[int]
    condition: Tensor | None = None
    known: Bool[Tensor, "b *shape"] | None = None


@torch.no_grad()
def token_trajectory(
    predict: TokenPredict, batch: TokenBatch, sampler: TokenSampler, on_step: OnStep | None = None
) -> Iterator[TokenState]:
    """The states from noise to samples, each as it is reached.

    With known tokens, which need a masked path, the samples are draws of p(x | the known tokens),
    as far as the model is exact.

    Args:
        predict: the predictor, without guides.
        batch: seeds, conditions and known tokens.
        sampler: solver, steps and guides.
        on_step: called as on_step(steps done, steps) after each step.

    Yields:
        A state for each time after the first.

    Raises:
        ValueError: for first_hitting or known tokens on a path that is not masked.
    """
    guided = sampler.guided(predict)
    noise = Noise(batch.seeds, batch.x.shape[1:])
    x = guided.path.prior(batch.x).quantile(noise.uniforms().to(batch.x.device))
    if batch.known is not None:
        _check_known(masked_path(guided, "known tokens"), batch.known)
        x = torch.where(batch.known, batch.x, x)

    times = sampler.times_on(guided.path)
    reveal = _Reveal(guided, x, noise, times) if sampler.solver == "first_hitting" else None
    levels = guided.path.levels(times)
    for done, (t, s) in enumerate(pairwise(levels), start=1):
        u = noise.uniforms().to(x.device)
        prediction = guided(x, t, batch.condition)

        if reveal is None:
            x = guided.path.posterior(prediction, s).quantile(u)
        else:
            x = torch.where(reveal.at(done), prediction.x0.quantile(u), x)
        if on_step is not None:
            on_step(done, len(levels) - 1)
        yield TokenState(x, s)


class _Reveal:
    """Which tokens each step of first_hitting reveals.

    Args:
        predict: a predictor of masked tokens.
        x: the first state.
        noise: for the order.
        times: the shares that are still masked.
    """

    def __init__(
        self,
        predict: TokenPredict,
        x: Int64[Tensor, "b *shape"],
        noise: Noise,
        times: Float64[Tensor, " n"],
    ) -> None:
        path = masked_path(predict, "solver=first_hitting")
        masked, u = x == path.mask, noise.uniforms().to(x.device)
        if path.blocks > 1:  # the known ones are the first
            order, counted = path.in_order(u * masked), torch.ones_like(masked)
        else:
            order, counted = torch.where(masked, u, torch.inf), masked

        self.ranks = order.flatten(1).argsort(dim=1, stable=True).argsort(1).view_as(x)
        self.count = counted.flatten(1).sum(1).view(-1, *[1] * (x.ndim - 1))
        self.times = times.to(x.device)

    def at(self, done: int) -> Bool[Tensor, "b *shape"]:
        """Whether the step of this number, from 1 on, reveals each token."""
        before, after = ((self.count * (1 - self.times[k])).round() for k in (done - 1, done))
        return (self.ranks >= before) & (self.ranks < after)


def _check_known(path: MaskedPath, known: Bool[Tensor, "b *shape"]) -> None:
    """ValueError for known tokens after others that the path reveals before them."""
    if path.blocks > 1 and bool((known[:, 1:] & ~known[:, :-1]).any()):
        raise ValueError(
            "known tokens: this model reveals blocks of tokens from left to right, each given those"
            " before it, and cannot look at tokens that come later; give the first ones alone, or "
            "train a model without block"
        )


def _check_times(times: Sequence[float], steps: int) -> None:
    """ValueError for times of another number of steps, or that do not fall from 1 to 0."""
    falls = all(a > b for a, b in pairwise(times))
    if len(times) != steps + 1 or times[0] != 1 or times[-1] != 0 or not falls:
        raise ValueError(
            f"spacing={tuple(times)[:6]}: give {steps + 1} times for {steps} steps, falling from 1 "
            "to 0, or a name"
        )
