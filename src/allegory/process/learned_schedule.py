r"""The learned schedule: a monotone network between two ends (Kingma et al. 2021, appendix).

    -log_snr(t) = g0 + (g1 - g0) n(t),      n(t) = (m(t) - m(0)) / (m(1) - m(0))
    m(t) = l1(t) + l3(sigmoid(l2(l1(t))))   with positive weights, so m rises

n is the same for any scale and offset of m, and l2 takes up those of l1, so l1(t) = t and no bias
in l3 lose nothing.

**What each part is trained for.** In continuous time the bound depends on the ends g0, g1 alone:
for the interior n, it is an integral in another variable. What the interior changes is the variance
of its estimate. One draw l of the diffusion term at (x, t, eps) has Var l = E[l^2] - E[l]^2, and
the second part is fixed, so the interior descends E[l^2] while the ends and the network descend the
bound.

**One backward pass for both.** With x, t and eps drawn, l_i depends on the interior only through
n_i = n(t_i) and its slope n'_i, and for each of its weights w

    d l_i^2 / dw  =  (2 l_i dl_i/dn_i) dn_i/dw + (2 l_i dl_i/dn'_i) dn'_i/dw.

Backpropagation of the mean of l brings dl_i/dn_i and dl_i/dn'_i to those 2 b numbers on its way to
w. Multiplied there by 2 l_i, they go on to become the gradient of the mean of l^2 (here of
VARIANCE_WEIGHT times it). The network and the ends are reached by other ways, which touch neither
n_i nor n'_i, so their gradient stays that of the mean of l.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from jaxtyping import Float
from torch import Tensor, nn

from .schedule import SCHEDULES, Arguments, Schedule, check_ends

_WEIGHT_SCALE = 10.0
"""Units of the interior's weights: an optimizer that changes every parameter by about its learning
rate per step (AdamW) then changes the curve within some hundred steps, at a rate that suits the
network.
"""
VARIANCE_WEIGHT = 0.01
"""The weight of the variance as an objective. AdamW does not depend on it, but the norm of the
gradient does, which is clipped over all parameters together: the interior's part is small in it.
"""
_LINEAR_FRACTION = 0.1
"""The weight of the straight line l1 in m initially."""


class VarianceGradient:
    """Gradient hook that multiplies each item's gradient by 2 l_i.

    So the schedule minimises E[l^2], and with it the variance, in the same backward pass.
    """

    def __init__(self) -> None:
        self._factor: Tensor | None = None

    def set_losses(self, losses: Float[Tensor, " b"]) -> None:
        """Set the `losses` l_i, in the units of the loss that is differentiated."""
        self._factor = VARIANCE_WEIGHT * 2 * losses.detach()

    def scale_gradient(self, value: Float[Tensor, "*t"]) -> Float[Tensor, "*t"]:
        """`value`, one number per item, with a hook that multiplies its gradient."""
        if value.requires_grad:
            value.register_hook(self._scale)
        return value

    def _scale(self, gradient: Tensor) -> Tensor:
        assert self._factor is not None, (
            "descending_variance: call set_losses before the backward pass"
        )
        return gradient * self._factor.to(gradient).reshape(gradient.shape)


class LearnedSchedule(Schedule):
    """A monotone network between two ends, initially a straight line (Kingma et al. 2021).

    Training moves the ends to either side of the middle between them, so start > end always. All
    parameters are 0 initially and are the deviation from the straight line, towards which weight
    decay pulls. They stay float32 in a model of half precision.

    Args:
        start: log-SNR at t = 0 initially.
        end: log-SNR at t = 1 initially.
        units: how many sigmoids there are.
        fixed_ends: whether the ends stay where they are.

    Raises:
        ValueError: for infinite ends, ends in the wrong order, or fewer than 5 units.
    """

    centres: Tensor

    def __init__(
        self, start: float = 10.0, end: float = -10.0, units: int = 32, fixed_ends: bool = False
    ) -> None:
        super().__init__()
        check_ends(start, end, finite=True)
        if units < 5:
            raise ValueError(f"units={units}; give at least 5; all but 4 divide the interior")

        self._arguments: Arguments = {
            "start": float(start),
            "end": float(end),
            "units": units,
            "fixed_ends": fixed_ends,
        }
        self.middle = (start + end) / 2
        self.radius = (start - end) / 2
        # Centres run from 1.5 gaps before t = 0 to 1.5 gaps after t = 1: equal sigmoids add up to a
        # straight line.
        self.units = units
        self.gap = 1 / (units - 4)
        self.register_buffer("centres", torch.arange(units) - 1.5, persistent=False)  # in gaps
        self.reach = nn.Parameter(torch.zeros(2), requires_grad=not fixed_ends)
        self.height, self.steepness, self.place = (
            nn.Parameter(torch.zeros(units)) for _ in range(3)
        )
        self._variance: VarianceGradient | None = None

    def arguments(self) -> Arguments:
        """The arguments with which it was made; its parameters are in the state_dict."""
        return dict(self._arguments)

    def _ends(self, like: Tensor) -> tuple[Tensor, Tensor]:
        """log-SNR at t = 0 and t = 1, in the dtype of t; a small `reach` is in units of log-SNR."""
        above, below = (self.radius * (self.reach.to(like) / self.radius).exp()).unbind()
        return self.middle + above, self.middle - below

    def _sigmoids(self, t: Float[Tensor, " n"]) -> tuple[Tensor, Tensor, Tensor]:
        """sigmoid(l2(t)), shape (n, units), with the weights of l3 and of l2."""
        height = (
            _WEIGHT_SCALE * self.height.to(t) + math.log((1 / _LINEAR_FRACTION - 1) * self.gap)
        ).exp()
        steepness = (self.steepness.to(t) + math.log(2 / self.gap)).exp()
        offset = -2 * (self.centres + self.place).to(t)

        return torch.addcmul(offset, steepness, t[:, None]).sigmoid(), height, steepness

    def _interior(self, t: Float[Tensor, "*t"], *, slope: bool) -> Float[Tensor, "*t"]:
        """n(t), or its slope n'(t) by m' = 1 + l3(sigmoid'(l2(t)) l2')."""
        times = torch.cat([t.new_tensor([0.0, 1.0]), t.flatten()])
        up, height, steepness = self._sigmoids(times)
        m = times + (height * up).sum(-1)
        first, last, rest = m[0], m[1], m[2:] - m[0]
        if slope:
            inner = up[2:]
            rest = 1 + (height * steepness * torch.addcmul(inner, inner, inner, value=-1)).sum(-1)
        n = (rest / (last - first)).reshape(t.shape)

        return n if self._variance is None else self._variance.scale_gradient(n)

    def forward(self, t: Float[Tensor, "*t"]) -> Float[Tensor, "*t"]:
        start, end = self._ends(t)
        # Exact ends; on an accelerator the comparison would synchronise.
        if t.ndim == 0 and t.device.type == "cpu" and float(t) in (0.0, 1.0):
            return end if t else start
        return torch.lerp(start, end, self._interior(t, slope=False))

    def slope(self, t: Float[Tensor, "*t"]) -> Float[Tensor, "*t"]:
        start, end = self._ends(t)
        return (end - start) * self._interior(t, slope=True)

    @torch.no_grad()
    def inverse(self, log_snr: Float[Tensor, "*t"]) -> Float[Tensor, "*t"]:
        """The t at this `log_snr`, 0 or 1 beyond the ends, to the last digits; without gradient.

        Newton steps on each element, with a bisection where one leaves the bracket or shrinks too
        little.
        """
        start, end = self._ends(log_snr)
        low = torch.zeros_like(log_snr)
        high = torch.ones_like(log_snr)
        t = ((log_snr - start) / (end - start)).clamp(0, 1)
        change = torch.ones_like(t)

        for _ in range(100):
            error = self(t) - log_snr
            low = torch.where(error > 0, t, low)
            high = torch.where(error > 0, high, t)

            newton = t - error / self.slope(t)
            trusted = (newton >= low) & (newton <= high) & ((newton - t).abs() <= change / 2)
            new = torch.where(trusted, newton, (low + high) / 2)
            change = (new - t).abs()
            t = new
            if bool((change <= 4 * torch.finfo(t.dtype).eps).all()):
                break

        return t

    def _apply(self, fn, recurse=True):  # type: ignore[no-untyped-def]
        """Change the device, not the dtype: half precision would round log-SNR."""
        on_device = lambda tensor: tensor.to(fn(tensor).device)  # noqa: E731
        return super()._apply(on_device, recurse)  # type: ignore[no-untyped-call]

    @contextmanager
    def descending_variance(self) -> Iterator[VarianceGradient]:
        """Context in which the gradient of the interior becomes that of the mean of l^2.

        Each time is one item's draw. Call `VarianceGradient.set_losses` before the backward pass;
        the derivation is in the docstring of the module.
        """
        self._variance = VarianceGradient()
        try:
            yield self._variance
        finally:
            self._variance = None

    def extra_repr(self) -> str:
        start, end = self.ends
        return f"start={start:g}, end={end:g}, units={self.units}" + (
            "" if self.reach.requires_grad else ", fixed ends"
        )


@contextmanager
def descending_variance(schedule: Schedule) -> Iterator[VarianceGradient]:
    """`LearnedSchedule.descending_variance` for a learned `schedule`; no effect on others."""
    if isinstance(schedule, LearnedSchedule):
        with schedule.descending_variance() as variance:
            yield variance
    else:
        yield VarianceGradient()


SCHEDULES.register(
    "learned",
    LearnedSchedule,
    "a monotone network between two learned ends (Kingma et al. 2021, appendix)",
)
