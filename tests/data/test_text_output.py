"""Items as text and as a table: what is written is read as the same items again."""

import pandas as pd
import pytest
import torch

from allegory.conditions import Numbers
from allegory.data import DataSpec, Items, load
from allegory.data.text import TextOptions, text_dataset, text_spec
from allegory.data.text_output import csv_of_items, item_texts, joined_text, text_of_items
from allegory.data.vocabularies import Bytes, Categories, Characters

COLOURS = Categories((("red", "sky, blue", 'a "b"'), (False, True)))


def categories(**more):
    return DataSpec((2,), 0.0, 2.0, 3, vocabulary=COLOURS, **more)


def test_lines_are_read_again_as_the_same_items(tmp_path):
    lines = ["one", "zwölf", "three two"] * 5
    data = text_dataset(lines, TextOptions(items="lines"))
    (tmp_path / "again.txt").write_text(text_of_items(data.test, data.spec))
    (tmp_path / "again.txt").open("a").write("filler\n" * 3)
    again = load(f"{tmp_path}/again.txt?items=lines&length={data.spec.shape[0]}")
    assert torch.equal(again.all_as_test().test.x[: len(data.test)], data.test.x)

    ended = Items(data.spec.vocabulary.encode("a\nb")[None])
    assert text_of_items(ended, text_spec(data.spec.vocabulary, 3)) == "a\\nb\n"


def test_windows_have_a_line_before_each_of_them():
    spec = text_spec(Bytes(), 3)
    items = Items(Bytes().encode("ab\ncde").view(2, 3))
    assert item_texts(items, spec) == ["ab\n", "cde"]
    assert text_of_items(items, spec) == "===== 1 =====\nab\n\n===== 2 =====\ncde\n"

    vocabulary = Characters("ab", padding=True)
    spec = DataSpec((2,), 0.0, 2.0, 3, classes=2, class_names=("x", "y"), vocabulary=vocabulary)
    labelled = Items(torch.tensor([[0, 1], [1, 2]]), torch.tensor([1, 0]))
    assert text_of_items(labelled, spec) == "===== 1, y =====\nab\n===== 2, x =====\nb\n"


def test_a_table_has_the_columns_and_values_of_the_data(tmp_path):
    tokens = torch.tensor([[0, 1], [1, 0], [2, 1], [0, 0]] * 3)
    (tmp_path / "table.csv").write_text(
        csv_of_items(Items(tokens), categories(columns=("c", "label")))
    )
    frame = pd.read_csv(tmp_path / "table.csv")
    assert [*frame.columns] == ["c", "label"]
    assert frame.values.tolist() == COLOURS.decode(tokens)
    again = load(f"{tmp_path}/table.csv?label=").as_spec(categories(columns=("c", "label")))
    assert again.all_as_test().test.x.tolist() == tokens.tolist()


def test_the_label_or_condition_is_one_more_column():
    tokens = torch.tensor([[0, 1], [1, 0]])
    labelled = categories(columns=("c", "label"), classes=2)
    assert csv_of_items(Items(tokens, torch.tensor([1, 0])), labelled).splitlines() == [
        "c,label,label_",
        "red,True,1",
        '"sky, blue",False,0',
    ]
    given = categories(condition=Numbers(1))
    rows = given.condition.encode([[2.0], [3.0]])
    written = csv_of_items(Items(tokens, condition=rows), given).splitlines()
    assert written[0] == "column_0,column_1,condition"
    assert written[1] == f"red,True,{given.condition.texts(rows)[0]}"


def test_items_of_another_kind_are_refused():
    numbers = DataSpec((2,), 0.0, 2.0, 3)
    items = Items(torch.zeros(1, 2))
    with pytest.raises(ValueError, match="items without text"):
        text_of_items(items, numbers)
    with pytest.raises(ValueError, match="items without categories"):
        csv_of_items(items, text_spec(Characters("abc"), 2))


def test_joined_windows_are_the_text_they_were_taken_from():
    text = "zwölf ".encode() + b"\xff" + "Würde".encode()
    raw = torch.tensor([*text]).view(2, 7)
    assert joined_text(Items(raw), text_spec(Bytes(), 7)) == text
    vocabulary = Characters("abö")
    items = Items(vocabulary.encode("abööba").view(3, 2))
    assert joined_text(items, text_spec(vocabulary, 2)).decode() == "abööba"
    data = text_dataset(["one", "two two"] * 20, TextOptions(items="lines"))
    assert joined_text(data.test, data.spec).decode() == text_of_items(data.test, data.spec)
    with pytest.raises(ValueError, match="without text"):
        joined_text(Items(torch.zeros(1, 2)), categories())
