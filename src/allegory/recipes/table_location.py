r"""Fitting mean and scale of the columns of a table to those that are given.

By the likelihood of normal residuals, the mean over rows of

    1/2 ((x - m(y)) / s(y))^2 + log s(y)

(Nix & Weigend 1994), from m = 0 and s = 1, with the weights that have the least on other rows.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Iterator

import torch
from torch import Tensor

from ..data import DataSpec
from ..models.table import LocationScale, RowEncoding, schema_of

UNITS = 128
"""Of the hidden layers, where they are chosen."""
LEAST = 2000
"""Training rows below which linear relations to given columns are all that is fitted."""
_STEPS = 2000
"""Where no time is given."""
_BATCH = 512
_RATE = 2e-3
_DECAY = 0.01
_CHECKED = 200
"""Steps between two checks on other rows, and how many of these rows."""
_OTHER = 5000


def new_location(spec: DataSpec, units: int) -> LocationScale | None:
    """Mean 0 and scale 1 of the numbers that are not given; None where there is nothing to fit.

    Args:
        spec: of a table.
        units: of the hidden layers; 0 for None.
    """
    schema = schema_of(spec)
    given = torch.from_numpy(schema.is_given)

    if not units or not bool(given.any()) or bool(given[: len(schema.numbers)].all()):
        return None

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return LocationScale(given, tuple(count for _, count in schema.tokens), units)


def fit_location(encoding: RowEncoding, train: Tensor, other: Tensor, seconds: float) -> None:
    """Fit the `location` of an encoding.

    Args:
        encoding: of the table.
        train: raw rows that it is fitted to.
        other: raw rows by which training is stopped early.
        seconds: the time; inf for a number of steps, which does not depend on the clock.
    """
    assert encoding.location is not None, "the encoding has a location"
    network = encoding.location.network.float().requires_grad_(True)
    optimizer = torch.optim.AdamW(network.parameters(), _RATE, weight_decay=_DECAY)
    generator = torch.Generator().manual_seed(3)

    least, best = _other_loss(encoding, other), copy.deepcopy(network.state_dict())

    for step, part in enumerate(_parts(seconds), 1):
        for group in optimizer.param_groups:
            group["lr"] = _RATE * 0.5 * (1 + math.cos(math.pi * part))

        rows = train[torch.randint(len(train), (_BATCH,), generator=generator)]
        optimizer.zero_grad()
        _loss(encoding, rows, generator).backward()
        optimizer.step()

        loss = _other_loss(encoding, other) if step % _CHECKED == 0 else math.inf
        if loss < least:
            least, best = loss, copy.deepcopy(network.state_dict())

    network.load_state_dict(best)
    network.double().requires_grad_(False)


def _parts(seconds: float) -> Iterator[float]:
    """The part of the time, or of the steps, that is over before each step."""
    if seconds == math.inf:
        yield from (step / _STEPS for step in range(_STEPS))
        return

    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        yield 1 - left / seconds


@torch.no_grad()
def _other_loss(encoding: RowEncoding, other: Tensor) -> float:
    """The loss of rows that the network is not trained on, with the same noise each time."""
    return float(_loss(encoding, other[:_OTHER], torch.Generator().manual_seed(4)))


def _loss(encoding: RowEncoding, raw: Tensor, generator: torch.Generator) -> Tensor:
    """The mean negative log-likelihood of rows, up to a constant."""
    assert encoding.location is not None, "the encoding has a location"
    numbers, tokens, is_missing = encoding.split(raw)
    u = torch.rand(numbers.shape, generator=generator, dtype=torch.float64)
    x = encoding.scaled(numbers, u)

    mean, log_scale = encoding.location(x, tokens, is_missing)

    squared = ((x - mean) * (-log_scale).exp()).square()
    is_left = ~is_missing & ~encoding.is_given[: encoding.numbers]
    return torch.where(is_left, 0.5 * squared + log_scale, 0.0).sum(1).mean()
