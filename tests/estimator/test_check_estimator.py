"""The checks of scikit-learn for estimators; none is expected to fail."""

import pickle
import subprocess
import sys

import numpy as np
import pytest
from sklearn.base import clone

from allegory.estimator import DiffusionDensity

CHECKS = """
from sklearn.utils.estimator_checks import check_estimator
from allegory.estimator import DiffusionDensity

estimator = DiffusionDensity(minutes=None, max_steps=20, random_state=0)
found = check_estimator(estimator, expected_failed_checks={}, on_skip=None)
assert len(found) > 30
assert {each["status"] for each in found} <= {"passed", "skipped"}
"""


def test_all_checks_of_scikit_learn_pass():
    # In a process of its own: the checks pass values of other types than the tests allow.
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", CHECKS], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.mark.filterwarnings("ignore")
def test_a_score_depends_on_its_row_alone_and_survives_a_pickle():
    x = np.random.default_rng(0).standard_normal((40, 2))
    density = DiffusionDensity(None, 5, random_state=3).fit(x)
    scores = density.score_samples(x)

    order = np.random.default_rng(1).permutation(len(x))
    np.testing.assert_allclose(density.score_samples(x[order]), scores[order], rtol=1e-12)
    np.testing.assert_allclose(density.score_samples(x[7:8]), scores[7:8], rtol=1e-12)
    assert (pickle.loads(pickle.dumps(density)).score_samples(x) == scores).all()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_fit_within_steps_is_the_same_each_time():
    x = np.random.default_rng(0).standard_normal((40, 2))
    density = DiffusionDensity(None, 5, random_state=3)
    first, second = density.fit(x).score_samples(x), clone(density).fit(x).score_samples(x)
    other = DiffusionDensity(None, 5, random_state=4).fit(x)

    assert (first == second).all()
    assert not np.array_equal(other.sample(3), density.sample(3))
    np.testing.assert_allclose(density.sample(5)[:3], density.sample(3), rtol=1e-9)
