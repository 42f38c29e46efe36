"""Densities of X given y: a column, several, classes, an array."""

import numpy as np
import pytest
from tests.helpers.mixed_tables import FRAMES, mixed_table

from allegory.estimator import DiffusionDensity
from allegory.recipes.table_diffusion import TableDiffusionConfig

pytestmark = pytest.mark.filterwarnings("ignore")


SMALL = TableDiffusionConfig(components=1, transform=1)


def fitted(x, y, model=None):
    return DiffusionDensity(None, 2, conditional=True, random_state=0, model=model).fit(x, y)


@pytest.mark.parametrize(
    "name",
    ["pandas", *(pytest.param(name, marks=pytest.mark.slow) for name in ("polars", "pyarrow"))],
)
def test_y_is_a_column_or_several_of_a_data_frame(name):
    table = mixed_table()
    x, y = (FRAMES[name](table[part]) for part in (["a", "b", "count"], ["sign", "text"]))
    density = fitted(x, y, SMALL)

    assert density.schema_.given == ("sign", "text")
    assert density.score_samples(x, y).shape == (len(table),)
    drawn = density.sample(6, given={"sign": "positive", "text": None})
    assert type(drawn) is type(x)
    assert drawn.shape == (6, 3)
    series = fitted(x, y["sign"], SMALL)
    assert len(series.schema_.given) == 1


@pytest.mark.parametrize(
    "classes",
    [
        np.array(["low", "high"]),
        pytest.param(np.array([0, 1]), marks=pytest.mark.slow),
        pytest.param(np.array([False, True]), marks=pytest.mark.slow),
    ],
)
def test_classes_are_an_array(classes):
    rng = np.random.default_rng(0)
    label = rng.integers(0, 2, 80)
    x = 6.0 * label[:, None] + rng.standard_normal((80, 2))
    density = fitted(x, classes[label])

    first, second = (density.sample(50, given=value) for value in classes)
    assert isinstance(first, np.ndarray)
    assert abs(first.mean()) < 1
    assert abs(second.mean() - 6) < 1
    right = density.score_samples(x, classes[label])
    wrong = density.score_samples(x, classes[1 - label])
    assert density.exact_
    assert (right > wrong).mean() > 0.95


def test_the_exact_density_is_that_of_a_linear_relation():
    """x = y + e: one Gaussian is exact, so that the mean gap is the error of 150 rows."""
    rng = np.random.default_rng(0)
    y = rng.standard_normal((200, 2))
    x = y[:, :1] - y[:, 1:] + 0.5 * rng.standard_normal((200, 1))
    density = fitted(x, y)
    gap = (x - y[:, :1] + y[:, 1:])[:, 0] / 0.5
    true = -0.5 * gap**2 - 0.5 * np.log(2 * np.pi) - np.log(0.5)
    assert abs((density.score_samples(x, y) - true).mean()) < 0.05
    drawn = density.sample(400, given=np.array([1.0, -1.0]))
    assert abs(drawn.mean() - 2) < 4 * 0.5 / np.sqrt(150)
    assert abs(drawn.std() / 0.5 - 1) < 0.2


def test_y_must_be_there_and_fit():
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((40, 2)), rng.standard_normal(40)
    with pytest.raises(ValueError, match=r"y=None: .* give y of each row"):
        DiffusionDensity(None, 2, conditional=True).fit(x)
    with pytest.raises(ValueError, match=r"39 rows .* for 40 of X"):
        fitted(x, y[:-1])

    density = fitted(x, y)
    with pytest.raises(ValueError, match="column 'y0': this model is one of rows given"):
        density.sample(3)
    with pytest.raises(ValueError, match="2 columns, and 1 at fit"):
        density.score_samples(x, x)
    with pytest.raises(ValueError, match="shape"):
        density.sample(3, given=np.zeros(2))
