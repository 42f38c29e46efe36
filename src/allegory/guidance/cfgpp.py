r"""CFG++ (Chung et al. 2024): x0 of the guided prediction, eps of the unconditional one.

    x0   =  x_u + w (x_c - x_u)
    eps  =  eps_u

so that alpha x0 + sigma eps is not x_t. An update that goes to alpha_s x0 + sigma_s eps, as those
of DDIM do, is the paper's; any other uses the state and the prediction as if they agreed, so the
guided Predict says `consistent = False`, and samplers and likelihoods refuse it. w = 0 is the
unconditional prediction itself; w = 1 has x0 of the condition and eps of none.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from torch import Tensor

from ..lookup import written
from ..process.guide import GUIDES, Guided
from ..process.path import Level
from ..process.prediction import Predict, Prediction
from .batched import pair, predict_under
from .scale import check_guidance_scale


@dataclass(frozen=True)
class CFGPlusPlus:
    """CFG++: guided x0 with unconditional eps, for ddim and ddim:eta only (Chung et al. 2024).

    It has no energy.

    Args:
        scale: w; 0 is unconditional; the paper takes 0 to 1.
        needs_condition: True; a `Sampler` refuses this guide without a condition.

    Raises:
        ValueError: for a scale that is no number, or too large for float32.
    """

    scale: float
    needs_condition: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_guidance_scale(self.scale)

    def __call__(self, base: Predict) -> Guided:
        """The guided Predict; without a condition it is the base."""
        return Guided(base, self)

    def __str__(self) -> str:
        return written("cfgpp", self.scale)

    @property
    def consistent(self) -> bool:
        """Whether x0 and eps add up to x_t: only without guidance."""
        return self.scale == 0

    def predict(
        self, base: Predict, x_t: Tensor, t: Tensor | float | Level, condition: Tensor | None
    ) -> Prediction:
        """x0 guided and eps unconditional at (x_t, t); without a condition, the base's own."""
        if condition is None or self.scale == 0:
            return base(x_t, t, None)

        free, with_condition = pair(predict_under(base, x_t, t, (None, condition)))
        guided = free.extrapolate(with_condition, self.scale)
        found = Prediction.of(guided.x0, free.eps, free.level)
        return replace(found, variance_fraction=with_condition.variance_fraction)


GUIDES.register(
    "cfgpp",
    CFGPlusPlus(0.6),
    "CFG++, x0 guided and eps unconditional, for ddim only, w = 0.6 if not given "
    "(Chung et al. 2024)",
    make=CFGPlusPlus,
    parameter="w, a number; 0 is unconditional",
)
