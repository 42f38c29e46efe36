"""The likelihood of each item, as a table: which items a model finds likely, and which strange."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..data.dataset import Items
from ..models.base import Model, is_conditional
from ..process.bound import Bound, bits_per_dim
from ..sampling.driver import OnStep
from .config import BoundConfig
from .likelihood import bounds, named_latents


@dataclass(frozen=True, eq=False)
class ItemScores:
    """The bound of the negative log-likelihood of each item, one row per item.

    Args:
        columns: by name, each of shape (n,):

            - `index`: where the item stands in its file, folder or set, from 0;
            - `label`: its class as the data have it, where there are labels;
            - `condition`: another condition as text, where there is one;
            - `nats`: the bound of -log p(x), lower is more likely;
            - `bits_per_dim`: the same in bits per number of the item;
            - the terms of the bound in bits/dim, which add up to `bits_per_dim`: `reconstruction`,
              `prior` and `diffusion`, or `reconstruction`, `z1`, `z2`, ... of a hierarchy;
            - `nats_given_label`, `bits_per_dim_given_label`: those of p(x | label), where the model
              takes labels; `..._given_condition` those given another condition.
    """

    columns: Mapping[str, Tensor | NDArray[Any]]

    def __len__(self) -> int:
        """Return the number of items."""
        return len(self.columns["index"])

    def csv(self) -> str:
        """The table as text: a line of names, then a line per item."""
        file = io.StringIO()
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(self.columns)
        writer.writerows(zip(*(column.tolist() for column in self.columns.values()), strict=True))
        return file.getvalue()


def item_scores(
    model: Model,
    items: Items,
    config: BoundConfig | None = None,
    *,
    on_step: OnStep | None = None,
) -> ItemScores:
    """The bound of every item, as `evaluate` computes it.

    Args:
        model: a model with a bound.
        items: raw items; p(x | condition) is evaluated too where they have labels or another
            condition and the model takes it.
        config: seed and draws; None for `BoundConfig()`.
        on_step: called as on_step(items done, items).

    Returns:
        A row per item, in the order of the items.

    Raises:
        ValueError: for a model without a bound, and for fewer than two items.
    """
    config = config or BoundConfig()
    hidden = BoundConfig(config.seed, config.draws, config.steps)
    bound = bounds(model, items, hidden, on_step=on_step)
    if not is_conditional(model) or items.given is None:
        return scores_of(model, items, bound)

    shown = BoundConfig(config.seed, config.draws, config.steps, labelled=True)
    return scores_of(model, items, bound, bounds(model, items, shown, on_step=on_step))


def scores_of(model: Model, items: Items, bound: Bound, given: Bound | None = None) -> ItemScores:
    """The table of bounds that have been computed.

    Args:
        model: the model whose bounds they are.
        items: the items.
        bound: that of p(x), per item.
        given: that of p(x | condition); None without.
    """
    spec = model.spec
    index = torch.arange(len(items)) if items.index is None else items.index
    columns: dict[str, Tensor | NDArray[Any]] = {"index": index}
    if items.labels is not None:
        columns["label"] = spec.class_values(items.labels)
    if items.condition is not None and spec.condition is not None:
        columns["condition"] = np.array(spec.condition.texts(items.condition))

    columns |= {"nats": -bound.total, "bits_per_dim": bound.bits_per_dim(spec)}
    latents = named_latents(model, bound)
    terms = bound.terms(spec)
    if latents:
        terms = {"reconstruction": terms["reconstruction"]}
    columns |= terms
    columns |= {f"z{i}": bits_per_dim(nats, spec) for i, nats in enumerate(latents, start=1)}

    if given is not None:
        columns[f"nats_given_{spec.given_name}"] = -given.total
        columns[f"bits_per_dim_given_{spec.given_name}"] = given.bits_per_dim(spec)
    return ItemScores(columns)
