"""Conditions of people's own arrays: which kind they are, and that each item keeps its own."""

import numpy as np
import pandas as pd
import pytest
import torch

import allegory as al
from allegory.data import Dataset
from allegory.data.condition_kinds import PART_DROPOUT
from allegory.data.condition_values import condition_values
from allegory.data.flips import flip

COUNT = 60
RNG = np.random.default_rng(0)
X = np.arange(COUNT, dtype=np.float32)[:, None] + np.array([0, 0.5], np.float32)
NUMBERS = np.stack([np.arange(COUNT), 2.0 * np.arange(COUNT)], 1)
PICTURES = RNG.integers(0, 256, (COUNT, 2, 3)).astype(np.uint8)
WHO = np.array(["ann", "bob", "cat"])[np.arange(COUNT) % 3]
SETS = [{"young"}, {"young", "hat"}, set()] * 20


def data(condition, kind=None) -> Dataset:
    return Dataset.from_arrays(X, condition=condition, condition_kind=kind)


def sources(items) -> np.ndarray:
    """Which of the arrays' entries each item is."""
    return items.x[:, 0].long().numpy()


@pytest.mark.parametrize("part", ["train", "validation", "test"])
def test_each_item_keeps_its_condition(part):
    condition = {"who": WHO, "numbers": NUMBERS, "tags": SETS, "picture": PICTURES}
    dataset = data(condition, {"who": al.Labels})
    items, kind = getattr(dataset, part), dataset.spec.condition
    places = sources(items)

    assert kind.part(items.given, "who").tolist() == (places % 3).tolist()
    assert kind.part(items.given, "numbers").tolist() == NUMBERS[places].tolist()
    tags = kind.part(items.given, "tags")
    assert tags.tolist() == [[float(name in SETS[i]) for name in ("hat", "young")] for i in places]
    picture = kind.part(items.given, "picture")
    assert torch.equal(picture[:, 0], torch.from_numpy(PICTURES[places]).float())


def test_numbers_have_the_ranges_of_the_training_items_and_may_be_missing():
    numbers = NUMBERS.copy()
    numbers[5, 1] = np.nan
    dataset = data(numbers)
    seen = numbers[sources(dataset.train)]
    low, high = tuple(np.nanmin(seen, 0)), tuple(np.nanmax(seen, 0))
    assert dataset.spec.condition == al.Numbers(2, None, low, high)
    order = np.concatenate([sources(items) for items in dataset.sets])
    rows = torch.cat([items.condition for items in dataset.sets])
    assert np.array_equal(rows.numpy(), numbers[order].astype(np.float32), equal_nan=True)


@pytest.mark.parametrize(
    ("condition", "kind", "expected"),
    [
        (NUMBERS > 20, None, al.Tags(("label 0", "label 1"))),
        (SETS, None, al.Tags(("hat", "young"))),
        (list(WHO), al.Tags, al.Tags(("ann", "bob", "cat"))),
        (torch.tensor(PICTURES), None, al.Picture((1, 2, 3), 0.0, 255.0)),
        (PICTURES[..., None], None, al.Picture((1, 2, 3), 0.0, 255.0)),
        (PICTURES > 9, None, al.Picture((1, 2, 3), 0.0, 1.0)),
        (PICTURES, al.Picture((1, 2, 3), noise=0.5), al.Picture((1, 2, 3), noise=0.5)),
        (np.linspace(0, 1, COUNT), al.Numbers(1), al.Numbers(1)),
        (
            {"who": WHO, "big": X[:, 0] > 9, "size": X[:, 0].astype(int) % 4},
            {"who": al.Labels, "size": al.Labels(4)},
            al.Combined(
                ("who", "big", "size"),
                (
                    al.Labels(3, ("ann", "bob", "cat"), PART_DROPOUT),
                    al.Labels(2, (False, True), PART_DROPOUT),
                    al.Labels(4),
                ),
            ),
        ),
    ],
)
def test_the_kind_is_by_the_values_or_as_declared(condition, kind, expected):
    dataset = data(condition, kind)
    assert dataset.spec.condition == expected
    assert len(dataset.train.given) == len(dataset.train)


def test_columns_of_a_table_leave_the_items():
    table = pd.DataFrame({"u": X[:, 0], "v": X[:, 1], "age": np.arange(COUNT), "who": WHO})
    dataset = Dataset.from_arrays(table, labels="who", condition=["age"])
    assert dataset.spec.columns == ("u", "v") and dataset.spec.classes == 3
    assert dataset.spec.given.names == ("age",)
    assert dataset.train.given[:, 0].tolist() == sources(dataset.train).tolist()

    both = Dataset.from_arrays(table, condition=["age", "who"], condition_kind={"who": al.Labels})
    assert both.spec.given.names == ("age", "who")
    parts = both.spec.given
    assert parts.part(both.test.given, "who").tolist() == (sources(both.test) % 3).tolist()


def test_one_item_of_a_set_is_one_row():
    for condition in (NUMBERS[:4, :1], NUMBERS[:4, 0], PICTURES[:4], SETS[:4]):
        dataset = Dataset.from_arrays(X[:4], condition=condition)
        assert [len(items.given) for items in dataset.sets] == [2, 1, 1]
        values = condition_values(condition[:1], 1)
        assert len(values.rows(dataset.spec.condition)) == 1


@pytest.mark.parametrize(
    ("condition", "kind", "says"),
    [
        (np.arange(COUNT), None, "give labels= for classes, floats for a number"),
        (WHO, al.Labels, "classes alone are given as labels="),
        (NUMBERS[:5], None, "5 for 60 items"),
        ([1, [2]], None, "lists of different lengths"),
        (3, None, "give one value per item"),
        ({"a": NUMBERS}, None, "a mapping of one part"),
        ({"a": NUMBERS, "b": NUMBERS[:2]}, None, "b: condition: 2 for 60 items"),
        ({"a": NUMBERS, "b": NUMBERS}, {"c": al.Labels}, "unknown part of the condition 'c'"),
        (NUMBERS, {"c": al.Labels}, "a mapping, and condition is none"),
        (NUMBERS, "Numbers", "give a kind, such as Numbers"),
        (NUMBERS, al.Numbers(3), "give 3 numbers"),
        (NUMBERS * np.nan, None, "missing everywhere"),
        (NUMBERS.astype(complex), None, "complex128; give numbers"),
        (np.zeros((COUNT, 1, 1, 1, 1, 1)), None, r"give numbers \(n, k\), text"),
    ],
)
def test_what_is_no_condition_is_refused(condition, kind, says):
    with pytest.raises(ValueError, match=says):
        data(condition, kind)


def test_a_column_that_is_not_there_is_named():
    with pytest.raises(ValueError, match="condition='agee': no such column; there are age"):
        Dataset.from_arrays(pd.DataFrame({"age": X[:, 0]}), condition=["agee"])


def test_other_data_are_told_by_the_values_of_a_run():
    table = pd.DataFrame({"u": X[:, 0], "age": np.arange(COUNT), "dose": NUMBERS[:, 1], "who": WHO})
    names = ["age", "dose", "who"]
    run = Dataset.from_arrays(table, condition=names, condition_kind={"who": al.Labels}).spec
    other = table[table.who != "ann"].iloc[:30]  # other classes, other ranges
    columns = ["who", "dose", "age"]
    own = Dataset.from_arrays(other, condition=columns, condition_kind={"who": al.Labels})
    found = own.as_spec(run)

    assert found.spec == run and own.spec.condition != run.condition
    rows, places = found.test.condition, found.test.x[:, 0].long().numpy()
    assert run.condition.part(rows, "who").tolist() == (places % 3).tolist()
    assert run.condition.part(rows, "dose")[:, 0].tolist() == NUMBERS[places, 1].tolist()

    numbers = Dataset.from_arrays(table[["u", "dose", "age"]], condition=["dose", "age"])
    wanted = Dataset.from_arrays(table[["u", "dose", "age"]], condition=["age", "dose"]).spec
    assert numbers.as_spec(wanted).train.condition[:, 0].tolist() == sources(numbers.train).tolist()


def test_pictures_of_items_are_not_mirrored_apart_from_them():
    dataset = Dataset.from_arrays(PICTURES[:, None], condition=PICTURES)
    with pytest.raises(ValueError, match="the condition of arrays is a picture"):
        flip(dataset, "both")


def test_other_data_that_lack_a_condition_say_so():
    spec, plain = data(NUMBERS).spec, Dataset.from_arrays(X)
    assert "have no condition" in plain.as_spec(spec).notes[-1]
    assert "learned no condition" in data(NUMBERS).as_spec(plain.spec).notes[-1]


@pytest.mark.parametrize(
    ("condition", "says"),
    [
        (["age"], "2 numbers .age, dose. .train: add .dose."),
        (["age", "dose", "size"], "unknown condition 'size'"),
    ],
)
def test_other_columns_are_refused(condition, says):
    table = pd.DataFrame({"u": X[:, 0], "age": X[:, 0], "dose": X[:, 1], "size": X[:, 0]})
    spec = Dataset.from_arrays(table[["u", "age", "dose"]], condition=["age", "dose"]).spec
    own = Dataset.from_arrays(table[["u", *condition]], condition=condition)
    with pytest.raises(ValueError, match=says):
        own.as_spec(spec)
    with pytest.raises(ValueError, match="and the run learned 2 numbers"):
        Dataset.from_arrays(X[:, :1], columns=["u"], condition=PICTURES).as_spec(spec)
