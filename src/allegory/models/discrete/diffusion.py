"""Discrete diffusion models: loss, bound and samples of tokens (Austin et al. 2021; MD4)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from jaxtyping import Bool, Float, Int64, Shaped
from torch import Tensor

from ...data.spec import DataSpec
from ...likelihood.token_bound import token_bound
from ...lookup import check_type, refuse_number
from ...numerics.generators import draw_rows, uniform
from ...objectives.draws import stratified_times
from ...process.bound import Bound
from ...process.discrete import diffusion_loss
from ...sampling.driver import OnStep
from ...sampling.tokens import Fixed, TokenSampler, TokenState, token_trajectory
from ..base import device_of, evaluating, seed_batches
from ..conditional import ConditionalModel, steps_of_all
from .denoiser import TokenDenoiser


class DiscreteDiffusion(ConditionalModel):
    """A diffusion model of data of finitely many levels, each number a token.

    Args:
        denoiser: the predictor of clean tokens, with its path.
        spec: what the data are; its levels are the values of the tokens.
        condition_dropout: the fraction of training items whose condition is hidden.
        sampler: how it is sampled unless another is given.

    Raises:
        ValueError: for continuous data, and a path of another number of values.
    """

    unit = "bits/dim"

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
        self.sampler = sampler or TokenSampler()

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

        nats = diffusion_loss(self.denoise, x0, time, u, condition)
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
            draws: evaluations of the denoiser per item, for each of the steps if there are any.
            steps: the model with so many steps of equal length; None is continuous time.

        Raises:
            ValueError: for items that do not fit the data.
        """
        self.spec.check(x)
        rows = self._rows_for(condition, x)
        with evaluating(self):
            return token_bound(
                self.denoise,
                self.spec.index(x),
                seeds=seeds,
                draws=draws,
                steps=steps,
                condition=rows,
            )

    def states(
        self,
        seeds: Sequence[int],
        condition: Tensor | None = None,
        sampler: TokenSampler | None = None,
        *,
        fixed: Fixed | None = None,
        on_step: OnStep | None = None,
    ) -> Iterator[TokenState]:
        """The states of one batch from noise to samples; the mask is the value K.

        Args:
            seeds: one integer per item; item i depends on seeds[i] alone.
            condition: one row per item, or None.
            sampler: solver, steps and guides; None for the model's own.
            fixed: tokens that are known.
            on_step: called as on_step(done, total).

        Raises:
            ValueError: for a condition of another length, and what the sampler refuses.
        """
        next(seed_batches(seeds, condition, max(len(seeds), 1)))  # refuses what does not fit
        device = device_of(self)
        like = torch.zeros(len(seeds), *self.spec.shape, dtype=torch.int64, device=device)
        rows = None if condition is None else condition.to(device)

        with evaluating(self):
            yield from token_trajectory(
                self.denoise,
                like,
                sampler or self.sampler,
                seeds,
                condition=rows,
                fixed=fixed,
                on_step=on_step,
            )

    def sample(
        self,
        seeds: Sequence[int],
        condition: Any = None,
        sampler: TokenSampler | None = None,
        *,
        batch: int = 250,
        on_step: OnStep | None = None,
    ) -> Shaped[Tensor, "n *shape"]:
        """Raw samples, on the CPU; item i depends on the model, seeds[i] and condition[i] alone.

        Args:
            seeds: one integer per item.
            condition: of each item, or of all, or None: values in the data's units, or a tensor of
                rows.
            sampler: solver, steps and guides; None for the model's own.
            batch: items that are computed at once.
            on_step: called as on_step(done, total) over the steps of all batches.

        Raises:
            ValueError: without seeds, for a condition of another length, and a batch below 1.
        """
        return self._sampled(seeds, condition, sampler, None, batch=batch, on_step=on_step)

    def infill(
        self,
        x: Shaped[Tensor, "n *shape"],
        known: Bool[Tensor, "n *shape"],
        seeds: Sequence[int] | None = None,
        condition: Any = None,
        sampler: TokenSampler | None = None,
        *,
        batch: int = 250,
    ) -> Shaped[Tensor, "n *shape"]:
        """Raw samples whose known numbers are those of `x`: draws of p(x | the known numbers).

        Args:
            x: raw items; what is not known may be any level.
            known: which numbers are known.
            seeds: one integer per item; 0, 1, 2, ... for None.
            condition: as for `sample`.
            sampler: as for `sample`.
            batch: items that are computed at once.

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
        fixed = Fixed(self.spec.index(x).to(device), known.to(device))
        seeds = range(len(x)) if seeds is None else seeds
        return self._sampled(seeds, condition, sampler, fixed, batch=batch)

    def _sampled(
        self,
        seeds: Sequence[int],
        condition: Any,
        sampler: TokenSampler | None,
        fixed: Fixed | None,
        *,
        batch: int,
        on_step: OnStep | None = None,
    ) -> Tensor:
        """Raw samples, in batches."""
        if sampler is not None:
            check_type("sampler", sampler, TokenSampler, "a TokenSampler, or None")
        refuse_number(seeds)
        parts = [*seed_batches(seeds, self._rows(condition, len(seeds)), batch)]
        samples, first = [], 0

        for number, (some, rows) in enumerate(parts):
            report = steps_of_all(on_step, number, len(parts))
            own = None if fixed is None else _part(fixed, first, len(some))
            *_, last = self.states(some, rows, sampler, fixed=own, on_step=report)
            samples.append(self.raw(last.x))
            first += len(some)
        return torch.cat(samples)

    def raw(self, x: Int64[Tensor, "b *shape"]) -> Shaped[Tensor, "b *shape"]:
        """Raw items of tokens, on the CPU."""
        return self.spec.decode(self.spec.values[x.cpu()])


def _part(fixed: Fixed, first: int, count: int) -> Fixed:
    """The known tokens of the items from `first` on."""
    return Fixed(fixed.x[first : first + count], fixed.known[first : first + count])
