"""Every equation of the paper holds in the sense that its check names; each check can fail."""

from dataclasses import replace

import pytest
import torch
from tests.paper.mistakes import MISTAKES
from tests.paper.mutate import mutate

from allegory.paper import LAST, SECTIONS, Kind, checks, verify
from allegory.paper.cases import chain
from allegory.paper.check import Sides
from allegory.paper.consistency import gap, printed_bound

CHECKS = checks()


@pytest.mark.parametrize(
    "check",
    CHECKS,
    ids=[f"{i}-eq{check.number or check.section}" for i, check in enumerate(CHECKS)],
)
def test_equation(check):
    """It holds, and with one of its sides turned round it does not."""
    sides = check.compute()
    result = replace(check, compute=lambda: sides).run()
    assert result.passed, result
    turned = Sides(-sides.left, sides.right, sides.error, sides.gap)
    assert not replace(check, compute=lambda: turned).run().passed, "a wrong sign passes"


def test_all_equations_are_executed():
    assert {check.number for check in CHECKS} == {*range(1, LAST + 1), None}


def test_every_kind_of_equality_occurs():
    assert {check.kind for check in CHECKS} == set(Kind)


def test_what_does_not_hold_as_printed_says_so():
    loose = [check for check in CHECKS if not check.as_printed]
    assert all(check.note for check in loose)
    mixed = {*range(132, 143), *range(145, 152)}  # the marginal score beside a known x_0
    assert {check.number for check in loose} == {22, 45, *mixed, 166, 168, 169, 170}


@pytest.mark.parametrize("number", [*range(132, 143), 149, 150, 151])
def test_lines_that_mix_the_two_scores_are_executed_in_both_senses(number):
    assert {check.kind for check in checks([number])} == {Kind.SAMPLE, Kind.MEAN}


@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize("steps", [2, 4])
def test_the_gap_from_44_to_45_by_monte_carlo(steps, sign):
    """(44) - (45) by samples: the closed form within four standard errors, with the sign of a."""
    case, count = chain(steps=steps, dims=1, sign=sign), 100_000
    x = case.trajectory(torch.randn(count, steps, 1, dtype=torch.float64))
    ratio = torch.stack(
        [
            case.model(t + 1, x[t + 1]).log_prob(x[t]) - case.forward(t, x[t - 1]).log_prob(x[t])
            for t in range(1, steps)
        ]
    ).sum(0)
    kl = torch.stack(
        [case.forward(t, x[t - 1]).kl(case.model(t + 1, x[t + 1])) for t in range(1, steps)]
    ).sum(0)
    difference = ratio + kl
    error = float(difference.std()) / count**0.5
    assert float(difference.mean()) == pytest.approx(gap(case), abs=4 * error)
    assert abs(gap(case)) > 10 * error
    assert (gap(case) > 0) == (sign > 0)
    assert float(case.dense().elbo() - printed_bound(case)) == pytest.approx(gap(case), rel=1e-9)


@pytest.mark.parametrize("name", MISTAKES)
def test_a_wrong_sign_in_the_library_is_found(name, monkeypatch):
    function, text, wrong, number = MISTAKES[name]
    assert all(result.passed for result in verify([number]))
    mutate(monkeypatch, function, text, wrong)
    assert not all(result.passed for result in verify([number]))


def test_a_choice_of_equations():
    assert sorted({result.number for result in verify([58, 4])}) == [4, 58]
    assert {result.section for result in verify(section="snr")} == {"snr"}
    assert {result.number for result in verify([109, 110], "snr")} == {109, 110}


@pytest.mark.parametrize("number", [0, -1, 171])
def test_a_number_outside_the_paper(number):
    with pytest.raises(ValueError, match=f"equation {number}: .* from 1 to 170"):
        verify([number])


def test_a_section_that_does_not_exist_or_does_not_hold_the_equation():
    with pytest.raises(ValueError, match="unknown section 'guidence'; did you mean 'guidance'"):
        verify(section="guidence")
    with pytest.raises(ValueError, match="equation 45 is in 'chain'"):
        verify([45], "elbo")


def test_sections_are_named_once():
    assert list(SECTIONS) == [part.name for part in SECTIONS.values()]
