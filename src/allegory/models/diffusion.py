r"""The variational diffusion model: data, a path, a denoiser, and a decoder that has no parameters.

    x --encode--> x0 --path--> z_t,  t from 0 to 1
    p(x) = int p(z_1) prod p(z_s | z_t) p(x | z_0) dz

(Kingma et al. 2021; Luo 2022, section "Variational Diffusion Models".) Trained by the objective
`elbo`, its loss is the negative bound of log p(x) in bits/dim; by another objective it has the same
parts, and a bound that was not trained.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn

from ..conditions import Labels, rows_of
from ..conditions.base import hide_some
from ..data.low_resolution import decode_given
from ..data.spec import DataSpec
from ..likelihood.bound import variational_bound
from ..likelihood.codec import CodableModel
from ..likelihood.decoder import Continuous, Discretised
from ..likelihood.dequantized_flow import DequantizedFlow, FlowBound, flow_bound
from ..likelihood.flow_ode import FlowSolver, flow_log_prob
from ..likelihood.level_placement import chain_costs, node_levels
from ..lookup import check_type, refuse_number
from ..numerics.generators import draw_rows, uniform
from ..objectives.base import NeedsDecoder, Objective, objective_named
from ..objectives.elbo import check_finite_ends
from ..process.bound import Bound
from ..process.decoder import Decoder
from ..process.guide_items import check_items, condition_kind
from ..sampling.driver import OnStep, State, last_state
from ..sampling.sampler import Sampler
from .as_hierarchy import unroll
from .base import check_samples, device_of, evaluating, seed_batches
from .coding_chain import CodingChain
from .denoiser import Denoiser
from .energy import Energy
from .hierarchy import Hierarchy
from .learned_variance import check_trains_variance

_CODING_STEPS = 20
"""Latents of a coding chain, unless another number is asked for."""


class VDM(nn.Module):
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
        super().__init__()
        if not hasattr(denoiser, "path"):
            raise ValueError(
                f"denoiser: of type {type(denoiser).__name__}; give a Denoiser, e.g. "
                "Denoiser(network, Path.cosine())"
            )
        check_type("spec", spec, DataSpec, "a DataSpec, e.g. data.spec")
        if not 0 <= condition_dropout <= 1:
            raise ValueError(f"condition_dropout={condition_dropout}; give a fraction from 0 to 1")

        self.denoiser = denoiser
        self.spec = spec
        self.condition_dropout = condition_dropout

        chosen = objective_named(objective)
        if isinstance(chosen, NeedsDecoder):
            chosen = chosen.with_decoder(self.decoder)
        chosen.check(denoiser)
        check_trains_variance(denoiser, chosen)
        self.objective = chosen

    @property
    def unit(self) -> str:
        """What one unit of the loss is."""
        return self.objective.unit

    @property
    def conditional(self) -> bool:
        """Whether the data have a condition, so that samples and bounds can be given one."""
        given = self.spec.given
        return given is not None and not (isinstance(given, Labels) and given.classes == 1)

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

    def loss(
        self, batch: tuple[Tensor, Tensor | None], generator: torch.Generator
    ) -> Float[Tensor, " b"]:
        """One draw of the training loss per item.

        Args:
            batch: raw data (batch, *shape), and the rows of their condition or None.
            generator: where hidden conditions, times and noise are drawn from.

        Returns:
            The loss of each item, in `unit`.
        """
        raw, given = batch
        condition = self._drop(given, generator)
        return self.objective(self.denoiser, self.spec.encode(raw), condition, generator)

    def trajectory(
        self,
        seeds: Sequence[int],
        condition: Tensor | None = None,
        sampler: Sampler | None = None,
        *,
        on_step: OnStep | None = None,
    ) -> Iterator[State]:
        """The states of one batch from noise to samples, in model space; the model is in eval mode
        meanwhile.

        Args:
            seeds: one integer per item; item i depends on seeds[i] alone.
            condition: one row per item, or None.
            sampler: solver, steps, grid and guides; None for `Sampler()`.
            on_step: called as on_step(done, total).

        Yields:
            A State for each level of the grid after the first.

        Raises:
            ValueError: for a condition of another length, and what the sampler refuses.
        """
        next(seed_batches(seeds, condition, max(len(seeds), 1)))  # refuses what does not fit
        sampler = (sampler or Sampler()).bound_to(self.spec.given)
        check_items(sampler.guides, self.spec)
        device = device_of(self)
        x_T = sampler.initial_noise(self.denoiser, self.spec.shape, seeds).to(device)
        rows = None if condition is None else condition.to(device)

        with evaluating(self):
            yield from sampler.trajectory(
                self.denoiser, x_T, seeds=seeds, condition=rows, on_step=on_step
            )

    def sample(
        self,
        seeds: Sequence[int],
        condition: Any = None,
        sampler: Sampler | None = None,
        *,
        batch: int = 250,
        on_step: OnStep | None = None,
    ) -> Shaped[Tensor, "n *shape"]:
        """Raw samples, on the CPU; item i depends on the model, seeds[i] and condition[i] alone.

        Where the condition is a lower resolution of the item, the samples agree with it: they are
        the nearest ones that do to those of the sampler (`data.low_resolution`).

        Args:
            seeds: one integer per item.
            condition: of each item, or of all, or None: values in the data's units ("cat", a
                caption, numbers, pictures), or a tensor of rows as `Items.given` holds them.
            sampler: solver, steps, grid and guides; None for `Sampler()`.
            batch: items that are computed at once.
            on_step: called as on_step(done, total) over the steps of all batches.

        Raises:
            ValueError: without seeds, for a condition of another length, a batch below 1, what the
                sampler refuses, and samples that are not finite.
        """
        if isinstance(sampler, str):
            raise ValueError(f"sampler={sampler!r}: give a Sampler, e.g. Sampler({sampler!r})")
        if sampler is not None:
            check_type("sampler", sampler, Sampler, "a Sampler, or None")

        how = (sampler or Sampler()).describe()
        refuse_number(seeds)
        kind = condition_kind((sampler or Sampler()).guides, self.spec.given)
        parts = [*seed_batches(seeds, rows_of(condition, len(seeds), kind), batch)]
        samples = []
        for number, (some, rows) in enumerate(parts):
            report = _of_all(on_step, number, len(parts))
            x = last_state(self.trajectory(some, rows, sampler, on_step=report)).x
            samples.append(decode_given(self.spec, check_samples(x, how).cpu(), rows))

        return torch.cat(samples)

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

    def log_weights(
        self,
        x: Shaped[Tensor, "b *shape"],
        condition: Tensor | None = None,
        *,
        seeds: Sequence[int] | None = None,
        draws: int = 1,
        steps: int = 100,
    ) -> Float[Tensor, "draws b"]:
        """log p(x, z) - log q(z | x) in nats, of the model with a finite number of steps.

        Args:
            x: raw items.
            condition: one label per item, or None.
            seeds: one integer per item; 0, 1, 2, ... for None.
            draws: draws of the latents per item.
            steps: the number of steps; each draw takes so many evaluations of the denoiser.
        """
        return self.as_hierarchy(steps, condition).log_weights(x, seeds=seeds, draws=draws)

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

    def _rows(self, condition: Any, count: int) -> Tensor | None:
        """The rows of the condition of `count` items."""
        return rows_of(condition, count, self.spec.given)

    def _rows_for(self, condition: Any, x: Tensor) -> Tensor | None:
        """The rows of the condition of the items of x, where x is."""
        rows = self._rows(condition, len(x))
        return None if rows is None else rows.to(x.device)

    def _drop(self, rows: Tensor | None, generator: torch.Generator) -> Tensor | None:
        """The rows as in training, hidden with probability `condition_dropout`."""
        if rows is None:
            return None
        if self.spec.given is not None:
            rows = self.spec.given.in_training(rows, generator)
        if self.condition_dropout == 0:
            return rows
        drawn = draw_rows(uniform, (len(rows),), generator)
        return hide_some(rows, drawn < self.condition_dropout)


def _of_all(on_step: OnStep | None, batch: int, batches: int) -> OnStep | None:
    """The same callback for the steps of one batch out of several."""
    if on_step is None:
        return None
    return lambda done, steps: on_step(batch * steps + done, batches * steps)
