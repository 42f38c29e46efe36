"""What the objectives of distillation have in common."""

from __future__ import annotations

from typing import Any, ClassVar


class SharedTeacher:
    """An objective with a teacher, which a copy of the student shares.

    A moving average copies the model that is trained, and its objective with it; the teacher does
    not change and stays one.
    """

    jumps: ClassVar[str] = "any"
    """Which jumps it trains, a name of `models.few_step.JUMPS`."""

    def __deepcopy__(self, memo: dict[int, Any]) -> SharedTeacher:
        """The objective itself: it is a frozen value."""
        return self
