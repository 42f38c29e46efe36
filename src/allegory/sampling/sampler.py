"""The choices of a sampler in one value: solver, steps, spacing, end, scaling and guides."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from jaxtyping import Float
from torch import Tensor

from ..conditions import Condition
from ..lookup import check_count, pick
from ..process.grid import ENDS, MAX_STEPS, SPACINGS, Grid, grid
from ..process.guide import Guide, bound_to, guide_names, guides_named
from ..process.path import Path
from ..process.prediction import Predict
from ..process.rescale import Rescaled
from ..process.scaling import SCALINGS
from .driver import OnStep, State, last_state, trajectory
from .initial import initial_noise
from .pilot import AS_AUTO, PILOT, PILOT_SEEDS, pilot
from .registry import solver_named
from .solver import Solver
from .tuned_sampler import TunedSampler


@dataclass(frozen=True)
class Sampler:
    """How samples are drawn from any Predict.

    Args:
        solver: a Solver or its name, such as "dpmpp2m" or "ddim:0.5"; a TunedSampler, which has its
            own grid; or "auto:pilot", which makes one for what is sampled (see `pilot`).
        steps: number of steps; the evaluations of the network per step depend on the solver.
        spacing: where the steps lie (see `SPACINGS`); None for the one that suits the solver, or
            "angle" on a path with an infinite end.
        end: "zero", "denoise" or "min" (see `process.grid`); None for the one that suits the
            solver.
        scaling: another scaling of the path, such as "ve", on which to take the steps; None for the
            predictor's own.
        guide: a guide, several (the innermost first), or names such as "cfg:2" or "cfg:2,clamp";
            None for no guide.

    Raises:
        ValueError: for an unknown name, a number of steps that is none from 1 to 100,000, or a
            choice that a TunedSampler makes itself.
    """

    solver: str | Solver | TunedSampler = "dpmpp2m"
    steps: int = 25
    spacing: str | None = None
    end: str | None = None
    scaling: str | None = None
    guide: str | Guide | Sequence[str | Guide] | None = None

    def __post_init__(self) -> None:
        guides_named(self.guide)
        if isinstance(self.solver, TunedSampler):
            for name in ("spacing", "end", "scaling"):
                if getattr(self, name) is not None:
                    raise ValueError(
                        f"{name}={getattr(self, name)!r}: a tuned sampler has its own grid; "
                        "leave it out, or choose another solver"
                    )
            object.__setattr__(self, "steps", self.solver.grid.steps)
            return

        if self.solver == PILOT:
            for name in ("spacing", "scaling"):
                if getattr(self, name) is not None:
                    raise ValueError(
                        f"{name}={getattr(self, name)!r}: auto:pilot chooses its own grid; leave "
                        "it out, or choose another solver"
                    )
        else:
            solver_named(self.solver)
        if self.spacing is not None:
            SPACINGS.named(self.spacing)
        check_count("steps", self.steps, 1, MAX_STEPS)
        for name, table in (
            ("end", dict.fromkeys(ENDS)),
            ("scaling", SCALINGS),
        ):
            if getattr(self, name) is not None:
                pick(name, getattr(self, name), table)

    @property
    def guides(self) -> tuple[Guide, ...]:
        """The guides, the innermost first."""
        return guides_named(self.guide)

    def bound_to(self, kind: Condition | None) -> Sampler:
        """The sampler for a model, whose conditions are of this `kind`; None for no condition.

        Raises:
            ValueError: for a guide that holds what is no condition of the model.
        """
        guides = self.guides
        bound = bound_to(guides, kind)
        same = all(a is b for a, b in zip(guides, bound, strict=True))
        return self if same else replace(self, guide=bound)

    def guided(self, predict: Predict) -> Predict:
        """The Predict that is sampled: predict under the guides, on a path of that scaling."""
        for guide in self.guides:
            predict = guide(predict)
            if not isinstance(predict, Predict):
                raise ValueError(
                    f"guide {guide}: returned {type(predict).__name__}; return a Predict, a "
                    "callable with the path of the guided one"
                )
        if self.scaling is None or self.scaling == predict.path.scaling.name:
            return predict

        return Rescaled(predict, self.scaling)

    def grid(self, path: Path, dims: int | None = None) -> Grid:
        """The Levels of the steps.

        Args:
            path: that of the guided Predict.
            dims: the numbers of an item, by which the spacing "angle" goes; None for a turn of 3.
        """
        if isinstance(self.solver, TunedSampler):
            return self.solver.grid

        solver = self._solver
        anywhere = all(map(math.isfinite, path.schedule.ends)) or "angle" in solver.spacing
        spacing = self.spacing or (solver.spacing if anywhere else "angle")
        return grid(path, self.steps, spacing, self.end or solver.end, dims)

    def initial_noise(
        self, predict: Predict, shape: Sequence[int], seeds: Sequence[int]
    ) -> Float[Tensor, "b *shape"]:
        """x_T for this sampler.

        Args:
            predict: the Predict that is sampled, without guides.
            shape: the shape of one item.
            seeds: one integer per item.

        Returns:
            Shape (b, *shape), on the CPU.
        """
        return initial_noise(self.guided(predict).path, shape, seeds)

    def trajectory(
        self,
        predict: Predict,
        x_T: Float[Tensor, "b *shape"] | Sequence[int],
        *,
        seeds: Sequence[int] | None = None,
        condition: Tensor | None = None,
        on_step: OnStep | None = None,
    ) -> Iterator[State]:
        """The states from noise to samples, each as it is reached.

        Args:
            predict: a network, oracle or other Predict, without guides.
            x_T: initial noise, shape (b, *shape), e.g. from `initial_noise`; or the shape of one
                item, whose noise is then drawn on the CPU.
            seeds: one integer per item; None only for x_T with a deterministic solver.
            condition: one per item; None for no condition.
            on_step: called with (steps done, steps in all) after each step.

        Yields:
            A State per step.

        Raises:
            ValueError: for seeds or a condition that do not fit, or a guide that needs a condition
                where there is none.
        """
        self._check_condition(condition, x_T if isinstance(x_T, Tensor) else seeds)
        if self.solver == PILOT:
            adapted = self.piloted(predict, x_T, condition)
            yield from adapted.trajectory(predict, x_T, seeds=seeds, on_step=on_step)
            return

        guided = self.guided(predict)
        if not isinstance(x_T, Tensor):
            if seeds is None:
                raise ValueError("seeds: none; give one per item, e.g. range(16)")
            x_T = initial_noise(guided.path, x_T, seeds)

        yield from trajectory(
            guided,
            x_T,
            self.grid(guided.path, x_T.shape[1:].numel()),
            solver=self._solver,
            condition=condition,
            seeds=seeds,
            on_step=on_step,
        )

    def sample(
        self,
        predict: Predict,
        x_T: Float[Tensor, "b *shape"] | Sequence[int],
        *,
        seeds: Sequence[int] | None = None,
        condition: Tensor | None = None,
        on_step: OnStep | None = None,
    ) -> Float[Tensor, "b *shape"]:
        """Samples: the last state of `trajectory`.

        Args:
            predict: a network, oracle or other Predict, without guides.
            x_T: initial noise, shape (b, *shape), or the shape of one item.
            seeds: one integer per item; None only for x_T with a deterministic solver.
            condition: one per item; None for no condition.
            on_step: called with (steps done, steps in all) after each step.

        Returns:
            Shape (b, *shape).

        Raises:
            ValueError: as `trajectory`.
        """
        states = self.trajectory(predict, x_T, seeds=seeds, condition=condition, on_step=on_step)
        return last_state(states).x

    def describe(self) -> str:
        """One line for reports, such as "dpmpp2m, 25 steps, cfg:2"."""
        choices = self.to_dict()
        words = [choices["solver"], f"{self.steps} step{'s' if self.steps > 1 else ''}"]
        words += [
            f"{name} {choices[name]}" for name in ("spacing", "end", "scaling") if choices[name]
        ]
        return ", ".join([*words, *filter(None, [choices["guide"]])])

    def to_dict(self) -> dict[str, Any]:
        """The choices as text and numbers; a tuned solver is "tuned" (`TunedSampler.to_dict`)."""
        guides = ",".join(guide_names(self.guide))
        return {
            "solver": self._solver.name,
            "steps": self.steps,
            "spacing": self.spacing,
            "end": self.end,
            "scaling": self.scaling,
            "guide": guides or None,
        }

    @property
    def _solver(self) -> Solver:
        if isinstance(self.solver, TunedSampler):
            return self.solver.solver
        return AS_AUTO if self.solver == PILOT else solver_named(self.solver)

    def piloted(
        self,
        predict: Predict,
        x_T: Float[Tensor, "b *shape"] | Sequence[int],
        condition: Tensor | None = None,
    ) -> Sampler:
        """This sampler, with a pilot's in place of "auto:pilot", by eight items of its own.

        Args:
            predict: the Predict that is sampled, without guides.
            x_T: initial noise like that of the items, or the shape of one item.
            condition: that of the items.

        Raises:
            ValueError: for "auto:pilot" with a condition, and as `pilot`.
        """
        if self.solver != PILOT:
            return self
        if condition is not None:
            raise ValueError(
                "auto:pilot: a sampler that is made here would depend on the conditions of the "
                "batch; make it once, by pilot(guided, x_T, steps, condition=...), and sample with "
                "Sampler(that)"
            )
        guided = self.guided(predict)
        if isinstance(x_T, Tensor):
            noise = initial_noise(guided.path, x_T.shape[1:], PILOT_SEEDS).to(x_T)
        else:
            noise = initial_noise(guided.path, x_T, PILOT_SEEDS)
        adapted = pilot(guided, noise, self.steps, end=self.end or "zero")
        return replace(self, solver=adapted, end=None)

    def _check_condition(
        self, condition: Tensor | None, items: Tensor | Sequence[int] | None
    ) -> None:
        """ValueError for a condition of another length, or none where a guide needs one."""
        if condition is not None and items is not None and len(condition) != len(items):
            raise ValueError(
                f"condition: {len(condition)} for {len(items)} items; give one per item"
            )
        if condition is None:
            for guide in self.guides:
                if getattr(guide, "needs_condition", False):
                    raise ValueError(
                        f"guide {guide} without a condition; "
                        "give a condition, or leave the guide out"
                    )
