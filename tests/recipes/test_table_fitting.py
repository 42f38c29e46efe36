"""Transforms, and a mixture as large as the rows bear, that are fitted before training."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from allegory.data.table_dataset import dataset_with_held_out
from allegory.data.table_schema import table_schema
from allegory.process.rows import ObservedRows, RowState
from allegory.recipes.table_diffusion import TableDiffusionConfig
from allegory.recipes.table_fitting import fitted
from allegory.recipes.table_search import Search


def clusters(count, rows, columns=2):
    """Narrow clusters far from each other."""
    generator = np.random.default_rng(0)
    centres = 30 * generator.standard_normal((count, columns))
    x = centres[generator.integers(count, size=rows)]
    return x + 0.1 * generator.standard_normal(x.shape)


def dataset(x):
    return dataset_with_held_out(x, table_schema(x), len(x) // 10)


@pytest.mark.slow
def test_many_clusters_have_more_components_than_the_first_search_tries():
    found = fitted(dataset(clusters(20, 600)), Search(math.inf, 64))
    assert len(found.mixture.weights) >= 20
    few = fitted(dataset(clusters(20, 600)), Search(math.inf, 8))
    assert len(few.mixture.weights) <= 8 + 1  # and one for outliers
    assert found.score > few.score + 0.5


def test_what_was_found_is_not_fitted_again():
    data = dataset(clusters(3, 300))
    first = fitted(data, Search(5.0, 16))
    sizes = (len(first.mixture.weights) - 1, first.transforms.means.shape[1])
    assert fitted(data, Search(5.0, 16, *sizes, location=0)) is first
    assert fitted(dataset(clusters(3, 300)), Search(5.0, 16)) is not first


def test_the_score_is_that_of_the_mixture_and_the_transforms():
    data = dataset(clusters(3, 2400))
    found = fitted(data, Search(math.inf, 16, transform=1))
    x = data.validation.x.double()
    centre, half = (each.expand(2) for each in data.spec.affine())
    z, slope = found.transforms((x - centre) / half)
    rows = RowState(z, torch.zeros(len(x), 0, dtype=torch.int64))
    own = float((found.mixture.log_prob(rows) + slope.sum(1)).mean())
    assert own - 1 < found.score <= own + 1e-9  # less the excess of training rows


def rows_of(count, columns, values=()):
    x = torch.randn(count, columns, generator=torch.Generator().manual_seed(0)).double()
    tokens = torch.zeros(count, len(values), dtype=torch.int64)
    missing = torch.full((columns,), -1)
    return ObservedRows(RowState(x, tokens), torch.ones_like(x).bool(), values, missing)


def test_without_time_there_is_no_second_search():
    data = rows_of(400, 2)
    assert Search(1.0, 64).more(data, data, 0.0) is None
    assert Search(1.0, 8).more(data, data, 1.0) is None
    assert Search(1.0, 64).more(rows_of(120, 2), rows_of(120, 2), 1.0) is None
    assert Search(1.0, 64, components=3).more(data, data, 1.0) is None


@pytest.mark.parametrize(("given", "fourier"), [((), (1,)), (("x1",), (0, 1, 2, 3))])
def test_conditional_densities_have_more_sinusoids(given, fourier):
    x = clusters(2, 60)
    schema = table_schema(x, given=given)
    data = dataset_with_held_out(x, schema, 10)
    choice = TableDiffusionConfig(components=1, transform=1, start=9.0).resolved(data)
    assert choice.fourier == fourier
    assert replace(choice, fourier=(5,)).resolved(data).fourier == (5,)
    assert choice.build(data.spec).denoise.features.fourier == fourier
