"""Classifier guidance by the classifier of another run: "classifier:2:run=runs/classifier"."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

from torch import Tensor, nn

from ..conditions import Condition
from ..guidance.classifier import ClassifierGuidance
from ..lookup import written
from ..models.base import CanClassify
from ..process.guide import GUIDES
from ..process.path import Level
from ..process.path import Path as Process
from ..process.prediction import Predict
from .guide_runs import model_of_run

_YES_OR_NO = {"true": True, "false": False}


@dataclass(frozen=True, eq=False)
class ClassifierOfRun:
    """The classifier of another run, on the device of the items.

    Args:
        model: the classifier.
    """

    model: Any

    @property
    def path(self) -> Process:
        """The path of the classifier."""
        process: Process = self.model.path
        return process

    @property
    def spec(self) -> Any:
        """What its items are."""
        return self.model.spec

    def class_log_prob(self, x_t: Tensor, t: Tensor | float | Level) -> Tensor:
        """log p(y | x_t) in nats, (b, classes), at the time or Level t."""
        if isinstance(self.model, nn.Module):
            self.model.to(x_t.device)
        found: Tensor = self.model.class_log_prob(x_t, t)
        return found


@dataclass(frozen=True)
class ClassifierByRun:
    """Classifier guidance by the classifier of another run (see `guidance.ClassifierGuidance`).

    Args:
        scale: w of score + w grad log p(y | x_t); 0 is the model without guidance.
        run: the run folder of the classifier.
        given: whether the model is conditioned on the class as well.
        weights: which weights of the run: "best", "ema" or "last"; None as for `RunFolder`.
        of_items: True; a model of latents refuses this guide.

    Raises:
        ValueError: for what is no run of a classifier, and a scale that is no finite number; when
            applied, for a model of other items, other classes, or a wider range of log-SNR.
    """

    scale: float
    run: str
    given: bool = False
    weights: str | None = None
    of_items: ClassVar[bool] = True
    guide: ClassifierGuidance = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        model = model_of_run(self.run, self.weights, "run")
        if not isinstance(model, CanClassify):
            raise ValueError(
                f"run={self.run}: a {type(model).__name__}, no classifier; give a run of one, e.g. "
                "of `allegory train digits_classifier`"
            )

        guide = ClassifierGuidance(ClassifierOfRun(model), self.scale, self.given)
        object.__setattr__(self, "guide", guide)

    @property
    def needs_condition(self) -> bool:
        """True: a `Sampler` refuses this guide without a condition."""
        return self.guide.needs_condition

    @property
    def condition_kind(self) -> Condition | None:
        """The kind of the condition: the classes of the classifier."""
        return self.guide.condition_kind

    @classmethod
    def from_text(
        cls, number: float, run: str, given: str = "false", weights: str | None = None
    ) -> ClassifierByRun:
        """The guide of a name with options, such as "classifier:2:run=runs/classifier".

        Args:
            number: w.
            run: the run folder.
            given: "true" or "false".
            weights: which weights of the run.

        Raises:
            ValueError: as the guide itself.
        """
        if given not in _YES_OR_NO:
            raise ValueError(f"given={given}: give true or false")
        return cls(number, run, _YES_OR_NO[given], weights)

    def __call__(self, base: Predict) -> Predict:
        """The guided Predict. ValueError for a base whose log-SNR has a wider range."""
        return self.guide(base)

    def __str__(self) -> str:
        given = "true" if self.given else None
        return written("classifier", self.scale, run=self.run, given=given, weights=self.weights)

    def check_items(self, spec: Any) -> None:
        """ValueError for a model whose items, of this `spec`, are not those of the classifier."""
        try:
            self.guide.check_items(spec)
        except ValueError as error:
            raise ValueError(f"run={self.run}: {error}") from None


GUIDES.register(
    "classifier",
    None,
    "score + w grad log p(y | x_t) by a classifier (Dhariwal & Nichol 2021)",
    make=ClassifierByRun.from_text,
    parameter="w, a number; 0 is without guidance",
    options={
        "run": "the run folder of the classifier",
        "given": "true if the model is conditioned on the class as well",
        "weights": "which weights of the run: best, ema or last",
    },
)
