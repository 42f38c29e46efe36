"""Tables whose law is known: the bound is below log p, and its mean near the entropy."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from allegory.estimator import DiffusionDensity

pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.thorough]

KINDS = {"shop": "category", "open": "boolean", "guests": "whole"}
SHOPS, SHARES = ("bar", "café", "inn"), np.array([0.5, 0.3, 0.2])
RATES, CHANCES = np.array([2.0, 5.0, 9.0]), np.array([0.9, 0.5, 0.2])
NARROW, WIDE = 0.3, 0.8


def drawn(rows, seed):
    """Rows: guests and opening depend on the shop, the price on all, the tip on the price."""
    rng = np.random.default_rng(seed)
    shop = rng.choice(3, rows, p=SHARES)
    is_open = rng.random(rows) < CHANCES[shop]
    guests = rng.poisson(RATES[shop])
    price = shop + 0.1 * guests + np.where(is_open, NARROW, WIDE) * rng.standard_normal(rows)
    tip = np.sin(2 * price) + NARROW * rng.standard_normal(rows)
    columns = (np.array(SHOPS)[shop], is_open, guests, price, tip)
    names = ("shop", "open", "guests", "price", "tip")
    return pd.DataFrame(dict(zip(names, columns, strict=True)))


def log_p(frame):
    """log p of each row, in nats."""
    shop = frame["shop"].map(SHOPS.index).to_numpy()
    is_open, guests = frame["open"].to_numpy(), frame["guests"].to_numpy()
    price, tip = frame["price"].to_numpy(), frame["tip"].to_numpy()
    discrete = np.log(SHARES[shop]) + stats.poisson.logpmf(guests, RATES[shop])
    discrete += np.log(np.where(is_open, CHANCES[shop], 1 - CHANCES[shop]))
    mean, std = shop + 0.1 * guests, np.where(is_open, NARROW, WIDE)
    numbers = stats.norm.logpdf(price, mean, std) + stats.norm.logpdf(
        tip, np.sin(2 * price), NARROW
    )
    return discrete + numbers


def test_the_bound_is_below_and_near_the_entropy():
    """Within 2 % of the entropy, with three standard errors of the gap of the same rows."""
    density = DiffusionDensity(None, 800, random_state=0).fit(drawn(10_000, 0))
    test = drawn(500, 1)
    exact = log_p(test)
    gap = exact - density.score_samples(test)
    error = gap.std() / len(gap) ** 0.5
    entropy = -exact.mean()
    print(gap.mean(), error, entropy)
    assert -3 * error < gap.mean() < 0.02 * entropy + 3 * error
