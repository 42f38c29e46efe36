"""Precision and recall against values that were counted by hand, and of known distributions."""

import pytest
import torch

from allegory.evaluation import precision_recall


def test_balls_on_a_line():
    real = torch.tensor([[0.0], [1.0], [3.0], [10.0]])  # radii to the 1st neighbour: 1, 1, 2, 7
    samples = torch.tensor([[0.5], [2.5], [2.75], [30.0]])  # radii: 2, .25, .25, 27.25
    # 0.5, 2.5 and 2.75 lie within 7 of 10 or within 1 of 0; 30 in no ball. 0, 1 are within 2 of
    # 0.5, 3 within .25 of 2.75, and 10 within 27.25 of 30.
    assert precision_recall(samples, real, k=1) == (0.75, 1.0)
    assert precision_recall(real, samples, k=1) == (1.0, 0.75)


def test_half_of_the_data_is_half_of_the_recall():
    draw = torch.Generator().manual_seed(0)
    real = torch.randn(2000, 4, generator=draw)
    real[1000:] += 50
    samples = torch.randn(1000, 4, generator=draw)
    precision, recall = precision_recall(samples, real)
    assert precision > 0.9 and 0.4 < recall <= 0.5
    precision, recall = precision_recall(real[::2] + torch.tensor([500.0, 0, 0, 0]), real)
    assert (precision, recall) == (0.0, 0.0)


def test_too_few_items_are_refused():
    with pytest.raises(ValueError, match="3 samples and 9 real items; give more than k of each"):
        precision_recall(torch.zeros(3, 2), torch.zeros(9, 2))
