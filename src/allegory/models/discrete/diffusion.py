"""Discrete diffusion models: loss, bound and samples of tokens (Austin et al. 2021; MD4)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from jaxtyping import Bool, Float, Int64, Shaped
from torch import Tensor

from ...data.spec import DataSpec
from ...likelihood.codec import CodableModel
from ...likelihood.codec.tokens import TokenGroups, group_sizes
from ...likelihood.token_bound import token_bound, token_levels, token_step_bound
from ...lookup import check_count, check_type, refuse_number
from ...numerics.generators import draw_rows, uniform
from ...objectives.draws import stratified_times
from ...process.bound import Bound
from ...process.discrete import TokenDraw, TokenPath, token_loss
from ...process.noise import item_seeds
from ...sampling.driver import OnStep
from ...sampling.tokens import TokenBatch, TokenSampler, TokenState, token_trajectory
from ..base import device_of, evaluating, seed_batches
from ..conditional import StepModel, steps_of_all
from .denoiser import TokenDenoiser
from .steps import TokenSteps, token_index
from .tuned import TunedTokens, tune_tokens

_CODING_STEPS = 100
"""Groups of tokens in a code, unless another number is asked for."""
_BATCH = 250
"""Items that are sampled at once, where no other number is given."""


class DiscreteDiffusion(StepModel):
    """A diffusion model of data of finitely many levels, each number a token.

    Args:
        denoiser: the predictor of clean tokens, with its path.
        spec: what the data are; its levels are the values of the tokens.
        condition_dropout: the fraction of training items whose condition is hidden.
        sampler: how it is sampled unless another is given.

    Raises:
        ValueError: for continuous data, and a path of another number of values.
    """

    cross_entropy: float = 0.0
    """The multiple of -log p(x0 | x_t) that is added to the training loss; for masked tokens the
    bound is a multiple of it.
    """

    def __init__(
        self,
        denoiser: TokenDenoiser,
        spec: DataSpec,
        condition_dropout: float = 0.1,
        sampler: TokenSampler | None = None,
    ) -> None:
        super().__init__(spec, condition_dropout)
        if spec.levels is None:
            raise ValueError(
                "the data are continuous, and tokens have finitely many values; give data with "
                "levels (Dataset.from_arrays(x, levels=...)), or a Gaussian diffusion model"
            )
        if denoiser.path.values != spec.levels:
            raise ValueError(
                f"denoiser: of tokens with {denoiser.path.values} values, and the data have "
                f"{spec.levels} levels; make its path for {spec.levels}"
            )
        self.denoise = denoiser
        self.sampler = sampler or _own_sampler(denoiser.path, spec.dims)

    @property
    def unit(self) -> str:
        """What one unit of the loss is."""
        return "bits/dim" if self.cross_entropy == 0 else "weighted bits/dim"

    def loss(
        self, batch: tuple[Tensor, Tensor | None], generator: torch.Generator
    ) -> Float[Tensor, " b"]:
        """One draw of the negative bound per item, in continuous time.

        Args:
            batch: raw data (batch, *shape), and the rows of their condition or None.
            generator: where hidden conditions, times and noise are drawn from.

        Returns:
            The loss of each item, in bits/dim: bits per token.
        """
        raw, given = batch
        condition = self._drop(given, generator)
        x0 = self.spec.index(raw)
        time = stratified_times(len(raw), generator).double().to(x0.device)
        u = draw_rows(uniform, tuple(x0.shape), generator).double().to(x0.device)

        nats = token_loss(self.denoise, x0, TokenDraw(time, u), condition, self.cross_entropy)
        return nats.float() / (self.spec.dims * math.log(2))

    @torch.no_grad()
    def bound(
        self,
        x: Shaped[Tensor, "b *shape"],
        condition: Any = None,
        *,
        seeds: Sequence[int] | None = None,
        draws: int = 8,
        steps: int | None = None,
    ) -> Bound:
        """The evidence lower bound of log p(x), or of log p(x | condition), in nats per item.

        Args:
            x: raw items.
            condition: of each item or of all, as for `sample`; None for p(x).
            seeds: one integer per item, for its times and noise; 0, 1, 2, ... for None.
            draws: evaluations of the denoiser per item in continuous time.
            steps: the model with so many steps of equal length, one evaluation each; None is
                continuous time.

        Raises:
            ValueError: for items that do not fit the data.
        """
        self.spec.check(x)
        rows = self._rows_for(condition, x)
        x0 = self.spec.index(x)

        with evaluating(self):
            if steps is None:
                return token_bound(self.denoise, x0, seeds=seeds, draws=draws, condition=rows)
            levels = token_levels(self.denoise, steps)
            return token_step_bound(self.denoise, x0, levels, seeds=seeds, condition=rows)

    def whole_steps(self, steps: int) -> int:
        """The nearest number of steps; where tokens have blocks, a multiple of these."""
        return self.denoise.path.nearest_steps(steps)

    def as_hierarchy(self, steps: int, condition: Tensor | None = None) -> TokenSteps:
        """The model with `steps` steps of equal length as a hierarchy of latents.

        The bound of the hierarchy has the mean of `bound(steps=steps)`. With a condition it is a
        model of batches of that length.
        """
        levels = token_levels(self.denoise, steps)
        return TokenSteps(self.denoise, self.spec, levels, condition)

    def coding_chain(self, nodes: tuple[int, ...] | None) -> CodableModel:
        """The groups in which tokens are coded.

        Args:
            nodes: how many tokens are known where each begins, as `coding_nodes` chose them.

        Raises:
            ValueError: for tokens that are not masked, and nodes that do not rise from 0.
        """
        return TokenGroups(self.denoise, tuple(self.spec.shape), nodes or ())

    def coding_nodes(
        self, x0: Float[Tensor, "b *shape"], steps: int | None = None
    ) -> tuple[int, ...]:
        """How many tokens are known where each of `steps` groups begins, of least cost on x0.

        Args:
            x0: some items, in model space.
            steps: the number of groups; 100 for None, or the number of tokens if it is less, or if
                they have blocks.
        """
        most = self.spec.dims
        if self.denoise.path.blocks == 1:
            most = min(_CODING_STEPS, most)
        count = most if steps is None else steps
        check_count("steps", count, 1, self.spec.dims)
        index = token_index(x0, self.spec.values.to(x0))
        with evaluating(self):
            return group_sizes(self.denoise, index, count)

    def tuned(self, x: Shaped[Tensor, "b *shape"], steps: int) -> TunedTokens:
        """The times of `steps` steps that are best on some items, for masked tokens.

        Args:
            x: raw items, such as some hundred validation items.
            steps: how many, below the number of tokens.

        Returns:
            The times with their cost; its `sampler` is for `sample` and `infill`.

        Raises:
            ValueError: for tokens that are not masked, or have blocks, and for too many steps.
        """
        self.spec.check(x)
        with evaluating(self):
            return tune_tokens(self.denoise, self.spec.index(x), steps)

    def states(
        self, batch: TokenBatch, sampler: TokenSampler | None = None, on_step: OnStep | None = None
    ) -> Iterator[TokenState]:
        """The states of one batch from noise to samples; the mask is the value K.

        Args:
            batch: seeds, conditions and known tokens; item i depends on its own seed alone.
            sampler: solver, steps and guides; None for the model's own.
            on_step: called as on_step(done, total).

        Raises:
            ValueError: for what the sampler refuses.
        """
        with evaluating(self):
            yield from token_trajectory(self.denoise, batch, sampler or self.sampler, on_step)

    def sample(
        self,
        seeds: Sequence[int],
        condition: Any = None,
        sampler: Any = None,
        *,
        batch: int = 250,
        on_step: OnStep | None = None,
    ) -> Shaped[Tensor, "n *shape"]:
        """Raw samples, on the CPU; item i depends on the model, seeds[i] and condition[i] alone.

        Args:
            seeds: one integer per item.
            condition: of each item, or of all, or None: values in the data's units, or a tensor of
                rows.
            sampler: a TokenSampler; None for the model's own.
            batch: items that are computed at once.
            on_step: called as on_step(done, total) over the steps of all batches.

        Raises:
            ValueError: without seeds, for a condition of another length, and a batch below 1.
        """
        refuse_number(seeds)
        shape, device = self.spec.shape, device_of(self)
        parts = []
        for some, rows in seed_batches(seeds, self._rows(condition, len(seeds)), batch):
            x = torch.zeros(len(some), *shape, dtype=torch.int64, device=device)
            parts.append(TokenBatch(x, some, None if rows is None else rows.to(device)))

        return self._sampled(parts, sampler, on_step)

    def infill(
        self,
        x: Shaped[Tensor, "n *shape"],
        known: Bool[Tensor, "..."],
        seeds: Sequence[int] | None = None,
        condition: Any = None,
        sampler: TokenSampler | None = None,
    ) -> Shaped[Tensor, "n *shape"]:
        """Raw samples whose known numbers are those of `x`: draws of p(x | the known numbers).

        Args:
            x: raw items; what is not known may be any level.
            known: which numbers are known.
            seeds: one integer per item; 0, 1, 2, ... for None.
            condition: as for `sample`.
            sampler: as for `sample`.

        Raises:
            ValueError: for tokens that are not masked, and items that do not fit the data.
        """
        self.spec.check(x)
        if known.shape != x.shape:
            raise ValueError(
                f"known of shape {tuple(known.shape)}: give one truth value for each number of x, "
                f"{tuple(x.shape)}"
            )

        device = device_of(self)
        index, known = self.spec.index(x).to(device), known.to(device)
        rows = self._rows_for(condition, index)
        seeds = item_seeds(seeds, len(x))

        parts = []
        for some in torch.arange(len(x)).split(_BATCH):
            first, last = int(some[0]), int(some[-1]) + 1
            own = None if rows is None else rows[first:last]
            own_seeds = seeds[first:last]
            parts.append(TokenBatch(index[first:last], own_seeds, own, known[first:last]))
        return self._sampled(parts, sampler, None)

    def _sampled(self, parts: Sequence[TokenBatch], sampler: Any, on_step: OnStep | None) -> Tensor:
        """Raw samples of some batches."""
        if sampler is not None:
            check_type("sampler", sampler, TokenSampler, "a TokenSampler, or None")

        samples = []
        for number, part in enumerate(parts):
            report = steps_of_all(on_step, number, len(parts))
            *_, last = self.states(part, sampler, report)
            samples.append(self.raw(last.x))
        return torch.cat(samples)

    def raw(self, x: Int64[Tensor, "b *shape"]) -> Shaped[Tensor, "b *shape"]:
        """Raw items of tokens, on the CPU."""
        return self.spec.decode(self.spec.values[x.cpu()])


def _own_sampler(path: TokenPath, tokens: int) -> TokenSampler:
    """The sampler of a model that was given none: blocks are revealed token after token."""
    return TokenSampler() if path.blocks == 1 else TokenSampler("first_hitting", tokens, "time")
