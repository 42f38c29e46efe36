"""What the objectives of distillation have in common."""

from __future__ import annotations

from typing import Any, TypeVar

T = TypeVar("T")


class SharedTeacher:
    """An objective with a teacher, which a copy of the student shares.

    A moving average copies the model that is trained, and its objective with it; the teacher does
    not change and stays one.
    """

    def __deepcopy__(self: T, memo: dict[int, Any]) -> T:
        """The objective itself: it is a frozen value."""
        return self
