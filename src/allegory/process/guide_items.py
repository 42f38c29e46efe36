"""Guides that are for models of items of one kind, such as one by a classifier of these items."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

from ..conditions import Condition
from .guide import Guide


@runtime_checkable
class ComparesItems(Protocol):
    """A guide that is for models of items of one kind."""

    def check_items(self, spec: Any, /) -> None:
        """ValueError for a model whose items, of this `DataSpec`, are others."""
        ...


def condition_kind(guides: Sequence[Guide], own: Condition | None) -> Condition | None:
    """The kind of the condition of samples under some guides.

    Args:
        guides: the guides; one that gives a condition to a model without has a `condition_kind`.
        own: the kind of the model's own condition; None for a model without.
    """
    kinds = [own, *(getattr(guide, "condition_kind", None) for guide in guides)]
    return next((kind for kind in kinds if kind is not None), None)


def refuse_of_items(guides: Sequence[Guide]) -> None:
    """ValueError for a guide that acts on the numbers of an item, where there are latents.

    Args:
        guides: the guides of a model whose denoiser sees latents.
    """
    for guide in guides:
        if getattr(guide, "of_items", False):
            raise ValueError(
                f"guide {guide}: acts on the numbers of an item, and the denoiser of this model "
                "sees latents; leave it out"
            )


def check_items(guides: Sequence[Guide], spec: Any) -> None:
    """Refuse guides that are for other items than those of a model.

    Args:
        guides: the guides.
        spec: what the items of the model are, a `DataSpec`.

    Raises:
        ValueError: from the guide that does not fit.
    """
    for guide in guides:
        if isinstance(guide, ComparesItems):
            guide.check_items(spec)
