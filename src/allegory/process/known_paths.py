"""The Gaussian processes of the literature by name: each is a schedule and a scaling."""

from __future__ import annotations

from typing import TypeVar

from torch import nn

from .betas import Betas, LinearBeta, LinearBetaSubVP
from .learned_schedule import LearnedSchedule
from .scaling import Scaling, scaling_named
from .schedule import Cosine, Geometric, LinearLogSNR, RectifiedFlow, Schedule

_Path = TypeVar("_Path", bound="KnownPaths")


class KnownPaths(nn.Module):
    """A schedule and a scaling, with constructors for the processes of the literature.

    Args:
        schedule: log-SNR as a function of t.
        scaling: how alpha and sigma share it: "vp", "sub_vp", "flow", "ve", or a Scaling.

    Raises:
        ValueError: for what is no schedule, and an unknown scaling.
    """

    def __init__(self, schedule: Schedule, scaling: str | Scaling = "vp") -> None:
        super().__init__()
        if not all(hasattr(schedule, name) for name in ("ends", "slope", "inverse")):
            raise ValueError(
                f"schedule: of type {type(schedule).__name__}; give a Schedule, such as "
                "LinearLogSNR(10, -10), or take a known process, e.g. Path.cosine()"
            )
        self.schedule = schedule
        self.scaling = scaling_named(scaling) if isinstance(scaling, str) else scaling

    @classmethod
    def ddpm(
        cls: type[_Path], beta_min: float = 1e-4, beta_max: float = 0.02, steps: int = 1000
    ) -> _Path:
        """DDPM: beta_1..beta_T linear, alpha^2 = prod (1 - beta_i) (Ho et al. 2020, eq. 4).

        Entry i is at t = (i - 1) / (T - 1).

        Args:
            beta_min: beta_1.
            beta_max: beta_T.
            steps: T.
        """
        return cls(Betas.linear(beta_min, beta_max, steps), "vp")

    @classmethod
    def cosine(cls: type[_Path], start: float = 15.0, end: float = -15.0) -> _Path:
        """alpha = cos(pi t/2), sigma = sin(pi t/2), cut to finite ends (Nichol & Dhariwal 2021).

        It is eq. 17 of that paper without its offset; the table with offset is
        `Path(Betas.cosine())`.

        Args:
            start: log-SNR at t = 0; infinity for no cut.
            end: log-SNR at t = 1; -infinity for zero terminal SNR.
        """
        return cls(Cosine(start, end), "vp")

    @classmethod
    def vp_sde(
        cls: type[_Path], beta_min: float = 0.1, beta_max: float = 20.0, t_min: float = 1e-5
    ) -> _Path:
        """The VP-SDE dx = -beta/2 x dt + sqrt(beta) dw (Song et al. 2021, eq. 11).

        beta is linear in time.

        Args:
            beta_min: beta at time 0.
            beta_max: beta at time 1.
            t_min: the time of the SDE at t = 0, as in that paper's appendix C; its time is t_min +
                (1 - t_min) t.
        """
        return cls(LinearBeta(beta_min, beta_max, t_min), "vp")

    @classmethod
    def sub_vp_sde(
        cls: type[_Path], beta_min: float = 0.1, beta_max: float = 20.0, t_min: float = 1e-5
    ) -> _Path:
        """The sub-VP-SDE, g^2 = beta (1 - exp(-2 int beta)) (Song et al. 2021, eq. 12).

        beta is linear in time.

        Args:
            beta_min: beta at time 0.
            beta_max: beta at time 1.
            t_min: the time of the SDE at t = 0, as in that paper's appendix C; its time is t_min +
                (1 - t_min) t.
        """
        return cls(LinearBetaSubVP(beta_min, beta_max, t_min), "sub_vp")

    @classmethod
    def ve_sde(cls: type[_Path], sigma_min: float = 0.01, sigma_max: float = 50.0) -> _Path:
        """The VE-SDE: sigma = sigma_min (sigma_max/sigma_min)^t (Song et al. 2021, eq. 9).

        Args:
            sigma_min: sigma at t = 0.
            sigma_max: sigma at t = 1; about the largest distance between two items (Song & Ermon
                2020).
        """
        return cls(Geometric(sigma_min, sigma_max), "ve")

    @classmethod
    def edm(cls: type[_Path], sigma_min: float = 0.002, sigma_max: float = 80.0) -> _Path:
        """The noise levels of EDM, geometric in t between their ends (Karras et al. 2022, table 1).

        EDM's time is sigma itself, so which sigma belongs to which t is free; its target is "edm",
        its grid the spacing "karras".

        Args:
            sigma_min: sigma at t = 0.
            sigma_max: sigma at t = 1.
        """
        return cls(Geometric(sigma_min, sigma_max), "ve")

    @classmethod
    def rectified_flow(cls: type[_Path]) -> _Path:
        """x_t = (1 - t) x0 + t eps (Liu et al. 2023; Lipman et al. 2023), with target "flow"."""
        return cls(RectifiedFlow(), "flow")

    @classmethod
    def vdm(
        cls: type[_Path], start: float = 13.3, end: float = -5.0, *, learned: bool = False
    ) -> _Path:
        """log-SNR linear in t between two ends, variance-preserving (Kingma et al. 2021, appendix).

        Args:
            start: log-SNR at t = 0.
            end: log-SNR at t = 1.
            learned: whether the schedule is a monotone network that begins there, as in that paper.
        """
        return cls(LearnedSchedule(start, end) if learned else LinearLogSNR(start, end), "vp")
