"""Coverage: exact means for any number of draws, and the units of TARP."""

import math

import pytest
import torch

from allegory.evaluation.calibration import (
    interval_coverage,
    rank_test,
    region_coverage,
    tarp_ranks,
)
from allegory.evaluation.calibration.coverage import covered, varying

F64 = torch.float64


def normal(*shape, seed=0):
    return torch.randn(*shape, dtype=F64, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("draws", [3, 15, 63])
@pytest.mark.parametrize("region", [(0.0, 0.5), (0.05, 0.95), (0.0, 0.9), (0.31, 0.32)])
def test_the_mean_over_uniform_ranks_is_the_credibility(draws, region):
    every = torch.arange(draws + 1)
    found = covered(every, draws, region)
    assert float(found.mean()) == pytest.approx(region[1] - region[0], abs=1e-14)
    assert found.min() >= 0 and found.max() <= 1


def test_a_cell_that_a_region_cuts_covers_in_part():
    """90 % of 16 cells, centred: 0.8 of each end's cell is outside."""
    assert covered(torch.arange(16), 15, (0.05, 0.95)).tolist() == pytest.approx(
        [0.2, *[1.0] * 14, 0.2]
    )


def test_the_standard_error_is_that_of_items():
    """Numbers of an item that are all equal give no more than one of them."""
    truth, draws = normal(200), normal(200, 15, seed=1)
    one = interval_coverage(truth[:, None], draws[..., None])
    equal = interval_coverage(
        truth[:, None].expand(200, 50).clone(), draws[..., None].expand(200, 15, 50).clone()
    )
    assert equal.mean == pytest.approx(one.mean) and equal.error == pytest.approx(one.error)


@pytest.mark.parametrize("scale, level", [(1.0, 0.9), (1.0, 0.5), (0.7, 0.9), (1.5, 0.9)])
def test_central_intervals_of_a_gaussian(scale, level):
    """Many draws of N(0, scale^2): the interval of N(0, 1) covers erf(scale q / sqrt 2)."""
    draws = scale * normal(4000, 199, 1, seed=1)
    found = interval_coverage(normal(4000, 1), draws, level)
    quantile = math.sqrt(2) * float(torch.erfinv(torch.tensor(level, dtype=F64)))
    exact = math.erf(scale * quantile / math.sqrt(2))
    assert abs(found.mean - exact) < 5 * found.error
    assert found.error < 0.01
    assert (found.p < 1e-6) == (scale != 1)


def test_tarp_counts_draws_that_are_nearer_to_the_reference():
    truth = torch.tensor([[3.0], [0.0]])
    draws = torch.tensor([[[2.0], [4.0], [-1.0]], [[1.0], [0.0], [5.0]]])
    references = torch.tensor([[0.0], [4.0]])
    # |3| among |2|, |4|, |1|: two are nearer; |4| among |3|, |4|, |1|: two, and an equal one
    assert [tarp_ranks(truth, draws, references, seed)[0] for seed in range(5)] == [2] * 5
    assert {int(tarp_ranks(truth, draws, references, seed)[1]) for seed in range(20)} == {2, 3}


def test_units_and_places_of_the_numbers_do_not_matter():
    """Scaling only truth and draws would leave the references far away, where all is covered."""
    truth, draws, references = normal(100, 3), normal(100, 15, 3, seed=1), normal(100, 3, seed=2)
    plain = tarp_ranks(truth, draws, references)
    units = 1e4 * torch.tensor([5.0, 1.0, 2.0], dtype=F64)
    shift = torch.tensor([1e5, -7.0, 1e9], dtype=F64)
    moved = [units * each + shift for each in (truth, draws, references)]
    assert torch.equal(tarp_ranks(*moved), plain)


def test_numbers_that_hardly_vary_do_not_take_the_distances():
    """The border of pictures of digits: 1e-6 wide in the truth, 1e-5 in the draws."""
    truth, draws, references = normal(300, 3), normal(300, 15, 3, seed=1), normal(300, 3, seed=2)
    for each, width in ((truth, 1e-6), (draws, 1e-5), (references, 1e-6)):
        each[..., 0] *= width
    assert varying(references).tolist() == [False, True, True]
    assert rank_test("tarp", tarp_ranks(truth, draws, references), 15).p > 0.01
    nothing = (torch.zeros(9, 2), torch.zeros(9, 4, 2), torch.zeros(9, 2))
    assert tarp_ranks(*nothing).max() <= 4


@pytest.mark.parametrize("scale", [0.8, 1.0, 1.25])
def test_tarp_on_a_gaussian_posterior(scale):
    """y = x + noise in 5-D: draws with the exact standard deviation, and with others."""
    truth = 3 + normal(400, 5)
    y = truth + normal(400, 5, seed=1)
    mean, std = 3 + (y - 3) / 2, math.sqrt(0.5)
    draws = mean[:, None] + scale * std * normal(400, 15, 5, seed=2)
    found = tarp_ranks(truth, draws, 3 + normal(400, 5, seed=3))

    p = rank_test("tarp", found, 15).p
    ninety = region_coverage(found, 15)[2]
    assert ninety.level == 0.9
    assert p > 0.01 if scale == 1 else p < 0.001
    assert abs(ninety.mean - 0.9) < 3 * ninety.error or scale != 1


def test_a_method_that_ignores_y_is_not_seen_by_tarp():
    """Why the log-likelihood is ranked as well."""
    found = tarp_ranks(normal(400, 5), normal(400, 15, 5, seed=1), normal(400, 5, seed=2))
    assert rank_test("tarp", found, 15).p > 0.01


def test_other_shapes_are_refused():
    with pytest.raises(ValueError, match="references: shape"):
        tarp_ranks(normal(4, 2), normal(4, 3, 2), normal(4, 3))
    with pytest.raises(ValueError, match="two items"):
        tarp_ranks(normal(1, 2), normal(1, 3, 2), normal(1, 2))
