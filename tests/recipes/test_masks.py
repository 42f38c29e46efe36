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
        ("center:0.75", ["xxx.", "xxx.", "xxx.", "...."]),
        ("border:0.25", ["...x", "...x", "...x", "xxxx"]),
    ],
)
def test_named_masks(name, rows):
    expected = torch.tensor([[sign == "x" for sign in row] for row in rows])
    assert torch.equal(MASKS.named(name)(4, 4), expected)


def test_random_pixels_are_so_many_and_always_the_same():
    mask = MASKS.named("random:0.3")
    assert mask(10, 10).sum() == 30
    assert torch.equal(mask(10, 10), mask(10, 10))


@pytest.mark.parametrize("text", ["random:1.5", "center:-1", "border:2", "center:nan"])
def test_bad_fractions(text):
    with pytest.raises(ValueError, match="fraction"):
        MASKS.named(text)


def test_an_unknown_name_lists_the_masks():
    with pytest.raises(ValueError, match=r"unknown mask 'bottom'.*lower, upper"):
        MASKS.named("bottom")
