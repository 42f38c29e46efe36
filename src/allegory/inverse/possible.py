"""Whether some item has a measurement: its shape, its numbers, the range of A, that of the data."""

from __future__ import annotations

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from ..data.spec import DataSpec
from .likelihoods import GaussianNoise, NoiseModel
from .operators.base import LinearOperator, Operator, check_adjoint

_OFF_RANGE = 1e-3
"""|A A^+ y - y| over |y|, above which no item has the measurement; y may be float32."""
_OFF_LAW = 1e-3
"""How far a number of y may be beyond its ends, over their distance."""
_NUMBERS = 4096
"""Of all items, up to which the range of A is checked by Krylov steps."""


def checked_values(
    operator: Operator, y: Shaped[Tensor, "b *measured"]
) -> Float[Tensor, "b *measured"]:
    """Measurements as floating-point numbers, 0 where the operator measures nothing.

    Args:
        operator: A.
        y: what was measured; numbers that are not observed may be anything.

    Raises:
        ValueError: for another shape, another number of items than the operator has, and numbers
            that are not finite.
    """
    name, measured = type(operator).__name__, tuple(operator.measured_shape)
    if tuple(y.shape[1:]) != measured or y.ndim != len(measured) + 1 or not len(y):
        shown = ", ".join(map(str, ("items", *measured)))
        raise ValueError(
            f"y: shape {tuple(y.shape)}; give ({shown}), as operator {name} measures items of "
            f"{tuple(operator.shape)}"
        )
    items = getattr(operator, "items", None)
    if items not in (None, len(y)):
        raise ValueError(
            f"operator {name}: has numbers for {items} items, and y for {len(y)}; give as many"
        )

    check_real("y", y)
    values = y if y.is_floating_point() else y.float()
    observed = getattr(operator, "observed", None)
    if observed is not None:
        values = torch.where(observed.to(y.device), values, torch.zeros_like(values))
    if not bool(values.isfinite().all()):
        count = int((~values.isfinite()).flatten(1).any(1).sum())
        raise ValueError(
            f"y: holds NaN or infinite numbers in {count} of {len(y)} items; leave out what is "
            "unknown by a Mask"
        )
    return values


def check_real(name: str, x: Tensor) -> None:
    """ValueError for complex numbers `x`, of an argument of this `name`."""
    if x.is_complex():
        raise ValueError(
            f"{name}: of {x.dtype}, and measurements are real; give real and imaginary parts as "
            "numbers of their own"
        )


def check_possible(
    operator: Operator, y: Float[Tensor, "b *measured"], likelihood: NoiseModel
) -> None:
    """Refuse an adjoint that is wrong, noise that does not fit, and a y without noise that is not
    in the range of A.

    Args:
        operator: A.
        y: what was measured.
        likelihood: of y; its `check` is called where it has one.

    Raises:
        ValueError: for these.
    """
    if isinstance(operator, LinearOperator):
        check_adjoint(operator, len(y))
    check = getattr(likelihood, "check", None)
    if check is not None:
        check(y)

    is_exact = isinstance(likelihood, GaussianNoise) and likelihood.noiseless
    if is_exact and isinstance(operator, LinearOperator):
        _check_range(operator, y)


def check_law(
    operator: Operator, y: Float[Tensor, "b *measured"], likelihood: NoiseModel, spec: DataSpec
) -> None:
    """Refuse items of another shape, and a y without noise that data of a range cannot have.

    An operator without entries below 0 takes items between low and high to y between A low and
    A high.

    Args:
        operator: A.
        y: what was measured.
        likelihood: of y.
        spec: what the raw items are.

    Raises:
        ValueError: for these.
    """
    name = type(operator).__name__
    if tuple(operator.shape) != tuple(spec.shape):
        raise ValueError(
            f"operator {name}: is for items of shape {tuple(operator.shape)}, and those of the "
            f"model have {tuple(spec.shape)}; make one for this shape"
        )
    is_exact = isinstance(likelihood, GaussianNoise) and likelihood.noiseless
    if not is_exact or not spec.range_is_law or not getattr(operator, "nonnegative", False):
        return

    low, high = (
        operator(end.expand(len(y), *spec.shape).to(y.device)).double() for end in spec.ends()
    )
    slack = _OFF_LAW * (high - low)
    beyond = (y < low - slack) | (y > high + slack)
    if bool(beyond.any()):
        item = int(beyond.flatten(1).any(1).nonzero()[0])
        raise ValueError(
            f"y: {float(y[beyond][0]):.6g} in item {item} is beyond {float(low[beyond][0]):g} to "
            f"{float(high[beyond][0]):g}, so that no item of these data has it; give noise above 0"
        )


def _check_range(operator: LinearOperator, y: Float[Tensor, "b *measured"]) -> None:
    """ValueError for a y that is not A x for any x."""
    numbers = len(y) * torch.Size(operator.shape).numel()
    if not operator.has_closed_inverse and numbers > _NUMBERS:
        return

    exact = y.double()
    with torch.no_grad():
        off = (operator(operator.pseudo_inverse(exact)) - exact).flatten(1).norm(dim=1)
    size = exact.flatten(1).norm(dim=1)
    is_off = off > _OFF_RANGE * size
    if bool(is_off.any()):
        item = int(is_off.nonzero()[0])
        raise ValueError(
            f"y: no item has measurement {item} without noise, |A A^+ y - y| = "
            f"{float(off[item]):.3g} with |y| = {float(size[item]):.3g}; give noise above 0"
        )
