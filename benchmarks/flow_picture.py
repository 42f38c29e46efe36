"""The picture of the page on few steps: a two-dimensional flow, DDIM steps and jumps.

python -m benchmarks.flow_picture docs/images/flow_map.png

Three Gaussians and their exact probability flow, in the unit state z. On the left two steps of DDIM
leave the flow, because each goes straight along the slope where it starts. In the middle a jump of
the flow map goes to where the flow is, and two jumps are one (semigroup). On the right the end of a
jump moves along the flow as s moves (Lagrangian), and stays where it is as t moves (Eulerian).
"""

import argparse
from itertools import pairwise
from pathlib import Path as File
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import torch
from torch import Tensor

import allegory as al
from allegory.process.angle import unit_state
from allegory.sampling.single_step import levels_at

PATH = al.Path.vdm(8.0, -8.0)
MEANS = torch.tensor([[-1.6, 1.0], [1.7, 0.9], [0.2, -1.7]], dtype=torch.float64)
PREDICT = al.Mixture(MEANS, 0.25, path=PATH)
FINE = 400
STARTS = torch.tensor(
    [[-0.05, 1.1], [-0.25, 0.9], [-0.4, 0.7], [-0.15, 1.0], [-0.33, 0.8]], dtype=torch.float64
)
SHOWN = 1
"""The curve that the steps start from."""
GREY, BLUE, RED, GREEN = "0.75", "#1f77b4", "#d62728", "#2ca02c"


def flow(x: Tensor, levels: tuple[al.Level, ...]) -> Tensor:
    """The states z along the exact flow at all levels, by small steps of DDIM, (levels, b, 2)."""
    states = [unit_state(x, levels[0])]
    for here, to in pairwise(levels):
        x = PREDICT(x, here).at(to)
        states.append(unit_state(x, to))
    return torch.stack(states)


def arrow(panel: Any, start: Tensor, end: Tensor, color: str) -> None:
    """An arrow from one state to another."""
    panel.annotate(
        "",
        end.tolist(),
        start.tolist(),
        annotation_clip=False,
        arrowprops={"arrowstyle": "-|>", "color": color, "lw": 1.6, "shrinkA": 0, "shrinkB": 0},
    )


def mark(panel: Any, state: Tensor, text: str, color: str = "black") -> None:
    """A point with its name."""
    panel.plot(*state.tolist(), "o", color=color, ms=4)
    panel.annotate(text, state.tolist(), (5, 4), textcoords="offset points", color=color)


def draw(file: File) -> None:
    """Draw the three panels."""
    log_snr = torch.linspace(-7.5, 7.5, FINE, dtype=torch.float64).tolist()
    levels = levels_at(PATH, log_snr)
    curves = flow(STARTS * levels[0].sigma, levels)
    own = curves[:, SHOWN]
    passed = (own[1:] - own[:-1]).norm(dim=1).cumsum(0)
    middle, near, far = (int((passed < part * passed[-1]).sum()) for part in (0.45, 0.65, 0.85))

    figure, panels = plt.subplots(1, 3, figsize=(11, 2.6), layout="constrained")
    for panel in panels:
        for index in range(len(STARTS)):
            panel.plot(*curves[:, index].T, color=GREY, lw=1)
        panel.set_aspect("equal")
        panel.margins(0.05, 0.12)
        panel.axis("off")

    left, centre, right = panels
    left.set_title("two steps of DDIM")
    x = own[0] * levels[0].sigma
    for here, to in ((0, middle), (middle, FINE - 1)):
        start, level = unit_state(x, levels[here]), levels[here]
        x = PREDICT(x[None], level).at(levels[to])[0]
        arrow(left, start, unit_state(x, levels[to]), RED)
    mark(left, own[0], "t")

    centre.set_title("jumps: two are one")
    arrow(centre, own[0], own[middle], BLUE)
    arrow(centre, own[middle], own[-1], BLUE)
    arrow(centre, own[0], own[-1], GREEN)
    for name, index in (("t", 0), ("m", middle), ("s", FINE - 1)):
        mark(centre, own[index], name)

    right.set_title("the end moves along the flow")
    for index in (middle, near, far):
        arrow(right, own[0], own[index], BLUE)
    mark(right, own[0], "t")
    mark(right, own[near], "s")

    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file, dpi=110)
    plt.close(figure)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=File)
    draw(parser.parse_args().out)
