"""The checks can fail: each way in which two sides can differ, and in which they could not."""

import math
from itertools import pairwise

import pytest
import torch

from allegory.paper import SECTIONS, Kind
from allegory.paper.check import Check, bound, same, sampled, section


def run(kind, sides):
    return Check(1, "elbo", "a statement", kind, lambda: sides).run()


def test_equal_sides_pass_and_the_worst_is_shown():
    left = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)
    result = run(Kind.EXACT, same(left, left + torch.tensor([0.0, 1e-12, 0.0])))
    assert result.passed
    assert (result.left, result.count, result.reason) == (2.0, 3, "")
    assert result.discrepancy == pytest.approx(1e-12, rel=1e-3)


@pytest.mark.parametrize("wrong", [1.0 + 1e-6, -1.0, math.nan, math.inf])
@pytest.mark.parametrize("kind", [Kind.EXACT, Kind.SAMPLE, Kind.MEAN, Kind.LAW, Kind.DEFINITION])
def test_unequal_sides_fail(kind, wrong):
    result = run(
        kind, same(torch.tensor([0.5, wrong], dtype=torch.float64), torch.tensor([0.5, 1.0]))
    )
    assert not result.passed
    assert result.reason


def test_tolerance_grows_with_the_right_side():
    assert run(Kind.EXACT, same(1e6 + 1e-4, 1e6)).passed
    assert not run(Kind.EXACT, same(1e6 + 1e-2, 1e6)).passed


def test_up_to_a_constant():
    x = torch.linspace(0, 1, 5, dtype=torch.float64)
    assert run(Kind.CONSTANT, same(x + 3, x)).passed
    assert not run(Kind.CONSTANT, same(-x, x)).passed
    assert (
        "do not vary" in run(Kind.PROPORTIONAL, same(torch.full((5,), 3.0), torch.zeros(5))).reason
    )


def test_a_mean_of_draws_needs_small_standard_errors():
    draws = 1 + torch.randn(10_000, dtype=torch.float64)
    assert run(Kind.MEAN, sampled(draws, 1.0)).passed
    assert not run(Kind.MEAN, sampled(draws, -1.0)).passed
    assert not run(Kind.MEAN, sampled(draws, 1.1)).passed
    assert "could hide" in run(Kind.MEAN, sampled(draws[:20], 1.0)).reason


def test_a_bound_needs_its_side_and_its_gap():
    assert run(Kind.BOUND, bound(2.0, 1.5, 0.5)).passed
    assert not run(Kind.BOUND, bound(2.0, 1.5, 0.4)).passed
    assert "does not hold" in run(Kind.BOUND, bound(1.5, 2.0, -0.5)).reason


def test_what_raises_has_failed_and_says_how():
    def compute():
        raise ValueError("math domain\nerror")

    result = Check(1, "elbo", "a statement", Kind.EXACT, compute).run()
    assert not result.passed
    assert result.reason == "raised ValueError: math domain error"


def test_sides_of_two_shapes_are_not_broadcast():
    with pytest.raises(AssertionError, match="shapes"):
        same(torch.zeros(3), torch.zeros(3, 1))


def test_a_section_takes_its_own_numbers_only():
    with pytest.raises(AssertionError, match="not in section"):
        section("mine", "Mine", 1, 2).equation(3, "a statement", Kind.EXACT)


def test_a_section_without_numbers_takes_labels_only():
    mine = section("mine", "Mine")
    mine.further("2015 eq. 14", "a statement", Kind.EXACT)(lambda: same(1.0, 1.0))
    result = mine.checks[0].run()
    assert (result.number, result.label, result.passed) == (None, "2015 eq. 14", True)
    with pytest.raises(AssertionError, match="not in section"):
        mine.equation(1, "a statement", Kind.EXACT)
    with pytest.raises(AssertionError, match="numbered"):
        section("other", "Other", 1, 2).further("2015", "a statement", Kind.EXACT)


def test_sections_cover_the_paper_without_overlap():
    parts = list(SECTIONS.values())
    assert (parts[0].first, parts[-1].last) == (1, 170)
    assert all(before.last + 1 == after.first for before, after in pairwise(parts))
