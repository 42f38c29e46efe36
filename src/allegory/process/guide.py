"""Guides: transformations of a Predict.

A guide takes a Predict and returns a Predict, so that a sampler, a likelihood or another guide uses
the result as it would use a network. Any function of this form is a guide. `Guided` writes one for
a guide that is a value: it supplies the path, and the energy where the guide has one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol, final, runtime_checkable

from torch import Tensor

from ..lookup import Registry
from .path import Level, Path
from .prediction import Predict, Prediction


@runtime_checkable
class Guide(Protocol):
    """Predict -> Predict.

    A guide that has no effect without a condition says so by an attribute `needs_condition = True`.
    """

    def __call__(self, base: Predict, /) -> Predict:
        """The guided Predict of `base`."""
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
            where it is known, by `guide.energy(base, x_t, t, condition)`.
    """

    base: Predict
    guide: PredictionGuide

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


GUIDES: Registry[Guide] = Registry("guide", modules=("allegory.guidance",))
"""The guides by name, such as "cfg:2"."""


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
