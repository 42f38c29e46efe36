"""Tables of all kinds of columns in each data frame: scores, samples, given values, imputation."""

import numpy as np
import pandas as pd
import pytest
from tests.helpers.mixed_tables import FRAMES, mixed_table

from allegory.estimator import DiffusionDensity
from allegory.recipes.table_diffusion import TableDiffusionConfig

pytestmark = pytest.mark.filterwarnings("ignore")


def as_pandas(frame):
    return frame if isinstance(frame, pd.DataFrame) else frame.to_pandas()


SMALL = TableDiffusionConfig(components=2, transform=2)


@pytest.fixture(scope="module")
def table():
    return mixed_table()


@pytest.fixture(scope="module")
def density(table):
    return DiffusionDensity(None, 5, random_state=0, model=SMALL).fit(table)


@pytest.mark.parametrize("name", ["polars", pytest.param("pyarrow", marks=pytest.mark.slow)])
def test_each_data_frame_has_the_same_density_and_its_own_samples(name, table, density):
    frame = FRAMES[name](table)
    other = DiffusionDensity(None, 5, random_state=0, model=SMALL).fit(frame)

    assert (other.score_samples(frame) == density.score_samples(table)).all()
    assert (other.score_samples(table) == density.score_samples(frame)).all()
    drawn = other.sample(20)
    assert type(drawn) is type(frame)
    assert drawn.schema == frame.schema
    assert list(as_pandas(drawn)["sign"]) == list(density.sample(20)["sign"])
    assert [*other.feature_names_in_] == [*table.columns]


def test_samples_have_the_dtypes_and_the_missing_values_of_the_table(table, density):
    drawn = density.sample(200)
    assert drawn.dtypes.equals(table.dtypes)
    for name in ("b", "text"):
        share = table[name].isna().mean()
        error = np.sqrt(share * (1 - share) * (1 / len(table) + 1 / len(drawn)))
        assert abs(drawn[name].isna().mean() - share) < 4 * error
    assert not drawn[["a", "count", "sign", "flag", "day"]].isna().any().any()


def test_the_order_of_columns_does_not_matter(table, density):
    turned = table[table.columns[::-1]]
    assert (density.score_samples(turned) == density.score_samples(table)).all()


@pytest.mark.parametrize(
    "values", [{"sign": "negative", "b": 1.0}, {"day": np.datetime64("2024-01-09")}, {"text": None}]
)
def test_rows_have_the_values_that_are_given(values, density):
    drawn = density.sample(8, given=values)
    for name, value in values.items():
        assert drawn[name].isna().all() if value is None else (drawn[name] == value).all()


def test_given_values_change_the_others(density):
    """a and b are correlated, and the sign is that of a."""
    low = density.sample(100, given={"b": -3.0})["a"]
    high = density.sample(100, given={"b": 3.0})["a"]
    assert low.mean() + 1.5 < high.mean()
    either = density.sample(2, given={"sign": ["negative", "positive"]})
    assert [*either["sign"]] == ["negative", "positive"]


def test_what_is_imputed_is_never_missing_and_the_rest_stays(table, density):
    gaps = table.copy()
    gaps.loc[3:5, "a"] = np.nan
    gaps.loc[2:4, "sign"] = None
    first, second = density.impute(gaps, draws=2)

    assert not first.isna().any().any()
    assert first.dtypes.equals(table.dtypes)
    present = gaps.notna()
    for name in table.columns:
        there = present[name]
        assert (first.loc[there, name] == gaps.loc[there, name]).all()
    assert (first["b"] != second["b"]).sum() == gaps["b"].isna().sum()
    subset = density.impute(gaps[:10], draws=1)[0]
    np.testing.assert_allclose(subset["b"], first["b"][:10], rtol=1e-9)


def test_a_category_that_is_missing_in_all_rows_is_imputed(density):
    gaps = mixed_table(30, seed=1).assign(text=None).astype({"text": object})
    found = density.impute(gaps)[0]["text"]
    assert set(found) == {"u", "v"}


def test_info_has_a_line_on_each_column(table, density):
    lines = density.info()
    assert [line.split(":")[0] for line in lines[: len(table.columns)]] == [*table.columns]
    assert any("every value is 1.5" in line for line in lines)


def test_kinds_are_taken_from_the_argument(table):
    density = DiffusionDensity(None, 2).fit(table[["a", "count"]], kinds={"count": "number"})
    assert density.schema_.column("count").kind == "number"
    assert density.exact_
