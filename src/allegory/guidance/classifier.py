r"""Classifier guidance: the score of p(x_t) plus w times the gradient of log p(y | x_t).

    score' = grad log p(x_t) + w grad log p(y | x_t)          (Luo 2022, eq. 166)

With w = 1 and the exact posterior of the class this is the score of p(x_t | y). The gradient is
taken at x_t. For w > 1 the density p(x_t) p(y | x_t)^w is sharpened at each level; it is not the
noised density of p(x0) p(y | x0)^w.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from ..conditions import Condition
from ..process.guide import Guided
from ..process.path import Level
from ..process.prediction import Predict, Prediction, energy_of
from .scale import check_guidance_scale
from .tilt import gradient, shifted

ClassLogProb = Callable[[Tensor, Level], Tensor]
"""(x_t, level) -> log p(y | x_t) in nats, (b, classes)."""

_SLACK = 1e-6
"""By how much the ends of two paths may differ in log-SNR."""


@dataclass(frozen=True, eq=False)
class ClassifierGuidance:
    """Classifier guidance, score + scale grad log p(y | x_t) (Dhariwal & Nichol 2021).

    `ClassifierGuidance(classifier, 2.0)(predict)` is the guided Predict. It costs one evaluation of
    the base, and one of the classifier with its gradient. Items whose class is hidden (-1) are not
    guided.

    Args:
        classifier: a model with `class_log_prob(x_t, level)`, such as a `Classifier` or a
            `Mixture` with labels, or such a function: log p(y | x_t) in nats, (b, classes).
        scale: w of the formula; 0 is the base.
        given: whether the base is conditioned on the class as well, as for the best results of
            Dhariwal & Nichol; by default it makes its unconditional prediction.
        needs_condition: True; a `Sampler` refuses this guide without a condition.

    Raises:
        ValueError: for a scale that is no finite number, or what is no classifier.
    """

    classifier: Any
    scale: float = 1.0
    given: bool = False
    needs_condition: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_guidance_scale(self.scale, neutral="0 is the base")
        if not callable(getattr(self.classifier, "class_log_prob", self.classifier)):
            raise ValueError(
                f"classifier: of type {type(self.classifier).__name__}; give a Classifier, or a "
                "function (x_t, level) -> log p(y | x_t)"
            )

    def __call__(self, base: Predict) -> Guided:
        """The guided Predict of `base`.

        Raises:
            ValueError: for a base whose log-SNR leaves the range that the classifier was trained
                on.
        """
        path = getattr(self.classifier, "path", None)
        if path is not None:
            _check_range(base.path.schedule.ends, path.schedule.ends)

        return Guided(base, self)

    def __str__(self) -> str:
        given = ", given=True" if self.given else ""
        return f"ClassifierGuidance({type(self.classifier).__name__}, {self.scale:g}{given})"

    @property
    def condition_kind(self) -> Condition | None:
        """The kind of the condition: the classes of the classifier, where it says them."""
        kind: Condition | None = getattr(getattr(self.classifier, "spec", None), "given", None)
        return kind

    @property
    def of_items(self) -> bool:
        """Whether the classifier says what its items are, which are then no latents."""
        return getattr(self.classifier, "spec", None) is not None

    def check_items(self, spec: Any) -> None:
        """Compare the items of a model that is to be guided with those of the classifier.

        Args:
            spec: what the model's items are, a `DataSpec`.

        Raises:
            ValueError: for another shape, other levels, another range, or other classes.
        """
        mine = getattr(self.classifier, "spec", None)
        if mine is None:
            return

        for name in ("shape", "levels", "low", "high"):
            theirs, own = getattr(spec, name), getattr(mine, name)
            if theirs != own:
                raise ValueError(
                    f"classifier: its items have {name} {own}, the model's {theirs}; train a "
                    "classifier on the model's data"
                )

        is_unlabelled = spec.given is None and not self.given
        if not is_unlabelled and _classes(spec) != _classes(mine):
            raise ValueError(
                f"classifier: its classes are {_shown(mine)}, the model's {_shown(spec)}; train a "
                "classifier on the model's data"
            )

    def predict(
        self, base: Predict, x_t: Tensor, t: Tensor | float | Level, condition: Tensor | None
    ) -> Prediction:
        """The guided Prediction at (x_t, t); without a condition, the base's own.

        Raises:
            ValueError: for a condition that is no class of the classifier.
        """
        prediction = base(x_t, t, condition if self.given else None)
        if condition is None or self.scale == 0:
            return prediction

        slope = gradient(self._log_prob, base.path, x_t, t, condition)
        return shifted(prediction, self.scale, slope)

    def energy(
        self,
        base: Predict,
        x_t: Float[Tensor, "b *shape"],
        t: Tensor | float | Level,
        condition: Tensor | None = None,
    ) -> Float[Tensor, " b"]:
        """The energy whose score is the guided one, E - scale log p(y | x_t).

        Args:
            base: the Predict that is guided; it must have an energy.
            x_t: shape (b, *shape).
            t: one time, one per item, or a Level.
            condition: the class of each item; None for no guidance.

        Raises:
            ValueError: for a base that has no energy, or a condition that is no class.
        """
        energy = energy_of(base, x_t, t, condition if self.given else None)
        if condition is None or self.scale == 0:
            return energy

        level = base.path.at(t, like=x_t)
        return energy - self.scale * self._log_prob(x_t, level, condition)

    def _log_prob(self, x_t: Tensor, level: Level, condition: Tensor | None) -> Tensor:
        """log p(y | x_t) of the class of each item, 0 where it is hidden."""
        assert condition is not None
        function: ClassLogProb = getattr(self.classifier, "class_log_prob", self.classifier)
        every = function(x_t, level)
        _check_classes(condition, every)

        hidden = condition < 0
        chosen = every.gather(1, condition.clamp(min=0).long()[:, None])[:, 0]
        return torch.where(hidden, 0.0, chosen)


def _check_classes(condition: Tensor, log_prob: Tensor) -> None:
    """ValueError for conditions that are no classes of the log-probabilities."""
    if condition.is_floating_point() or condition.shape != log_prob.shape[:1]:
        raise ValueError(
            f"condition: {condition.dtype} of shape {tuple(condition.shape)}; classifier guidance "
            f"takes the class of each item, integers of shape ({len(log_prob)},)"
        )

    # On an accelerator the check would wait for it; there `gather` asserts it.
    if condition.device.type == "cpu" and int(condition.max()) >= log_prob.shape[1]:
        raise ValueError(
            f"condition: class {int(condition.max())}; the classifier has the classes 0 to "
            f"{log_prob.shape[1] - 1}, and -1 for none"
        )


def _check_range(base: tuple[float, float], own: tuple[float, float]) -> None:
    """ValueError for the ends of a path outside of those that a classifier was trained on."""
    if base[0] > own[0] + _SLACK or base[1] < own[1] - _SLACK:
        raise ValueError(
            f"classifier: trained at log-SNR {own[0]:g} to {own[1]:g}, and this model has "
            f"{base[0]:g} to {base[1]:g}; train a classifier on a path as wide"
        )


def _classes(spec: Any) -> tuple[Any, ...]:
    """The values of the classes in the data, as text, in order."""
    names = spec.class_names
    return tuple(map(str, range(spec.classes or 0) if names is None else names))


def _shown(spec: Any) -> str:
    """The values of the classes for a message, the first eight."""
    names = _classes(spec)
    more = ", ..." if len(names) > 8 else ""
    return ", ".join(names[:8]) + more if names else "none"
