"""Tables whose law is known: the bound is below log p, and its mean near the entropy."""

import pytest
from benchmarks.table_law import drawn, log_p

from allegory.estimator import DiffusionDensity

pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.thorough]


def test_the_bound_is_below_and_near_the_entropy():
    """Within 2 % of the entropy, with three standard errors of the gap of the same rows."""
    density = DiffusionDensity(None, 800, random_state=0).fit(drawn(10_000, 0))
    test = drawn(300, 1)
    exact = log_p(test)
    gap = exact - density.score_samples(test)
    error = gap.std() / len(gap) ** 0.5
    entropy = -exact.mean()
    print(gap.mean(), error, entropy)
    assert -3 * error < gap.mean() < 0.02 * entropy + 3 * error
