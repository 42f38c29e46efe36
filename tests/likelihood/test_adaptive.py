"""The pairs by their order on an equation that is solved, the control by its formula."""

import math

import pytest
import torch

from allegory.likelihood.adaptive import GROW, MARGIN, PAIRS, SHRINK, combine, next_width


def step(pair, t, y, h):
    """One step of y' = y cos t, by the pair: the result and the error that it reports."""
    slopes = [y * math.cos(t)]
    for node, row in zip(pair.nodes[1:], pair.rows, strict=True):
        state = y + h * combine(row, slopes)
        slopes.append(state * math.cos(t + node * h))
    return state, h * combine(pair.errors, slopes)


@pytest.mark.parametrize("pair", PAIRS.values(), ids=PAIRS)
def test_a_pair_has_its_two_orders(pair):
    """y = exp(sin t): halving h divides the local error by 2^(p+1), p = q + 1 for the result and q for the estimate."""
    t, y = 0.3, torch.tensor(math.exp(math.sin(0.3)), dtype=torch.float64)
    widths = (0.1, 0.05)
    off, told = zip(
        *((abs(math.exp(math.sin(t + h)) - s).item(), abs(e).item()) for h in widths for s, e in [step(pair, t, y, h)]),
        strict=True,
    )
    assert abs(math.log2(off[0] / off[1]) - (pair.order + 2)) < 0.5
    assert abs(math.log2(told[0] / told[1]) - (pair.order + 1)) < 0.5


@pytest.mark.parametrize("pair", PAIRS.values(), ids=PAIRS)
def test_a_pair_is_consistent(pair):
    """Each row sums to its node, the errors to nothing."""
    for node, row in zip(pair.nodes[1:], pair.rows, strict=True):
        assert sum(row) == pytest.approx(node, abs=1e-13)
    assert sum(pair.errors) == pytest.approx(0, abs=1e-14)


def test_the_second_stage_of_dormand_and_prince_is_no_quadrature_node():
    assert PAIRS["dp54"].quadrature == (True, False, True, True, True, True, True)
    assert all(PAIRS["bs32"].quadrature)


def test_the_next_width_by_hand():
    pair, nan = PAIRS["bs32"], math.nan
    error = torch.tensor([1e-3, 8e-3, 0.0, 1e9, nan], dtype=torch.float64)
    width, stands = next_width(pair, torch.ones(5, dtype=torch.float64), error, 1e-3)
    expected = torch.tensor([MARGIN, MARGIN / 2, GROW, SHRINK, SHRINK], dtype=torch.float64)
    torch.testing.assert_close(width, expected)
    assert stands.tolist() == [True, False, True, False, False]
