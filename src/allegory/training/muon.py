r"""Muon: momentum with orthogonal steps for matrices, AdamW for the rest (Jordan et al. 2024).

The momentum M of a weight matrix is dominated by a few directions. Its polar factor U V^T, of M = U
S V^T, has the same singular vectors and gives every direction the same step. A kernel of a
convolution is the matrix (outputs, inputs x places). With g the gradient, b the momentum and n =
max(rows, columns),

    m <- b m + (1 - b) g        M = b m + (1 - b) g          (Nesterov's look ahead)
    W <- (1 - rate decay) W - rate 0.2 sqrt(n) polar(M)

A polar factor has the root mean square 1/sqrt(n), so that of a step is 0.2 rate, as is usual for
AdamW, and one rate serves both (Liu et al. 2025, "Muon is scalable for LLM training", eq. 4).

polar(M) is wanted to a few per cent only: a polynomial p(s) = 3.4445 s - 4.7750 s^3 + 2.0315 s^5,
applied to M five times, takes singular values from [0.003, 1] of the norm to about [0.7, 1.2], by
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

POLYNOMIAL = (3.4445, -4.7750, 2.0315)
ITERATIONS = 5
SIZE = 0.2
MOMENTUM = 0.95
EPS = 1e-8


def polar(matrix: Float[Tensor, "rows columns"]) -> Float[Tensor, "rows columns"]:
    """About U V^T of the matrix U S V^T: singular values near 1; 0 for 0. Computed in bfloat16."""
    tall = matrix.shape[0] > matrix.shape[1]
    x = (matrix / matrix.norm().clamp(min=torch.finfo(matrix.dtype).tiny)).bfloat16()
    x = x.T if tall else x
    a, b, c = POLYNOMIAL
    for _ in range(ITERATIONS):
        square = x @ x.T
        x = torch.addmm(x, torch.addmm(square, square, square, beta=b, alpha=c), x, beta=a)
    factor: Tensor = (x.T if tall else x).to(matrix.dtype)
    return factor


class Muon(torch.optim.Optimizer):
    """Muon for kernels of convolutions (three axes and more), AdamW for all other parameters.

    Vectors have no singular values, and tables of embeddings, first and last layers do better by
    AdamW; in networks of linear layers alone this is AdamW. `betas` are AdamW's.
    """

    def __init__(
        self,
        parameters: Iterable[nn.Parameter],
        lr: float,
        betas: tuple[float, float],
        weight_decay: float,
        fused: bool,
    ) -> None:
        super().__init__(
            parameters, {"lr": lr, "betas": betas, "weight_decay": weight_decay, "fused": fused}
        )

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """One step from the gradients that are there."""
        for group in self.param_groups:
            having = [p for p in group["params"] if p.grad is not None]
            for parameter in having:
                if parameter.ndim > 2:
                    self._orthogonal(parameter, group)
            self._adam([p for p in having if p.ndim <= 2], group)

    def _orthogonal(self, parameter: nn.Parameter, group: dict[str, Any]) -> None:
        gradient, state = parameter.grad, self.state[parameter]
        assert gradient is not None
        if not state:
            state["momentum"] = torch.zeros_like(parameter)
        state["momentum"].lerp_(gradient, 1 - MOMENTUM)
        ahead = gradient.lerp(state["momentum"], MOMENTUM).flatten(1)
        rate = group["lr"] * SIZE * math.sqrt(max(ahead.shape))
        parameter.mul_(1 - group["lr"] * group["weight_decay"]).add_(
            polar(ahead).view_as(parameter), alpha=-rate
        )

    def _adam(self, parameters: list[nn.Parameter], group: dict[str, Any]) -> None:
        for parameter in parameters:
            if not self.state[parameter]:
                step = torch.zeros((), dtype=torch.float32, device=parameter.device)
                zeros = {name: torch.zeros_like(parameter) for name in ("exp_avg", "exp_avg_sq")}
                self.state[parameter] = {"step": step, **zeros}
        states = [self.state[parameter] for parameter in parameters]
        if parameters:
            adamw(
                [*parameters],
                [parameter.grad for parameter in parameters if parameter.grad is not None],
                [state["exp_avg"] for state in states],
                [state["exp_avg_sq"] for state in states],
                [],
                [state["step"] for state in states],
                fused=group["fused"],
                amsgrad=False,
                beta1=group["betas"][0],
                beta2=group["betas"][1],
                lr=group["lr"],
                weight_decay=group["weight_decay"],
                eps=EPS,
                maximize=False,
            )
