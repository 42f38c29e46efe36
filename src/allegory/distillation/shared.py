"""What the objectives of distillation have in common."""

from __future__ import annotations

from typing import Any, ClassVar

import torch

from ..process.flow_map import check_flow_map
from ..process.path import Path
from ..process.prediction import Predict


class SharedTeacher:
    """An objective with a teacher, which a copy of the student shares.

    A moving average copies the model that is trained, and its objective with it; the teacher does
    not change and stays one.
    """

    jumps: ClassVar[str] = "any"
    """Which jumps it trains, a name of `models.few_step.JUMPS`."""
    teacher: Predict | None
    """What the student learns from; None for the data alone."""

    def check(self, predict: Predict) -> None:
        """ValueError for a student that is no flow map, of another path than its teacher's, or of a
        target that does not determine x0 where there is no signal.
        """
        check_student(predict, self.teacher)

    def __deepcopy__(self, memo: dict[int, Any]) -> SharedTeacher:
        """The objective itself: it is a frozen value."""
        return self


def check_student(student: Predict, teacher: Predict | None) -> None:
    """ValueError for a student that is no flow map, of another path than its teacher's, or of a
    target that does not determine x0 where there is no signal.

    Args:
        student: what is trained.
        teacher: what it learns from; None for data alone.
    """
    check_flow_map(student)
    target = getattr(student, "target", None)
    if target is not None:
        target.check(student.path)
    if teacher is None:
        return

    if not _same(student.path, teacher.path):
        raise ValueError(
            f"student: on {student.path}, the teacher on {teacher.path}; give both the same path"
        )


def _same(one: Path, other: Path) -> bool:
    """Whether two paths have the same scaling, and the same log-SNR at five times."""
    times = torch.linspace(0, 1, 5, dtype=torch.float64)
    log_snr, others = (path.schedule(times) for path in (one, other))
    same = torch.isclose(log_snr, others, rtol=0, atol=1e-6) | (log_snr == others)
    return one.scaling.name == other.scaling.name and bool(same.all())
