r"""Scalings: the rules that give alpha and sigma for a log-SNR.

The log-SNR fixes the ratio alpha/sigma; a scaling fixes their size. Nothing else tells the
processes of the literature apart:

    vp      alpha^2 + sigma^2 = 1     DDPM, VDM, the VP-SDE
    sub_vp  alpha^2 + sigma   = 1     the sub-VP-SDE of Song et al. 2021
    flow    alpha   + sigma   = 1     flow matching, rectified flow
    ve      alpha = 1                 NCSN, the VE-SDE, EDM

Differentiate the rule together with log(alpha/sigma)' = log_snr'/2. There is a pair (q, w) with q
sigma + w alpha = 1 and

    d log alpha / dt =  q sigma log_snr' / 2        d log sigma / dt = -w alpha log_snr' / 2,

so with R = alpha sigma log_snr'  the slopes are  alpha' = q R / 2  and  sigma' = -w R / 2. R stays
finite where log-SNR does not.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from ..lookup import Registry
from .coefficients import Coefficient


@dataclass(frozen=True)
class Scaling(ABC):
    """A rule that gives alpha and sigma for a log-SNR.

    Args:
        name: what it is called.
    """

    name: str

    @abstractmethod
    def scales(
        self, log_snr: Float[Tensor, "*t"]
    ) -> tuple[Float[Tensor, "*t"], Float[Tensor, "*t"]]:
        """(alpha, sigma) at a `log_snr`, each by a formula that loses no digits at either end."""

    @abstractmethod
    def slope_factors(
        self, alpha: Coefficient, sigma: Coefficient
    ) -> tuple[Coefficient, Coefficient]:
        """(q, w) at these scales, with q sigma + w alpha = 1."""


class _VariancePreserving(Scaling):
    def scales(
        self, log_snr: Float[Tensor, "*t"]
    ) -> tuple[Float[Tensor, "*t"], Float[Tensor, "*t"]]:
        return torch.sigmoid(log_snr).sqrt(), torch.sigmoid(-log_snr).sqrt()

    def slope_factors(
        self, alpha: Coefficient, sigma: Coefficient
    ) -> tuple[Coefficient, Coefficient]:
        return sigma, alpha


class _SubVariancePreserving(Scaling):
    def scales(
        self, log_snr: Float[Tensor, "*t"]
    ) -> tuple[Float[Tensor, "*t"], Float[Tensor, "*t"]]:
        # Solve sigma^2 = (1 - sigma) exp(-log_snr); the ratio that is below 1 keeps exp from
        # overflowing.
        noise_to_signal = torch.exp(-log_snr.clamp(min=0) / 2)
        signal_to_noise = torch.exp(log_snr.clamp(max=0) / 2)
        alpha_clean = 2 / (noise_to_signal + (noise_to_signal.square() + 4).sqrt())
        sigma_noisy = 2 / (1 + (1 + 4 * signal_to_noise.square()).sqrt())
        clean = log_snr > 0
        alpha = torch.where(clean, alpha_clean, sigma_noisy * signal_to_noise)

        return alpha, torch.where(clean, alpha_clean * noise_to_signal, sigma_noisy)

    def slope_factors(
        self, alpha: Coefficient, sigma: Coefficient
    ) -> tuple[Coefficient, Coefficient]:
        return 1 / (2 - sigma), 2 * alpha / (2 - sigma)


class _Flow(Scaling):
    def scales(
        self, log_snr: Float[Tensor, "*t"]
    ) -> tuple[Float[Tensor, "*t"], Float[Tensor, "*t"]]:
        return torch.sigmoid(log_snr / 2), torch.sigmoid(-log_snr / 2)

    def slope_factors(
        self, alpha: Coefficient, sigma: Coefficient
    ) -> tuple[Coefficient, Coefficient]:
        return 1.0, 1.0


class _VarianceExploding(Scaling):
    def scales(
        self, log_snr: Float[Tensor, "*t"]
    ) -> tuple[Float[Tensor, "*t"], Float[Tensor, "*t"]]:
        return torch.ones_like(log_snr), torch.exp(-log_snr / 2)

    def slope_factors(
        self, alpha: Coefficient, sigma: Coefficient
    ) -> tuple[Coefficient, Coefficient]:
        return 0.0, 1.0


SCALINGS: Registry[Scaling] = Registry("scaling")
"""The scalings by name."""

SCALINGS.register(
    "vp",
    _VariancePreserving("vp"),
    "alpha^2 + sigma^2 = 1: DDPM, VDM, the VP-SDE (Song et al. 2021)",
)
SCALINGS.register(
    "sub_vp",
    _SubVariancePreserving("sub_vp"),
    "alpha^2 + sigma = 1: the sub-VP-SDE (Song et al. 2021)",
)
SCALINGS.register(
    "flow", _Flow("flow"), "alpha + sigma = 1: flow matching, rectified flow (Lipman et al. 2023)"
)
SCALINGS.register(
    "ve",
    _VarianceExploding("ve"),
    "alpha = 1: NCSN, the VE-SDE, EDM (Song & Ermon 2019; Karras et al. 2022)",
)


def scaling_named(name: str) -> Scaling:
    """The scaling of this name. ValueError with the closest name otherwise."""
    return SCALINGS.named(name)
