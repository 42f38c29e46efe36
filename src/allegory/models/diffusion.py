r"""The variational diffusion model: data, a path, a denoiser, and a decoder that has no parameters.

    x --encode--> x0 --path--> z_t,  t from 0 to 1
    p(x) = int p(z_1) prod p(z_s | z_t) p(x | z_0) dz

(Kingma et al. 2021; Luo 2022, section "Variational Diffusion Models".) Trained by the objective
`elbo`, its loss is the negative bound of log p(x) in bits/dim; by another objective it has the same
parts, and a bound that was not trained.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from ..data.spec import DataSpec
from ..likelihood.bound import variational_bound
from ..likelihood.codec import CodableModel
from ..likelihood.decoder import Continuous, Discretised
from ..likelihood.dequantized_flow import DequantizedFlow, FlowBound, flow_bound
from ..likelihood.flow_ode import FlowSolver, flow_log_prob
from ..likelihood.level_placement import chain_costs, node_levels
from ..objectives.base import NeedsDecoder, Objective, objective_named
from ..objectives.elbo import check_finite_ends
from ..process.bound import Bound
from ..process.decoder import Decoder
from ..sampling.sampler import Sampler
from .as_hierarchy import unroll
from .base import evaluating
from .coding_chain import CodingChain
from .conditional import StepModel
from .denoiser import Denoiser
from .denoiser_model import DenoiserModel
from .energy import Energy
from .hierarchy import Hierarchy
from .learned_variance import check_trains_variance

_CODING_STEPS = 20
"""Latents of a coding chain, unless another number is asked for."""


class VDM(DenoiserModel, StepModel):
    """A diffusion model of data with a likelihood.

    Args:
        denoiser: a Denoiser, or an Energy.
        spec: what the data are.
        objective: what it is trained by: a name of `OBJECTIVES`, e.g. "elbo", "simple",
            "min_snr:5", "dual", or an Objective.
        condition_dropout: the fraction of training items whose condition is hidden, so that one
            network serves with and without a condition (Ho & Salimans 2022).

    Raises:
        ValueError: for a fraction outside [0, 1], an unknown objective, and one that cannot train
            this denoiser.
    """

    def __init__(
        self,
        denoiser: Denoiser | Energy,
        spec: DataSpec,
        objective: str | Objective = "elbo",
        condition_dropout: float = 0.1,
    ) -> None:
        super().__init__(denoiser, spec, condition_dropout, Sampler())
        chosen = objective_named(objective)
        if isinstance(chosen, NeedsDecoder):
            chosen = chosen.with_decoder(self.decoder)
        chosen.check(denoiser)
        check_trains_variance(denoiser, chosen)
        self.objective = chosen

    @property
    def bounded(self) -> bool:
        """Whether log-SNR is finite at both ends of the path, so that there is a bound."""
        return all(map(math.isfinite, self.denoiser.path.schedule.ends))

    @property
    def decoder(self) -> Decoder:
        """p(x | z_0): over the levels of discrete data, else a density in the data's own units."""
        if self.spec.levels is None:
            return Continuous(self.spec.log_scale)
        return Discretised(self.spec.values)

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

        Args:
            x: raw items.
            condition: of each item or of all, as for `sample`; None for p(x).
            seeds: one integer per item, for its times and noise; 0, 1, 2, ... for None.
            draws: evaluations of the denoiser per item.
            steps: the model with so many steps, of the learned variance where the model has one,
                else of the smallest (`variational_bound` takes another); None is continuous time.

        Raises:
            ValueError: for a path with an infinite end, and items that do not fit the data.
        """
        check_finite_ends(self.denoiser.path)
        self.spec.check(x)
        rows = self._rows_for(condition, x)

        return variational_bound(
            self.denoiser,
            self.spec.encode(x),
            self.decoder,
            seeds=seeds,
            draws=draws,
            steps=steps,
            condition=rows,
        )

    def log_prob(
        self,
        x: Shaped[Tensor, "b *shape"],
        condition: Any = None,
        *,
        seeds: Sequence[int] | None = None,
    ) -> Float[Tensor, " b"]:
        """log p(x) in nats per item by the probability-flow ODE, a density in the data's own units.

        For data of finitely many levels it is a lower bound of log P(x), by one draw within the
        bins (`flow_bound`).

        Args:
            x: raw items.
            condition: of each item or of all, as for `sample`; None for p(x).
            seeds: one integer per item, for probes and draws within the bins; 0, 1, 2, ... for
                None.
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
        """log p(x) by the probability-flow ODE, and the evaluations that it took (Song et al. 2021,
        section 4.3).

        The density has the noise of t = 0. Data of finitely many levels are spread over their bins
        by that noise, truncated (Zheng et al. 2023): a lower bound of log P(x).

        Args:
            x: raw items.
            condition: of each item or of all, as for `sample`; None for p(x).
            seeds: one integer per item, for probes and draws within the bins; 0, 1, 2, ... for
                None.
            solver: how the ODE is solved; None for exact traces up to 128 numbers per item, and one
                probe beyond.

        Raises:
            ValueError: for a path with an infinite end, and items that do not fit the data.
        """
        self.spec.check(x)
        rows = self._rows_for(condition, x)
        solver = solver or FlowSolver(data_std=self.denoiser.data_std)
        with evaluating(self):
            if self.spec.levels is not None:
                flow = DequantizedFlow(self.spec, solver, kind="normal")
                return flow_bound(self.denoiser, x, flow, seeds=seeds, condition=rows)
            x0 = self.spec.encode(x)
            found = flow_log_prob(self.denoiser, x0, solver, seeds=seeds, condition=rows)

        return FlowBound((found.log_prob + self.spec.log_scale)[None], found.evaluations)

    def as_hierarchy(self, steps: int, condition: Tensor | None = None) -> Hierarchy:
        """The same model as a Markovian hierarchical VAE of `steps` + 1 latents (Luo 2022, eq. 23,
        24, 31, 94).

        The bound of the hierarchy has the mean of `bound(steps=steps)`. With a condition it is a
        model of batches of that length.
        """
        check_finite_ends(self.denoiser.path)
        return unroll(self.denoiser, self.spec, self.decoder, steps, condition)

    def coding_chain(self, nodes: tuple[int, ...] | None) -> CodableModel:
        """The model as a chain of latents at these nodes (`likelihood.level_placement`), for
        bits-back coding.
        """
        if nodes is None or len(nodes) < 2:
            raise ValueError(f"nodes={nodes}: a diffusion model codes by two latents or more")
        return self._coding().chain(node_levels(self.denoiser.path, nodes))

    @torch.no_grad()
    def coding_nodes(
        self, x0: Float[Tensor, "b *shape"], steps: int | None = None
    ) -> tuple[int, ...]:
        """The nodes of the chain of at most `steps` latents (20 for None) of least cost on x0."""
        chosen = _CODING_STEPS if steps is None else steps
        _, nodes = min(chain_costs(self._coding(), x0).best_nodes(chosen))
        return tuple(nodes)

    def _coding(self) -> CodingChain:
        return CodingChain(self.denoiser, self.spec, self.decoder)
