"""Conditions in .npz files, tables, and the metadata of folders of images."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

import allegory as al
from allegory.data import load
from allegory.data.condition_files import condition_arrays

COUNT = 40
PLACE = np.arange(COUNT)
X = np.repeat(PLACE[:, None], 2, 1) + np.array([0.0, 0.25], np.float32)
WORDS = np.array(["a red seven", "two blue"])[PLACE % 2]


def places(items) -> np.ndarray:
    return items.x.flatten(1)[:, 0].long().numpy()


def numbers(kind, items, name) -> list[float]:
    return kind.part(items.given, name)[:, 0].tolist()


def test_arrays_hold_one_condition_or_several(tmp_path):
    file = tmp_path / "one.npz"
    np.savez(
        file, x=X[:30], condition=PLACE[:30, None], x_test=X[30:], condition_test=PLACE[30:, None]
    )
    one = load(str(file))
    assert one.notes == () and one.spec.condition.dim == 1
    for items in one.sets:
        assert items.given[:, 0].tolist() == places(items).tolist()

    parts = {"condition_age": PLACE[:, None], "condition_who": PLACE % 3, "condition_text": WORDS}
    np.savez(tmp_path / "many.npz", x=X, **parts)
    many = load(str(tmp_path / "many.npz"))
    kind = many.spec.condition
    assert kind.names == ("age", "text", "who") and many.notes == ()
    assert kind.part(many.test.given, "who").tolist() == (places(many.test) % 3).tolist()
    texts = kind.parts[1].texts(kind.part(many.test.given, "text"))
    assert texts == WORDS[places(many.test)].tolist()

    np.savez(tmp_path / "text.npz", x=X, captions=WORDS, labels=PLACE % 2)
    text = load(str(tmp_path / "text.npz"))
    assert isinstance(text.spec.given, al.Text) and text.spec.classes == 2
    np.savez(tmp_path / "both.npz", x=X, captions=WORDS, condition=X)
    with pytest.raises(ValueError, match="name one array condition"):
        load(str(tmp_path / "both.npz"))


def test_what_samples_are_written_with_is_read_as_the_same_conditions(tmp_path):
    condition = {
        "who": np.array(["ann", "bob"])[PLACE % 2],
        "text": WORDS,
        "tags": X > 5,
        "age": np.where(PLACE == 3, np.nan, PLACE)[:, None],
        "picture": np.tile(PLACE[:, None, None, None], (1, 1, 2, 2)).astype(np.float32),
    }
    dataset = al.Dataset.from_arrays(X, condition=condition, condition_kind={"who": al.Labels})
    kind, rows = dataset.spec.condition, dataset.train.given
    arrays = condition_arrays(kind, rows)
    assert {*arrays} == {f"condition_{name}" for name in condition}
    values = {name.removeprefix("condition_"): each for name, each in arrays.items()}
    torch.testing.assert_close(kind.encode(values), rows, equal_nan=True)


def test_columns_of_a_table_are_the_condition(tmp_path):
    pytest.importorskip("pyarrow")
    table = pd.DataFrame(
        {"u": X[:, 0], "v": X[:, 1], "age": PLACE, "dose": PLACE / 2, "text": WORDS}
    )
    table.loc[3, "dose"] = np.nan
    table.to_parquet(tmp_path / "table.parquet")

    two = load(f"{tmp_path / 'table.parquet'}?columns=u,v&condition=age,dose")
    assert two.spec.columns == ("u", "v") and two.spec.given.names == ("age", "dose")
    for items in two.sets:
        assert items.given[:, 0].tolist() == places(items).tolist()
        assert (items.given[:, 1].isnan().numpy() == (places(items) == 3)).all()

    both = load(f"{tmp_path / 'table.parquet'}?condition=age,text,dose")
    assert both.spec.columns == ("u", "v") and both.spec.given.names == ("age", "text", "dose")
    assert numbers(both.spec.given, both.train, "age") == places(both.train).tolist()
    caption = load(f"{tmp_path / 'table.parquet'}?columns=u&condition=text")
    assert caption.spec.given.texts(caption.test.given) == WORDS[places(caption.test)].tolist()
    with pytest.raises(ValueError, match=r"\?condition=agee: no such column; there are u, v"):
        load(f"{tmp_path / 'table.parquet'}?condition=agee")


def folder_of(path, count=20):
    """Grey pictures whose pixels are their number, in two folders."""
    for place in range(count):
        file = path / f"k{place % 2}" / f"{place}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((4, 4), place, np.uint8)).save(file)
    return [{"file_name": f"k{p % 2}/{p}.png", "text": WORDS[p], "age": p} for p in range(count)]


@pytest.mark.parametrize("ending", ["jsonl", "csv"])
def test_metadata_of_a_folder_is_the_condition(tmp_path, ending):
    lines = folder_of(tmp_path)
    if ending == "csv":
        pd.DataFrame(lines).to_csv(tmp_path / "metadata.csv", index=False)
    else:
        text = "".join(
            json.dumps(each | {"tags": ["a", "b"][: each["age"] % 3]}) + "\n" for each in lines
        )
        (tmp_path / "metadata.jsonl").write_text(text)

    data = load(f"{tmp_path}?condition=text,age")
    assert data.notes == () and data.spec.classes == 2
    for items in data.sets:
        assert numbers(data.spec.given, items, "age") == places(items).tolist()
    if ending == "jsonl":
        tagged = load(f"{tmp_path}?condition=tags")
        assert tagged.spec.given == al.Tags(("a", "b"))
        assert tagged.train.given.sum(1).tolist() == (places(tagged.train) % 3).tolist()


def test_metadata_that_do_not_fit_are_refused(tmp_path):
    lines = folder_of(tmp_path)
    for content, says in (
        (None, "no metadata.jsonl or metadata.csv in"),
        ("{}", "a line without file_name"),
        ("{", "metadata.jsonl, a line"),
        (json.dumps(lines[0]), "no line of k0/10.png"),
        ("\n".join(map(json.dumps, lines)), "unknown column of [?]condition 'txt'; did you mean"),
    ):
        if content is not None:
            (tmp_path / "metadata.jsonl").write_text(content)
        with pytest.raises(ValueError, match=says):
            load(f"{tmp_path}?condition=txt")
