r"""The likelihood of a whole set: the bound, term by term, in bits/dim with standard errors.

Per item, bits/dim = -bound / (dims log 2), an upper bound of -log2 p(x) / dims: lower is better. The value for a set is
the mean over its n items, its standard error s / sqrt(n) with s the spread between items, which holds the Monte Carlo
noise of the times and of eps as well.

With labels hidden the bits are those of p(x). With labels shown they are those of p(x | y), which is more than p(x, y);
as -log2 p(x) <= -log2 p(x, y) = -log2 p(x | y) + log2 classes for equally likely classes, adding `label_cost` makes
them a bound of p(x) as well.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from ..data.dataset import Items
from ..data.spec import DataSpec
from ..models.diffusion import VDM
from ..models.latent_variable import LatentVariableModel
from ..process.bound import Bound, Estimate, bits_per_dim, estimate
from .mode import evaluating

BATCH = 500
NAMED = 12
"""Hierarchies of up to so many levels are told level by level."""

Model = VDM | LatentVariableModel


@dataclass(frozen=True)
class Likelihood:
    """The terms of the bound over a set, in bits/dim: they add up to `total`. `nats` is the total in nats per item.

    `latents` holds the cost of each latent z_1..z_L of a hierarchy of few levels, in bits/dim; `prior` is that of z_L.
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
        """The parts by name, in the order in which they are written: of a hierarchy, prior is z_L and latents the rest."""
        ends = {"reconstruction": self.reconstruction, "prior": self.prior}
        if len(self.latents) == 1:
            return ends
        return ends | {"latents" if self.latents else "diffusion": self.diffusion}

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)


def evaluate_bound(
    model: Model,
    arrays: Items,
    *,
    seed: int,
    draws: int,
    steps: int | None = None,
    labelled: bool = False,
) -> Likelihood:
    """Bits/dim of p(x), or of p(x | label) when `labelled`, over all items; steps=None is continuous time.

    `draws` evaluations of the network an item; a VAE or a hierarchy has neither steps nor labels. ValueError for fewer
    than two items, which have no standard error, and for labelled=True without labels.
    """
    bound = bounds(model, arrays, seed=seed, draws=draws, steps=steps, labelled=labelled)
    data, levels = model.spec, (*bound.divergences, bound.prior)
    parts = bound.terms(data) | {"total": bound.bits_per_dim(data), "nats": -bound.total}
    named = levels if isinstance(model, LatentVariableModel) and len(levels) <= NAMED else ()
    return Likelihood(
        **{name: estimate(part) for name, part in parts.items()},
        latents=tuple(estimate(bits_per_dim(level, data)) for level in named),
        count=len(arrays),
        draws=draws,
        steps=steps,
        labelled=labelled,
    )


def bounds(
    model: Model,
    arrays: Items,
    *,
    seed: int,
    draws: int,
    steps: int | None = None,
    labelled: bool = False,
) -> Bound:
    """The bound of every item, in nats and float64; as `evaluate_bound`."""
    if labelled and arrays.labels is None:
        raise ValueError("labelled=True: these items have no labels; use labelled=False")
    if len(arrays) < 2:
        raise ValueError(f"arrays: {len(arrays)} items; a standard error needs at least two")
    device = next(model.parameters()).device
    parts: list[Bound] = []
    with evaluating(model):
        for i, index in enumerate(torch.arange(len(arrays)).split(BATCH)):
            some = arrays.take(index)
            x, first = some.x.to(device), seed + i * BATCH
            if isinstance(model, VDM):
                labels = some.labels.to(device) if labelled and some.labels is not None else None
                parts.append(model.bound(x, labels, seed=first, draws=draws, steps=steps))
            else:
                parts.append(model.bound(x, seed=first, draws=draws))
    return Bound(
        _joined([part.reconstruction for part in parts]),
        _joined([part.prior for part in parts]),
        tuple(
            _joined(list(level))
            for level in zip(*(part.divergences for part in parts), strict=True)
        ),
    )


def _joined(parts: list[Tensor]) -> Tensor:
    return torch.cat(parts).double().cpu()


def label_cost(spec: DataSpec) -> float:
    """log2(classes) / dims: what telling the label costs, in bits/dim. ValueError for data without classes."""
    if spec.classes is None:
        raise ValueError(
            "classes=None: these data have no labels to tell; use the bound of p(x) as it is"
        )
    return math.log2(spec.classes) / spec.dims
