"""What all edits have in common: their config and their result, batches, and units of the data."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from ..conditions import rows_of
from ..data.low_resolution import decode_given
from ..inverse import Method
from ..lookup import check_count, check_type
from ..models.base import (
    HasTrajectory,
    InLatentSpace,
    check_guides,
    check_samples,
    clean_states,
    device_of,
    evaluating,
    raw_of,
    refuse_jumps,
)
from ..process.guide_items import condition_kind
from ..sampling import PartialSampler, Sampler
from ..sampling.driver import OnStep

_MAX_BATCH = 1_000_000
"""Items that are computed at once."""

Work = Callable[[Sequence[int], OnStep | None], Tensor]
"""(places of a batch, on_step) -> their results, in model space."""


@dataclass(frozen=True)
class EditConfig:
    """How items are edited.

    Args:
        sampler: solver, steps, grid and guides.
        strength: how much noise the items get, from 0 to 1 (`sampling.partial`); None for 0.5 in
            variations, and for 1, a latent of noise, elsewhere. Measurements have none.
        method: by which a measurement is taken into account (`inverse.POSTERIOR_METHODS`); None for
            "mmps", and in latent space, where no measurement is linear, for "dps".
        batch: items that are computed at once.
        on_step: called as on_step(done, total) over the steps of all batches.
    """

    sampler: Sampler = field(default_factory=Sampler)
    strength: float | None = None
    method: str | Method | None = None
    batch: int = 250
    on_step: OnStep | None = None

    def method_for(self, model: Any) -> str | Method:
        """The method for measurements of items of a `model`."""
        return self.method or ("dps" if isinstance(model, InLatentSpace) else "mmps")

    def partial(self, default: float) -> PartialSampler:
        """The sampler from a level of this strength, or of the `default`."""
        return PartialSampler(self.sampler, default if self.strength is None else self.strength)


@dataclass(frozen=True, eq=False)
class Edits:
    """Several edits of each item.

    Args:
        x: raw items, (n, edits, *shape).
    """

    x: Shaped[Tensor, "n edits *shape"]

    @property
    def mean(self) -> Float[Tensor, "n *shape"]:
        """The mean of the edits of each item, in the data's units."""
        return self.x.double().mean(1)

    @property
    def std(self) -> Float[Tensor, "n *shape"]:
        """Their standard deviation, with the divisor edits - 1; 0 for one edit."""
        return self.x.double().std(1, correction=min(1, self.x.shape[1] - 1))


class Editing:
    """A diffusion model with a config, in eval mode while it works.

    Args:
        model: the model.
        config: None for `EditConfig()`.

    Raises:
        ValueError: for another kind of model, and guides that do not fit it.
    """

    def __init__(self, model: Any, config: EditConfig | None) -> None:
        config = config or EditConfig()
        check_type("config", config, EditConfig, "an EditConfig, or None")
        check_count("batch", config.batch, 1, _MAX_BATCH)
        if not isinstance(model, HasTrajectory):
            raise ValueError(
                f"model: a {type(model).__name__} is no diffusion model, it has no noise levels; "
                "give a VDM"
            )

        refuse_jumps(model, "edits")
        sampler = config.sampler.bound_to(model.spec.given)
        check_guides(model, sampler.guides)
        self.model, self.spec = model, model.spec
        self.config = replace(config, sampler=sampler)

    @property
    def predict(self) -> Any:
        """The Predict in model space."""
        return self.model.denoiser

    def check(self, x: Tensor) -> None:
        """ValueError for an `x` of other than raw items of the model."""
        check_type("x", x, Tensor, "raw items, (n, *shape)")
        shape = tuple(self.spec.shape)
        if tuple(x.shape[1:]) != shape or len(x) == 0:
            raise ValueError(f"x: shape {tuple(x.shape)}; give items of shape {shape}, (n, *shape)")
        if not bool(x.isfinite().all()):
            raise ValueError("x: holds NaN or infinite numbers; give finite ones")

    def encoded(self, x: Tensor) -> Tensor:
        """Raw items x in model space, or their latents, on the device of the model.

        Each latent is drawn by the seed 0, so that it does not depend on the batch.
        """
        return clean_states(self.model, x.to(device_of(self.model)), [0] * len(x))

    def rows(self, condition: Any, count: int) -> Tensor | None:
        """The rows of a condition of `count` items."""
        kind = condition_kind(self.config.sampler.guides, self.spec.given)
        return rows_of(condition, count, kind)

    def at(self, rows: Tensor | None, places: Sequence[int]) -> Tensor | None:
        """The rows, or other numbers of items, at these places, on the device of the model."""
        return None if rows is None else rows[[*places]].to(device_of(self.model))

    def in_batches(self, total: int, work: Work, is_last: bool = True) -> Tensor:
        """The results of `work` for 0 to total - 1, on the CPU.

        Args:
            total: how many.
            work: computes a batch.
            is_last: whether the steps are those that `on_step` counts.
        """
        size, how = self.config.batch, self.config.sampler.describe()
        starts = range(0, total, size)
        found = []
        with evaluating(self.model):
            for number, start in enumerate(starts):
                report = _of_all(self.config.on_step, number, len(starts)) if is_last else None
                part = work(range(start, min(start + size, total)), report)
                found.append(check_samples(part, how).cpu())

        return torch.cat(found)

    def latents(self, partial: PartialSampler, x: Tensor, rows: Tensor | None) -> Tensor:
        """The states of items at the first level, by DDIM inversion.

        Args:
            partial: the sampler that starts at that level.
            x: raw items.
            rows: of their conditions, or None.
        """

        def inverted(places: Sequence[int], on_step: OnStep | None) -> Tensor:
            x0 = self.encoded(x[[*places]])
            return partial.inverted(self.predict, x0, self.at(rows, places))

        return self.in_batches(len(x), inverted, is_last=False)

    def from_latents(self, partial: PartialSampler, x_t: Tensor, rows: Tensor | None) -> Tensor:
        """The samples of states at the first level, by the steps of the inversion in reverse.

        Args:
            partial: the sampler that starts at that level.
            x_t: the states.
            rows: of their conditions, or None.
        """

        def sampled(places: Sequence[int], on_step: OnStep | None) -> Tensor:
            given = self.at(rows, places)
            start = x_t[[*places]].to(device_of(self.model))
            return partial.returned(self.predict, start, condition=given, on_step=on_step)

        return self.in_batches(len(x_t), sampled)

    def decoded(self, x: Tensor, rows: Tensor | None, edits: int) -> Edits:
        """Raw edits, those of one item together.

        Args:
            x: in model space, or latents, (n * edits, *shape).
            rows: of their conditions, or None.
            edits: how many each item has.
        """
        is_latent = isinstance(self.model, InLatentSpace)
        of_latents = raw_of(self.model, x, range(len(x))) if is_latent else None
        raw = decode_given(self.spec, x, rows) if of_latents is None else of_latents
        return Edits(raw.reshape(-1, edits, *self.spec.shape))


def _of_all(on_step: OnStep | None, batch: int, batches: int) -> OnStep | None:
    """The same callback for the steps of one batch out of several."""
    if on_step is None:
        return None
    return lambda done, steps: on_step(batch * steps + done, batches * steps)
