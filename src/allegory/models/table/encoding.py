r"""Raw rows of a table in model space.

Whole numbers k become k + u, u uniform in [0, 1): the probability of k is the integral of the
density over [k, k + 1), and E_u log p(k + u) its lower bound. A number that is missing becomes a
standard normal one, u ~ N(0, 1); the row says so by a token. For both

    log p(row) >= E_u [log p(row with u) - log q(u)],

where -E log q(u) is 0 for whole numbers and log(2 pi e)/2 for each missing number. Numbers are
scaled, given columns take mean and scale out of the others (`location`), and what is left is
transformed column by column (`numerics.column_transforms`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Bool, Float64, Int64
from torch import Tensor, nn

from ...data.spec import DataSpec
from ...data.table_schema import TableSchema
from ...numerics.column_transforms import ColumnTransforms
from ...process.rows import KnownEntries, RowState
from .location import LocationScale

ENTROPY = 0.5 * math.log(2 * math.pi * math.e)
"""Of a standard normal number, in nats."""


@dataclass(frozen=True, eq=False)
class ModelRows:
    """Rows in model space.

    Args:
        rows: the rows.
        residuals: their numbers before the transforms.
        log_scale: of the residuals, log |d numbers of unit variance / d residuals| in nats.
        is_missing: which numbers are.
        encoding: by which they were encoded.
    """

    rows: RowState
    residuals: Float64[Tensor, "b d"]
    log_scale: Float64[Tensor, "b d"]
    is_missing: Bool[Tensor, "b d"]
    encoding: RowEncoding

    @cached_property
    def volume(self) -> Float64[Tensor, "b d"]:
        """log |d model units / d raw units| of each number in nats, or the entropy of the noise in
        its place where it is missing.
        """
        slope = self.encoding.transforms(self.residuals)[1] - self.log_scale
        slope = slope - self.encoding.scale.log()
        return torch.where(self.is_missing, ENTROPY, slope)


class RowEncoding(nn.Module):
    """The map between raw rows and model space.

    Args:
        spec: what the rows are; `spec.table` has their columns.
        transforms: of the residuals of the numbers.
        location: mean and scale of the numbers, from the given columns; None for 0 and 1.
    """

    centre: Tensor
    scale: Tensor
    is_whole: Tensor
    missing: Tensor
    is_given: Tensor
    ends: Tensor

    def __init__(
        self, spec: DataSpec, transforms: ColumnTransforms, location: LocationScale | None = None
    ) -> None:
        super().__init__()
        schema = schema_of(spec)
        self.transforms, self.location, self.numbers = transforms, location, len(schema.numbers)
        centre, half = (each.expand(spec.dims)[: self.numbers] for each in spec.affine())
        columns = [schema.column(name) for name in schema.numbers]
        buffers = {
            "centre": centre.clone(),
            "scale": half.clone(),
            "is_whole": torch.from_numpy(schema.is_whole),
            "missing": missing_places(schema),
            "is_given": torch.from_numpy(schema.is_given),
            "ends": torch.tensor(
                [[c.low or 0.0, c.high or 0.0] for c in columns], dtype=torch.float64
            ).view(-1, 2),
        }

        for name, each in buffers.items():
            self.register_buffer(name, each, persistent=False)

    def split(self, raw: Float64[Tensor, "b dims"]) -> tuple[Tensor, Tensor, Tensor]:
        """The numbers, the tokens, and which numbers are missing."""
        numbers, tokens = raw[:, : self.numbers].double(), raw[:, self.numbers :].long()
        return numbers, tokens, self._is_missing(tokens)

    def _is_missing(self, tokens: Int64[Tensor, "b k"]) -> Bool[Tensor, "b d"]:
        """Which numbers are, by their tokens."""
        if not tokens.shape[1]:
            return torch.zeros(len(tokens), self.numbers, dtype=torch.bool, device=tokens.device)
        return (tokens[:, self.missing.clamp(min=0)] == 1) & (self.missing >= 0)

    def scaled(self, numbers: Float64[Tensor, "b d"], u: Tensor) -> Float64[Tensor, "b d"]:
        """Numbers of about unit variance.

        Args:
            numbers: raw.
            u: uniform in [0, 1), where a whole number lies in its bin.
        """
        return (numbers + torch.where(self.is_whole, u, 0.0) - self.centre) / self.scale

    def residuals(
        self, x: Float64[Tensor, "b d"], tokens: Int64[Tensor, "b k"], is_missing: Tensor
    ) -> tuple[Float64[Tensor, "b d"], Float64[Tensor, "b d"]]:
        """What is left of scaled numbers x without mean and scale, and the log of the scale.

        Args:
            x: as `scaled` returns them.
            tokens: of the rows.
            is_missing: which numbers are.
        """
        if self.location is None:
            return x, torch.zeros_like(x)

        mean, log_scale = self.location(x, tokens, is_missing)
        return (x - mean) * (-log_scale).exp(), log_scale

    def encode(self, raw: Float64[Tensor, "b dims"], u: Tensor, fill: Tensor) -> ModelRows:
        """Rows in model space.

        Args:
            raw: rows.
            u: uniform in [0, 1), one for each number.
            fill: standard normal, one for each number.
        """
        numbers, tokens, is_missing = self.split(raw)

        r, log_scale = self.residuals(self.scaled(numbers, u.double()), tokens, is_missing)
        z = torch.where(is_missing, fill.double(), self.transforms.normal(r))
        return ModelRows(RowState(z, tokens), r, log_scale, is_missing, self)

    def decode(self, rows: RowState) -> Float64[Tensor, "b dims"]:
        """Raw rows. Whole numbers are those of their bins, within the range of the data; missing
        numbers are the least of their column, as in the data.
        """
        x = self.transforms.inverse(rows.numbers.double())
        if self.location is not None:  # the given numbers are among the residuals
            mean, log_scale = self.location(x, rows.tokens, self._is_missing(rows.tokens))
            x = mean + log_scale.exp() * x

        numbers = self.centre + self.scale * x
        whole = torch.minimum(torch.maximum(numbers.floor(), self.ends[:, 0]), self.ends[:, 1])
        numbers = torch.where(self.is_whole, whole, numbers)

        numbers = torch.where(self._is_missing(rows.tokens), self.ends[:, 0], numbers)
        return torch.cat([numbers, rows.tokens.double()], 1)

    def entries(self, entries: Bool[Tensor, "rows dims"]) -> Bool[Tensor, "rows dims"]:
        """All entries that are known with these: those of given columns, and of a known number
        that it is not missing.
        """
        every = entries | self.is_given
        has_token = self.missing >= 0
        places = self.numbers + self.missing[has_token]
        every[:, places] |= every[:, : self.numbers][:, has_token]
        return every

    def known(
        self, entries: Bool[Tensor, "rows dims"], encoded: ModelRows
    ) -> tuple[RowState, KnownEntries]:
        """Rows and their known entries, with those of columns that are always known.

        A missing number is known where its token is: there is nothing to predict of it, and a zero
        in its place.

        Args:
            entries: which are known, one row or one for each.
            encoded: the rows.
        """
        every, rows, is_missing = self.entries(entries), encoded.rows, encoded.is_missing
        numbers, tokens = every[:, : self.numbers], every[:, self.numbers :]
        if bool(is_missing.any()):
            numbers = torch.where(is_missing, tokens[:, self.missing.clamp(min=0)], numbers)
            clean = torch.where(is_missing & numbers, 0.0, rows.numbers)
            rows = RowState(clean, rows.tokens)
        return rows, KnownEntries(numbers, tokens)


def schema_of(spec: DataSpec) -> TableSchema:
    """The columns of a table. ValueError for data that are none."""
    if spec.table is None:
        raise ValueError(
            f"data: {spec}; a diffusion model of tables needs a table with its columns, as "
            "`table_dataset(frame)` or the source table:FILE gives it"
        )
    return spec.table


def missing_places(schema: TableSchema) -> Tensor:
    """For each number the place among the tokens that says that it is missing, -1 for none."""
    first = schema.dims - len(schema.tokens)
    places = [
        own[1] - first if len(own := schema.places(name)) > 1 else -1 for name in schema.numbers
    ]
    return torch.tensor(places, dtype=torch.int64)
