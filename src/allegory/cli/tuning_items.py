"""Initial noise and conditions of the items by which a sampler is fitted to a run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from ..models.base import HasTrajectory
    from ..process.prediction import Predict
    from ..recipes import RunFolder
    from ..sampling import TunedSampler

FIRST_SEED = 10**6
"""The items that a sampler is fitted to have seeds far from those that people count from 0."""
_PILOT_ITEMS = 8


@dataclass(frozen=True, eq=False)
class TuningItems:
    """What a sampler is fitted to.

    Args:
        predict: the model under its guides.
        x_T: initial noise of each item.
        condition: rows in turn from the run's data; None for a model without a condition.
    """

    predict: Predict
    x_T: Tensor
    condition: Tensor | None

    @classmethod
    def of(
        cls, folder: RunFolder, model: HasTrajectory, guide: str | None, seeds: Sequence[int]
    ) -> TuningItems:
        """Of a run.

        Args:
            folder: the run.
            model: its model, whose weights need no gradient from then on.
            guide: the guides; None for none.
            seeds: one for each item.

        Raises:
            ValueError: for a guide that does not fit the model.
        """
        from ..models.base import check_guides, device_of, is_conditional, state_shape
        from ..sampling import Sampler, initial_noise
        from . import tables
        from .conditions import in_turn

        for parameter in model.denoiser.parameters():
            parameter.requires_grad_(False)
        device = device_of(model)
        rows, said = None, ""
        if is_conditional(model):
            rows, _, said = in_turn(folder, len(seeds), "the data back their place")

        sampler = Sampler(guide=guide).bound_to(model.spec.given)
        check_guides(model, sampler.guides)
        needs_one = any(getattr(each, "needs_condition", False) for each in sampler.guides)
        if rows is None and needs_one:
            raise ValueError(f"--guide {guide}: this run has no condition; leave it out")
        if said:
            tables.remark(said)

        x_T = initial_noise(model.denoiser.path, state_shape(model), seeds).to(device)
        condition = None if rows is None else rows.to(device)
        return cls(sampler.guided(model.denoiser), x_T, condition)


def piloted(
    folder: RunFolder, model: HasTrajectory, guide: str | None, steps: int, seed: int = FIRST_SEED
) -> TunedSampler:
    """The sampler of a pilot with eight items of a run.

    Args:
        folder: the run.
        model: its model.
        guide: the guides; None for none.
        steps: evaluations of the sampler.
        seed: of the first item.
    """
    from ..sampling import pilot

    items = TuningItems.of(folder, model, guide, range(seed, seed + _PILOT_ITEMS))
    return pilot(items.predict, items.x_T, steps, condition=items.condition)
