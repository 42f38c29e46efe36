"""Conditions that some items do not have: they are hidden, of each kind and from each source."""

import numpy as np
import pandas as pd
import pytest
import torch

import allegory as al
from allegory.conditions import is_hidden
from allegory.data import Dataset, load
from allegory.data.condition_files import condition_arrays

COUNT = 60
PLACE = np.arange(COUNT)
IS_MISSING = PLACE % 5 == 0
X = PLACE[:, None] + np.array([0, 0.5], np.float32)
WORDS = np.array(["a red seven", "two blue", "green"])[PLACE % 3]


def with_gaps(values, gap=None) -> np.ndarray:
    return np.array([gap if i % 5 == 0 else each for i, each in enumerate(values)], object)


def check_hidden(dataset):
    """Rows are hidden where the item has no condition, and nowhere else."""
    for items in dataset.sets:
        places = items.x[:, 0].long().numpy()
        assert is_hidden(items.given).tolist() == IS_MISSING[places].tolist()


@pytest.mark.parametrize("gap", [None, np.nan, pd.NA])
def test_a_missing_text_is_hidden_and_no_empty_text(gap):
    dataset = Dataset.from_arrays(X, condition=with_gaps(WORDS, gap))
    check_hidden(dataset)
    assert "" not in dataset.spec.condition.texts(dataset.train.given)

    as_column = Dataset.from_arrays(X, condition=pd.Series(with_gaps(WORDS, gap), dtype="string"))
    assert torch.equal(as_column.train.given, dataset.train.given)


def test_missing_labels_and_numbers_are_hidden():
    sets = [None if absent else {"hat"} for absent in IS_MISSING]
    check_hidden(Dataset.from_arrays(X, condition=sets))
    check_hidden(Dataset.from_arrays(X, condition=with_gaps(WORDS), condition_kind=al.Tags))
    check_hidden(Dataset.from_arrays(X, condition=with_gaps(PLACE)))


def test_a_missing_part_is_hidden_by_itself():
    parts = {"who": with_gaps(WORDS), "text": WORDS}
    dataset = Dataset.from_arrays(X, condition=parts, condition_kind={"who": al.Labels})
    kind, items = dataset.spec.condition, dataset.train
    assert kind.parts[kind.names.index("who")].classes == 3

    places = items.x[:, 0].long().numpy()
    assert (kind.part(items.given, "who") == -1).tolist() == IS_MISSING[places].tolist()
    assert not is_hidden(kind.part(items.given, "text")).any()


def test_empty_cells_of_a_table_are_hidden(tmp_path):
    table = pd.DataFrame({"a": X[:, 0], "b": X[:, 1], "text": with_gaps(WORDS)})
    table.to_parquet(tmp_path / "a.parquet")
    check_hidden(load(f"{tmp_path / 'a.parquet'}?columns=a,b&condition=text"))


@pytest.mark.parametrize(
    ("condition", "says"),
    [("a", "column 'a': in .columns and in .condition"), ("text,text", "names a column twice")],
)
def test_a_column_that_is_told_twice_is_refused(tmp_path, condition, says):
    table = pd.DataFrame({"a": X[:, 0], "b": X[:, 1], "text": WORDS})
    table.to_parquet(tmp_path / "a.parquet")
    with pytest.raises(ValueError, match=says):
        load(f"{tmp_path / 'a.parquet'}?columns=a,b&condition={condition}")


def test_values_that_a_run_did_not_learn_are_said():
    wanted = Dataset.from_arrays(X, condition=WORDS).spec
    with pytest.warns(UserWarning, match="no training text had: 'purple'"):
        Dataset.from_arrays(X, condition=np.array(["purple"] * COUNT)).as_spec(wanted)


def test_a_hidden_text_is_hidden_again_from_a_file_of_arrays(tmp_path):
    kind = Dataset.from_arrays(X, condition=WORDS).spec.condition
    arrays = condition_arrays(kind, kind.encode(with_gaps(WORDS)))
    np.savez(tmp_path / "a.npz", x=X, **arrays)
    check_hidden(load(str(tmp_path / "a.npz")))
