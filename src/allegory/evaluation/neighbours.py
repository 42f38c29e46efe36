r"""Precision and recall of samples (Kynkäänniemi et al. 2019).

Each item of a set has a ball that reaches to its k-th nearest neighbour in that set, and the union
of the balls stands for the support of the distribution:

    precision = fraction of samples inside of the balls of real items     are samples realistic?
    recall    = fraction of real items inside of the balls of samples     is everything covered?

Guidance raises the first and lowers the second. Both depend on the sizes of the sets: compare sets
of the same size, and with real items in the place of samples.
"""

from __future__ import annotations

import torch
from jaxtyping import Float64, Shaped
from torch import Tensor

from ..lookup import check_count

_CHUNK = 1024
"""Items whose distances are in memory at once."""


def precision_recall(
    samples: Shaped[Tensor, "n *shape"], real: Shaped[Tensor, "m *shape"], k: int = 3
) -> tuple[float, float]:
    """Precision and recall of samples, by Euclidean distances of items.

    Args:
        samples: in the units that distances are taken in, e.g. encoded.
        real: items of the data that nothing was fitted to, likewise.
        k: which neighbour a ball reaches to.

    Returns:
        Precision and recall, from 0 to 1.

    Raises:
        ValueError: for sets of k items or fewer, or a k below 1.
    """
    check_count("k", k, 1, 1000)
    if min(len(samples), len(real)) <= k:
        raise ValueError(
            f"k={k}: {len(samples)} samples and {len(real)} real items; give more than k of each"
        )

    a, b = (items.flatten(1).double() for items in (samples, real))
    return _fraction_within(a, b, k), _fraction_within(b, a, k)


def _fraction_within(
    items: Float64[Tensor, "n d"], centres: Float64[Tensor, "m d"], k: int
) -> float:
    """The fraction of items inside of the ball of any of the centres."""
    # The nearest of an item in its own set is the item itself.
    radius = torch.cat(
        [torch.cdist(some, centres).kthvalue(k + 1).values for some in centres.split(_CHUNK)]
    )
    inside = [(torch.cdist(some, centres) <= radius).any(1) for some in items.split(_CHUNK)]

    return torch.cat(inside).double().mean().item()
