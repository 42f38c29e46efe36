r"""A mixture over rows of numbers and tokens, with its exact denoiser.

    p(x, c) = sum_k w_k N(x; m_k, S_k) prod_j p_kj(c_j)

Within a component numbers are Gaussian, and tokens are independent of them and of each other. With
responsibilities r_k of the component, given the noisy numbers and the tokens that are not masked,

    E[x0 | .] = sum_k r_k E_k[x0 | x_t]            p(c_j = v | .) = sum_k r_k p_kj(v)

where E_k is that of `exact.py`. Known numbers change the Gaussian of each component to that of the
rest given them, and its weight to w_k N(known; m_k, S_k); the result is a mixture again.

A missing number is standard normal noise, independent of the row, wherever a token says that it is
missing. Where that token is masked the number counts as one that is there: the exact posterior is a
sum over all sets of missing numbers.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float, Float64, Int64
from torch import Tensor, nn

from ..path import Level
from .path import KnownEntries, RowState

_PART_NUMBERS = 2**22
"""Numbers of the matrices that are computed at once, where each row has its own."""


@dataclass(frozen=True, eq=False)
class RowConditionals:
    """The Gaussians of a mixture given the known numbers of rows.

    Args:
        log_weights: log p(k, the known numbers), up to a constant of the row.
        means: of the components.
        covariances: of the components, for each pattern of what is known and missing.
        pattern: that of each row.
    """

    log_weights: Float64[Tensor, "b m"]
    means: Float64[Tensor, "b m d"]
    covariances: Float64[Tensor, "g m d d"]
    pattern: Int64[Tensor, " b"]


@dataclass(frozen=True, eq=False)
class RowComponents:
    """The Gaussians of a mixture given the known numbers, one set for all rows or one for each.

    All are in the eigenbasis of each component, so that the noisy numbers of all components are one
    product of matrices.

    Args:
        log_weights: of the components.
        centres: the means.
        variances: of the numbers.
        axes: the eigenvectors, in columns.
    """

    log_weights: Float[Tensor, "#b m"]
    centres: Float[Tensor, "#b m d"]
    variances: Float[Tensor, "g m d"]
    axes: Float[Tensor, "g m d d"]

    def to(self, dtype: torch.dtype) -> RowComponents:
        """The same in another `dtype`."""
        return RowComponents(
            self.log_weights.to(dtype),
            self.centres.to(dtype),
            self.variances.to(dtype),
            self.axes.to(dtype),
        )

    def rotated(self, x: Float[Tensor, "b d"]) -> Float[Tensor, "b m d"]:
        """Numbers in the eigenbasis of each component."""
        if len(self.axes) == 1:
            return _every(self.axes[0].mT, x)
        return torch.einsum("bmed,be->bmd", self.axes, x)

    def back(self, x: Float[Tensor, "b m d"]) -> Float[Tensor, "b d"]:
        """The sum over the components of their numbers, as numbers of a row."""
        if len(self.axes) == 1:
            return x.flatten(1) @ self.axes[0].mT.flatten(0, 1)
        return torch.einsum("bmed,bmd->be", self.axes, x)


class RowMixture(nn.Module):
    """A mixture of Gaussians and independent tokens.

    Args:
        weights: one per component, normalised here.
        means: of the numbers.
        covariances: of the numbers.
        probs: of the values of each token, (components, tokens, values), 0 for a value that a token
            does not have.
        missing: the place among the tokens that says with 1 that a number is missing; -1 for a
            number that never is.
    """

    weights: Tensor
    means: Tensor
    covariances: Tensor
    probs: Tensor
    missing: Tensor

    def __init__(
        self,
        weights: Float64[Tensor, " m"],
        means: Float64[Tensor, "m d"],
        covariances: Float64[Tensor, "m d d"],
        probs: Float64[Tensor, "m k v"],
        missing: Int64[Tensor, " d"],
    ) -> None:
        super().__init__()
        self.register_buffer("weights", weights / weights.sum())
        self.register_buffer("means", means)
        self.register_buffer("covariances", covariances)
        self.register_buffer("probs", probs)
        self.register_buffer("missing", missing)
        self._computed: dict[Any, Any] = {}
        self.register_load_state_dict_post_hook(_forget)  # type: ignore[no-untyped-call]

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> RowMixture:
        """Move it; what was computed of its numbers is computed again."""
        self._computed = {}
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        return self

    def _once(self, key: Any, compute: Callable[[], Any]) -> Any:
        """What is computed of the numbers of the mixture, once."""
        if key not in self._computed:
            with torch.inference_mode(False):
                self._computed[key] = compute()
        return self._computed[key]

    @property
    def token_logs(self) -> Float64[Tensor, "states m"]:
        """log p of each value of each token and 0 for the mask, one token after another."""
        logs: Tensor = self._once(
            "token_logs",
            lambda: nn.functional.pad(self.probs.log(), (0, 1)).flatten(1).T.contiguous(),
        )
        return logs

    def is_missing(self, tokens: Int64[Tensor, "b k"]) -> Bool[Tensor, "b d"]:
        """Which numbers the tokens say are missing; not those whose token is masked."""
        said = (
            tokens[:, self.missing.clamp(min=0)]
            if tokens.shape[1]
            else tokens.new_zeros(len(tokens), 1)
        )
        return (said == 1) & (self.missing >= 0)

    def is_fixed(self, known: KnownEntries) -> bool:
        """Whether it is known of every number whether it is missing, in each row."""
        places = self.missing[self.missing >= 0]
        return bool(known.tokens[:, places].all())

    def rows_at_once(self) -> int:
        """How many rows with a matrix each for every component fit in memory together."""
        components, d = self.means.shape
        return max(1, _PART_NUMBERS // (components * max(1, d) ** 2))

    def given(self, rows: RowState, known: KnownEntries) -> RowComponents:
        """The Gaussians of the components, given the known numbers and which are missing.

        Args:
            rows: the rows; of the numbers, those that are known matter alone.
            known: which they are. A known number that is missing stays as it is.
        """
        dtype = rows.numbers.dtype
        if self._is_plain(rows, known):
            plain: RowComponents = self._once(dtype, lambda: self._given_nothing().to(dtype))
            return plain
        if self.is_alike(rows, known):
            return self._given_alike(rows, known)

        found = self.conditionals(rows, known)
        variances, axes = (each[found.pattern] for each in torch.linalg.eigh(found.covariances))
        centres = _times(axes.mT, found.means)
        return RowComponents(found.log_weights, centres, variances.clamp(min=0), axes).to(dtype)

    def _given_alike(self, rows: RowState, known: KnownEntries) -> RowComponents:
        """The components where the same numbers are known in all rows: the means are affine in
        those numbers, and the logarithms of the weights are squares of affine functions.
        """
        is_known, is_missing = self._patterns(rows, known)[0].chunk(2)
        each = _Conditionals.of(self, is_known[None], is_missing[None])
        variances, axes = torch.linalg.eigh(each.covariance[0])

        gain = self.covariances @ each.precision[0]
        offset = self.means - _own(gain, self.means)
        is_fixed = is_known | is_missing
        gain = torch.where(is_fixed[:, None], torch.diag(is_known.double()), gain)
        offset = torch.where(is_fixed, 0.0, offset)
        seen = torch.diag((is_known & ~is_missing).double())
        whitening = torch.linalg.solve_triangular(each.root[0], seen, upper=False)

        x = torch.where(is_known, rows.numbers, 0.0)
        y = _every(whitening.to(x), x) - _own(whitening, self.means).to(x)
        constant = self.weights.log() - 0.5 * each.log_det[0]
        return RowComponents(
            constant.to(x) - 0.5 * y.square().sum(-1),
            _every((axes.mT @ gain).to(x), x) + _own(axes.mT, offset).to(x),
            variances.clamp(min=0)[None].to(x),
            axes[None].to(x),
        )

    def is_alike(self, rows: RowState, known: KnownEntries) -> bool:
        """Whether the same numbers are known and missing in all rows."""
        patterns = self._patterns(rows, known)
        return bool((patterns == patterns[:1]).all())

    def _patterns(self, rows: RowState, known: KnownEntries) -> Bool[Tensor, "b twice"]:
        """Which numbers are known, and which are missing."""
        return torch.cat([known.numbers.expand(len(rows), -1), self.is_missing(rows.tokens)], 1)

    def _is_plain(self, rows: RowState, known: KnownEntries) -> bool:
        """Whether no number is known or missing."""
        return not bool(known.numbers.any() or self.is_missing(rows.tokens).any())

    def conditionals(self, rows: RowState, known: KnownEntries) -> RowConditionals:
        """The Gaussians by their covariances, as `given`.

        Args:
            rows: the rows; of the numbers, those that are known matter alone.
            known: which they are.
        """
        is_missing = self.is_missing(rows.tokens)
        is_known = known.numbers.expand(len(rows), -1)
        patterns, pattern = torch.unique(self._patterns(rows, known), dim=0, return_inverse=True)
        each = _Conditionals.of(self, *patterns.chunk(2, 1))

        rows_of = slice(None) if len(patterns) == 1 else pattern
        gap = torch.where(is_known, rows.numbers.double(), 0.0)[:, None] - self.means
        gap = torch.where((is_known & ~is_missing)[:, None], gap, 0.0)
        weighted = _times(each.precision[rows_of], gap)
        shift = torch.einsum("mde,bme->bmd", self.covariances, weighted)
        means = torch.where(is_missing[:, None], 0.0, self.means + shift)
        means = torch.where(is_known[:, None], rows.numbers.double()[:, None], means)

        quadratic = (gap * weighted).sum(-1)
        log_weights = self.weights.log() - 0.5 * (quadratic + each.log_det[rows_of])
        return RowConditionals(log_weights, means, each.covariance, pattern)

    def _given_nothing(self) -> RowComponents:
        """The components without known or missing numbers."""
        variances, axes = torch.linalg.eigh(self.covariances)
        centres = _own(axes.mT, self.means)
        return RowComponents(self.weights.log()[None], centres[None], variances[None], axes[None])

    def expect(
        self, x_t: RowState, level: Level, parts: RowComponents
    ) -> tuple[Tensor, Tensor, Tensor]:
        """E[x0 | x_t] and E[eps | x_t] of the numbers, and the probabilities of the clean tokens.

        Args:
            x_t: noisy rows; masked tokens have the value after the last.
            level: of the numbers, one time or one per row.
            parts: the components given what is known.

        Returns:
            (b, d), (b, d) and (b, k, v), in the dtype of the numbers.
        """
        x, sigma = x_t.numbers, level.sigma
        log_r, scaled = self._noised(x_t, level, parts)
        r = log_r.softmax(1)

        eps = sigma * parts.back(r[..., None] * scaled)
        x0 = (x - sigma * eps) / level.alpha
        return x0, eps, torch.einsum("bm,mkv->bkv", r, self.probs.to(x))

    def log_responsibilities(
        self, x_t: RowState, level: Level, parts: RowComponents
    ) -> Float[Tensor, "b m"]:
        """log p(k, x_t, the known numbers) in nats, up to a constant of the row.

        Args:
            x_t: noisy rows; masked tokens have the value after the last.
            level: of the numbers.
            parts: the components given what is known.
        """
        return self._noised(x_t, level, parts)[0]

    def _noised(
        self, x_t: RowState, level: Level, parts: RowComponents
    ) -> tuple[Float[Tensor, "b m"], Float[Tensor, "b m d"]]:
        """`log_responsibilities`, and (x_t - alpha m) / variance in the eigenbases."""
        alpha, sigma = _deeper(level.alpha), _deeper(level.sigma)
        gap = parts.rotated(x_t.numbers) - alpha * parts.centres
        variance = alpha * alpha * parts.variances + sigma * sigma
        scaled = gap / variance

        quadratic = (gap * scaled + variance.log()).sum(-1)
        tokens = self.token_log_probs(x_t.tokens).to(quadratic)
        return parts.log_weights - 0.5 * quadratic + tokens, scaled

    def expect_given(
        self, x_t: RowState, level: Level, known: KnownEntries
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The same as `expect` with the components given the known numbers.

        Where rows differ in what is known or missing, each has matrices of its own, which are
        solved and not diagonalised, a part of the rows at a time.

        Args:
            x_t: noisy rows.
            level: of the numbers.
            known: entries that have no noise.
        """
        if self.is_alike(x_t, known):
            return self.expect(x_t, level, self.given(x_t, known))

        alpha, sigma = (
            torch.as_tensor(each, dtype=torch.float64, device=x_t.numbers.device).expand(
                len(x_t), 1
            )
            for each in (level.alpha, level.sigma)
        )
        own = (self._patterns(x_t, known), x_t.numbers.double(), x_t.tokens, alpha, sigma)
        parts = zip(*(each.split(self.rows_at_once()) for each in own), strict=True)
        found = [self._regressed(*part) for part in parts]
        x0, eps, probs = (torch.cat(each).to(x_t.numbers) for each in zip(*found, strict=True))
        return x0, eps, probs

    def _regressed(
        self, patterns: Tensor, numbers: Tensor, tokens: Tensor, alpha: Tensor, sigma: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """`expect` by the regression of x0 on y = A x0 + noise, where A is 1 and the noise 0 for
        known numbers. Nothing is seen of a known number that is missing: A is 0.
        """
        is_known, is_missing = patterns.chunk(2, 1)
        seen = torch.where(is_known, (~is_missing).double(), alpha)
        noise = torch.where(is_known, is_missing.double(), sigma)

        there = (~is_missing).double()[:, None]
        covariance = there[..., None] * self.covariances * there[..., None, :]
        covariance = covariance + torch.diag_embed(1 - there)
        mean = torch.where(is_missing[:, None], 0.0, self.means)
        gap = numbers[:, None] - seen[:, None] * mean

        variance = seen[:, None, :, None] * covariance * seen[:, None, None, :]
        root = torch.linalg.cholesky(variance + torch.diag_embed(noise.square())[:, None])
        scaled = torch.cholesky_solve(gap[..., None], root)[..., 0]
        log_det = 2 * root.diagonal(dim1=-2, dim2=-1).log().sum(-1)
        log_joint = self.weights.log() - 0.5 * ((gap * scaled).sum(-1) + log_det)
        r = (log_joint + self.token_log_probs(tokens)).softmax(1)

        x0 = mean + (covariance @ (seen[:, None] * scaled)[..., None])[..., 0]
        x0 = torch.where(is_known, numbers, torch.einsum("bm,bmd->bd", r, x0))
        eps = noise * torch.einsum("bm,bmd->bd", r, scaled)
        return x0, eps, torch.einsum("bm,mkv->bkv", r, self.probs)

    def log_prob(self, rows: RowState) -> Float64[Tensor, " b"]:
        """log p of clean rows in nats; missing numbers are left out of them."""
        pieces = []
        size = self.rows_at_once()
        for numbers, tokens in zip(rows.numbers.split(size), rows.tokens.split(size), strict=True):
            part = RowState(numbers, tokens)
            present = ~self.is_missing(tokens)
            constant = 0.5 * math.log(2 * math.pi) * present.sum(1)
            pieces.append(self.log_joint(part, present)[0].logsumexp(1) - constant)

        return torch.cat(pieces)

    def log_joint(
        self, rows: RowState, present: Bool[Tensor, "b d"]
    ) -> tuple[Float64[Tensor, "b m"], RowConditionals | None]:
        """log p(k, the numbers that are there, the tokens), up to a constant of the row.

        Args:
            rows: clean rows.
            present: which numbers are there.

        Returns:
            Nats, and the components given those numbers; None where all are there.
        """
        if bool(present.all()):
            return self._of_complete(rows), None

        known = KnownEntries(present, torch.ones_like(rows.tokens).bool())
        parts = self.conditionals(rows, known)
        return parts.log_weights + self.token_log_probs(rows.tokens), parts

    def _of_complete(self, rows: RowState) -> Float64[Tensor, "b m"]:
        """`log_joint` of rows without missing numbers, by one product of matrices."""
        whitening = torch.linalg.inv(torch.linalg.cholesky(self.covariances))
        y = _every(whitening, rows.numbers.double()) - _own(whitening, self.means)
        log_det = whitening.diagonal(dim1=1, dim2=2).log().sum(1)

        numbers: Tensor = self.weights.log() + log_det - 0.5 * y.square().sum(-1)
        return numbers + self.token_log_probs(rows.tokens)

    def token_log_probs(self, tokens: Int64[Tensor, "b k"]) -> Float64[Tensor, "b m"]:
        """log of the product of the probabilities of the tokens that are not masked."""
        if not tokens.shape[1]:
            return self.weights.new_zeros(len(tokens), len(self.weights))
        mask = self.probs.shape[2]
        first = torch.arange(tokens.shape[1], device=tokens.device) * (mask + 1)
        places = first + tokens.clamp(max=mask)
        return nn.functional.embedding_bag(places, self.token_logs, mode="sum")


def _forget(mixture: RowMixture, _: object) -> None:
    """Compute again what was computed of numbers that have been loaded."""
    mixture._computed = {}


@dataclass(frozen=True, eq=False)
class _Conditionals:
    """The Gaussians of components given the known numbers, for each pattern of what is known.

    Args:
        root: of the covariance of the known numbers, with ones in the places of the others.
        precision: of the known numbers.
        log_det: of the covariance of the known numbers.
        covariance: of the rest given them, that of noise for missing numbers, and 0 for known ones.
    """

    root: Float64[Tensor, "g m d d"]
    precision: Float64[Tensor, "g m d d"]
    log_det: Float64[Tensor, "g m"]
    covariance: Float64[Tensor, "g m d d"]

    @classmethod
    def of(
        cls, mixture: RowMixture, known: Bool[Tensor, "g d"], missing: Bool[Tensor, "g d"]
    ) -> _Conditionals:
        """Compute them for a `mixture`, for patterns of known and of missing numbers."""
        s = mixture.covariances
        seen, rest, gone = (
            each.double()[:, None]
            for each in (known & ~missing, ~known & ~missing, missing & ~known)
        )
        root = torch.linalg.cholesky(
            seen[..., None] * s * seen[..., None, :] + torch.diag_embed(1 - seen)
        )
        log_det = 2 * root.diagonal(dim1=-2, dim2=-1).log().sum(-1)
        precision = seen[..., None] * torch.cholesky_inverse(root) * seen[..., None, :]

        schur = rest[..., None] * (s - s @ precision @ s) * rest[..., None, :]
        covariance = (schur + schur.mT) / 2 + torch.diag_embed(gone)
        return cls(root, precision, log_det, covariance)


def _deeper(scale: Tensor | float) -> Tensor | float:
    """A scale of shape (b, 1) as (b, 1, 1), to meet (b, m, d)."""
    return scale[:, None] if isinstance(scale, Tensor) and scale.ndim == 2 else scale


def _every(matrices: Float[Tensor, "m e d"], x: Float[Tensor, "b d"]) -> Float[Tensor, "b m e"]:
    """The matrix of every component times every vector."""
    found: Tensor = (x @ matrices.flatten(0, 1).mT).unflatten(1, matrices.shape[:2])
    return found


def _own(matrices: Float64[Tensor, "m e d"], x: Float64[Tensor, "m d"]) -> Float64[Tensor, "m e"]:
    """The matrix of every component times its vector."""
    return (matrices @ x[..., None])[..., 0]


def _times(
    matrices: Float64[Tensor, "g m d d"], x: Float64[Tensor, "b m d"]
) -> Float64[Tensor, "b m d"]:
    """One matrix per component, or per row and component, times vectors."""
    if len(matrices) == 1:
        return torch.einsum("mde,bme->bmd", matrices[0], x)
    return torch.einsum("bmde,bme->bmd", matrices, x)
