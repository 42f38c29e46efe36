"""A small table with a column of each kind, as each data frame."""

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa

FRAMES = {
    "pandas": lambda table: table,
    "polars": pl.from_pandas,
    "pyarrow": lambda table: pa.Table.from_pandas(table, preserve_index=False),
}
"""A data frame of pandas as one of each library."""


def mixed_table(rows=60, seed=0):
    """Numbers, whole numbers, categories, text with gaps, booleans, days, and a constant.

    Args:
        rows: how many.
        seed: of the draws.
    """
    rng = np.random.default_rng(seed)
    a = rng.standard_normal(rows)
    b = np.where(rng.random(rows) < 0.2, np.nan, 2 * a + 0.1 * rng.standard_normal(rows))
    text = rng.choice(np.array(["u", "v", None], dtype=object), rows, p=[0.3, 0.3, 0.4])
    return pd.DataFrame(
        {
            "a": a,
            "b": b,
            "count": rng.integers(0, 100, rows),
            "sign": pd.Categorical(np.where(a > 0, "positive", "negative")),
            "text": text,
            "flag": rng.random(rows) < 0.5,
            "day": np.datetime64("2024-01-01", "us")
            + rng.integers(0, 60, rows) * np.timedelta64(1, "D"),
            "unit": 1.5,
        }
    )
