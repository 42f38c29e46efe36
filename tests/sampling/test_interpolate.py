"""Interpolation between encodings: on the great circle, item by item, and back to the items at
its ends.
"""

import math

import pytest
import torch
from tests.helpers.paths import PATHS

from allegory import Mixture
from allegory.process import grid
from allegory.sampling import invert, sample, slerp

A = torch.tensor([[2.0, 0.0, 0.0], [1.0, 1.0, 0.0]], dtype=torch.float64)
B = torch.tensor([[0.0, 2.0, 0.0], [3.0, 3.0, 0.0]], dtype=torch.float64)


def test_a_third_of_a_right_angle():
    found = slerp(A, B, 1 / 3)
    expected = [2 * math.cos(math.pi / 6), 2 * math.sin(math.pi / 6), 0.0]
    torch.testing.assert_close(found[0], torch.tensor(expected, dtype=torch.float64))
    torch.testing.assert_close(found[1], A[1] + (B[1] - A[1]) / 3)  # one direction: a straight line


def test_noise_stays_noise():
    """The variance of N(0, I) is kept at every share; on a straight line it would fall to a
    half.
    """
    generator = torch.Generator().manual_seed(0)
    a, b = torch.randn(2, 500, 3, 8, 8, generator=generator).unbind()
    for weight in (0.25, 0.5):
        assert slerp(a, b, weight).var().item() == pytest.approx(1, abs=0.02)


def test_encode_interpolate_decode():
    path = PATHS["linear-vp"]
    means = torch.tensor([[1.0, 0.5], [-0.8, -0.3]], dtype=torch.float64)
    oracle = Mixture(means, torch.tensor([0.3, 0.3]).double(), path=path)
    walk = grid(path, 100, "angle", "min")
    x0 = torch.tensor([[1.1, 0.4], [-0.7, -0.5]], dtype=torch.float64)
    codes = invert(oracle, x0, walk, solver="auto")
    ends = [sample(oracle, slerp(codes[:1], codes[1:], w), walk, solver="auto") for w in (0.0, 1.0)]
    torch.testing.assert_close(torch.cat(ends), walk.levels[-1].alpha * x0, rtol=0, atol=1e-4)


def test_bad_input():
    with pytest.raises(ValueError, match=r"weight=1\.5"):
        slerp(A, B, 1.5)
    with pytest.raises(ValueError, match=r"shapes \(2, 3\) and \(1, 3\)"):
        slerp(A, B[:1], 0.5)
