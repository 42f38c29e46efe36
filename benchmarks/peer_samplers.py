"""The deterministic samplers of diffusers, k-diffusion and azula, called on one exact denoiser.

Each is given a `Flow` and a number of evaluations, and returns where it ends. Their own code steps,
and makes the grid; the denoiser is asked at the noise level where the sampler stands. What is done
so that all start and end where the path does:

- diffusers: grids of karras or exponential sigmas (`use_lu_lambdas` is the latter) repeat the last
  sigma when it is not 0, a step of no length that costs an evaluation and is NaN in some orders.
  N + 1 sigmas are requested and the repeated one is cut off. alpha-bar is in float64: float32 would
  move the end.
- k-diffusion: its grids append sigma = 0, which is cut off. Its VP grid has other ends; one even
  in t of the path is used instead.
- azula: a sampler takes times even in t of a schedule, and its schedules can be made to end where
  the path does.
"""

import importlib
import math
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from importlib.util import find_spec
from itertools import product
from types import ModuleType, SimpleNamespace
from typing import Any
from unittest.mock import MagicMock

import torch
from torch import Tensor

from allegory import Path, grid

Options = dict[str, Any]
Kind = tuple[str, str, int, Options]
"""A title, a name in the library, evaluations a step, and arguments."""


@dataclass(frozen=True, eq=False)
class Flow:
    """What a sampler is given.

    E[x0] of y = x_t/alpha at u = sigma/alpha, the path, and y at t = 1.
    """

    denoise: Callable[[Tensor, float], Tensor]
    path: Path
    y: Tensor

    def scales(self, spacing: str, steps: int) -> tuple[Tensor, Tensor]:
        """alpha and sigma at steps + 1 nodes from t = 1 to t = 0."""
        levels = grid(self.path, steps, spacing, "min").levels
        alpha, sigma = torch.tensor(
            [(level.alpha, level.sigma) for level in levels], dtype=torch.float64
        ).T
        return alpha, sigma

    @cached_property
    def ends(self) -> tuple[float, float]:
        """u at t = 1 and t = 0."""
        alpha, sigma = self.scales("time", 1)
        return float(sigma[0] / alpha[0]), float(sigma[1] / alpha[1])

    @cached_property
    def alpha_bar(self) -> Tensor:
        """1/(1 + u^2) at 1,000 even times: the table of a variance-preserving scheduler."""
        log_snr: Tensor = self.path.schedule(torch.linspace(0, 1, 1000, dtype=torch.float64))
        return log_snr.sigmoid()

    def one_each(self, y: Tensor, u: Tensor) -> Tensor:
        """The denoiser for a caller that gives every item the same u."""
        return self.denoise(y, float(u[0]))


Sampler = Callable[[Flow, int], Tensor | None]
"""(flow, evaluations) -> y at t = 0; None where the sampler needs more evaluations."""


def samplers() -> dict[str, Sampler]:
    """Every configuration by name."""
    return dict([*_diffusers(), *_k_diffusion(), *_azula()])


SIGMAS: dict[str, Options] = {
    "default": {},
    "karras": {"use_karras_sigmas": True},
    "exponential": {"use_exponential_sigmas": True},
}  # fmt: skip


def _diffusers() -> Iterator[tuple[str, Sampler]]:
    library, least = importlib.import_module("diffusers"), {"final_sigmas_type": "sigma_min"}
    kinds: list[Kind] = [
        ("DPM++", "DPMSolverMultistepScheduler", 1, least),
        ("UniPC bh1", "UniPCMultistepScheduler", 1, {**least, "solver_type": "bh1"}),
        ("UniPC bh2", "UniPCMultistepScheduler", 1, {**least, "solver_type": "bh2"}),
        ("DEIS", "DEISMultistepScheduler", 1, {}),
    ]
    for (name, cls, _, options), order, sigmas, lower in product(
        kinds, (2, 3), SIGMAS, (True, False)
    ):
        chosen = {**options, **SIGMAS[sigmas], "solver_order": order, "lower_order_final": lower}
        title = f"diffusers {name} {order}, {sigmas}{', lower order last' if lower else ''}"
        yield title, partial(_sigma_scheduler, getattr(library, cls), chosen)
    for sigmas, options in SIGMAS.items():
        yield (
            f"diffusers Heun, {sigmas}",
            partial(_heun_scheduler, library.HeunDiscreteScheduler, options),
        )
    yield (
        "diffusers DDIM",
        partial(_step_scheduler, library.DDIMScheduler, {"clip_sample": False}, 0),
    )
    yield "diffusers PNDM", partial(_step_scheduler, library.PNDMScheduler, {}, 9)
    yield (
        "diffusers PLMS",
        partial(_step_scheduler, library.PNDMScheduler, {"skip_prk_steps": True}, 1),
    )


def _scheduler(cls: Callable[..., Any], flow: Flow, options: Options) -> Any:
    """A scheduler with the path's alpha-bar."""
    scheduler = cls(**options)
    scheduler.alphas_cumprod, scheduler.final_alpha_cumprod = flow.alpha_bar, flow.alpha_bar[0]
    return scheduler


def _sigma_scheduler(
    cls: Callable[..., Any], options: Options, flow: Flow, evaluations: int
) -> Tensor:
    """Multistep schedulers.

    One evaluation a step, between the scheduler's own sigmas, on x = y/sqrt(1 + u^2).
    """
    scheduler = _scheduler(cls, flow, {**options, "prediction_type": "sample"})
    repeated = any(option.startswith("use_") for option in options)
    scheduler.set_timesteps(evaluations + repeated)
    scheduler.sigmas = scheduler.sigmas[: evaluations + 1].double()
    scheduler.timesteps = scheduler.timesteps[:evaluations]
    scheduler.set_begin_index(0)
    sigmas: list[float] = scheduler.sigmas.tolist()
    x = flow.y / math.hypot(1, sigmas[0])
    for u, timestep in zip(sigmas, scheduler.timesteps, strict=False):
        x = scheduler.step(flow.denoise(x * math.hypot(1, u), u), timestep, x).prev_sample
    return x * math.hypot(1, sigmas[-1])


def _heun_scheduler(
    cls: Callable[..., Any], options: Options, flow: Flow, evaluations: int
) -> Tensor:
    """Two evaluations a step, on y; its last step, to sigma = 0, is not made."""
    scheduler, steps = (
        _scheduler(cls, flow, {**options, "prediction_type": "sample"}),
        evaluations // 2,
    )
    scheduler.set_timesteps(steps + 1)
    scheduler.sigmas = scheduler.sigmas.double()
    scheduler.set_begin_index(0)
    y = flow.y
    for u, timestep in zip(
        scheduler.sigmas.tolist(), scheduler.timesteps[: 2 * steps], strict=False
    ):
        y = scheduler.step(flow.denoise(y, u), timestep, y).prev_sample
    return y


def _step_scheduler(
    cls: Callable[..., Any], options: Options, extra: int, flow: Flow, evaluations: int
) -> Tensor | None:
    """Schedulers that count whole steps down to alpha-bar of the first.

    `extra` evaluations over the steps.

    Where N does not divide 1000, the step that they take and the step where they then stand differ
    by one.
    """
    if evaluations < extra + 4:
        return None
    scheduler = _scheduler(cls, flow, {**options, "timestep_spacing": "trailing"})
    scheduler.set_timesteps(evaluations - extra)
    alpha, sigma = flow.alpha_bar.sqrt(), (1 - flow.alpha_bar).sqrt()
    x = flow.y * alpha[-1]
    for i in scheduler.timesteps.tolist():
        x0 = flow.denoise(x / alpha[i], float(sigma[i] / alpha[i]))
        x = scheduler.step((x - alpha[i] * x0) / sigma[i], i, x).prev_sample
    return x / alpha[0]


def _k_diffusion() -> Iterator[tuple[str, Sampler]]:
    library = _k_sampling()
    noiseless: Options = {"noise_sampler": lambda *_: 0.0, "eta": 0.0}
    lms: list[Kind] = [(f"LMS {order}", "sample_lms", 1, {"order": order}) for order in (2, 3, 4)]
    kinds: list[Kind] = [
        ("DPM++ 2M", "sample_dpmpp_2m", 1, {}),
        ("DPM++ 3M", "sample_dpmpp_3m_sde", 1, noiseless),
        ("DPM++ 2S", "sample_dpmpp_2s_ancestral", 2, noiseless),
        ("Heun", "sample_heun", 2, {}),
        ("DPM 2", "sample_dpm_2", 2, {}),
    ]
    for (name, function, cost, options), spacing in product(
        kinds + lms, ("karras", "exponential", "t")
    ):
        chosen = partial(getattr(library, function), disable=True, **options)
        sigmas = partial(_k_sigmas, library, spacing)
        yield f"k-diffusion {name}, {spacing}", partial(_k_sampler, chosen, sigmas, cost)


def _k_sampling() -> ModuleType:
    """k_diffusion.sampling without its package's __init__, which imports a training stack."""
    package, spec = ModuleType("k_diffusion"), find_spec("k_diffusion")
    package.__spec__, package.__path__ = (
        spec,
        list((spec and spec.submodule_search_locations) or []),
    )
    unused = ("torchvision", "torchvision.transforms", "torchdiffeq", "torchsde")
    absent = [name for name in unused if name not in sys.modules]
    sys.modules |= {"k_diffusion": package, **{name: MagicMock() for name in absent}}
    try:
        return importlib.import_module("k_diffusion.sampling")
    finally:
        for name in absent:
            del sys.modules[name]


def _k_sampler(
    sampler: Callable[..., Tensor],
    sigmas: Callable[[Flow, int], Tensor],
    cost: int,
    flow: Flow,
    evaluations: int,
) -> Tensor:
    """On y, from sigma to sigma."""
    return sampler(flow.one_each, flow.y, sigmas(flow, evaluations // cost))


def _k_sigmas(library: ModuleType, spacing: str, flow: Flow, steps: int) -> Tensor:
    if spacing == "t":
        alpha, sigma = flow.scales("time", steps)
        return sigma / alpha
    sigmas: Tensor = getattr(library, f"get_sigmas_{spacing}")(
        steps + 1, min(flow.ends), max(flow.ends)
    )
    return sigmas[:-1].double()


AZULA = ("zAB", "vAB", "zEAB", "xEAB", "REAB")
"""Adams-Bashforth of eps in u, of eps - x0 in u/(1 + u), and exponential in log u."""


def _azula() -> Iterator[tuple[str, Sampler]]:
    library = importlib.import_module("azula.sample")
    kinds: list[Kind] = [("DDIM", "DDIMSampler", 1, {}), ("Heun", "HeunSampler", 2, {})]
    kinds += [
        (f"{name} {k}", f"{name}Sampler", 1, {"order": k}) for name in AZULA for k in (2, 3, 4, 5)
    ]
    for (name, cls, cost, options), spacing in product(
        kinds, ("t", "log-SNR", "karras", "cosine", "rectified")
    ):
        chosen = partial(getattr(library, cls), **options)
        yield f"azula {name}, {spacing}", partial(_azula_sampler, chosen, cost, spacing)


@dataclass(frozen=True, eq=False)
class _Denoiser:
    """What azula asks for: a schedule, and a posterior that has a mean."""

    flow: Flow
    schedule: Callable[[Tensor], tuple[Tensor, Tensor]]

    def __call__(self, x: Tensor, t: Tensor) -> SimpleNamespace:
        alpha, sigma = self.schedule(t)
        return SimpleNamespace(mean=self.flow.denoise(x / alpha, float(sigma / alpha)))


def _azula_sampler(
    cls: Callable[..., Any], cost: int, spacing: str, flow: Flow, evaluations: int
) -> Tensor:
    """On x_t of a schedule, which may be any with these ends: the denoiser is asked at y and u."""
    steps = evaluations // cost
    schedule = _azula_schedule(flow, spacing, steps)
    sampler = cls(denoiser=_Denoiser(flow, schedule), steps=steps, silent=True, dtype=torch.float64)
    alpha, _ = schedule(sampler.timesteps)
    x: Tensor = sampler(alpha[0] * flow.y)
    return x / alpha[-1]


def _azula_schedule(
    flow: Flow, spacing: str, steps: int
) -> Callable[[Tensor], tuple[Tensor, Tensor]]:
    """t -> (alpha, sigma): one of theirs, or one whose even times are the nodes of a grid."""
    noise, (largest, least) = importlib.import_module("azula.noise"), flow.ends
    own: dict[str, Callable[[Tensor], tuple[Tensor, Tensor]]] = {
        "log-SNR": noise.VESchedule(least, largest),
        "cosine": noise.CosineSchedule(math.hypot(1, least) / math.hypot(1, largest), least),
        "rectified": noise.RectifiedSchedule(1 / largest, least),
    }
    if spacing in own:
        return own[spacing]
    alpha, sigma = flow.scales("time" if spacing == "t" else spacing, steps)

    def looked_up(t: Tensor) -> tuple[Tensor, Tensor]:
        node = ((1 - t) * steps).round().long()
        return alpha[node], sigma[node]

    return looked_up
