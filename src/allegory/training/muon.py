r"""Muon: momentum with orthogonal steps for matrices, AdamW for the rest (Jordan et al. 2024).

The momentum M of a weight matrix is dominated by a few directions. Its polar factor U V^T, of
M = U S V^T, has the same singular vectors and an equal step in every direction. The kernel of a
convolution is flattened to the matrix (outputs, inputs x places). With g the gradient, b the decay
of the momentum and n = max(rows, columns),

    m <- b m + (1 - b) g
    M = b m + (1 - b) g                  (Nesterov momentum)
    W <- (1 - rate decay) W - rate 0.2 sqrt(n) polar(M)

The root mean square of a polar factor is 1 / sqrt(n), so that of a step is 0.2 rate, as is usual
for AdamW, and one learning rate serves both (Liu et al. 2025, "Muon is scalable for LLM training",
eq. 4).

polar(M) is needed to a few per cent only: the polynomial p(s) = 3.4445 s - 4.7750 s^3 + 2.0315 s^5,
applied to M five times, maps singular values in [0.003, 1] of the norm to about [0.7, 1.2], with
matrix products alone.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.optim.adamw import adamw

from .moments import adam_moments

POLAR_COEFFICIENTS = (3.4445, -4.7750, 2.0315)
"""Of s, s^3 and s^5 in the polynomial of a Newton-Schulz iteration (Jordan et al. 2024)."""
POLAR_ITERATIONS = 5
"""Applications of the polynomial."""
MOMENTUM_DECAY = 0.95
"""Of the momentum per step."""
STEP_RMS = 0.2
"""Root mean square of a step at learning rate 1 (Liu et al. 2025, eq. 4)."""
FUSED_DEVICES = ("cpu", "cuda", "mps")
"""Where torch has AdamW as one fused kernel."""
_ADAM_EPS = 1e-8
"""AdamW's addend to the root of the second moment."""


def polar(matrix: Float[Tensor, "rows columns"]) -> Float[Tensor, "rows columns"]:
    """The polar factor U V^T of `matrix` = U S V^T, approximately; 0 for 0.

    The singular values are near 1 (between 0.7 and 1.2); the products are computed in bfloat16.
    """
    is_tall = matrix.shape[0] > matrix.shape[1]
    x = (matrix / matrix.norm().clamp(min=torch.finfo(matrix.dtype).tiny)).bfloat16()
    x = x.T if is_tall else x

    a, b, c = POLAR_COEFFICIENTS
    for _ in range(POLAR_ITERATIONS):
        square = x @ x.T
        x = torch.addmm(x, torch.addmm(square, square, square, beta=b, alpha=c), x, beta=a)

    factor: Tensor = (x.T if is_tall else x).to(matrix.dtype)
    return factor


def hidden_matrices(model: nn.Module) -> list[Tensor]:
    """The matrices between hidden features of a model, of modules with `hidden_matrices()`."""
    found = [getattr(module, "hidden_matrices", None) for module in model.modules()]
    return [matrix for each in found if each is not None for matrix in each()]


class Muon(torch.optim.Optimizer):
    """Muon for kernels of convolutions (three axes and more) and hidden matrices, AdamW elsewhere.

    Vectors have no singular values, and embedding tables, first and last layers do better with
    AdamW.

    Args:
        parameters: the parameters to optimize.
        lr: learning rate of both methods.
        betas: decays of AdamW's first and second moments.
        weight_decay: decoupled weight decay of both methods, relative to `lr`.
        matrices: those of the parameters with two axes that are trained by Muon.
    """

    def __init__(
        self,
        parameters: Iterable[nn.Parameter],
        lr: float,
        betas: tuple[float, float],
        weight_decay: float,
        matrices: Iterable[Tensor] = (),
    ) -> None:
        self.matrices = {id(matrix) for matrix in matrices}
        super().__init__(parameters, {"lr": lr, "betas": betas, "weight_decay": weight_decay})

    def moments(self, parameter: nn.Parameter) -> dict[str, Tensor]:
        """The moments of a `parameter` before its first step."""
        if self._is_orthogonal(parameter):
            return {"momentum": torch.zeros_like(parameter)}
        return adam_moments(parameter)

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """One step along the gradients of the parameters; `closure` is not used."""
        for group in self.param_groups:
            trained = [p for p in group["params"] if p.grad is not None]
            for parameter in trained:
                if self._is_orthogonal(parameter):
                    self._orthogonal_step(parameter, group)

            self._adam_step([p for p in trained if not self._is_orthogonal(p)], group)

    def _is_orthogonal(self, parameter: nn.Parameter) -> bool:
        return parameter.ndim > 2 or id(parameter) in self.matrices

    def _orthogonal_step(self, parameter: nn.Parameter, group: dict[str, Any]) -> None:
        gradient = parameter.grad
        assert gradient is not None
        state = self.state[parameter]
        state.update(state or self.moments(parameter))

        state["momentum"].lerp_(gradient, 1 - MOMENTUM_DECAY)
        ahead = gradient.lerp(state["momentum"], MOMENTUM_DECAY).flatten(1)

        rate = group["lr"] * STEP_RMS * math.sqrt(max(ahead.shape))
        parameter.mul_(1 - group["lr"] * group["weight_decay"])
        parameter.add_(polar(ahead).view_as(parameter), alpha=-rate)

    def _adam_step(self, parameters: list[nn.Parameter], group: dict[str, Any]) -> None:
        for parameter in parameters:
            self.state[parameter].update(self.state[parameter] or self.moments(parameter))
        if not parameters:
            return

        states = [self.state[parameter] for parameter in parameters]
        adamw(
            [*parameters],
            [parameter.grad for parameter in parameters if parameter.grad is not None],
            [state["exp_avg"] for state in states],
            [state["exp_avg_sq"] for state in states],
            [],
            [state["step"] for state in states],
            fused=parameters[0].device.type in FUSED_DEVICES,
            amsgrad=False,
            beta1=group["betas"][0],
            beta2=group["betas"][1],
            lr=group["lr"],
            weight_decay=group["weight_decay"],
            eps=_ADAM_EPS,
            maximize=False,
        )
