r"""Latent diffusion: a diffusion model of the latents of an autoencoder (Rombach et al. 2022), with
a bound of log p(x) (Vahdat et al. 2021).

    log p(x) >= E_q[log p(x | z) - log q(z | x) + log p(z)]
    log p(z) >= the bound of a diffusion model of u = (z - mean)/std, plus log |du/dz|

z is the last latent of the autoencoder, its top; the prior N(0, I) of that latent is what the
diffusion model replaces. In two stages the autoencoder is trained first, and is then frozen.
Jointly (LSGM), all parts are trained by the bound. A denoiser with the target "edm" and data_std 1
begins as the optimal one for N(0, I): D(u_t) = alpha_t u_t on a variance-preserving path, so the
joint model begins as its autoencoder, which LSGM has from its mixing of a normal prior.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from ...data.spec import DataSpec
from ...likelihood.bound import variational_bound
from ...likelihood.codec import CodableModel
from ...likelihood.decoder import Continuous
from ...likelihood.dequantized_flow import FlowBound
from ...likelihood.flow_ode import FlowSolver, flow_log_prob
from ...likelihood.inference import Inference
from ...likelihood.level_placement import NODES, node_levels
from ...lookup import check_count
from ...objectives.base import NeedsDecoder, Objective, objective_named
from ...objectives.draws import normal_like
from ...objectives.elbo import Elbo, check_finite_ends
from ...process.bound import Bound
from ...process.decoder import Decoder
from ...process.distribution import Distribution
from ...process.kernel import Gaussian
from ...process.noise import Noise, Stream, item_seeds
from ...process.prediction import Predict
from ...sampling.sampler import Sampler
from ..as_hierarchy import step_levels, unroll
from ..base import device_of, evaluating
from ..conditional import StepModel
from ..denoiser_model import DenoiserModel
from ..hierarchy import Hierarchy
from ..latent_variable import LatentVariableModel
from .scale import LatentScale
from .steps import LatentSteps, latent_chain

_CODING_STEPS = 20
"""Latents of the diffusion model in a coding chain, unless another number is asked for."""

_MOST_AT_ONCE, _NUMBERS_AT_ONCE = 250, 2**20
"""Items, and numbers of items, that are encoded or decoded at once."""


class LatentDiffusion(DenoiserModel, StepModel):
    """An autoencoder with a diffusion model as the prior of its top latent.

    Args:
        autoencoder: a VAE, a ladder or a `PictureAutoencoder` of the data.
        denoiser: a denoiser of the scaled latents, of data_std 1.
        objective: what the denoiser is trained by, in two stages: a name of `OBJECTIVES`, or an
            Objective. Joint training is by the bound, "elbo".
        condition_dropout: the fraction of training items whose condition is hidden.
        joint: whether the autoencoder is trained as well.

    Raises:
        ValueError: for another objective of joint training, and what the objective refuses.
    """

    draws: int = 1
    """Of time and noise for each latent of a training batch, which is encoded once."""

    def __init__(
        self,
        autoencoder: LatentVariableModel,
        denoiser: Predict,
        objective: str | Objective = "edm",
        condition_dropout: float = 0.1,
        joint: bool = False,
    ) -> None:
        super().__init__(denoiser, autoencoder.spec, condition_dropout, Sampler())
        self.autoencoder = autoencoder
        self.joint = joint
        self.scale = LatentScale(self.shape)
        chosen = objective_named(objective)
        if joint and not isinstance(chosen, Elbo):
            raise ValueError(
                f"objective={objective!r}: joint training is by the bound; give objective='elbo', "
                "or joint=False"
            )
        if isinstance(chosen, NeedsDecoder):
            chosen = chosen.with_decoder(Continuous())

        chosen.check(denoiser)
        self.objective = chosen
        autoencoder.requires_grad_(joint)

    @property
    def unit(self) -> str:
        """What one unit of the loss is."""
        return "bits/dim" if self.joint else self.objective.unit

    @property
    def shape(self) -> tuple[int, ...]:
        """Of a latent, without the batch."""
        autoencoder: Any = self.autoencoder
        return tuple(autoencoder.top)

    @property
    def bounded(self) -> bool:
        """Whether log-SNR is finite at both ends of the path, so that there is a bound."""
        return all(map(math.isfinite, self.denoiser.path.schedule.ends))

    @property
    def decoder(self) -> Decoder:
        """p(u | u_0), as a density of z."""
        return Continuous(self.scale.log_scale)

    @torch.no_grad()
    def measure_scale(self, items: Shaped[Tensor, "n *shape"]) -> None:
        """Measure the mean and the standard deviation of the latents.

        Args:
            items: raw training items.
        """
        batch = self._at_once()
        with evaluating(self):
            parts = [self._encoded(part, i * batch) for i, part in enumerate(items.split(batch))]

        self.scale.measure(torch.cat(parts))

    def loss(
        self, batch: tuple[Tensor, Tensor | None], generator: torch.Generator
    ) -> Float[Tensor, " b"]:
        """One draw of the training loss per item.

        Args:
            batch: raw data (batch, *shape), and the rows of their condition or None.
            generator: where latents, hidden conditions, times and noise are drawn from.

        Returns:
            The loss of each item, in `unit`: of the denoiser, or the negative bound of x.
        """
        raw, given = batch
        with torch.set_grad_enabled(self.joint and torch.is_grad_enabled()):
            encoded = self._infer(raw, lambda like: normal_like(like, generator))
            u = self.scale(encoded.latents[-1].z)

        prior = self._prior_loss(u, given, generator)
        if not self.joint:
            return prior

        nats = prior * u[0].numel() * math.log(2) - self.scale.log_scale
        loss: Tensor = (nats + self._without_prior(encoded)) / (self.spec.dims * math.log(2))
        return loss

    def _prior_loss(self, u: Tensor, given: Tensor | None, generator: torch.Generator) -> Tensor:
        """The loss of the denoiser for each latent, the mean over `draws` of time and noise."""
        rows = None if given is None else given.repeat(self.draws, *[1] * (given.ndim - 1))
        repeated = u.repeat(self.draws, *[1] * (u.ndim - 1))
        condition = self._drop(rows, generator)

        losses: Tensor = self.objective(self.denoiser, repeated, condition, generator)
        return losses.view(self.draws, len(u)).mean(0)

    @torch.no_grad()
    def bound(
        self,
        x: Shaped[Tensor, "b *shape"],
        condition: Any = None,
        *,
        seeds: Sequence[int] | None = None,
        draws: int = 8,
        steps: int | None = None,
    ) -> Bound:
        """The evidence lower bound of log p(x), or of log p(x | condition), in nats per item.

        Its first divergence, or the one after those of the lower latents of the autoencoder, is
        E[log q(z | x) - log p(z | u_0)]; those after it are of the diffusion model.

        Args:
            x: raw items.
            condition: of each item or of all, as for `sample`; None for p(x).
            seeds: one integer per item; 0, 1, 2, ... for None.
            draws: evaluations of the denoiser per item, for one draw of the latents.
            steps: the number of steps; None is continuous time.

        Raises:
            ValueError: for a path with an infinite end, items that do not fit the data, and a scale
                that was never measured.
        """
        check_finite_ends(self.denoiser.path)
        encoded = self._drawn(x, seeds)
        *lower, top = encoded.latents

        prior = variational_bound(
            self.denoiser,
            self.scale(top.z),
            self.decoder,
            seeds=seeds,
            draws=draws,
            steps=steps,
            condition=self._rows_for(condition, x),
        )

        latent = -entropy(top.q) - prior.reconstruction
        costs = (*(each.cost for each in lower), latent, *prior.divergences)
        return Bound(encoded.likelihood, prior.prior, costs)

    def log_prob(
        self,
        x: Shaped[Tensor, "b *shape"],
        condition: Any = None,
        *,
        seeds: Sequence[int] | None = None,
    ) -> Float[Tensor, " b"]:
        """A lower bound of log p(x) in nats per item, whose log p(z) is by the probability flow.

        It is log p(x) where q(z | x) is the exact posterior.

        Args:
            x: raw items.
            condition: of each item or of all, as for `sample`; None for p(x).
            seeds: one integer per item; 0, 1, 2, ... for None.
        """
        return self.flow_bound(x, condition, seeds=seeds).total

    @torch.no_grad()
    def flow_bound(
        self,
        x: Shaped[Tensor, "b *shape"],
        condition: Any = None,
        *,
        seeds: Sequence[int] | None = None,
        solver: FlowSolver | None = None,
    ) -> FlowBound:
        """log w = log p(x | z) - log q(z | x) + log p(z) of one draw of z, with log p(z) by the
        probability-flow ODE, and the evaluations that it took (Vahdat et al. 2021, section 4).

        Args:
            x: raw items.
            condition: of each item or of all, as for `sample`; None for p(x).
            seeds: one integer per item; 0, 1, 2, ... for None.
            solver: how the ODE is solved; None for exact traces up to 128 numbers per latent, and
                one probe beyond.
        """
        encoded = self._drawn(x, seeds)
        *lower, top = encoded.latents

        solver = solver or FlowSolver(data_std=self.denoiser.data_std)
        with evaluating(self):
            found = flow_log_prob(
                self.denoiser,
                self.scale(top.z),
                solver,
                seeds=seeds,
                condition=self._rows_for(condition, x),
            )

        log_prior = found.log_prob + self.scale.log_scale
        ratios = sum((each.log_ratio for each in lower), top.q.log_prob(top.z))
        return FlowBound((encoded.likelihood + log_prior - ratios)[None], found.evaluations)

    def as_hierarchy(self, steps: int, condition: Tensor | None = None) -> LatentSteps:
        """The same model with `steps` steps as one hierarchy of latents.

        With a condition it is a model of batches of that length.
        """
        check_finite_ends(self.denoiser.path)
        self.scale.check()

        levels = step_levels(self.denoiser.path, steps)
        chain = unroll(self.denoiser, self._latents(), self.decoder, levels, condition)
        return LatentSteps(self.autoencoder, self.scale, chain, levels[0])

    def coding_chain(self, nodes: tuple[int, ...] | None) -> CodableModel:
        """The model as a Markov chain of latents at these nodes, for bits-back coding.

        Raises:
            ValueError: for fewer than two nodes, and an autoencoder that is no Markov chain.
        """
        if nodes is None or len(nodes) < 2:
            raise ValueError(f"nodes={nodes}: a diffusion model codes by two latents or more")
        if not isinstance(self.autoencoder, Hierarchy):
            raise ValueError(
                f"autoencoder: a {type(self.autoencoder).__name__} is no Markov chain of latents, "
                "and cannot code with a diffusion prior; train one with a VAE"
            )

        self.scale.check()
        levels = node_levels(self.denoiser.path, nodes)
        chain = unroll(self.denoiser, self._latents(), self.decoder, levels)
        return latent_chain(self.autoencoder, self.scale, chain, levels[0])

    def coding_nodes(
        self, x0: Float[Tensor, "b *shape"], steps: int | None = None
    ) -> tuple[int, ...]:
        """Nodes at equal distances in log-SNR.

        Args:
            x0: some items; the nodes do not depend on them.
            steps: the number of nodes; 20 for None.

        Raises:
            ValueError: for fewer than two steps, or more than there are nodes.
        """
        count = _CODING_STEPS if steps is None else steps
        check_count("steps", count, 2, NODES)
        return tuple(torch.linspace(0, NODES - 1, count).round().long().tolist())

    @torch.no_grad()
    def encode(
        self, x: Shaped[Tensor, "b *shape"], seeds: Sequence[int] | None = None
    ) -> Float[Tensor, "b *latent"]:
        """The scaled latents u of raw items, each a draw of q(z | x).

        Args:
            x: raw items.
            seeds: one integer per item; 0, 1, 2, ... for None.
        """
        with evaluating(self):
            u: Tensor = self.scale(self._drawn(x, seeds).latents[-1].z)
        return u

    @torch.no_grad()
    def mean_latents(self, x: Shaped[Tensor, "b *shape"]) -> Float[Tensor, "b *latent"]:
        """The scaled means of q(z | x) of raw items `x`.

        Lower latents of the autoencoder are at their means.
        """
        self.spec.check(x)
        with evaluating(self):
            u: Tensor = self.scale(self._infer(x, torch.zeros_like).latents[-1].z)
        return u

    def mean_items(self, x0: Float[Tensor, "b *latent"]) -> Float[Tensor, "b *item"]:
        """E[x | u] of scaled latents `x0` in raw units, with a gradient.

        Lower latents of a ladder are at the means of their priors.
        """
        own = next(self.autoencoder.parameters(), x0)
        z = self.scale.inverse(x0.to(own))
        x = self.autoencoder.generate(len(x0), torch.zeros_like, z).mean
        centre, half = (each.to(x) for each in self.spec.affine())
        return (centre + half * x).to(x0)

    @torch.no_grad()
    def raw_items(
        self, x0: Float[Tensor, "b *latent"], rows: Tensor | None, seeds: Sequence[int]
    ) -> Shaped[Tensor, "b *item"]:
        """A draw of p(x | z) for each scaled latent.

        Args:
            x0: scaled latents.
            rows: of their condition; the decoder does not see it.
            seeds: one integer per item.
        """
        size, parts = self._at_once(), []
        with evaluating(self):
            for first, u in enumerate(x0.split(size)):
                draw = Noise(seeds[first * size :][: len(u)], self.spec.shape, Stream.LATENTS).draw
                z = self.scale.inverse(u.to(device_of(self)))
                observed = self.autoencoder.generate(len(u), draw, z)
                noise = draw(z.new_empty(len(u), *self.spec.shape))
                parts.append(self.spec.decode(observed.draw(noise).cpu()))

        return torch.cat(parts)

    def _at_once(self) -> int:
        """How many items are encoded or decoded at once."""
        return max(1, min(_MOST_AT_ONCE, _NUMBERS_AT_ONCE // self.spec.dims))

    def _latents(self) -> DataSpec:
        """What the scaled latents are."""
        return DataSpec(self.shape, -1.0, 1.0)

    def _without_prior(self, encoded: Inference) -> Float[Tensor, " b"]:
        """-log p(x | z), the costs of the lower latents and -H(q(z | x)), in nats."""
        *lower, top = encoded.latents
        costs = sum((each.cost for each in lower), -entropy(top.q))
        return costs - encoded.likelihood

    def _drawn(self, x: Tensor, seeds: Sequence[int] | None) -> Inference:
        """One draw of the latents of raw items, which fit the data."""
        self.spec.check(x)
        noise = Noise(item_seeds(seeds, len(x)), self.shape, Stream.LATENTS)
        return self._infer(x, noise.draw)

    def _infer(self, raw: Tensor, draw: Any) -> Inference:
        """One draw of the latents of raw items."""
        own = next(self.autoencoder.parameters(), None)
        x0 = self.spec.encode(raw)
        return self.autoencoder.infer(x0 if own is None else x0.to(own), draw)

    def _encoded(self, raw: Tensor, first: int) -> Tensor:
        """The latents of raw items, by the seeds from `first` on."""
        raw = raw.to(device_of(self))
        return self._drawn(raw, range(first, first + len(raw))).latents[-1].z


def entropy(q: Distribution) -> Float[Tensor, " b"]:
    """H(q) = sum log std + 1/2 log(2 pi e) of a Gaussian, in nats per item."""
    assert isinstance(q, Gaussian), "the latents of an autoencoder are Gaussian"
    std = torch.as_tensor(q.std).to(q.mean).expand_as(q.mean)
    return (std.log() + 0.5 * math.log(2 * math.pi * math.e)).flatten(1).sum(1)
