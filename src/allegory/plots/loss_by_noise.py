"""Figure of the diffusion term of the bound by noise level."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from jaxtyping import Float, Shaped
from torch import Tensor

from ..likelihood.bound import loss_by_log_snr
from ..models.base import HasTrajectory, clean_states, device_of, evaluating
from ..process.bound import bits_per_dim
from .style import BLUE, ORANGE, blank, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@styled
def loss_over_log_snr(
    model: HasTrajectory,
    raw: Shaped[Tensor, "n *shape"],
    condition: Shaped[Tensor, "n *row"] | None = None,
    *,
    seed: int = 0,
    points: int = 24,
) -> Figure:
    """Bits/dim per unit of log-SNR with a band of one standard error, also given a condition.

    The curve is 1/2 E|eps - eps_hat|^2 (Luo 2022, eq. 110, in continuous time), the area under it
    the diffusion term.

    Args:
        model: a diffusion model whose path has finite ends.
        raw: raw items.
        condition: one row per item; None draws the curve of p(x) alone.
        seed: item i draws from seed + i.
        points: number of values of log-SNR.

    Raises:
        ValueError: for fewer than two items, which have no standard error.
    """
    if len(raw) < 2:
        raise ValueError(f"raw: {len(raw)} items; a standard error needs at least two, give more")

    page = blank(3.9, "The bound by noise level")
    axes = page.subplots()
    curves = (
        {"p(x)": (None, BLUE)}
        if condition is None
        else {"p(x)": (None, BLUE), f"p(x | {model.spec.given_name})": (condition, ORANGE)}
    )

    for name, (rows, color) in curves.items():
        log_snr, bits = _curve(model, raw, rows, seed, points)
        mean, error = bits.mean(1), bits.std(1) / math.sqrt(len(raw))
        start, end = model.denoiser.path.schedule.ends
        area = mean.mean().item() * (start - end)
        axes.plot(
            log_snr, mean, color=color, linewidth=2, label=f"{name}: area {area:.2f} bits/dim"
        )
        axes.fill_between(log_snr, mean - error, mean + error, color=color, alpha=0.25, linewidth=0)

    _label(axes)
    return page


def _label(axes: Axes) -> None:
    """Labels, limits and legend."""
    axes.set(
        xlabel="log-SNR   (noise on the left, data on the right)",
        ylabel="bits/dim per unit of log-SNR",
    )
    axes.set_ylim(bottom=0)
    axes.margins(x=0)
    axes.legend()


def _curve(
    model: HasTrajectory, raw: Tensor, condition: Tensor | None, seed: int, points: int
) -> tuple[Float[Tensor, " points"], Float[Tensor, "points n"]]:
    device = device_of(model)
    x0 = clean_states(model, raw.to(device))
    rows = None if condition is None else condition.to(device)

    with evaluating(model):
        log_snr, nats = loss_by_log_snr(
            model.denoiser,
            x0,
            seeds=range(seed, seed + len(x0)),
            points=points,
            condition=rows,
        )

    return log_snr, bits_per_dim(nats, model.spec).cpu()
