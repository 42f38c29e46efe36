r"""The probability-flow ODE of a Predict in the variables in which every path has the same one.

With y = x_t/alpha and u = sigma/alpha,

    dy/du = eps(y, u)                             (Song et al. 2021, eq. 13, in these variables)

whatever the schedule and the scaling.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from .guide import check_consistent
from .prediction import Predict


@dataclass(frozen=True, eq=False)
class FlowSlope:
    """dy/du = eps(y, u), for some items of a batch at a noise level each.

    Args:
        predict: the predictor, with its path.
        dtype: what the predictor is evaluated in; y itself may be more precise.
        condition: one row per item of the whole batch, or None.
    """

    predict: Predict
    dtype: torch.dtype
    condition: Tensor | None = None

    def __post_init__(self) -> None:
        check_consistent(self.predict, "the probability-flow ODE")

    def __call__(
        self, u: Float[Tensor, " b"], y: Float[Tensor, "b *shape"], items: Int64[Tensor, " b"]
    ) -> Float[Tensor, "b *shape"]:
        """eps at y, in the dtype of the predictor.

        Args:
            u: sigma/alpha of each item.
            y: x_t/alpha.
            items: which items of the batch these are.
        """
        condition = None if self.condition is None else self.condition[items]
        level = self.predict.path.at_log_snr(-2 * u.log(), like=y.to(self.dtype))

        return self.predict((level.alpha * y).to(self.dtype), level, condition).eps
