"""Values in the user's units as rows, what a network sees of them, and what is refused."""

import json
import math

import numpy as np
import pytest
import torch

from allegory.conditions import (
    Combined,
    Condition,
    Labels,
    Numbers,
    Picture,
    Tags,
    hidden_like,
    is_hidden,
    rows_of,
)
from allegory.data import DataSpec
from allegory.lookup import Note

AGE = Numbers(2, ("age", "dose"), (10.0, 0.0), (90.0, 2.0))
FACE = Tags(("young", "smiling", "hat"))
SMALL = Picture((1, 2, 3), 0.0, 255.0)
NOISY = Picture((1, 2, 3), 0.0, 255.0, noise=0.5)
BOTH = Combined(("who", "what", "how"), (Labels(3, ("a", "b", "c")), SMALL, AGE))
KINDS = [Labels(4), AGE, FACE, SMALL, NOISY, BOTH]


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_a_spec_with_a_condition_survives_json(kind: Condition) -> None:
    spec = DataSpec((1, 4, 6), 0.0, 255.0, 256, condition=kind)
    assert DataSpec.from_dict(json.loads(json.dumps(spec.to_dict()))) == spec


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_hidden_rows_are_hidden_and_say_so(kind: Condition) -> None:
    rows = torch.zeros(2, *kind.row_shape, dtype=kind.dtype)
    assert not is_hidden(rows).any()
    assert is_hidden(hidden_like(rows)).all()
    assert all("hidden" in text for text in kind.texts(hidden_like(rows)))


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_hidden_rows_and_none_are_the_same_to_a_module(kind: Condition) -> None:
    module, rows = kind.module(5), torch.zeros(3, *kind.row_shape, dtype=kind.dtype)
    features, embedding = torch.randn(3, 2, 4, 6), torch.randn(3, 5)
    hidden, none = (module(features, embedding, c) for c in (hidden_like(rows), None))
    shown = module(features, embedding, rows)
    assert all(torch.equal(a, b) for a, b in zip(hidden, none, strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(shown, none, strict=True))


@pytest.mark.parametrize(
    ("kind", "values", "rows"),
    [
        (AGE, [30, 0.5], [[30, 0.5]] * 2),
        (AGE, {"dose": 1}, [[math.nan, 1]] * 2),
        (AGE, {"dose": [1, 2], "age": 20}, [[20, 1], [20, 2]]),
        (AGE, np.array([[30, 0.5], [40, math.nan]]), [[30, 0.5], [40, math.nan]]),
        (Numbers(1), 0.5, [[0.5]] * 2),
        (Numbers(1), [0.5, -0.5], [[0.5], [-0.5]]),
        (FACE, "hat", [[0, 0, 1]] * 2),
        (FACE, ["hat", "young"], [[1, 0, 1]] * 2),
        (FACE, [["hat"], []], [[0, 0, 1], [0, 0, 0]]),
        (FACE, np.array([[True, False, True], [False] * 3]), [[1, 0, 1], [0, 0, 0]]),
        (SMALL, np.full((2, 3), 7), [[[[7] * 3] * 2]] * 2),
        (SMALL, np.full((2, 1, 2, 3), 7), [[[[7] * 3] * 2]] * 2),
        (NOISY, np.full((2, 2, 3), 7), [[[[7] * 3] * 2, [[0] * 3] * 2]] * 2),
    ],
)
def test_values_become_rows(kind, values, rows):
    found = rows_of(values, 2, kind)
    torch.testing.assert_close(found, torch.tensor(rows, dtype=kind.dtype), equal_nan=True)
    assert rows_of(found, 2, kind) is found


def test_the_command_line_gives_the_same_values():
    assert rows_of(AGE.parse("age=30,dose=0.5"), 1, AGE).tolist() == [[30, 0.5]]
    assert rows_of(AGE.parse("30, 0.5"), 1, AGE).tolist() == [[30, 0.5]]
    assert rows_of(FACE.parse("hat,young"), 1, FACE).tolist() == [[1, 0, 1]]
    assert rows_of(BOTH.parse("who=b"), 1, BOTH)[0, 0] == 1
    assert AGE.texts(torch.tensor([[30, 0.5]])) == ["age 30, dose 0.5"]
    assert FACE.texts(torch.tensor([[1.0, 0, 1], [0, 0, 0]])) == ["young + hat", "none"]


def test_parts_are_taken_apart_again_and_hidden_alone():
    values = {"who": ["c", "a"], "what": np.arange(12).reshape(2, 1, 2, 3), "how": [30, 0.5]}
    rows = rows_of(values, 2, BOTH)
    assert BOTH.part(rows, "who").tolist() == [2, 0]
    assert BOTH.part(rows, "what").flatten().tolist() == [*range(12)]
    assert BOTH.part(rows, "how").tolist() == [[30, 0.5], [30, 0.5]]
    assert BOTH.texts(rows)[0] == "who c, what picture 2x3, how age 30, dose 0.5"

    hidden = BOTH.hide(rows, "who")
    assert BOTH.part(hidden, "who").tolist() == [-1, -1]
    assert torch.equal(BOTH.part(hidden, "how"), BOTH.part(rows, "how"))
    assert is_hidden(BOTH.part(rows_of({"who": "b"}, 2, BOTH), "how")).all()


def test_parts_are_hidden_each_by_its_own_dropout():
    kind = Combined(("a", "b"), (Labels(3, dropout=0.3), Numbers(1, dropout=0.6)))
    rows = rows_of({"a": 1, "b": 0.5}, 20_000, kind)
    seen = kind.in_training(rows, torch.Generator().manual_seed(0))
    a, b = (is_hidden(kind.part(seen, name)).double() for name in ("a", "b"))
    error = 3 * math.sqrt(0.25 / 20_000)
    assert abs(a.mean() - 0.3) < error and abs(b.mean() - 0.6) < error
    assert abs((a * b).mean() - 0.18) < error  # independent of each other


def test_noise_on_a_picture_keeps_the_variance_and_is_told():
    rows = rows_of(np.full((2, 3), 255.0), 50_000, NOISY)
    seen = NOISY.in_training(rows, torch.Generator().manual_seed(0))
    s = seen[:, 1, 0, 0]
    assert torch.equal(seen[:, 1], s[:, None, None].expand(-1, 2, 3))
    assert s.min() >= 0 and s.max() < 0.5
    assert abs(s.mean() - 0.25) < 3 * 0.5 / math.sqrt(12 * 50_000)

    eps = ((seen[:, 0] - 127.5) / 127.5 - (1 - s * s).sqrt()[:, None, None]) / s[:, None, None]
    count = eps.numel()
    assert abs(eps.mean()) < 4 / math.sqrt(count)
    assert abs(eps.square().mean() - 1) < 4 * math.sqrt(2 / count)


def test_numbers_outside_of_the_training_data_are_told():
    with pytest.warns(Note, match="age 95 is outside of the training data, 10 to 90"):
        AGE.encode([95, 1.0])


def test_time_stamps_keep_their_digits():
    kind = Numbers.of(np.array([[1.7e9], [1.7e9 + 100]]), ("time",))
    module = kind.module(4)
    rows = kind.encode([[1.7e9], [1.7e9 + 1]])
    features, embedding = torch.zeros(2, 1), torch.zeros(2, 4)
    _, added = module(features, embedding, rows)
    expected = module.embed(torch.tensor([[-1.0, 1.0], [-0.98, 1.0]]))
    torch.testing.assert_close(added, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("kind", "values", "says"),
    [
        (AGE, [1, 2, 3], r"shape \(3,\); give 2 numbers \(age, dose\)"),
        (AGE, {"aeg": 3}, "unknown condition 'aeg'; did you mean 'age'"),
        (AGE, "old", "give 2 numbers"),
        (AGE, [math.inf, 1], "finite"),
        (FACE, "hut", "unknown label 'hut'; did you mean 'hat'"),
        (FACE, [0, 1], "give labels out of young"),
        (FACE, [0, 1, 2], "other than 0 and 1"),
        (SMALL, np.zeros((3, 2)), r"shape \(3, 2\); give pictures \(1, 2, 3\)"),
        (BOTH, "b", "give a mapping of who and what and how"),
        (BOTH, {"whom": "b"}, "did you mean 'who'"),
        (BOTH, {"who": "d"}, "who: condition: class d: not known"),
        (BOTH, {"who": ["a", "b", "c"], "how": np.zeros((2, 2)) + 20}, r"parts of \[2, 3\] items"),
        (None, 3, "given to a model of data without labels"),
    ],
)
def test_other_values_are_refused(kind, values, says):
    with pytest.raises(ValueError, match=says), np.errstate(all="ignore"):
        rows_of(values, 2, kind)


@pytest.mark.parametrize("rows", [torch.zeros(2, 3), torch.zeros(2, 2, dtype=torch.int64)])
def test_rows_of_another_kind_are_refused(rows):
    with pytest.raises(ValueError, match=r"for 2 items; give 2 numbers .* of shape \(2, 2\)"):
        rows_of(rows, 2, AGE)


def test_a_number_of_numbers_that_no_machine_holds_is_refused():
    with pytest.raises(ValueError, match="give at most 100,000"):
        Numbers(10**12)


def test_a_part_that_is_called_as_its_number_is_named_once():
    kind = Combined(("age", "who"), (Numbers(1, ("age",)), Labels(2, ("a", "b"))))
    rows = kind.join({"age": torch.tensor([[3.5], [math.nan]])}, (2,))
    assert kind.texts(rows) == ["age 3.5, who hidden", "age hidden, who hidden"]


def test_the_example_of_a_refused_text_has_as_many_numbers_as_are_wanted():
    with pytest.raises(ValueError, match=r"give 1 number \(age\), such as 10$"):
        Numbers(1, ("age",), (10.0,), (90.0,)).parse("3,kind=dog")
    with pytest.raises(ValueError, match=r"such as 10,0$"):
        AGE.parse("old")
