r"""The variational diffusion model: spec, a path, a denoiser and a decoder that has no parameters.

    x --encode--> x0 --path--> z_t,  t from 0 to 1          p(x) = int p(z_1) prod p(z_s | z_t) p(x | z_0) dz

(Kingma et al. 2021; Luo 2022, section "Variational Diffusion Models".) Trained with the weight `elbo`, its loss is the
negative bound of log p(x) in bits/dim; with another weight it is that weighted squared error per dimension. A learned
schedule is trained along with the network: its ends by the bound, its interior by the variance of the loss.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ..data.spec import DataSpec
from ..likelihood.bound import variational_bound
from ..likelihood.decoder import Continuous, Discretised
from ..objectives.base import NeedsDecoder, Objective, objective_named
from ..objectives.elbo import check_finite_ends
from ..process.bound import Bound
from ..process.decoder import Decoder
from .as_hierarchy import unroll
from .denoiser import Denoiser
from .energy import Energy
from .hierarchy import Hierarchy


class VDM(nn.Module):
    """A diffusion model of data with a likelihood.

    Args:
        denoiser: a Denoiser, or an Energy.
        spec: what the data are.
        objective: what it is trained by: a name of `OBJECTIVES`, e.g. "elbo", "simple", "min_snr:5", "dual", or an
            Objective.
        label_dropout: the fraction of training items whose label is hidden, so that one network serves with and without
            a condition (Ho & Salimans 2022).

    Raises:
        ValueError: for a fraction outside [0, 1], an unknown objective, and one that cannot train this denoiser.
    """

    def __init__(
        self,
        denoiser: Denoiser | Energy,
        spec: DataSpec,
        objective: str | Objective = "elbo",
        label_dropout: float = 0.1,
    ) -> None:
        super().__init__()
        if not 0 <= label_dropout <= 1:
            raise ValueError(f"label_dropout={label_dropout}; give a fraction from 0 to 1")
        self.denoiser = denoiser
        self.spec = spec
        self.label_dropout = label_dropout

        chosen = objective_named(objective)
        if isinstance(chosen, NeedsDecoder):
            chosen = chosen.with_decoder(self.decoder)
        chosen.check(denoiser)
        self.objective = chosen

    @property
    def unit(self) -> str:
        """What one unit of the loss is."""
        return self.objective.unit

    @property
    def decoder(self) -> Decoder:
        """p(x | z_0): over the levels of discrete data, else a density in the data's own units."""
        if self.spec.levels is None:
            return Continuous(self.spec.log_scale)
        return Discretised(self.spec.values)

    def loss(
        self, batch: tuple[Tensor, Tensor | None], generator: torch.Generator
    ) -> Float[Tensor, " b"]:
        """One draw of the training loss per item.

        Args:
            batch: raw data (batch, *shape), and integer labels (batch,) or None.
            generator: where hidden labels, times and noise are drawn from.

        Returns:
            The loss of each item, in `unit`.
        """
        raw, labels = batch
        condition = self._drop(labels, generator)
        return self.objective(self.denoiser, self.spec.encode(raw), condition, generator)

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
        check_finite_ends(self.denoiser.path)
        self.spec.check(raw)
        x0 = self.spec.encode(raw)
        return variational_bound(
            self.denoiser,
            x0,
            self.decoder,
            seeds=range(seed, seed + len(x0)),
            draws=draws,
            steps=steps,
            condition=labels,
        )

    def as_hierarchy(self, steps: int, labels: Tensor | None = None) -> Hierarchy:
        """The same model as a Markovian hierarchical VAE of `steps` + 1 latents (Luo 2022, eq. 23, 24, 31, 94).

        Its generic bound has the mean of `bound(steps=steps)`; with labels it is one of batches of their length.
        """
        check_finite_ends(self.denoiser.path)
        return unroll(self.denoiser, self.denoiser.path, self.spec, self.decoder, steps, labels)

    def log_weights(
        self,
        raw: Tensor,
        condition: Tensor | None = None,
        *,
        seeds: Sequence[int] | None = None,
        draws: int = 1,
        steps: int = 100,
    ) -> Float[Tensor, "draws b"]:
        """log p(x, z) - log q(z | x) in nats of the model with so many steps, one target a draw."""
        return self.as_hierarchy(steps, condition).log_weights(raw, seeds=seeds, draws=draws)

    def _drop(self, labels: Tensor | None, generator: torch.Generator) -> Tensor | None:
        """The labels, hidden (-1) with probability `label_dropout`."""
        if labels is None or self.label_dropout == 0:
            return labels
        drawn = torch.rand(labels.shape, generator=generator, device=generator.device)
        hidden = (drawn < self.label_dropout).to(labels.device)
        return labels.masked_fill(hidden, -1)
