r"""The bound of a whole set of items: term by term, in bits/dim with standard errors.

Per item, bits/dim = -bound / (dims log 2), an upper bound of -log2 p(x) / dims: lower is better.
The value for a set is the mean over its n items, its standard error s / sqrt(n) with s the standard
deviation between items, which includes the Monte Carlo noise of the times and of eps.

With the condition hidden the bits are those of p(x). With it given they are those of p(x | y), a
density of x alone. Where y is a class, p(x | y) is more than p(x, y); as -log2 p(x) <= -log2
p(x, y) = -log2 p(x | y) + log2 classes for equally likely classes, adding `label_cost` makes them a
bound of p(x) as well.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from ..data.dataset import Items
from ..data.spec import DataSpec
from ..lookup import check_type
from ..models.base import HasBound, HasLatents, HasStepBound, Model, device_of, evaluating
from ..process.bound import Bound, Estimate, bits_per_dim, estimate
from ..sampling.driver import OnStep
from .config import BoundConfig

BATCH = 500
"""Items whose bound is computed at once ..."""
_NUMBERS = 2**22
"""... with so many numbers at most: 85 pictures of 3x128x128."""
_MAX_NAMED_LATENTS = 12
"""Hierarchies of up to so many latents are reported latent by latent."""


@dataclass(frozen=True)
class Likelihood:
    """The terms of the bound over a set, in bits/dim: they add up to `total`.

    `nats` is the total in nats per item.

    `latents` holds the cost of each latent z_1..z_L of a hierarchy of few levels, in bits/dim;
    `prior` is that of z_L.
    """

    reconstruction: Estimate
    prior: Estimate
    diffusion: Estimate
    total: Estimate
    nats: Estimate
    latents: tuple[Estimate, ...]
    count: int
    draws: int
    steps: int | None
    labelled: bool

    @property
    def terms(self) -> dict[str, Estimate]:
        """The parts by name, in reading order.

        Of a hierarchy, `prior` is the cost of z_L and `latents` that of the others.
        """
        ends = {"reconstruction": self.reconstruction, "prior": self.prior}
        if len(self.latents) == 1:
            return ends
        return ends | {"latents" if self.latents else "diffusion": self.diffusion}

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)


def evaluate_bound(
    model: Model,
    items: Items,
    config: BoundConfig | None = None,
    *,
    on_step: OnStep | None = None,
) -> Likelihood:
    """Bits/dim of p(x), or of p(x | condition), over all items, term by term with standard errors.

    Args:
        model: a model with a bound.
        items: raw items, with labels or another condition where `config.labelled`.
        config: seed, draws, steps and whether labels are given; None for `BoundConfig()`.
        on_step: called as on_step(items done, items).

    Raises:
        ValueError: for a model without a bound, fewer than two items, which have no standard error,
            steps for a model without them, and `labelled` without a condition.
    """
    config = config or BoundConfig()
    return likelihood_of(model, bounds(model, items, config, on_step=on_step), config)


def likelihood_of(model: Model, bound: Bound, config: BoundConfig) -> Likelihood:
    """The means of a bound over its items, with standard errors.

    Args:
        model: the model whose bound it is.
        bound: that of every item, from `bounds`.
        config: how it was computed.
    """
    spec = model.spec
    named = named_latents(model, bound)
    parts = bound.terms(spec) | {"total": bound.bits_per_dim(spec), "nats": -bound.total}

    return Likelihood(
        **{name: estimate(part) for name, part in parts.items()},
        latents=tuple(estimate(bits_per_dim(level, spec)) for level in named),
        count=len(bound.prior),
        draws=config.draws,
        steps=config.steps,
        labelled=config.labelled,
    )


def named_latents(model: Model, bound: Bound) -> tuple[Tensor, ...]:
    """The costs of z_1..z_L of a hierarchy of few latents, in nats; none for other models."""
    levels = (*bound.divergences, bound.prior)
    return levels if isinstance(model, HasLatents) and len(levels) <= _MAX_NAMED_LATENTS else ()


def bounds(
    model: Model, items: Items, config: BoundConfig, *, on_step: OnStep | None = None
) -> Bound:
    """The bound of every item, in nats and float64.

    `model`, `items`, `config`, `on_step` and errors are those of `evaluate_bound`.
    """
    check_type("items", items, Items, "Items, e.g. data.test or Items(x)")
    if not isinstance(model, HasBound):
        raise ValueError(
            f"model: {type(model).__name__} has no method `bound`; give a model with one"
        )
    if config.labelled and items.given is None:
        raise ValueError(
            "labelled=True: these items have neither labels nor another condition; use "
            "labelled=False"
        )
    if len(items) < 2:
        raise ValueError(f"items: {len(items)}; a standard error needs at least two, give more")

    parts: list[Bound] = []
    done = 0
    with evaluating(model):
        for x, given in _batches(model, items):
            seeds = range(config.seed + done, config.seed + done + len(x))
            condition = given if config.labelled else None
            parts.append(_bound(model, x, condition, seeds, config))
            done += len(x)
            if on_step is not None:
                on_step(done, len(items))

    return _concatenated(parts)


def _batches(model: Model, items: Items) -> Iterator[tuple[Tensor, Tensor | None]]:
    """Items and their conditions on the model's device, `BATCH` at a time or fewer."""
    device = device_of(model)
    batch = max(1, min(BATCH, _NUMBERS // model.spec.dims))
    for index in torch.arange(len(items)).split(batch):
        some = items.take(index)
        yield some.x.to(device), None if some.given is None else some.given.to(device)


def _bound(
    model: HasBound, x: Tensor, condition: Tensor | None, seeds: range, config: BoundConfig
) -> Bound:
    """The bound of one batch. ValueError for steps of a model without them."""
    if config.steps is None:
        return model.bound(x, condition, seeds=seeds, draws=config.draws)
    if not isinstance(model, HasStepBound):
        raise ValueError(f"steps={config.steps}: {type(model).__name__} has no steps; leave it out")
    return model.bound(x, condition, seeds=seeds, draws=config.draws, steps=config.steps)


def _concatenated(parts: list[Bound]) -> Bound:
    """The bounds of all batches as one."""
    levels = zip(*(part.divergences for part in parts), strict=True)
    return Bound(
        _joined([part.reconstruction for part in parts]),
        _joined([part.prior for part in parts]),
        tuple(_joined(list(level)) for level in levels),
    )


def _joined(parts: list[Tensor]) -> Tensor:
    return torch.cat(parts).double().cpu()


def label_cost(spec: DataSpec) -> float:
    """log2(classes) / dims: bits/dim for the label, by this `spec`. ValueError without classes."""
    if spec.classes is None:
        raise ValueError(
            "classes=None: these data have no labels to tell; use the bound of p(x) as it is"
        )
    return math.log2(spec.classes) / spec.dims
