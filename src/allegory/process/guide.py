"""Guides: transformations of a Predict.

A guide takes a Predict and returns a Predict, so that a sampler, a likelihood or another guide uses
the result as it would use a network. Any function of this form is a guide. `Guided` writes one for
a guide that is a value: it supplies the path, and the energy where the guide has one.

Three attributes of a Predict tell guides, samplers and likelihoods what it can do. Wrappers pass
them on.

    hidden(condition)   the rows that hide these conditions, where it understands hidden rows, so
                        that predictions with and without a condition can be one batch
    consistent          False where x0 and eps do not add up to x_t; it is right with updates that
                        do not use the state, those of DDIM, and nowhere else
    energy              -log p(x_t) up to a constant, where it is known
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol, final, runtime_checkable

from torch import Tensor

from ..conditions.base import Condition
from ..lookup import Registry
from .path import Level, Path
from .prediction import Predict, Prediction


@runtime_checkable
class Guide(Protocol):
    """Predict -> Predict.

    A guide that has no effect without a condition says so by an attribute `needs_condition = True`.
    One that holds values or parts of a condition has a method `bound_to(kind)`, which gives the
    guide for the conditions of a model (`BindsCondition`). One that is for items of one kind has a
    method `check_items(spec)` (`guide_items.ComparesItems`). One that acts on the numbers of an
    item, and not on latents, says so by `of_items = True`.
    """

    def __call__(self, base: Predict, /) -> Predict:
        """The guided Predict of `base`."""
        ...


@runtime_checkable
class BindsCondition(Protocol):
    """A guide whose choices are read by the kind of a model's condition."""

    def bound_to(self, kind: Condition | None, /) -> Guide:
        """The guide for conditions of this `kind`; None for a model without a condition.

        Raises:
            ValueError: for choices that are none of this kind.
        """
        ...


@runtime_checkable
class PredictionGuide(Protocol):
    """What `Guided` needs; a guide may also have an `energy` with the same arguments."""

    def predict(
        self,
        base: Predict,
        x_t: Tensor,
        t: Tensor | float | Level,
        condition: Tensor | None,
    ) -> Prediction:
        """The guided Prediction of `base` at (x_t, t, condition)."""
        ...


@final
@dataclass(frozen=True, eq=False)
class Guided:
    """A Predict under a guide: the base's path, and the guide's prediction and energy.

    Args:
        base: the Predict that is guided.
        guide: gives the Prediction by `guide.predict(base, x_t, t, condition)`, and -log p(x_t),
            where it is known, by `guide.energy(base, x_t, t, condition)`. A guide whose x0 and eps
            do not add up to x_t has an attribute `consistent = False`.

    Raises:
        ValueError: for a base that is not consistent.
    """

    base: Predict
    guide: PredictionGuide

    def __post_init__(self) -> None:
        check_consistent(self.base, f"guide {self.guide}", "make it the outermost guide, the last")

    @property
    def path(self) -> Path:
        """The path of the base."""
        return self.base.path

    def __call__(
        self, x_t: Tensor, t: Tensor | float | Level, condition: Tensor | None = None
    ) -> Prediction:
        """The guided Prediction."""
        return self.guide.predict(self.base, x_t, t, condition)

    @property
    def energy(self) -> Callable[..., Tensor]:
        """(x_t, t, condition) -> -log p(x_t). AttributeError where the guide has no energy."""
        energy = getattr(self.guide, "energy", None)
        if energy is None:
            raise AttributeError(f"{self.guide} has no energy")
        return partial(energy, self.base)

    @property
    def hidden(self) -> Callable[[Tensor], Tensor]:
        """(condition) -> hidden rows. AttributeError where the base does not understand them."""
        return hidden_of(self.base)

    @property
    def consistent(self) -> bool:
        """Whether x0 and eps add up to x_t."""
        return is_consistent(self.guide) and is_consistent(self.base)


def hidden_of(predict: Predict) -> Callable[[Tensor], Tensor]:
    """The `hidden` of a Predict, from conditions to hidden rows; AttributeError without one."""
    hidden: Callable[[Tensor], Tensor] | None = getattr(predict, "hidden", None)
    if hidden is None:
        raise AttributeError(f"{type(predict).__name__} does not say how a condition is hidden")
    return hidden


def is_consistent(of: object) -> bool:
    """Whether the x0 and eps of a Predict, or of a guide, add up to x_t: its own `consistent`."""
    return bool(getattr(of, "consistent", True))


def check_consistent(predict: Predict, use: str, remedy: str = "sample it by ddim alone") -> None:
    """Refuse a Predict whose x0 and eps do not add up to x_t.

    Args:
        predict: the Predict.
        use: what it is used for, for the message.
        remedy: what to do instead.

    Raises:
        ValueError: where its `consistent` is False.
    """
    if not is_consistent(predict):
        guide = getattr(predict, "guide", None)
        under = "" if guide is None else f" under {guide}"
        raise ValueError(
            f"{use}: x0 and eps of this Predict{under} do not add up to x_t, which only the "
            f"updates of ddim and ddim:eta allow; {remedy}"
        )


GUIDES: Registry[Guide] = Registry(
    "guide",
    modules=(
        "allegory.guidance",
        "allegory.recipes.guide_runs",
        "allegory.recipes.classifier_guide",
    ),
)
"""The guides by name, such as "cfg:2"."""


def bound_to(guides: Sequence[Guide], kind: Condition | None) -> tuple[Guide, ...]:
    """The guides for a model.

    Args:
        guides: the guides, the innermost first.
        kind: of the model's condition; None for a model without one.

    Raises:
        ValueError: for a guide that holds what is no condition of this kind.
    """
    return tuple(
        each.bound_to(kind) if isinstance(each, BindsCondition) else each for each in guides
    )


def guides_named(
    guide: str | Guide | Sequence[str | Guide] | None,
) -> tuple[Guide, ...]:
    """The guides that are meant, the innermost first.

    Args:
        guide: a guide, several, None for no guide, or names separated by commas, such as
            "cfg:2,clamp". A comma that no registered name follows belongs to an option's value.

    Raises:
        ValueError: for an unknown name, a number that does not fit, or what is no guide.
    """
    if guide is None:
        return ()
    if isinstance(guide, str):
        return tuple(GUIDES.named(name) for name in _names(guide))
    if isinstance(guide, Sequence):
        return tuple(each for one in guide for each in guides_named(one))
    if isinstance(guide, type) or not callable(guide):
        name = guide.__name__ if isinstance(guide, type) else repr(guide)
        raise ValueError(f"guide={name}: give a guide, such as ClassifierFree(2.0), or its name")

    return (guide,)


def guide_names(guide: str | Guide | Sequence[str | Guide] | None) -> tuple[str, ...]:
    """The text of each guide: what it says of itself where `GUIDES` reads that, such as "cfg:2",
    else the name that it was given or registered by.

    Args:
        guide: as in `guides_named`.

    Raises:
        ValueError: as `guides_named`.
    """
    if guide is None:
        return ()
    if isinstance(guide, str):
        return tuple(_text(GUIDES.named(name), name) for name in _names(guide))
    if isinstance(guide, Sequence):
        return tuple(name for one in guide for name in guide_names(one))

    registered = (name for name in GUIDES if GUIDES.entry(name).value is guide)
    return (_text(guide, next(registered, str(guide))),)


def _names(text: str) -> list[str]:
    """The names in a text, which is split at commas. After a name with an option only where a
    registered name follows, because an option's value may hold commas.
    """
    names: list[str] = []
    for part in text.split(","):
        in_option = bool(names) and "=" in names[-1]
        if in_option and part.strip().partition(":")[0] not in GUIDES:
            names[-1] += f",{part}"
        else:
            names.append(part.strip())
    return names


def _text(guide: Guide, name: str) -> str:
    try:
        GUIDES.named(str(guide))
    except ValueError:
        return name
    return str(guide)
