r"""The learned schedule: a monotone network between two learned ends (Kingma et al. 2021,
appendix).

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
w. Multiplied there by 2 l_i, they go on to become the gradient of the mean of l^2 (here of SHARE
times it). The network and the ends are reached by other ways, which touch neither n_i nor n'_i, so
their gradient stays that of the mean of l.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from jaxtyping import Float
from torch import Tensor, nn

from .schedule import SCHEDULES, Arguments, Schedule, check_ends

RATE = 10.0
"""Units of the interior's weights. An optimizer that moves every parameter by about its rate a step
(AdamW) shall bend
the curve within some hundred steps, at a rate that suits the network."""
SHARE = 0.01
"""What multiplies the variance as an objective. AdamW does not see it, but the gradient's norm,
which is clipped over all
parameters together, does: the interior's part shall stay small beside the network's."""
PLAIN = 0.1
"""Share of the plain straight line l1 in m at the start."""


class Squared:
    """What turns gradients of l into gradients of l^2: 2 l_i, known once the loss is."""

    def __init__(self) -> None:
        self._factor: Tensor | None = None

    def of(self, losses: Float[Tensor, " b"]) -> None:
        """The l_i whose variance shall fall, in the units of the loss that is differentiated."""
        self._factor = SHARE * 2 * losses.detach()

    def hold(self, value: Float[Tensor, "*t"]) -> Float[Tensor, "*t"]:
        """The same numbers, one for each item; the gradient that comes back through them is
        multiplied.
        """
        if value.requires_grad:
            value.register_hook(self._scale)
        return value

    def _scale(self, gradient: Tensor) -> Tensor:
        assert self._factor is not None, (
            "descending_variance: say which losses by `of` before the backward pass"
        )
        return gradient * self._factor.to(gradient).reshape(gradient.shape)


class LearnedSchedule(Schedule):
    """A schedule with parameters: `units` sigmoids between two ends, near the straight line at
    first.

    `start` and `end` are the log-SNR at t = 0 and t = 1 to begin with; training moves them, unless
    `fixed_ends`, to either side of the middle between them, so start > end always. All parameters
    are 0 at first and count the deviation from that straight line: weight decay pulls towards it.
    They stay float32 in a model of half precision. ValueError for infinite ends, ends in the wrong
    order, or fewer than 5 units.
    """

    centres: Tensor

    def __init__(
        self, start: float = 10.0, end: float = -10.0, units: int = 32, fixed_ends: bool = False
    ) -> None:
        super().__init__()
        check_ends(start, end, finite=True)
        if units < 5:
            raise ValueError(
                f"units={units}; give at least 5, of which all but 4 divide the interior"
            )
        self._arguments: Arguments = {
            "start": float(start),
            "end": float(end),
            "units": units,
            "fixed_ends": fixed_ends,
        }
        self.middle, self.radius = (start + end) / 2, (start - end) / 2
        # Centres run from 1.5 gaps before t = 0 to 1.5 gaps after t = 1: equal sigmoids add up to a
        # straight line.
        self.units, self.gap = units, 1 / (units - 4)
        self.register_buffer("centres", torch.arange(units) - 1.5, persistent=False)  # in gaps
        self.reach = nn.Parameter(torch.zeros(2), requires_grad=not fixed_ends)
        self.height, self.steepness, self.place = (
            nn.Parameter(torch.zeros(units)) for _ in range(3)
        )
        self._squared: Squared | None = None

    def arguments(self) -> Arguments:
        """The arguments with which it was made; its parameters are in the state_dict."""
        return dict(self._arguments)

    def _ends(self, like: Tensor) -> tuple[Tensor, Tensor]:
        """log-SNR at t = 0 and at t = 1, in the dtype of t; `reach` is in units of log-SNR while it
        is small.
        """
        above, below = (self.radius * (self.reach.to(like) / self.radius).exp()).unbind()
        return self.middle + above, self.middle - below

    def _sigmoids(self, t: Float[Tensor, " n"]) -> tuple[Tensor, Tensor, Tensor]:
        """sigmoid(l2(t)), shape (n, units), with the weights of l3 and of l2."""
        height = (RATE * self.height.to(t) + math.log((1 / PLAIN - 1) * self.gap)).exp()
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
        return n if self._squared is None else self._squared.hold(n)

    def forward(self, t: Float[Tensor, "*t"]) -> Float[Tensor, "*t"]:
        start, end = self._ends(t)
        if (
            t.ndim == 0 and t.device.type == "cpu" and float(t) in (0.0, 1.0)
        ):  # elsewhere a look would wait
            return end if t else start
        return torch.lerp(start, end, self._interior(t, slope=False))

    def slope(self, t: Float[Tensor, "*t"]) -> Float[Tensor, "*t"]:
        start, end = self._ends(t)
        return (end - start) * self._interior(t, slope=True)

    @torch.no_grad()
    def inverse(self, log_snr: Float[Tensor, "*t"]) -> Float[Tensor, "*t"]:
        """The t at this log-SNR, 0 or 1 beyond the ends, to the last digits of the dtype; it
        carries no gradient.

        Newton steps on each element, with a bisection where one leaves the bracket or shrinks too
        little.
        """
        start, end = self._ends(log_snr)
        low, high = torch.zeros_like(log_snr), torch.ones_like(log_snr)
        t = ((log_snr - start) / (end - start)).clamp(0, 1)
        moved = torch.ones_like(t)
        for _ in range(100):
            miss = self(t) - log_snr
            low, high = torch.where(miss > 0, t, low), torch.where(miss > 0, high, t)
            newton = t - miss / self.slope(t)
            trusted = (newton >= low) & (newton <= high) & ((newton - t).abs() <= moved / 2)
            ahead = torch.where(trusted, newton, (low + high) / 2)
            moved, t = (ahead - t).abs(), ahead
            if bool((moved <= 4 * torch.finfo(t.dtype).eps).all()):
                break
        return t

    def _apply(self, fn, recurse=True):  # type: ignore[no-untyped-def]
        """Follow a move to another device, not a change of dtype: half precision would round
        log-SNR.
        """
        return super()._apply(lambda tensor: tensor.to(fn(tensor).device), recurse)  # type: ignore[no-untyped-call]

    @contextmanager
    def descending_variance(self) -> Iterator[Squared]:
        """Inside, every time is one item's draw, and the interior's gradient will be that of the
        mean of l^2.

        Name the l_i by `Squared.of` before the backward pass; the derivation is at the head of the
        module.
        """
        self._squared = Squared()
        try:
            yield self._squared
        finally:
            self._squared = None

    def extra_repr(self) -> str:
        start, end = self.ends
        return f"start={start:g}, end={end:g}, units={self.units}" + (
            "" if self.reach.requires_grad else ", fixed ends"
        )


@contextmanager
def descending_variance(schedule: Schedule) -> Iterator[Squared]:
    """`LearnedSchedule.descending_variance`, and nothing at all on a schedule that has no interior
    to train.
    """
    if isinstance(schedule, LearnedSchedule):
        with schedule.descending_variance() as squared:
            yield squared
    else:
        yield Squared()


SCHEDULES.register(
    "learned",
    LearnedSchedule,
    "a monotone network between two learned ends (Kingma et al. 2021, appendix)",
)
