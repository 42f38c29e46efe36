"""Mean and scale of the columns that are not given: the map, its inverse, and its log-density."""

import math

import numpy as np
import pytest
import torch
from tests.helpers.table_models import dataset_of

from allegory.models.table import LocationScale, RowEncoding
from allegory.numerics.column_transforms import ColumnTransforms


def columns(count=60):
    generator = np.random.default_rng(0)
    y = generator.standard_normal(count)
    gone = generator.random(count) < 0.3
    return {
        "y": np.where(gone, np.nan, y),
        "side": np.where(generator.random(count) < 0.4, "a", "b"),
        "x": 3 * y + generator.standard_normal(count),
        "z": np.where(generator.random(count) < 0.2, np.nan, y**2),
    }


@pytest.fixture(scope="module")
def data():
    return dataset_of(columns(), given=("y", "side"))


@pytest.fixture(scope="module")
def encoding(data):
    schema = data.spec.table
    values = tuple(count for _, count in schema.tokens)
    location = LocationScale(torch.from_numpy(schema.is_given), values, 8)
    generator = torch.Generator().manual_seed(1)
    for weight in location.network.parameters():
        weight.copy_(0.4 * torch.randn(weight.shape, generator=generator))
    parts = torch.tensor([[0.3, 0.7]]).double().expand(3, 2)
    means = torch.tensor([[-0.5, 0.8]]).double().expand(3, 2)
    return RowEncoding(data.spec, ColumnTransforms(parts, means, 0.5 + parts), location)


def encoded(encoding, raw):
    shape = (len(raw), encoding.numbers)
    return encoding.encode(raw, torch.full(shape, 0.5).double(), torch.zeros(shape).double())


def test_rows_come_back(data, encoding):
    raw = data.train.x.double()
    back = encoding.decode(encoded(encoding, raw).rows)
    torch.testing.assert_close(back, raw, atol=1e-8, rtol=1e-8)


def test_the_volume_is_the_slope_of_each_number(data, encoding):
    raw, step = data.train.x.double(), 1e-5
    found = encoded(encoding, raw)
    schema = data.spec.table
    for place, name in enumerate(schema.numbers):
        moved = [raw.clone() for _ in range(2)]
        moved[0][:, place] += step
        moved[1][:, place] -= step
        high, low = (encoded(encoding, each).rows.numbers[:, place] for each in moved)
        there = ~found.is_missing[:, place]
        slope = ((high - low) / (2 * step)).log()
        torch.testing.assert_close(
            found.volume[there, place], slope[there], atol=1e-6, rtol=1e-6, msg=name
        )
    assert float(found.volume[found.is_missing].std()) == 0.0


def test_what_is_not_given_is_not_read(data, encoding):
    raw = data.train.x.double()
    other = raw.clone()
    numbers = list(data.spec.table.numbers)
    other[:, numbers.index("x")] += 5.0
    before, after = encoded(encoding, raw), encoded(encoding, other)
    torch.testing.assert_close(before.log_scale, after.log_scale, atol=0, rtol=0)
    place = numbers.index("y")
    assert float(before.log_scale[:, place].abs().max()) == 0.0
    assert float(before.log_scale.std()) > 0.05


def test_a_missing_number_counts_as_zero_whatever_is_in_its_place(data, encoding):
    raw = data.train.x.double()
    place = list(data.spec.table.numbers).index("y")
    gone = encoding.split(raw)[2][:, place]
    other = raw.clone()
    other[gone, place] = 77.0
    assert bool(gone.any())
    torch.testing.assert_close(
        encoded(encoding, raw).log_scale, encoded(encoding, other).log_scale, atol=0, rtol=0
    )


def test_scales_are_bounded_far_from_all_rows(data, encoding):
    raw = data.train.x.double().clone()
    raw[:, list(data.spec.table.numbers).index("y")] = 1e9
    assert float(encoded(encoding, raw).log_scale.abs().max()) < 8.0
    assert math.isfinite(float(encoded(encoding, raw).rows.numbers.abs().max()))
