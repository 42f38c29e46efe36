r"""What it means to execute an equation: two sides, a kind of equality, a tolerance.

A check is a short function that computes both sides of one numbered equation on an exact case and returns them as
`Sides`. Where the library has the formula, one side is the library's and the other is the paper's own letters, so a
wrong sign in either shows. Two rules keep a check honest:

    a comparison by sampling fails when its standard errors could hide a mistake (4 errors above a tenth of the value);
    a comparison up to a constant, or up to proportionality, fails when the compared values do not vary.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from enum import Enum

import torch
from torch import Tensor

ROUND_OFF = 1e-9
"""Tolerance of what is equal in real numbers, relative to the right side where that is above 1: float64 leaves about
1e-13, and sums of a few thousand terms, cancellations and fine quadrature cost three digits of it."""

STANDARD_ERRORS = 4.0
"""A mean of draws may miss by so many standard errors."""


class Kind(Enum):
    """In what sense the two sides agree."""

    SAMPLE = "per sample"
    EXACT = "exact value"
    MEAN = "in mean"
    LAW = "in distribution"
    CONSTANT = "up to a constant"
    PROPORTIONAL = "up to proportionality"
    BOUND = "a bound"
    DEFINITION = "definition"


@dataclass(frozen=True, eq=False)
class Sides:
    """Both sides of an equation, element by element, float64.

    `error` holds standard errors where the left side is a mean of draws; `gap` is what left - right of a bound
    must be, by a formula of its own.
    """

    left: Tensor
    right: Tensor
    error: Tensor | None = None
    gap: Tensor | None = None


def _numbers(value: Tensor | float, like: Tensor | None = None) -> Tensor:
    numbers = torch.as_tensor(value, dtype=torch.float64)
    if like is None or numbers.shape == like.shape:
        return numbers
    assert numbers.numel() == 1, f"sides of shapes {tuple(like.shape)} and {tuple(numbers.shape)}"
    return numbers.reshape(()).expand(like.shape)


def same(left: Tensor | float, right: Tensor | float) -> Sides:
    """Two sides of one shape; either may be a single number."""
    first, second = _numbers(left), _numbers(right)
    return (
        Sides(_numbers(first, second), second)
        if first.ndim == 0
        else Sides(first, _numbers(second, first))
    )


def sampled(draws: Tensor, right: Tensor | float) -> Sides:
    """The mean of independent draws along the first axis, with its standard error, and what it estimates."""
    mean = draws.mean(0)
    return Sides(mean, _numbers(right, mean), error=draws.std(0) / len(draws) ** 0.5)


def bound(left: Tensor | float, right: Tensor | float, gap: Tensor | float) -> Sides:
    """left >= right, by exactly `gap`."""
    sides = same(left, right)
    return Sides(sides.left, sides.right, gap=_numbers(gap, sides.left))


@dataclass(frozen=True)
class Check:
    """One numbered equation and the function that computes its sides."""

    number: int
    section: str
    statement: str
    kind: Kind
    compute: Callable[[], Sides]
    note: str = ""
    as_printed: bool = True  # False: the note says in what sense the printed line holds, or by how much it does not

    def run(self) -> Result:
        """Compute both sides and compare them. What raises has failed, and the result says how."""
        try:
            return _compare(self, self.compute())
        except Exception as error:
            nan = float("nan")
            reason = f"raised {type(error).__name__}: {' '.join(str(error).split())}"
            return self._result(nan, nan, nan, 0.0, count=0, reason=reason)

    def _result(
        self,
        left: float,
        right: float,
        discrepancy: float,
        tolerance: float,
        *,
        count: int,
        reason: str,
    ) -> Result:
        return Result(
            self.number, self.section, self.statement, self.kind.value, left, right, discrepancy, tolerance,
            passed=not reason, count=count, reason=reason, note=self.note, as_printed=self.as_printed,
        )  # fmt: skip


@dataclass(frozen=True)
class Result:
    """What came out: both sides and their discrepancy, where it is largest relative to the tolerance."""

    number: int
    section: str
    statement: str
    kind: str
    left: float
    right: float
    discrepancy: float
    tolerance: float
    passed: bool
    count: int  # values compared
    reason: str  # why it failed
    note: str  # what to know about the printed line
    as_printed: bool  # whether the printed line holds as it stands

    def to_dict(self) -> dict[str, object]:
        """For JSON."""
        return asdict(self)


def _compare(check: Check, sides: Sides) -> Result:
    left, right = sides.left.detach().flatten(), sides.right.detach().flatten()
    missed, reason = left - right, ""
    if sides.gap is not None:
        missed = missed - sides.gap.detach().flatten()
    tolerance = ROUND_OFF * right.abs().clamp(min=1.0)
    if sides.error is not None:
        tolerance = STANDARD_ERRORS * sides.error.detach().flatten()
        reason = (
            "the standard errors could hide a mistake"
            if bool((tolerance > right.abs() / 10).any())
            else ""
        )
    if check.kind in (Kind.CONSTANT, Kind.PROPORTIONAL):
        missed = missed - missed.mean()
        varies = (left - left.mean()).abs().max() > 1e3 * tolerance.max()
        reason = reason or (
            "" if bool(varies) else "the sides do not vary, so that any constant would do"
        )
    if check.kind is Kind.BOUND and not bool((left - right >= -tolerance).all()):
        reason = "the bound does not hold"
    missed = missed.abs()
    worst = int((missed / tolerance).argmax())  # a NaN counts as the largest
    if not bool((missed <= tolerance).all()):
        reason = reason or "the sides differ by more than the tolerance"
    values = (
        float(left[worst]),
        float(right[worst]),
        float(missed[worst]),
        float(tolerance[worst]),
    )
    return check._result(*values, count=len(left), reason=reason)


@dataclass(frozen=True)
class Section:
    """A section of the paper: its name, its title, its range of numbers, and the checks registered under it."""

    name: str
    title: str
    first: int
    last: int
    checks: list[Check]

    def equation(
        self, number: int, statement: str, kind: Kind, note: str = "", as_printed: bool = True
    ) -> Callable[[Callable[[], Sides]], Callable[[], Sides]]:
        """Register the decorated function as a check of this equation. One equation may have several."""
        assert self.first <= number <= self.last, f"equation {number} is not in section {self.name}"

        def register(compute: Callable[[], Sides]) -> Callable[[], Sides]:
            self.checks.append(Check(number, self.name, statement, kind, compute, note, as_printed))
            return compute

        return register


def section(name: str, title: str, first: int, last: int) -> Section:
    """A section without checks yet."""
    return Section(name, title, first, last, [])
