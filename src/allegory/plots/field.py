r"""Figures of densities of points on the plane, their scores and their energies.

    score = grad log p(x_t) = -grad E(x_t) = -eps/sigma      p(x_t) = exp(-E)/Z
                                                               (Luo 2022, eq. 151 to 156)

Noise is counted as sigma/alpha, which is in the units of the data: at their standard deviation
p(x_t) is one cloud, far below it every detail is there. All is without a condition and in model
space.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from ..data.spec import DataSpec
from ..models.base import HasEnergy, device_of
from ..process.path import Level
from ..process.prediction import Predict
from ..sampling.mcmc.target import NoisedDensity, energy_per_item
from .items import show_points
from .noised_plane import lattice, log_noised_density, noise_levels, points
from .style import FAINT, INK, bare, blank, number, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure

PIXELS = 101
"""Pixels of a side of the density."""
ARROWS = 15
"""Arrows of a side of the score."""
FACES = 141
"""Points of a side of the energy's surface."""
MAX_POINTS = 2000
"""Items whose density is computed."""
_SHOWN_POINTS = 150
WELL = 15.0
"""Nats above its minimum at which an energy is cut off: in 2 dimensions p is e^-15 of its largest
there.
"""


@styled
def score_field(
    predict: Predict,
    raw: Shaped[Tensor, "n *shape"],
    spec: DataSpec,
    *,
    levels: int = 4,
) -> Figure:
    """p(x_t) as shades and the score as arrows, noisy to clean (Luo 2022, eq. 152 to 156; Song &
    Ermon 2019, figure 2).

    The density is exp(-E) of a `predict` with an energy, else that of the items under the path's
    noise; shades are its square root. An arrow has the direction of the score and the length log(1
    + |sigma score|), in one unit for all panels.

    Args:
        predict: a Predict of points of the plane, with its path.
        raw: raw items.
        spec: what they are.
        levels: number of panels.

    Raises:
        ValueError: for items that are no points of the plane, and no level.
    """
    path = predict.path
    x0 = points(raw, spec)
    chosen, reach = noise_levels(path, x0, levels), _reach(x0)
    data = x0[:: -(-len(x0) // MAX_POINTS)]
    page = blank(
        0.7 + 7.6 / len(chosen),
        "The score points uphill, from anywhere to where the data are",
        gap=0.04,
    )

    for axes, level in zip(page.subplots(1, len(chosen), squeeze=False)[0], chosen, strict=True):
        bare(axes)
        _density_map(axes, log_noised_density(predict, level, data, lattice(reach, PIXELS)), reach)
        _arrows(axes, predict, level, lattice(0.94 * reach, ARROWS))
        axes.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal")
        axes.set_xlabel(f"log-SNR {number(float(level.log_snr), 1)}")

    return page


@styled
def energy_surface(predict: HasEnergy, raw: Shaped[Tensor, "n *shape"], spec: DataSpec) -> Figure:
    """E(x_t) with the least noise, as a surface and as a map with some of the items (Luo 2022, eq.
    152).

    The lowest of the items is set to 0, as Z is not known. The energy is cut off 15 nats above that
    and below it: far from all data, at so little noise, an energy is not constrained by training.
    Where the path starts at clean data, which has no energy, the level is that of the cleanest
    `score_field`.

    Args:
        predict: an energy of points of the plane, with its path.
        raw: raw items.
        spec: what they are.

    Raises:
        ValueError: for items that are no points of the plane.
    """
    path = predict.path
    x0 = points(raw, spec)
    level = (
        path.levels([0.0])[0]
        if math.isfinite(path.schedule.ends[0])
        else noise_levels(path, x0, 1)[0]
    )
    reach = _reach(x0)
    x, items = lattice(reach, FACES), float(level.alpha) * x0[:MAX_POINTS]

    def nats(x: Tensor) -> Tensor:
        with torch.no_grad():
            return (
                energy_per_item(predict.energy(x.to(device_of(predict)), level, None), x)
                .float()
                .cpu()
            )

    height = (nats(x) - nats(items).min()).clamp(min=0.0).reshape(FACES, FACES)
    page = blank(
        3.9, f"The energy at log-SNR {number(float(level.log_snr), 1)}: data lie in its wells"
    )
    place = page.add_gridspec(1, 2, width_ratios=(1.25, 1.0))
    _surface(page.add_subplot(place[0], projection="3d"), x, height)
    _contours(page.add_subplot(place[1]), x, height, items[:_SHOWN_POINTS])

    return page


def _reach(x0: Float[Tensor, "n 2"]) -> float:
    """Half the width of a panel: all items, and something around them."""
    return 1.25 * float(x0.abs().max().clamp(min=1e-3))


def _density_map(axes: Axes, log_p: Float[Tensor, " n"], reach: float) -> None:
    """p over its maximum, from white to blue; by its square root, so that thin parts are seen."""
    from matplotlib.colors import PowerNorm

    edge = reach * PIXELS / (PIXELS - 1)  # a pixel reaches half its width beyond its point
    p = (log_p - log_p.max()).exp().reshape(PIXELS, PIXELS).numpy()
    axes.imshow(
        p,
        origin="lower",
        extent=(-edge, edge, -edge, edge),
        cmap="Blues",
        norm=PowerNorm(0.5, 0.0, 1.6),
    )


def _arrows(axes: Axes, predict: Predict, level: Level, x: Float[Tensor, "n 2"]) -> None:
    """The score, its length compressed; as long as the gap between two where |sigma score| = 10."""
    with torch.no_grad():
        pull = NoisedDensity(predict, level).score(x.to(device_of(predict))).float().cpu() * float(
            level.sigma
        )

    size = pull.norm(dim=1, keepdim=True).clamp(min=1e-12)
    gap = float(x[1, 0] - x[0, 0])
    across, up = (gap / math.log(11) * size.log1p() * pull / size).T.numpy()
    at_across, at_up = x.T.numpy()
    head: Any = {"headwidth": 3.0, "headlength": 3.0, "headaxislength": 2.7, "minlength": 0.3}
    units: Any = {"angles": "xy", "scale_units": "xy", "scale": 1.0}
    axes.quiver(at_across, at_up, across, up, color=INK, width=0.006, pivot="mid", **head, **units)


def _colours() -> Colormap:
    """For an energy: dark in the wells, grey where it is cut off."""
    from matplotlib import colormaps

    return colormaps["viridis"].with_extremes(over=FAINT)


def _surface(axes: Any, x: Float[Tensor, "n 2"], height: Float[Tensor, "up across"]) -> None:
    """The wells alone, on axes in space (which have no types): a plain of all that is cut off would
    hide them.
    """
    across, up = (one.reshape(height.shape).numpy() for one in x.T)
    lowest = -torch.nn.functional.max_pool2d(-height[None], 2, stride=1)[0]  # corner of every face
    colours = _colours()(lowest.numpy() / WELL)
    colours[:, :, 3] = (lowest < WELL).numpy()
    axes.plot_surface(
        across,
        up,
        height.clamp(max=WELL).numpy(),
        rstride=1,
        cstride=1,
        facecolors=colours,
        shade=False,
        linewidth=0,
        antialiased=False,
    )
    axes.view_init(elev=42, azim=-60)
    axes.set_box_aspect((1, 1, 0.5), zoom=1.1)
    axes.set(xticks=[], yticks=[], zticks=[0, 5, 10, WELL], zlim=(0, WELL))


def _contours(
    axes: Axes, x: Float[Tensor, "n 2"], height: Float[Tensor, "up across"], items: Tensor
) -> None:
    """The same from above, with some items in white, and the scale of both."""
    across, up = (one.reshape(height.shape).numpy() for one in x.T)
    steps = [float(nats) for nats in range(int(WELL) + 1)]
    filled = axes.contourf(across, up, height.numpy(), levels=steps, cmap=_colours(), extend="max")
    show_points(axes, items, "white", float(x.max()))
    axes.figure.colorbar(
        filled,
        ax=axes,
        label="E above its lowest at an item (nats)",
        shrink=0.8,
        ticks=[0, 5, 10, WELL],
    )
