"""Every path of the library, by name, for tests that must hold on all of them."""

import math

import torch

from allegory.process.betas import Betas, LinearBeta, LinearBetaSubVP
from allegory.process.learned_schedule import LearnedSchedule
from allegory.process.path import Path
from allegory.process.schedule import Cosine, Geometric, LinearLogSNR, RectifiedFlow, Schedule


def bent(schedule: LearnedSchedule, seed: int = 0, std: float = 0.5) -> LearnedSchedule:
    """The same ends and a random interior, far from a straight line; it does not train."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in schedule.named_parameters():
            if name != "reach":
                scale = 0.1 if name == "height" else 1.0
                parameter.copy_(scale * std * torch.randn(parameter.shape, generator=generator))
    return schedule.requires_grad_(False)


FINITE: dict[str, Schedule] = {
    "linear": LinearLogSNR(8, -7),
    "cosine": Cosine(9, -9),
    "betas": Betas(torch.linspace(1e-4, 0.02, 1000)),
    "geometric": Geometric(0.02, 40.0),
    "learned": bent(LearnedSchedule(9, -8)),
}
INFINITE: dict[str, Schedule] = {
    "cosine_inf": Cosine(math.inf, -math.inf),
    "straight": RectifiedFlow(),
}
SDES: dict[str, Schedule] = {
    "linear_beta": LinearBeta(0.1, 20.0, 1e-3),
    "linear_beta_sub_vp": LinearBetaSubVP(0.1, 20.0, 0.0),
}
"""Schedules of Score SDE: each is used with one scaling, the one whose process it is."""
SCHEDULES = FINITE | INFINITE | SDES
BOUNDED = ("vp", "sub_vp", "flow")
SCALINGS = (*BOUNDED, "ve")

PATHS = {
    f"{name}-{scaling}": Path(schedule, scaling)
    for name, schedule in FINITE.items()
    for scaling in SCALINGS
}
PATHS |= {
    f"{name}-{scaling}": Path(schedule, scaling)
    for name, schedule in INFINITE.items()
    for scaling in BOUNDED
}
"""A variance-exploding path has no infinite end: sigma would be infinite."""
PATHS |= {
    "linear_beta-vp": Path(SDES["linear_beta"], "vp"),
    "linear_beta_sub_vp-sub_vp": Path(LinearBetaSubVP(0.1, 20.0, 1e-3), "sub_vp"),
}

SMOOTH = {name: path for name, path in PATHS.items() if not name.startswith("betas")}
"""Those whose log-SNR has no corners, for derivatives by finite differences."""

ONE_PER_SCALING = ("linear-vp", "cosine-flow", "geometric-ve", "learned-sub_vp")
"""Each scaling once, on four finite schedules: all that a solver reads of a path."""
ENDLESS = ("straight-flow", "cosine_inf-vp")
"""Clean data at t = 0 and no signal at t = 1, with and without a variance that is kept."""
