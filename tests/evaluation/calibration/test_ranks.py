"""Ranks and their test: exact counts, exact moments, the right size, and biased draws rejected."""

import math

import pytest
import torch

from allegory.evaluation.calibration import holm, rank_test, ranks
from allegory.evaluation.calibration.significance import chi_square_p, normal_p

F64 = torch.float64


def normal(*shape, seed=0):
    return torch.randn(*shape, dtype=F64, generator=torch.Generator().manual_seed(seed))


def test_a_rank_is_the_number_of_smaller_draws():
    truth = torch.tensor([0.5, -9.0, 9.0])
    draws = torch.tensor([[0.0, 1.0, 0.4], [0.0, 1.0, 2.0], [0.0, 1.0, 2.0]])
    assert ranks(truth, draws).tolist() == [2, 0, 3]


def test_the_place_among_equal_numbers_is_random_and_uniform():
    """With all equal, the ranks are uniform on 0..L; without a draw of the place all would be 0."""
    found = ranks(torch.zeros(8000), torch.zeros(8000, 3))
    share = torch.bincount(found, minlength=4) / 8000
    assert (share - 0.25).abs().max() < 5 * math.sqrt(0.25 * 0.75 / 8000)
    assert torch.equal(found, ranks(torch.zeros(8000), torch.zeros(8000, 3)))
    assert not torch.equal(found, ranks(torch.zeros(8000), torch.zeros(8000, 3), seed=1))


def test_a_tie_never_leaves_the_equal_numbers():
    truth, draws = torch.ones(500), torch.tensor([0.0, 1.0, 1.0, 2.0]).expand(500, 4)
    assert set(ranks(truth, draws).tolist()) == {1, 2, 3}


@pytest.mark.parametrize("draws", [2, 5, 15])
def test_all_components_together_are_pearsons_statistic(draws):
    """X^2 = sum (observed - expected)^2 / expected, for L = 2 to 4 components."""
    found = torch.randint(0, draws + 1, (50,), generator=torch.Generator().manual_seed(3))
    counts = torch.bincount(found, minlength=draws + 1).double()
    expected = 50 / (draws + 1)
    pearson = float(((counts - expected) ** 2 / expected).sum())
    test = rank_test("x", found, draws)
    assert sum(test.counts) == 50
    if draws <= 4:
        assert test.p == pytest.approx(chi_square_p(pearson, draws), rel=1e-10)
    else:
        assert test.p > chi_square_p(pearson, 4)  # four components are a part of it


def test_location_and_dispersion_in_closed_form():
    """c_1 is the standardised mean rank; c_2 that of the squared distance from the middle."""
    found = torch.tensor([0, 0, 3, 4, 4, 4])
    test = rank_test("x", found, 4)
    place = found.double() - 2
    square = place**2 - 2
    assert test.location == pytest.approx(float(place.sum() / math.sqrt(2 * 6)))
    assert test.dispersion == pytest.approx(float(square.sum() / math.sqrt(2.8 * 6)))


def test_its_size_is_the_level():
    generator = torch.Generator().manual_seed(0)
    p = [
        rank_test("x", torch.randint(0, 16, (300,), generator=generator), 15).p for _ in range(1500)
    ]
    for level in (0.2, 0.05, 0.01):
        error = math.sqrt(level * (1 - level) / 1500)
        assert abs(sum(each <= level for each in p) / 1500 - level) < 4 * error


@pytest.mark.parametrize(
    "scale, shift, says",
    [
        (0.6, 0, "too narrow"),
        (1.7, 0, "too wide"),
        (1, 0.4, "too large"),
        (1, -0.4, "too small"),
    ],
)
def test_biased_draws_are_rejected_and_named(scale, shift, says):
    draws = scale * normal(300, 15, seed=1) + shift
    test = rank_test("x", ranks(normal(300), draws), 15)
    assert test.p < 1e-4
    assert test.finding == says


def test_exact_draws_are_accepted():
    assert rank_test("x", ranks(normal(300), normal(300, 15, seed=1)), 15).p > 0.01


def test_p_values_in_closed_form():
    assert chi_square_p(3.7, 2) == pytest.approx(math.exp(-3.7 / 2), rel=1e-12)
    assert chi_square_p(0.0, 4) == 1.0
    assert normal_p(1.959963984540054) == pytest.approx(0.05, rel=1e-9)
    assert normal_p(-1.959963984540054) == normal_p(1.959963984540054)


def test_holm():
    """Ordered .01 .02 .04 .9 become 4 x .01, 3 x .02, 2 x .04, .9; and never fall."""
    assert holm([0.04, 0.9, 0.01, 0.02]) == pytest.approx((0.08, 0.9, 0.04, 0.06))
    assert holm([0.02, 0.021]) == pytest.approx((0.04, 0.04))
    assert holm([0.7, 0.9]) == (1.0, 1.0)
    assert holm([]) == ()


@pytest.mark.parametrize(
    "truth, draws, said",
    [
        (torch.zeros(3), torch.zeros(3), "draws: shape (3,)"),
        (torch.zeros(3), torch.zeros(3, 0), "at least one draw"),
        (torch.zeros(3), torch.zeros(4, 2), "draws: shape (4, 2)"),
        (torch.tensor([0.0, math.nan]), torch.zeros(2, 2), "NaN"),
    ],
)
def test_what_has_no_ranks_is_refused(truth, draws, said):
    with pytest.raises(ValueError) as error:
        ranks(truth, draws)
    assert said in str(error.value)
