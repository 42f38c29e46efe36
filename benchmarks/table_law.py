"""The bound of a table of mixed columns whose law is known, against log p of the same rows.

    python -m benchmarks table_law                       20,000 rows, two minutes of one core
    python -m benchmarks table_law --rows 5000 --minutes 0.5

A category, a boolean and a whole number that depend on it, a number that depends on all three, and
one that depends on that. `gap` is the mean of log p less the bound over 2,000 other rows, in nats,
with its standard error; `of entropy` is its part of the entropy of the rows. A bound is below
log p, so the gap is above 0 but for its error.
"""

import argparse
import json
import warnings

import numpy as np
import pandas as pd
from scipy import stats

ON_REQUEST = True

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


def measured(rows: int, minutes: float) -> dict[str, float]:
    """The gap of a fit.

    Args:
        rows: that it is fitted to.
        minutes: of the fit.
    """
    from allegory.estimator import DiffusionDensity

    warnings.simplefilter("ignore")
    density = DiffusionDensity(minutes, random_state=0).fit(drawn(rows, 0))
    test = drawn(2000, 1)
    exact = log_p(test)
    gap, entropy = exact - density.score_samples(test), -exact.mean()
    return {
        "rows": rows,
        "minutes": minutes,
        "entropy": round(float(entropy), 4),
        "gap": round(float(gap.mean()), 4),
        "error": round(float(gap.std()) / len(gap) ** 0.5, 4),
        "of entropy": round(float(gap.mean() / entropy), 4),
    }


def main() -> None:
    """Print the gap."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--minutes", type=float, default=2.0)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()

    found = measured(arguments.rows, arguments.minutes)
    print(json.dumps(found) if arguments.json else found)


if __name__ == "__main__":
    main()
