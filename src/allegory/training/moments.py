"""The moments of an optimizer as a checkpoint has them, checked before the optimizer gets them.

A fused kernel reads as many numbers of a moment as its parameter has, whatever the moment's size:
one of another shape or dtype is a read outside its memory.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from .weights import REMEDY


def adam_moments(parameter: Tensor) -> dict[str, Tensor]:
    """The moments of AdamW for a `parameter` before its first step."""
    step = torch.zeros((), dtype=torch.float32, device=parameter.device)
    zeros = {name: torch.zeros_like(parameter) for name in ("exp_avg", "exp_avg_sq")}
    return {"step": step, **zeros}


def new_moments(optimizer: torch.optim.Optimizer, parameter: nn.Parameter) -> dict[str, Tensor]:
    """The moments of a parameter before its first step.

    Args:
        optimizer: AdamW, or one with a method `moments`.
        parameter: the parameter.
    """
    make = getattr(optimizer, "moments", adam_moments)
    return {name: value.detach() for name, value in make(parameter).items()}


def check_moments(
    name: str, own: Mapping[str, Tensor], saved: Mapping[str, Tensor], steps: int
) -> None:
    """Compare the moments of a parameter with those that its optimizer makes.

    Args:
        name: of the parameter.
        own: the moments that its optimizer makes.
        saved: those of the checkpoint.
        steps: optimizer steps so far.

    Raises:
        ValueError: for a moment that is missing, unknown, of another shape or dtype, not finite, or
            out of its range.
    """
    for moment in [*own, *saved]:
        mine, theirs = (
            f"{tuple(each[moment].shape)} {each[moment].dtype}" if moment in each else "absent"
            for each in (own, saved)
        )
        if mine != theirs:
            raise ValueError(
                f"{name}.{moment} is {theirs} in the checkpoint and {mine} in the optimizer: "
                f"resume with the same optimizer, or {REMEDY}"
            )

        if not bool(saved[moment].isfinite().all()):
            raise ValueError(f"{name}.{moment} of the checkpoint is not finite: {REMEDY}")

    count = float(saved["step"]) if "step" in own else 0.0
    squares = saved.get("exp_avg_sq", torch.zeros(()))
    if not (0 <= count <= steps and count.is_integer()) or bool((squares < 0).any()):
        raise ValueError(f"the moments of {name} in the checkpoint are out of range: {REMEDY}")
