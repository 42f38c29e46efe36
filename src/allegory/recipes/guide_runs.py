"""Guides that need a second run: names such as "autoguidance:2:weak=runs/small".

The guides themselves take Predicts and modules. Here a run folder is opened for them, once, and its
model is compared with the one that is guided.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..conditions import Condition
from ..guidance.autoguidance import Autoguidance
from ..guidance.scale import OPTIONS, Scale, option_numbers
from ..lookup import written
from ..models.base import HasTrajectory, refuse_jumps, refuse_latents
from ..process.guide import GUIDES, hidden_of
from ..process.path import Level
from ..process.path import Path as Process
from ..process.prediction import Predict, Prediction, energy_of
from .run_folder import RunFolder


def model_of_run(path: str, which: str | None, option: str) -> Any:
    """The model of a run folder, without gradients; opened once, until its weights change.

    Args:
        path: the folder.
        which: its weights: "best", "ema" or "last"; None as for `RunFolder`.
        option: the option of the guide that names the run, for messages.

    Raises:
        ValueError: for what is no run with weights.
    """
    try:
        file = RunFolder.open(Path(path), which).weights
        return _model(path, which, file.stat().st_mtime_ns)
    except ValueError as error:
        raise ValueError(f"{option}={path}: {error}") from None


@lru_cache(maxsize=4)
def _model(path: str, which: str | None, changed: int) -> Any:
    with torch.inference_mode(False):  # or a later caller could take no gradient through it
        return RunFolder.open(Path(path), which).model().requires_grad_(False)


@dataclass(frozen=True, eq=False)
class PredictOfRun:
    """The Predict of a model of another run, on the device of the items.

    Args:
        base: its denoiser.
        shape: of its items.
        option: the option of the guide that names the run, for messages.
    """

    base: Any
    shape: tuple[int, ...]
    option: str

    @property
    def path(self) -> Process:
        """The path of the base."""
        process: Process = self.base.path
        return process

    def __call__(
        self, x_t: Tensor, t: Tensor | float | Level, condition: Tensor | None = None
    ) -> Prediction:
        """The base's Prediction.

        Args:
            x_t: states, (b, *shape).
            t: one time, one per item, or a Level.
            condition: one row per item, or None.

        Raises:
            ValueError: for items of another shape.
        """
        return self._for(x_t)(x_t, t, condition)

    def energy(
        self, x_t: Tensor, t: Tensor | float | Level, condition: Tensor | None = None
    ) -> Tensor:
        """The base's energy.

        Args:
            x_t: states, (b, *shape).
            t: one time, one per item, or a Level.
            condition: one row per item, or None.

        Raises:
            ValueError: for a base that has none, and items of another shape.
        """
        return energy_of(self._for(x_t), x_t, t, condition)

    @property
    def hidden(self) -> Callable[[Tensor], Tensor]:
        """(condition) -> hidden rows. AttributeError where the base does not understand them."""
        return hidden_of(self.base)

    def _for(self, x_t: Tensor) -> Predict:
        if tuple(x_t.shape[1:]) != self.shape:
            raise ValueError(
                f"{self.option}: a model of items of shape {self.shape}, and the guided items have "
                f"{tuple(x_t.shape[1:])}; give a run of the same data"
            )
        if isinstance(self.base, nn.Module):
            self.base.to(x_t.device)
        predict: Predict = self.base
        return predict


def check_same_condition(given: Condition | None, guided: Condition | None, option: str) -> None:
    """ValueError unless two models have the same kind of condition.

    Args:
        given: that of the model of the other run.
        guided: that of the guided model.
        option: the option of the guide that names the run, for messages.
    """
    if given != guided:
        raise ValueError(
            f"{option}: a model of other conditions ({given or 'none'}) than the guided one "
            f"({guided or 'none'}), or of other classes; give a run of the same data"
        )


@dataclass(frozen=True)
class AutoguidanceByRun:
    """Autoguidance by the model of another run (see `guidance.Autoguidance`).

    Args:
        scale: w of weak + w (strong - weak).
        weak: the run folder of the weaker model.
        weights: which of its weights: "best", "ema" or "last"; None as for `RunFolder`.
        low: the log-SNR below which w is 1; None for no limit.
        high: the log-SNR above which w is 1; None for no limit.
        rescale: phi, from 0 to 1.

    Raises:
        ValueError: for what is no run of a diffusion model, and numbers that do not fit; when bound
            or applied, for a model of other items, another path or other conditions.
    """

    scale: float
    weak: str
    weights: str | None = None
    low: float | None = None
    high: float | None = None
    rescale: float = 0.0
    guide: Autoguidance = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        Scale(self.scale, self.low, self.high, self.rescale)
        model = self._model
        if not isinstance(model, HasTrajectory):
            raise ValueError(f"weak={self.weak}: no diffusion model; give the run of one")
        refuse_jumps(model, f"weak={self.weak}")
        refuse_latents(model, f"weak={self.weak}")

        predict = PredictOfRun(model.denoiser, tuple(model.spec.shape), f"weak={self.weak}")
        guide = Autoguidance(predict, self.scale, self.low, self.high, self.rescale)
        object.__setattr__(self, "guide", guide)

    @classmethod
    def from_text(
        cls,
        number: float,
        weak: str,
        weights: str | None = None,
        **options: str,
    ) -> AutoguidanceByRun:
        """The guide of a name with options, such as "autoguidance:2:weak=runs/small".

        Args:
            number: w.
            weak: the run folder.
            weights: which of its weights.
            options: low, high and rescale, as text.

        Raises:
            ValueError: as the guide itself.
        """
        return cls(number, weak, weights, **option_numbers(**options))

    def __call__(self, base: Predict) -> Predict:
        """The guided Predict. ValueError where the weak model is on another path."""
        return self.guide(base)

    def __str__(self) -> str:
        choices = {"low": self.low, "high": self.high, "rescale": self.rescale or None}
        return written("autoguidance", self.scale, weak=self.weak, weights=self.weights, **choices)

    def bound_to(self, kind: Condition | None) -> AutoguidanceByRun:
        """The guide itself, for conditions of the same `kind`. ValueError for others."""
        check_same_condition(self._model.spec.given, kind, f"weak={self.weak}")
        return replace(self)

    @property
    def _model(self) -> Any:
        return model_of_run(self.weak, self.weights, "weak")


GUIDES.register(
    "autoguidance",
    None,
    "away from a weaker model, weak + w (strong - weak) (Karras et al. 2024)",
    make=AutoguidanceByRun.from_text,
    parameter="w, a number; 1 is unguided",
    options={
        "weak": "the run folder of the weaker model",
        "weights": "which of its weights: best, ema or last",
    }
    | OPTIONS,
)
