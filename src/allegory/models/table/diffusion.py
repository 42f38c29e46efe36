"""A diffusion model of the rows of a table: loss, bound, exact likelihood and samples."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Bool, Float, Float64
from torch import Tensor, nn

from ...data.spec import DataSpec
from ...likelihood.flow_ode import FlowSolver, flow_log_prob
from ...likelihood.row_bound import RowTruth, antithetic_loss, row_bound
from ...lookup import refuse_number
from ...numerics.generators import draw_rows, normal, uniform
from ...objectives.draws import stratified_times
from ...process.bound import Bound
from ...process.noise import Noise, Stream, item_seeds
from ...process.rows import KnownEntries, RowState
from ...sampling.driver import OnStep
from ...sampling.rows import RowBatch, RowSampler, sample_rows
from ..base import evaluating
from ..conditional import steps_of_all
from .complete import CompleteRows, missing_values
from .denoiser import RowDenoiser
from .encoding import ModelRows, RowEncoding, schema_of
from .flow import GivenNumbers

_BATCH = 1000
"""Rows that are computed at once, where no other number is given."""


class TableDiffusion(nn.Module):
    """A diffusion model of rows of numbers and tokens.

    Args:
        denoiser: the predictor of clean rows, with its path.
        encoding: the map between raw rows and model space.
        spec: what the rows are.
        known_fraction: the fraction of training steps in which some columns are known, so that the
            model fills in the rest of a row.
        sampler: how it is sampled unless another is given.
    """

    conditional = False

    def __init__(
        self,
        denoiser: RowDenoiser,
        encoding: RowEncoding,
        spec: DataSpec,
        known_fraction: float = 0.25,
        sampler: RowSampler | None = None,
    ) -> None:
        super().__init__()
        self.denoise, self.encoding, self.spec = denoiser, encoding, spec
        self.known_fraction = known_fraction
        self.sampler = sampler or RowSampler()

    @property
    def unit(self) -> str:
        """What one unit of the loss is."""
        return "nats/dim"

    @property
    def exact(self) -> bool:
        """Whether the rows have a density that the ODE gives: numbers alone, but for known ones."""
        tokens = self.encoding.is_given[self.encoding.numbers :]
        numbers = self.encoding.is_given[: self.encoding.numbers]
        return bool(tokens.all()) and not bool(numbers.all())

    def loss(
        self, batch: tuple[Tensor, Tensor | None], generator: torch.Generator
    ) -> Float[Tensor, " b"]:
        """The mean of two draws of the divergences per row, in nats per entry.

        Args:
            batch: raw rows (batch, dims), and None.
            generator: where times, noise and known columns are drawn from.
        """
        raw = batch[0].double()
        shape = (len(raw), self.encoding.numbers)
        u = draw_rows(uniform, shape, generator)
        fill, eps = (draw_rows(normal, shape, generator) for _ in range(2))
        masks = draw_rows(uniform, (len(raw), raw.shape[1] - shape[1]), generator)
        encoded = self.encoding.encode(raw, u.to(raw), fill.to(raw))

        entries = self._known_columns(raw.shape[1], generator).to(raw.device)
        rows, known = self.encoding.known(entries, encoded)
        rows = RowState(rows.numbers.float(), rows.tokens)
        time = stratified_times(len(raw), generator).float().to(raw.device)
        truth = RowTruth(rows, eps.to(time), masks.to(time), known)
        return antithetic_loss(self.denoise, truth, time).float() / raw.shape[1]

    def _known_columns(self, dims: int, generator: torch.Generator) -> Bool[Tensor, "1 dims"]:
        """The entries that are known in this step, the same for all rows: none, or a random part
        of them. In eval mode none: the loss of a whole row is what checkpoints are judged by.
        """
        drawn = uniform((dims + 2,), generator).cpu()
        some = drawn[0] < (self.known_fraction if self.training else 0.0)
        return ((drawn[2:] < drawn[1]) & some)[None]

    def encode(self, raw: Tensor, seeds: Sequence[int] | None) -> ModelRows:
        """Raw rows in model space, with the noise of their `seeds` (0, 1, 2, ... for None)."""
        noise = Noise(item_seeds(seeds, len(raw)), (self.encoding.numbers,), Stream.BINS)
        u = noise.uniforms().to(raw.device)
        return self.encoding.encode(raw.double(), u, noise.draw().to(raw.device))

    @torch.no_grad()
    def bound(
        self,
        x: Float[Tensor, "b dims"],
        condition: Any = None,
        *,
        seeds: Sequence[int] | None = None,
        draws: int = 8,
    ) -> Bound:
        """The evidence lower bound of log p(row), or of log p(row | the given columns), in nats.

        Numbers have a density in their units; whole numbers and tokens a probability.

        Args:
            x: raw rows.
            condition: None; given columns are part of the rows.
            seeds: one integer per row, for its times and noise; 0, 1, 2, ... for None.
            draws: evaluations of the denoiser per row.

        Raises:
            ValueError: for rows that do not fit the table.
        """
        self.spec.check(x)
        encoded = self.encode(x, seeds)
        rows, known = self._given(x, encoded)
        with evaluating(self):
            found = row_bound(self.denoise, rows, known, seeds=seeds, draws=draws)

        volume = torch.where(known.numbers, 0.0, encoded.volume).sum(1)
        return Bound(found.reconstruction + volume, found.prior, found.divergences)

    @torch.no_grad()
    def log_prob(
        self,
        x: Float[Tensor, "b dims"],
        condition: Any = None,
        *,
        seeds: Sequence[int] | None = None,
        solver: FlowSolver | None = None,
    ) -> Float64[Tensor, " b"]:
        """log p(row) in nats by the probability-flow ODE; of whole numbers one draw of a bound.

        Args:
            x: raw rows.
            condition: None; given columns are part of the rows.
            seeds: one integer per row, for where whole numbers lie in their bins.
            solver: how the ODE is solved.

        Raises:
            ValueError: for tables with categories or missing values, which have a bound alone.
        """
        if not self.exact:
            raise ValueError(
                "log_prob: these rows have categories or missing values, for which there is a "
                "bound alone; call bound(x)"
            )
        self.spec.check(x)
        encoded = self.encode(x, seeds)
        rows, known = self._given(x, encoded)
        rest = ~known.numbers[0]
        flow = GivenNumbers(self.denoise, known)
        condition = torch.cat([rows.numbers, rows.tokens.double()], 1)

        solver = solver or FlowSolver(tolerance=1e-3)
        with evaluating(self):
            found = flow_log_prob(
                flow, rows.numbers[:, rest], solver, seeds=seeds, condition=condition
            )
        return found.log_prob + encoded.volume[:, rest].sum(1)

    def _given(self, x: Tensor, encoded: ModelRows) -> tuple[RowState, KnownEntries]:
        """The rows, and the entries of the given columns."""
        none = torch.zeros(1, x.shape[1], dtype=torch.bool, device=x.device)
        return self.encoding.known(none, encoded)

    def sample(
        self,
        seeds: Sequence[int],
        condition: Any = None,
        sampler: RowSampler | None = None,
        *,
        batch: int = _BATCH,
        on_step: OnStep | None = None,
    ) -> Float64[Tensor, "n dims"]:
        """Raw rows, on the CPU; row i depends on the model and seeds[i] alone.

        Args:
            seeds: one integer per row.
            condition: raw rows with the values of the given columns; None without such columns.
            sampler: how they are sampled; None for the model's own.
            batch: is not used; 1,000 rows are computed at once.
            on_step: called as on_step(done, total).

        Raises:
            ValueError: without the values of given columns.
        """
        refuse_number(seeds)
        if condition is None and bool(self.encoding.is_given.any()):
            names = ", ".join(self.spec.table.given if self.spec.table else ())
            raise ValueError(f"condition: give rows with the columns {names}, which are given")
        rows = torch.zeros(len(seeds), self.spec.dims, dtype=torch.float64)
        if condition is not None:
            rows = torch.as_tensor(condition).double().expand(len(seeds), -1)
        known = torch.zeros(len(seeds), self.spec.dims, dtype=torch.bool)

        return self.infill(rows, known, seeds, sampler, on_step)

    @torch.no_grad()
    def infill(
        self,
        x: Float[Tensor, "n dims"],
        known: Bool[Tensor, "n dims"],
        seeds: Sequence[int] | None = None,
        sampler: RowSampler | None = None,
        on_step: OnStep | None = None,
    ) -> Float64[Tensor, "n dims"]:
        """Raw rows whose known entries are those of `x`: draws of p(row | the known entries).

        Args:
            x: raw rows; what is not known may be anything.
            known: which entries are known, besides the given columns.
            seeds: one integer per row; 0, 1, 2, ... for None.
            sampler: how they are sampled; None for the model's own.
            on_step: called as on_step(done, total).
        """
        seeds = item_seeds(seeds, len(x))
        device = self.encoding.centre.device
        count = max(1, -(-len(x) // _BATCH))
        parts = []

        for number in range(count):
            part = slice(number * _BATCH, (number + 1) * _BATCH)
            report = steps_of_all(on_step, number, count)
            raw, entries = x[part].double().to(device), known[part].to(device)
            parts.append(self._infilled(raw, entries, seeds[part], sampler, report))
        return torch.cat(parts)

    def _infilled(
        self,
        raw: Tensor,
        entries: Tensor,
        seeds: Sequence[int],
        sampler: RowSampler | None,
        report: OnStep | None,
    ) -> Tensor:
        """One batch of raw rows."""
        sampler = sampler or self.sampler
        raw = torch.where(entries | self.encoding.is_given, raw, self._inside(raw))
        rows, known = self.encoding.known(entries, self.encode(raw, seeds))

        with evaluating(self):
            batch = RowBatch(rows, known, seeds)
            found = sample_rows(self._predict(sampler), batch, sampler, report)
        sampled = self.encoding.decode(found)
        return torch.where(self.encoding.entries(entries), raw, sampled).cpu()

    def _predict(self, sampler: RowSampler) -> Any:
        """The predictor of rows that is sampled."""
        if not sampler.complete:
            return self.denoise
        absent = missing_values(schema_of(self.spec), self.denoise.path.tokens.values)
        return CompleteRows(self.denoise, absent.to(self.encoding.centre.device))

    def _inside(self, raw: Tensor) -> Tensor:
        """A number of each column that is no outlier, and codes of 0, in the place of unknown
        ones.
        """
        rest = raw.new_zeros(raw.shape[1] - self.encoding.numbers)
        return torch.cat([self.encoding.centre, rest]).expand_as(raw)
