"""Categories: tokens by value, which levels are possible, other tables, and refusals."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from allegory.data import Dataset, DataSpec, load
from allegory.data.vocabularies import Bytes, Categories

RNG = np.random.default_rng(0)
FRAME = pd.DataFrame(
    {
        "colour": RNG.choice(["red", "green", "blue"], 200),
        "sold": RNG.random(200) < 0.5,
        "size": pd.Categorical(RNG.choice(["s", "m"], 200)),
    }
)
VALUES = (("blue", "green", "red"), (False, True), ("m", "s"))


def decoded(data):
    """All items of a file, in its order."""
    return data.spec.vocabulary.decode(data.all_as_test().test.x)


def whole(data):
    """All items of a data frame, in its order."""
    x = torch.cat([part.x for part in data.sets])
    index = torch.cat([part.index for part in data.sets])
    return data.spec.vocabulary.decode(x[index.argsort()])


def test_a_data_frame_of_categories_is_tokens():
    data = Dataset.from_arrays(FRAME)
    assert data.spec.vocabulary == Categories(VALUES)
    assert (data.spec.levels, data.spec.columns) == (3, ("colour", "sold", "size"))
    assert data.train.x.dtype == torch.uint8 and whole(data) == FRAME.values.tolist()
    assert data.spec.allowed.tolist() == [[True] * 3, [True, True, False], [True, True, False]]
    assert "3 levels from 0 to 2, categories, 2 to 3 in a column" in str(data.spec)
    assert DataSpec.from_dict(json.loads(json.dumps(data.spec.to_dict()))) == data.spec

    with pytest.raises(ValueError, match=r"column 'sold': level 2, which stands for nothing there"):
        data.spec.check(torch.tensor([[2, 2, 1]], dtype=torch.uint8))


def test_all_levels_are_possible_where_columns_have_as_many_values():
    assert Dataset.from_arrays(FRAME[["sold", "size"]]).spec.allowed is None
    assert DataSpec((4,), 0.0, 255.0, 256, vocabulary=Bytes()).allowed is None
    assert DataSpec((4,), 0.0, 255.0, 256).allowed is None


def test_files_have_the_tokens_of_the_data_frame(tmp_path):
    FRAME.to_parquet(tmp_path / "table.parquet")
    FRAME.to_csv(tmp_path / "table.csv", index=False)
    for name in ("table.parquet", "table.csv"):
        data = load(tmp_path / name)
        assert data.spec == Dataset.from_arrays(FRAME).spec
        assert decoded(data) == FRAME.values.tolist()
    few = load(f"{tmp_path / 'table.csv'}?columns=size,colour")
    assert few.spec.vocabulary == Categories((VALUES[2], VALUES[0]))
    labelled = load(f"{tmp_path / 'table.csv'}?label=size")
    assert labelled.spec.class_names == ("m", "s") and labelled.spec.columns == ("colour", "sold")


def test_numbers_of_a_csv_are_continuous(tmp_path):
    x = RNG.normal(size=(40, 2))
    pd.DataFrame(x, columns=["a", "b"]).to_csv(tmp_path / "numbers.csv", index=False)
    data = load(tmp_path / "numbers.csv")
    assert data.spec.levels is None and data.spec.columns == ("a", "b")
    np.testing.assert_allclose(data.all_as_test().test.x, x, rtol=1e-6)


def test_another_table_is_mapped_by_value_and_name_not_by_order():
    run = Dataset.from_arrays(FRAME).spec
    other = FRAME[FRAME.colour != "green"][["size", "colour", "sold"]]
    data = Dataset.from_arrays(other)
    again = data.as_spec(run)
    assert again.spec == run and whole(again) == other[["colour", "sold", "size"]].values.tolist()
    assert not torch.equal(again.train.x, data.train.x[:, [1, 2, 0]])
    assert "are mapped by what they stand for" in again.notes[-1]

    odd = FRAME.assign(colour=FRAME.colour.str.upper())
    message = (
        "column 'colour': 'BLUE', 'GREEN', 'RED': no category of it; there are 'blue', 'green'"
    )
    with pytest.raises(ValueError, match=message):
        Dataset.from_arrays(odd).as_spec(run)
    with pytest.raises(ValueError, match=r"\d levels, and the run learned|columns"):
        Dataset.from_arrays(FRAME[["sold"]]).as_spec(run)


def test_values_that_no_training_item_has_are_named():
    frame = FRAME.assign(colour=["violet", *FRAME.colour[1:]])
    found = [Dataset.from_arrays(frame, seed=seed).notes for seed in range(12)]
    named = {note for notes in found for note in notes}
    assert named == {
        "column 'colour': no training item has 'violet': likelihoods of items with it mean nothing"
    }


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (FRAME.assign(sold=1.5), "column 'colour': .*, no numbers; .* which are then categories"),
        (FRAME.assign(colour=[None, *FRAME.colour[1:]]), "'colour': a cell is empty; leave such"),
        (FRAME.assign(size=[True, *FRAME["size"][1:]]), "'size': values of several kinds; save"),
        (
            FRAME.assign(colour=[f"number {i}" for i in range(200)]),
            "'colour': 200 different values in 200 rows are no categories; leave it out",
        ),
    ],
)
def test_data_frames_that_are_refused(frame, message):
    with pytest.raises(ValueError, match=message):
        Dataset.from_arrays(frame)


@pytest.mark.parametrize(
    ("content", "query", "message"),
    [
        ("a,b\nx,1.5\ny,2\n", "", "column a: neither images nor numbers; .*text of all"),
        ("1,2\n3,4\n", "", "first line is to hold the names of the columns, and has 1, 2"),
        ("a,b\nx\n", "", "no table that can be read"),
        ("", "", "no table that can be read"),
        ("a,a\nx,y\n", "", "two columns of one name"),
        ("a;b\nx;y\n", "", "its columns are divided by ';'; write commas"),
        ("a,b\nx,\ny,y\nx,x\n", "", "column 'b': a cell is empty"),
        ("a,b\nx,\xe9\n", "", "column 'b' is no UTF-8; convert it"),
        ("a,b\nx,y\ny,y\nx,x\n", "?levels=2", r"\?levels, \?low and \?high are for numbers"),
    ],
)
def test_tables_that_are_refused(tmp_path, content, query, message):
    (tmp_path / "table.csv").write_text(content, encoding="latin-1")
    with pytest.raises(ValueError, match=message) as caught:
        load(f"{tmp_path / 'table.csv'}{query}")
    assert str(Path("table.csv")) in str(caught.value)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ((), "values of each column, one at least"),
        ((("a",), ()), "values of each column, one at least"),
        ((("a", "a"),), "values of column 0: give each of them once"),
        (((1.5, 2.5),), "values of column 0: give text, whole numbers or booleans"),
    ],
)
def test_values_that_are_refused(values, message):
    made = object.__new__(Categories)  # type checks of the tests aside
    object.__setattr__(made, "values", values)
    with pytest.raises(ValueError, match=message):
        made.__post_init__()


def test_decode_refuses_what_stands_for_nothing():
    with pytest.raises(ValueError, match="some stand for no value of their column"):
        Categories(VALUES).decode(torch.tensor([[0, 2, 0]]))


def test_the_sets_of_a_folder_share_their_values(tmp_path):
    table = pa.Table.from_pandas(FRAME)
    pq.write_table(table.slice(0, 150), tmp_path / "train.parquet")
    pq.write_table(table.slice(150), tmp_path / "test.parquet")
    data = load(tmp_path)
    assert data.spec.vocabulary == Categories(VALUES)
    assert data.spec.vocabulary.decode(data.test.x) == FRAME.values.tolist()[150:]


def test_a_small_table_is_one_of_categories_too():
    small = FRAME.drop_duplicates(["colour", "sold"]).head(3).assign(size=["s", "m", "l"])
    found = Dataset.from_arrays(small).spec.vocabulary
    assert found.values[-1] == ("l", "m", "s")
