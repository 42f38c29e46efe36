"""The static figures of `python -m benchmarks words` are inside the bounds of the house rules."""

import pytest
from benchmarks.words import BOUNDS, measure


@pytest.fixture(scope="module")
def report():
    return measure()


@pytest.mark.parametrize("name", list(BOUNDS))
def test_figure(report, name):
    low, high = BOUNDS[name]
    assert low <= report.figures[name] <= high, "\n".join(report.places[name][:20])
