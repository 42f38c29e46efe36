"""Masks by name: which pixels of a picture are missing."""

import pytest
import torch

from allegory.recipes.masks import MASKS


@pytest.mark.parametrize(
    ("name", "rows"),
    [
        ("lower", ["....", "....", "xxxx", "xxxx"]),
        ("upper", ["xxxx", "xxxx", "....", "...."]),
        ("left", ["xx..", "xx..", "xx..", "xx.."]),
        ("right", ["..xx", "..xx", "..xx", "..xx"]),
        ("center", ["....", ".xx.", ".xx.", "...."]),
        ("border", ["xxxx", "x..x", "x..x", "xxxx"]),
        ("lower:0.25", ["....", "....", "....", "xxxx"]),
        ("right:0.75", [".xxx", ".xxx", ".xxx", ".xxx"]),
    ],
)
def test_named_masks(name, rows):
    expected = torch.tensor([[sign == "x" for sign in row] for row in rows])
    assert torch.equal(MASKS.named(name)(4, 4), expected)


def test_sides_that_differ_and_odd_ones():
    assert MASKS.named("lower")(6, 3).sum() == 9
    assert MASKS.named("left")(6, 3).sum() == 12  # 1.5 columns are 2
    mask = MASKS.named("center:0.34")(5, 8)
    assert mask.nonzero().min(0).values.tolist() == [1, 2]
    assert mask.nonzero().max(0).values.tolist() == [2, 4]


def test_random_pixels_are_so_many_and_always_the_same():
    mask = MASKS.named("random:0.3")
    assert mask(10, 10).sum() == 30
    assert torch.equal(mask(10, 10), mask(10, 10))
    half = MASKS.named("random")(40, 40).float()
    assert abs(half[:20].mean() - 0.5) < 0.1 and abs(half[:, 20:].mean() - 0.5) < 0.1


@pytest.mark.parametrize("text", ["lower:0", "random:1", "center:-1", "border:2", "lower:nan"])
def test_bad_fractions(text):
    with pytest.raises(ValueError, match="between 0 and 1"):
        MASKS.named(text)


def test_an_unknown_name_lists_the_masks():
    with pytest.raises(ValueError, match=r"unknown mask 'bottom'.*lower, upper"):
        MASKS.named("bottom")
