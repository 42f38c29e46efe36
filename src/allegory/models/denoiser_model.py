"""A denoiser with its data: the loss and the samples that all diffusion models share."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from ..conditions import rows_of
from ..data.low_resolution import decode_given
from ..data.spec import DataSpec
from ..lookup import check_type, refuse_number
from ..objectives.base import Objective
from ..process.guide_items import condition_kind
from ..process.prediction import Predict
from ..sampling.driver import OnStep, State, last_state
from ..sampling.pilot import PILOT
from ..sampling.sampler import Sampler
from .base import check_guides, check_samples, device_of, evaluating, seed_batches
from .conditional import ConditionalModel, steps_of_all


class DenoiserModel(ConditionalModel):
    """A denoiser on a path, what its data are, and how it is trained.

    Args:
        denoiser: a Predict with parameters, such as a Denoiser.
        spec: what the data are.
        condition_dropout: the fraction of training items whose condition is hidden, so that one
            network serves with and without a condition (Ho & Salimans 2022).
        sampler: how it is sampled unless another is given.

    Raises:
        ValueError: for what is no denoiser or no spec, and a fraction outside [0, 1].
    """

    objective: Objective
    """What it is trained by."""

    def __init__(
        self, denoiser: Any, spec: DataSpec, condition_dropout: float, sampler: Sampler
    ) -> None:
        super().__init__(spec, condition_dropout)
        if not hasattr(denoiser, "path"):
            raise ValueError(
                f"denoiser: of type {type(denoiser).__name__}; give a Denoiser, e.g. "
                "Denoiser(network, Path.cosine())"
            )

        self.denoiser = denoiser
        self.sampler = sampler

    @property
    def unit(self) -> str:
        """What one unit of the loss is."""
        return self.objective.unit

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the clean x0 that the denoiser predicts, without the batch."""
        return self.spec.shape

    def raw_items(
        self, x0: Float[Tensor, "b *shape"], rows: Tensor | None, seeds: Sequence[int]
    ) -> Shaped[Tensor, "b *item"]:
        """Raw items from samples of the denoiser.

        Args:
            x0: the samples.
            rows: of their condition, or None.
            seeds: one integer per item, for models that draw the item given x0.
        """
        return decode_given(self.spec, x0.cpu(), rows)

    def loss(
        self, batch: tuple[Tensor, Tensor | None], generator: torch.Generator
    ) -> Float[Tensor, " b"]:
        """One draw of the training loss per item.

        Args:
            batch: raw data (batch, *shape), and the rows of their condition or None.
            generator: where hidden conditions, times and noise are drawn from.

        Returns:
            The loss of each item, in `unit`.
        """
        raw, given = batch
        condition = self._drop(given, generator)
        return self.objective(self.denoiser, self.spec.encode(raw), condition, generator)

    def trajectory(
        self,
        seeds: Sequence[int],
        condition: Tensor | None = None,
        sampler: Sampler | None = None,
        *,
        on_step: OnStep | None = None,
    ) -> Iterator[State]:
        """The states of one batch from noise to samples, in model space; the model is in eval mode
        meanwhile.

        Args:
            seeds: one integer per item; item i depends on seeds[i] alone.
            condition: one row per item, or None.
            sampler: solver, steps, grid and guides; None for the model's own.
            on_step: called as on_step(done, total).

        Yields:
            A State for each level of the grid after the first.

        Raises:
            ValueError: for a condition of another length, and what the sampler refuses.
        """
        next(seed_batches(seeds, condition, max(len(seeds), 1)))  # refuses what does not fit
        sampler = (sampler or self.sampler).bound_to(self.spec.given)
        check_guides(self, sampler.guides)
        device = device_of(self)
        predict, sampler = self.sampled(sampler)
        x_T = sampler.initial_noise(predict, self.shape, seeds).to(device)
        rows = None if condition is None else condition.to(device)

        with evaluating(self):
            yield from sampler.trajectory(
                predict, x_T, seeds=seeds, condition=rows, on_step=on_step
            )

    def _piloted(self, sampler: Sampler, rows: Tensor | None) -> Sampler:
        """The sampler; in place of "auto:pilot" that of one pilot for all batches."""
        if sampler.solver != PILOT:
            return sampler
        bound = sampler.bound_to(self.spec.given)
        predict, own = self.sampled(bound)
        like = torch.empty(0, *self.shape, device=device_of(self))
        with evaluating(self):
            solver = own.piloted(predict, like, rows).solver
        return replace(sampler, solver=solver, end=None)

    def sampled(self, sampler: Sampler) -> tuple[Predict, Sampler]:
        """What a sampler samples, and the sampler without what is in it already.

        Args:
            sampler: how the model is sampled.
        """
        return self.denoiser, sampler

    def sample(
        self,
        seeds: Sequence[int],
        condition: Any = None,
        sampler: Sampler | None = None,
        *,
        batch: int = 250,
        on_step: OnStep | None = None,
    ) -> Shaped[Tensor, "n *shape"]:
        """Raw samples, on the CPU; item i depends on the model, seeds[i] and condition[i] alone.

        Where the condition is a lower resolution of the item, the samples agree with it: they are
        the nearest ones that do to those of the sampler (`data.low_resolution`).

        Args:
            seeds: one integer per item.
            condition: of each item, or of all, or None: values in the data's units ("cat", a
                caption, numbers, pictures), or a tensor of rows as `Items.given` holds them.
            sampler: solver, steps, grid and guides; None for the model's own.
            batch: items that are computed at once.
            on_step: called as on_step(done, total) over the steps of all batches.

        Raises:
            ValueError: without seeds, for a condition of another length, a batch below 1, what the
                sampler refuses, and samples that are not finite.
        """
        if isinstance(sampler, str):
            raise ValueError(f"sampler={sampler!r}: give a Sampler, e.g. Sampler({sampler!r})")
        if sampler is not None:
            check_type("sampler", sampler, Sampler, "a Sampler, or None")

        chosen = sampler or self.sampler
        refuse_number(seeds)
        kind = condition_kind(chosen.guides, self.spec.given)
        given = rows_of(condition, len(seeds), kind)
        parts = [*seed_batches(seeds, given, batch)]
        chosen = self._piloted(chosen, given)
        samples = []
        for number, (some, rows) in enumerate(parts):
            report = steps_of_all(on_step, number, len(parts))
            x = last_state(self.trajectory(some, rows, chosen, on_step=report)).x
            samples.append(self.raw_items(check_samples(x, chosen.describe()), rows, some).cpu())

        return torch.cat(samples)
