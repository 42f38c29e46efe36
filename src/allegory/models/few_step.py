"""A model that is sampled in a few jumps of a flow map."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from torch import Tensor

from ..data.spec import DataSpec
from ..objectives.base import Objective
from ..process.flow_map import check_flow_map
from ..process.guide import guide_names
from ..process.prediction import Predict
from ..sampling.driver import OnStep, State
from ..sampling.sampler import Sampler
from .denoiser_model import DenoiserModel
from .flow_map import AtScale, FlowMapDenoiser

_DENSITIES = ("bound", "log_prob", "flow_bound", "log_weights", "as_hierarchy", "coding_chain")
"""Methods of a model with a likelihood."""

JUMPS = {
    "any": "from any level to any with less noise",
    "grid": "along the levels of its sampler",
    "clean": "to clean data, from any level",
}
"""Which jumps a model was trained on."""


class FlowMapModel(DenoiserModel):
    """A flow map of data: few evaluations per sample, and no likelihood.

    Its jumps are an approximate solution of the probability flow, which has the density of a
    denoiser; the jumps themselves have none that could be computed. A likelihood is that of the
    model from which it was distilled.

    Args:
        denoiser: the flow map.
        spec: what the data are.
        objective: what it is trained by (`distillation`); its `jumps`, a name of `JUMPS`, says on
            which, and other samplers are refused; its `highest` up to which scale of guidance,
            where that is an input.
        sampler: how it is sampled unless another is given; its solver is that of jumps.
        condition_dropout: the fraction of training items whose condition is hidden.

    Raises:
        ValueError: for what is no flow map, and what the objective refuses.
    """

    bounded = False

    def __init__(
        self,
        denoiser: FlowMapDenoiser,
        spec: DataSpec,
        objective: Objective,
        sampler: Sampler,
        condition_dropout: float = 0.1,
    ) -> None:
        check_flow_map(denoiser)
        super().__init__(denoiser, spec, condition_dropout, sampler)
        objective.check(denoiser)
        self.objective = objective

    @property
    def jumps(self) -> str:
        """Which jumps it was trained on: "any", "grid" or "clean"."""
        found: str = getattr(self.objective, "jumps", "any")
        return found

    @property
    def highest(self) -> float:
        """The largest scale of guidance that it was trained on; 1 where that is no input."""
        found: float = getattr(self.objective, "highest", None) or 1.0
        return found

    def trajectory(
        self,
        seeds: Sequence[int],
        condition: Tensor | None = None,
        sampler: Sampler | None = None,
        *,
        on_step: OnStep | None = None,
    ) -> Iterator[State]:
        """The states of one batch from noise to samples, in model space.

        Args:
            seeds: one integer per item; item i depends on seeds[i] alone.
            condition: one row per item, or None.
            sampler: one that the model was trained for; None for its own.
            on_step: called as on_step(done, total).

        Raises:
            ValueError: as `check_sampler`, for a condition of another length, and for none where
                the scale of guidance is chosen.
        """
        if sampler is not None:
            self.check_sampler(sampler)

            if condition is None and sampler.guide and self.denoiser.guided:
                raise ValueError(
                    f"guide {','.join(guide_names(sampler.guide))} without a condition; give a "
                    "condition, or leave the guide out"
                )
        yield from super().trajectory(seeds, condition, sampler, on_step=on_step)

    def sampled(self, sampler: Sampler) -> tuple[Predict, Sampler]:
        """The flow map, at the scale of the guide where that is an input.

        Args:
            sampler: how the model is sampled; one without a guide has the scale 1.
        """
        if not (self.denoiser.guided and sampler.guide):
            return self.denoiser, sampler
        return AtScale(self.denoiser, self._scale(sampler)), replace(sampler, guide=None)

    def check_sampler(self, sampler: Sampler) -> None:
        """ValueError for a sampler with a guide, another scaling, or jumps that were not trained.

        A model that was trained on any jumps is a denoiser as well, on its diagonal, and may be
        sampled as one.
        """
        solver = str(sampler.to_dict()["solver"])
        method, _, gamma = solver.partition(":")
        if method != "flow_map" and self.jumps == "any":
            return

        own = self.sampler.to_dict()["solver"]
        fits = self.jumps == "any" or gamma == ("1" if self.jumps == "clean" else "")
        if method != "flow_map" or not fits:
            raise ValueError(
                f"solver={solver}: this model was trained on jumps {JUMPS[self.jumps]}; leave the "
                f"solver out, or give {own} (in Python al.Sampler({own!r}, ...))"
            )

        if sampler.guide and self.denoiser.guided:
            self._scale(sampler)
        elif sampler.guide:
            raise ValueError(
                f"guide {','.join(guide_names(sampler.guide))}: jumps of a flow map take no guide; "
                "leave it out, or distill a guided teacher (`allegory distill RUN --guide cfg:2`)"
            )
        if sampler.scaling not in (None, self.denoiser.path.scaling.name):
            raise ValueError(
                f"scaling={sampler.scaling}: a flow map knows the jumps of its own path; leave it "
                "out"
            )

    def _scale(self, sampler: Sampler) -> float:
        """The scale of a sampler's guide. ValueError for another guide than cfg:W, and for a scale
        that was not trained.
        """
        names = guide_names(sampler.guide)
        kind, _, number = names[0].partition(":")
        if len(names) > 1 or kind != "cfg" or ":" in number:
            raise ValueError(
                f"guide {','.join(names)}: this flow map has the scale of classifier-free guidance "
                "as an input, and no other guide; give cfg:W"
            )

        if not 1 <= float(number) <= self.highest:
            raise ValueError(
                f"guide {names[0]}: this flow map was trained on scales from 1 to "
                f"{self.highest:g}; give one of them"
            )

        return float(number)

    def __getattr__(self, name: str) -> Any:
        """What an nn.Module has; AttributeError with the reason for a likelihood."""
        if name in _DENSITIES:
            raise AttributeError(
                f"{name}: a flow map has no density; ask the model from which it was distilled"
            )
        return super().__getattr__(name)
