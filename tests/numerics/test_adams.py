"""Adams weights against the textbook's and by exactness on polynomials; the control of a step by
its formula.
"""

import math

import pytest
import torch

from allegory.numerics.adams import (
    MAX_STEP_RATIO,
    MIN_STEP_RATIO,
    SAFETY,
    adams_weights,
    combine,
    next_step,
)


def double(values):
    return torch.tensor(values, dtype=torch.float64)


@pytest.mark.parametrize(
    ("nodes", "weights"),
    [
        ([0, -1], [3 / 2, -1 / 2]),  # Adams-Bashforth 2, 3
        ([0, -1, -2], [23 / 12, -16 / 12, 5 / 12]),
        ([1, 0], [1 / 2, 1 / 2]),  # Adams-Moulton 2, 3, 4
        ([1, 0, -1], [5 / 12, 8 / 12, -1 / 12]),
        ([1, 0, -1, -2], [9 / 24, 19 / 24, -5 / 24, 1 / 24]),
    ],
)
def test_equal_steps_give_the_textbook_weights(nodes, weights):
    """Hairer, Norsett & Wanner 1993, III.1, eq. 1.5 and 1.9."""
    nodes = double([nodes])
    torch.testing.assert_close(
        adams_weights(nodes, torch.ones_like(nodes, dtype=torch.bool)), double([weights])
    )


def test_unequal_nodes_integrate_polynomials_and_unused_ones_weigh_nothing():
    nodes = double([[1, 0, -0.3, -1.7], [1, 0, -2.5, -9], [1, 0, -1, -1], [1, 0, 0, 0]])
    used = torch.arange(4) < torch.tensor([[4], [3], [3], [2]])
    weights = adams_weights(nodes, used)
    assert bool((weights[~used] == 0).all())
    for degree in range(4):
        exact = (weights * nodes**degree).sum(1)
        rows = used.sum(1) > degree
        torch.testing.assert_close(exact[rows], torch.full_like(exact[rows], 1 / (degree + 1)))


def test_a_gap_among_the_used_nodes():
    """The trapezium over the nodes 1 and 0, wherever they stand."""
    weights = adams_weights(double([[1, -3, 0]]), torch.tensor([[True, False, True]]))
    torch.testing.assert_close(weights, double([[0.5, 0, 0.5]]))


def test_combine_weighs_item_by_item():
    slopes = [torch.randn(2, 3, 4, dtype=torch.float64) for _ in range(2)]
    expected = torch.stack([2 * slopes[0][0] - slopes[1][0], 5 * slopes[1][1]])
    torch.testing.assert_close(combine(double([[2, -1], [0, 5]]), slopes), expected)


def test_the_next_width_by_hand():
    error = double([1e-3, 8e-3, 0.0, 1e9, math.nan, 4e-3])
    width = next_step(torch.ones_like(error), error, 1e-3, torch.tensor([2, 2, 2, 2, 2, 1]))
    torch.testing.assert_close(
        width,
        double([SAFETY, SAFETY / 2, MAX_STEP_RATIO, MIN_STEP_RATIO, MIN_STEP_RATIO, SAFETY / 2]),
    )
