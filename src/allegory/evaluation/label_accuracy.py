"""The label accuracy of samples: a classifier of real items says whether a sample shows its label.

It is a support vector machine with the kernel exp(-gamma |a - b|^2) on numbers scaled so that low
is 0 and high 1, C = 10 and gamma = 1 / (dims variance) (Cortes & Vapnik 1995), independent of the
model that is evaluated.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Int64, Shaped
from numpy.typing import NDArray
from torch import Tensor

from ..data.dataset import Items
from ..data.spec import DataSpec

_MAX_ITEMS = 10_000
"""Fitting takes time that grows with the square of the number of items: 10,000 of 784 numbers take
about 20 s.
"""


@dataclass(frozen=True, eq=False)
class LabelClassifier:
    """A fitted classifier of raw items."""

    machine: Any
    spec: DataSpec

    @classmethod
    def fit(cls, items: Items, spec: DataSpec, seed: int = 0) -> LabelClassifier:
        """A classifier of these items.

        Args:
            items: raw items with labels.
            spec: what they are.
            seed: seed of the choice of 10,000 items, where there are more.

        Raises:
            ValueError: without two classes of labels.
        """
        from sklearn.svm import SVC

        if items.labels is None or len(items.labels.unique()) < 2:
            raise ValueError(
                "items: a classifier needs items of at least two labels; give labelled data"
            )

        order = np.random.default_rng(seed).permutation(len(items))[:_MAX_ITEMS]
        some = items.take(torch.from_numpy(order))
        assert some.labels is not None
        machine = SVC(C=10.0, kernel="rbf", gamma="scale").fit(
            _scaled(some.x, spec), some.labels.numpy()
        )

        return cls(machine, spec)

    def predict(self, raw: Shaped[Tensor, "n *shape"]) -> Int64[Tensor, " n"]:
        """The label that each raw item most likely shows."""
        return torch.from_numpy(self.machine.predict(_scaled(raw, self.spec))).long()

    def accuracy(self, raw: Shaped[Tensor, "n *shape"], labels: Int64[Tensor, " n"]) -> float:
        """The fraction of `raw` items that show their label of `labels`."""
        return (self.predict(raw) == labels).double().mean().item()


def _scaled(raw: Tensor, spec: DataSpec) -> NDArray[np.float64]:
    flat: NDArray[np.float64] = ((spec.encode(raw).double() + 1.0) / 2.0).flatten(1).numpy()
    return flat
