r"""Execution of an equation: two sides, a kind of equality, a tolerance.

A check is a function that computes both sides of one numbered equation on an exact case and
returns them as `Sides`. Where the library has the formula, one side is the library's and the other
is in the paper's symbols, so that a wrong sign in either shows. Two rules make it able to fail:

- a comparison by sampling fails when 4 standard errors exceed a tenth of the value;
- a comparison up to a constant, or up to proportionality, fails when the values do not vary.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from enum import Enum

import torch
from torch import Tensor

ROUND_OFF = 1e-9
"""Tolerance of exact equalities, relative to the right side where that is above 1.

float64 leaves about 1e-13; sums of a few thousand terms and cancellations cost three digits of it.
"""

STANDARD_ERRORS = 4.0
"""The tolerance of a mean of draws, in standard errors."""


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

    Args:
        left: the left side.
        right: the right side, of the same shape.
        error: standard errors of the left side, where it is a mean of draws.
        gap: left - right of a bound, by a formula of its own.
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
    """The sides left and right, of one shape; either may be a single number."""
    first, second = _numbers(left), _numbers(right)

    return (
        Sides(_numbers(first, second), second)
        if first.ndim == 0
        else Sides(first, _numbers(second, first))
    )


def sampled(draws: Tensor, right: Tensor | float) -> Sides:
    """The mean of independent draws along the first axis, and `right`, which it estimates."""
    mean = draws.mean(0)
    return Sides(mean, _numbers(right, mean), error=draws.std(0) / len(draws) ** 0.5)


def bound(left: Tensor | float, right: Tensor | float, gap: Tensor | float) -> Sides:
    """The sides of left >= right, which differ by exactly `gap`."""
    sides = same(left, right)
    return Sides(sides.left, sides.right, gap=_numbers(gap, sides.left))


@dataclass(frozen=True)
class _Worst:
    """The sides where their discrepancy is largest relative to the tolerance."""

    left: float
    right: float
    discrepancy: float
    tolerance: float


@dataclass(frozen=True)
class Check:
    """One equation and the function that computes its sides.

    Args:
        number: of the equation; None for one that is not of the paper.
        section: the name of its section.
        statement: the equation as text.
        kind: in what sense the sides agree.
        compute: the function.
        note: what to know about the printed line.
        as_printed: False where the printed line does not hold, or holds in another sense; the note
            says in which, or by how much it does not hold.
        label: the source of an equation without a number, such as "2015 eq. 14".
    """

    number: int | None
    section: str
    statement: str
    kind: Kind
    compute: Callable[[], Sides]
    note: str = ""
    as_printed: bool = True
    label: str = ""

    def run(self) -> Result:
        """Compute and compare both sides. A check that raises has failed; its result says how."""
        try:
            return _compare(self, self.compute())
        except Exception as error:
            nan = float("nan")
            reason = f"raised {type(error).__name__}: {' '.join(str(error).split())}"
            return self._result(_Worst(nan, nan, nan, 0.0), count=0, reason=reason)

    def _result(self, at: _Worst, count: int, reason: str) -> Result:
        return Result(
            number=self.number,
            section=self.section,
            statement=self.statement,
            kind=self.kind.value,
            left=at.left,
            right=at.right,
            discrepancy=at.discrepancy,
            tolerance=at.tolerance,
            passed=not reason,
            count=count,
            reason=reason,
            note=self.note,
            as_printed=self.as_printed,
            label=self.label,
        )


@dataclass(frozen=True)
class Result:
    """Both sides and their discrepancy, where it is largest relative to the tolerance.

    Args:
        number, section, statement, kind, label: of the check.
        left, right: the sides.
        discrepancy: their absolute difference.
        tolerance: the largest that passes.
        passed: whether all compared values agree.
        count: how many values were compared.
        reason: why it failed; empty if it passed.
        note: what to know about the printed line.
        as_printed: whether the printed line holds as printed.
    """

    number: int | None
    section: str
    statement: str
    kind: str
    left: float
    right: float
    discrepancy: float
    tolerance: float
    passed: bool
    count: int
    reason: str
    note: str
    as_printed: bool
    label: str

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
    at = _Worst(
        left=float(left[worst]),
        right=float(right[worst]),
        discrepancy=float(missed[worst]),
        tolerance=float(tolerance[worst]),
    )

    return check._result(at, count=len(left), reason=reason)


@dataclass(frozen=True)
class Section:
    """A section of the paper, or of another one, and the checks of its equations.

    Args:
        name: a short name, as `allegory verify --section` takes it.
        title: the paper's title of it.
        first, last: the range of its equation numbers; 1 and 0 where they are not of the paper.
        checks: the registered checks, in the order of registration.
    """

    name: str
    title: str
    first: int
    last: int
    checks: list[Check]

    def equation(
        self, number: int, statement: str, kind: Kind, note: str = "", as_printed: bool = True
    ) -> Callable[[Callable[[], Sides]], Callable[[], Sides]]:
        """A decorator that registers a function as a check of an equation.

        One equation may have several checks.

        Args:
            number: of the equation.
            statement: the equation as text.
            kind: in what sense the sides agree.
            note: what to know about the printed line.
            as_printed: False where the printed line does not hold as printed.
        """
        assert self.first <= number <= self.last, f"equation {number} is not in section {self.name}"

        def register(compute: Callable[[], Sides]) -> Callable[[], Sides]:
            self.checks.append(Check(number, self.name, statement, kind, compute, note, as_printed))
            return compute

        return register

    def further(
        self, label: str, statement: str, kind: Kind, note: str = ""
    ) -> Callable[[Callable[[], Sides]], Callable[[], Sides]]:
        """A decorator that registers a function as a check of an equation of another paper.

        Args:
            label: the source, such as "2015 eq. 14".
            statement: the equation as text.
            kind: in what sense the sides agree.
            note: what to know about the equation.
        """
        assert self.last < self.first, f"section {self.name} is of numbered equations"

        def register(compute: Callable[[], Sides]) -> Callable[[], Sides]:
            self.checks.append(Check(None, self.name, statement, kind, compute, note, label=label))
            return compute

        return register


def section(name: str, title: str, first: int = 1, last: int = 0) -> Section:
    """A section without checks yet.

    Args:
        name: its short name.
        title: its title.
        first: its first equation.
        last: its last equation; by default it has none of the paper's.
    """
    return Section(name, title, first, last, [])
