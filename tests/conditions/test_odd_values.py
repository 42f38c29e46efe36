"""Values of conditions that are odd: refused, or said, with a remedy."""

import warnings

import numpy as np
import pytest
import torch

import allegory as al
from allegory.conditions import hidden_like, rows_of
from allegory.conditions.base import is_missing, parsed_row

NAMED = al.Labels(3, ("cat", "dog", "horse"))
PAIR = al.Numbers(2, ("age", "dose"), (0.0, 0.0), (9.0, 1.0))


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: NAMED.encode("hosre"), "class hosre: not known; did you mean 'horse'"),
        (lambda: NAMED.encode(""), "class '': not known"),
        (lambda: NAMED.encode(["x" * 999]), f"class {'x' * 40}: not known"),
        (lambda: PAIR.encode([1e31, 0]), "at most 1e.30"),
        (lambda: PAIR.parse("age=1,age=2"), "give 2 numbers .age, dose."),
        (lambda: al.Numbers(1).encode({"age": 1}), "its numbers have no names; give 1 number"),
    ],
)
def test_odd_values_are_refused_with_the_remedy(make, says):
    with pytest.raises(ValueError, match=says):
        make()


def test_none_hides_what_a_text_says():
    text = al.conditions.Text(("none", "red"), 3)
    both = al.conditions.Combined(("who", "how"), (NAMED, PAIR))
    for kind in (text, NAMED, PAIR, both):
        assert al.conditions.is_hidden(parsed_row(kind, "none")[None]).all()
    assert both.part(parsed_row(both, "who=none")[None], "who").tolist() == [-1]
    assert parsed_row(PAIR, "none,1").isnan().tolist() == [True, False]


def test_an_empty_text_is_said_and_a_missing_one_is_hidden():
    text = al.conditions.Text(("red",), 2)
    with pytest.warns(UserWarning, match="1 text without a word, read as empty"):
        rows = text.encode(["red", "", None])
    assert rows.tolist() == [[2, 0], [0, 0], [-1, -1]]
    assert is_missing(float("nan")) and not is_missing("")


def test_a_picture_outside_of_the_range_is_said():
    kind = al.conditions.Picture((1, 2, 2), 0.0, 255.0)
    with pytest.warns(UserWarning, match="from 0 to 256, and those of the training data are from"):
        kind.encode(np.array([[[0, 1], [2, 256]]]))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        kind.encode(np.full((1, 2, 2), 255.0))


@pytest.mark.parametrize(
    ("kind", "row", "says"),
    [
        (al.conditions.Text(("red",), 2), [3, 0], "give 0 to 2, or -1 in all of a row"),
        (al.conditions.Text(("red",), 2), [-1, 2], "give 0 to 2, or -1 in all of a row"),
        (al.conditions.Text(("red",), 2), [-2, -2], "numbers of words from -2 to -2"),
        (al.Tags(("hat", "old")), [1.0, 2.0], "give 1, 0, or NaN to hide one"),
        (PAIR, [torch.inf, 0.0], "infinite numbers"),
        (al.conditions.Picture((1, 1, 1), noise=0.5), [[[0.0]], [[0.6]]], "give 0 to 0.5"),
    ],
)
def test_rows_that_no_value_has_are_refused(kind, row, says):
    with pytest.raises(ValueError, match=says):
        rows_of(torch.tensor([row]), 1, kind)
    rows = hidden_like(torch.empty((1, *kind.row_shape), dtype=kind.dtype))
    assert rows_of(rows, 1, kind) is rows
