r"""The variational diffusion model: spec, a path, a denoiser and a decoder that has no parameters.

    x --encode--> x0 --path--> z_t,  t from 0 to 1          p(x) = int p(z_1) prod p(z_s | z_t) p(x | z_0) dz

(Kingma et al. 2021; Luo 2022, section "Variational Diffusion Models".) Trained with the weight `elbo`, its loss is the
negative bound of log p(x) in bits/dim; with another weight it is that weighted squared error per dimension. A learned
schedule is trained along with the network: its ends by the bound, its interior by the variance of the loss.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ..data.spec import DataSpec
from ..likelihood.bound import diffusion_loss, prior_matching, reconstruction, variational_bound
from ..likelihood.decoder import Continuous, Decoder, Discretised
from ..objectives.denoising import denoising_loss, simple, stratified_times, weight_named
from ..objectives.score import dual_score_matching
from ..process.bound import Bound, bits_per_dim
from ..process.learned_schedule import descending_variance
from ..process.schedule import Schedule
from .as_hierarchy import unroll
from .denoiser import Denoiser
from .energy import Energy
from .hierarchy import Hierarchy

RECONSTRUCTED = 8
DUAL = "dual"


class VDM(nn.Module):
    """A diffusion model of data with a likelihood; its denoiser may be an Energy.

    `label_dropout` is the share of training items whose label is hidden, so that one network serves with and without a
    condition (Ho & Salimans 2022). `weight` is the name of a training weight; with an Energy, also "dual"
    (`objectives.dual_score_matching`).
    """

    def __init__(
        self,
        denoiser: Denoiser | Energy,
        spec: DataSpec,
        weight: str = "elbo",
        label_dropout: float = 0.1,
    ) -> None:
        super().__init__()
        if not 0 <= label_dropout <= 1:
            raise ValueError(f"label_dropout={label_dropout}; give a share from 0 to 1")
        self.denoiser, self.spec, self.label_dropout = denoiser, spec, label_dropout
        self.weight_name = weight
        self.weight = simple if weight == DUAL else weight_named(weight, denoiser.data_std)
        if weight == DUAL and not isinstance(denoiser, Energy):
            raise ValueError(
                "weight='dual': matches the derivatives of an energy; use an Energy, or another weight"
            )
        if weight == "elbo":
            self._check_ends()
        else:
            _check_fixed(denoiser.path.schedule, weight)

    @property
    def unit(self) -> str:
        """What one unit of the loss is."""
        return unit_of(self.weight_name)

    @property
    def decoder(self) -> Decoder:
        """p(x | z_0): over the levels of discrete data, else a density in the data's own units."""
        if self.spec.levels is None:
            return Continuous(self.spec.log_scale)
        return Discretised(self.spec.values)

    def loss(self, batch: tuple[Tensor, Tensor | None]) -> Float[Tensor, " b"]:
        """One draw of the training loss per item: (raw data, labels) -> (batch,)."""
        raw, labels = batch
        x0 = self.spec.encode(raw)
        t, eps = stratified_times(len(x0), x0.device), torch.randn_like(x0)
        labels, path = self._drop(labels), self.denoiser.path
        if isinstance(self.denoiser, Energy) and self.weight_name == DUAL:
            return (
                dual_score_matching(self.denoiser.energy, path, x0, t, eps, labels) / self.spec.dims
            )
        if self.weight_name != "elbo":
            return (
                denoising_loss(self.denoiser, path, x0, t, eps, self.weight, labels)
                / self.spec.dims
            )
        with descending_variance(path.schedule) as interior:
            diffusion = diffusion_loss(self.denoiser, path, x0, t, eps, labels).nats
        interior.of(bits_per_dim(diffusion, self.spec))
        # A few items tell its mean, and the pull of that mean on the start of a learned schedule.
        some = x0[:RECONSTRUCTED]
        likely = (
            reconstruction(path, self.decoder, some, torch.randn_like(some)).mean().expand(len(x0))
        )
        return Bound(likely, prior_matching(path, x0), (diffusion,)).bits_per_dim(self.spec)

    def bound(
        self,
        raw: Tensor,
        labels: Tensor | None = None,
        *,
        seed: int = 0,
        draws: int = 8,
        steps: int | None = None,
    ) -> Bound:
        """The bound of log p(x), or of log p(x | label), in nats per item; steps=None is continuous time."""
        self._check_ends()
        self.spec.check(raw)
        x0 = self.spec.encode(raw)
        return variational_bound(
            self.denoiser,
            self.denoiser.path,
            x0,
            self.decoder,
            seed=seed,
            draws=draws,
            steps=steps,
            condition=labels,
        )

    def as_hierarchy(self, steps: int, labels: Tensor | None = None) -> Hierarchy:
        """The same model as a Markovian hierarchical VAE of `steps` + 1 latents (Luo 2022, eq. 23, 24, 31, 94).

        Its generic bound has the mean of `bound(steps=steps)`; with labels it is one of batches of their length.
        """
        self._check_ends()
        return unroll(self.denoiser, self.denoiser.path, self.spec, self.decoder, steps, labels)

    def log_weights(
        self,
        raw: Tensor,
        labels: Tensor | None = None,
        *,
        seed: int = 0,
        draws: int = 1,
        steps: int = 100,
    ) -> Float[Tensor, "draws b"]:
        """log p(x, z) - log q(z | x) in nats of the model with so many steps, one target a draw."""
        return self.as_hierarchy(steps, labels).log_weights(raw, seed=seed, draws=draws)

    def _check_ends(self) -> None:
        start, end = self.denoiser.path.schedule.ends
        if not (math.isfinite(start) and math.isfinite(end)):
            raise ValueError(
                f"log-SNR from {start:g} to {end:g}: a bound needs finite ends; give both, e.g. LinearLogSNR(8, -5), "
                "or train without one by another weight"
            )

    def _drop(self, labels: Tensor | None) -> Tensor | None:
        if labels is None or self.label_dropout == 0:
            return labels
        hidden = torch.rand(labels.shape, device=labels.device) < self.label_dropout
        return labels.masked_fill(hidden, -1)


def unit_of(weight: str) -> str:
    """What one unit of a loss with this weight is."""
    return "bits/dim" if weight == "elbo" else f"{weight}-weighted error"


def _check_fixed(schedule: Schedule, weight: str) -> None:
    """ValueError where a schedule would learn from a weighted error that it can make small by itself."""
    if any(parameter.requires_grad for parameter in schedule.parameters()):
        raise ValueError(
            f"weight={weight!r}: only the bound can train a schedule, any other weight lets it collapse to the times "
            "that are easy; use weight='elbo', a fixed schedule, or schedule.requires_grad_(False)"
        )
