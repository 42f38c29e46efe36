"""What a density refuses, and that the message names the column, the value and the remedy."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
from tests.helpers.mixed_tables import mixed_table

from allegory.data import memory
from allegory.estimator import DiffusionDensity
from allegory.recipes.table_diffusion import TableDiffusionConfig

pytestmark = pytest.mark.filterwarnings("ignore")
SMALL = TableDiffusionConfig(components=1, transform=1)


@pytest.fixture(scope="module")
def table():
    return mixed_table()


@pytest.fixture(scope="module")
def density(table):
    return DiffusionDensity(None, 2, random_state=0, model=SMALL).fit(table)


def refused(density, table, **changes):
    """The message for a table with other columns."""
    with pytest.raises(ValueError, match=r".") as error:
        density.score_samples(table.assign(**changes))
    return str(error.value)


def test_missing_values_where_none_were(density, table):
    message = refused(density, table, a=np.nan)
    assert "'a': missing in 60 of 60 rows, and in none at fit" in message


def test_unknown_columns_and_categories_are_named_with_the_closest(density, table):
    message = refused(density, table, counts=1)
    assert "'counts'" in message
    assert "did you mean 'count'?" in message
    with pytest.raises(ValueError, match=r"'sgin'.*did you mean 'sign'\?"):
        density.sample(2, given={"sgin": "positive"})
    with pytest.raises(ValueError, match=r"'sign': 'positiv'.*did you mean 'positive'\?"):
        density.sample(2, given={"sign": "positiv"})
    with pytest.raises(ValueError, match="'count': the table has no such column"):
        density.score_samples(table.drop(columns="count"))


def test_values_of_another_kind(density, table):
    assert "have a fraction" in refused(density, table, count=0.5)
    assert "'day': text" in refused(density, table, day="2024-01-01")
    assert "'unit'" in refused(density, table, unit=2.5)
    assert "infinite" in refused(density, table, a=np.inf)


def test_dates_between_two_days_and_far_away(density, table):
    noon = table["day"] + np.timedelta64(12, "h")
    assert "'day'" in refused(density, table, day=noon)
    far = np.datetime64("9999-12-31", "us")
    assert np.isfinite(density.score_samples(table.assign(day=far))).all()
    assert (density.sample(3, given={"day": far})["day"] == far).all()


def test_arrays_where_columns_had_names(density):
    with pytest.raises(ValueError, match=r"an array, and fit had columns with names.*'count'"):
        density.score_samples(np.zeros((3, 8)))


@pytest.mark.parametrize(
    ("x", "words"),
    [
        (np.zeros((5, 3)), "no column of 3 varies"),
        (pd.DataFrame({"a": [np.nan] * 4}), "no column of 1 varies"),
        (pd.DataFrame({"a": [1.0]}), "minimum of 2 is required"),
        (pd.DataFrame({"a": []}), "minimum of 2 is required"),
        (pl.DataFrame({"a": [1.0, 2.0]}).lazy(), "collect it first"),
        (pd.DataFrame({"a": [1.0, 2.0], "b": [[1], [2]]}), "'b': objects of type list"),
        (pd.DataFrame({"b": ["x", 1.5]}), "'b': values of several kinds"),
        (np.array([["a", "b"], ["c", "d"]]), "give a data frame"),
        (np.array([1.0, 2.0]), "Expected 2D array"),
        (np.array([[1j], [2j]]), "Complex data not supported"),
    ],
)
def test_what_cannot_be_fitted(x, words):
    with pytest.raises(ValueError, match=words):
        DiffusionDensity(None, 2).fit(x)


def test_constant_and_empty_columns_are_noted_and_given_back():
    table = pd.DataFrame({"a": np.arange(40.0) ** 0.5, "same": "x", "none": np.full(40, np.nan)})
    with pytest.warns(UserWarning, match="'same': every value is x"):
        density = DiffusionDensity(None, 2).fit(table)
    drawn = density.sample(3)
    assert (drawn["same"] == "x").all()
    assert drawn["none"].isna().all()
    assert density.impute(table)[0]["none"].isna().all()


def test_a_table_that_is_too_large_says_how_many_rows_fit(monkeypatch, table):
    monkeypatch.setattr(memory, "free_memory", lambda: 5_000)
    with pytest.raises(ValueError, match=r"60 rows of 8 entries take .* take at most \d+ of them"):
        DiffusionDensity(None, 2).fit(table)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"minutes": None}, "minutes=None, max_steps=None"),
        ({"minutes": -1.0}, "minutes=-1.0"),
        ({"max_steps": 0}, "steps must be at least 1"),
        ({"random_state": -1}, "random_state=-1"),
    ],
)
def test_arguments_out_of_range(arguments, words, table):
    with pytest.raises(ValueError, match=words):
        DiffusionDensity(**arguments).fit(table)


def test_counts_and_given_values_out_of_range(density):
    with pytest.raises(ValueError, match="n_samples"):
        density.sample(0)
    with pytest.raises(ValueError, match="'a' has values of shape"):
        density.sample(3, given={"a": [1.0, 2.0]})
    with pytest.raises(ValueError, match="without names"):
        density.sample(3, given=[1.0])
