r"""Compositions of Predicts: products, quotients and mixtures of their densities.

    product     E = sum_i w_i E_i                score = sum_i w_i score_i
    negation    E = E_a - w E_b                  the same with a negative weight
    mixture     E = -log sum_i w_i exp(-E_i)     score = sum_i r_i score_i,  r = softmax(log w - E)

Each is exact for the given densities at one noise level. But the product of two noised densities is
not the noised product: a sampler that follows the summed scores, however finely, ends in another
density (Du et al. 2023). So a product needs a Markov chain at each level that accepts its proposals
by E: an energy, an oracle or a composition of these, and `sampling.annealed` or
`predictor_corrector` with a `Hamiltonian`. The noised mixture is the mixture of the noised
densities, so it needs no correction, but its weights are known by the energies only, up to the
energies' own constants.

A grid for a product ends with noise (end="min"), because the posterior mean of a denoising step
belongs to single terms.

A product of terms without energies can be sampled with the score only; Metropolis-adjusted kernels
raise ValueError.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from ..lookup import MAX_PARAMETER
from ..numerics.broadcast import expand_like
from ..process.guide import check_consistent, is_consistent
from ..process.path import Level, Path
from ..process.prediction import Predict, Prediction, energy_of
from .fixed_rows import for_each


@dataclass(frozen=True)
class Product:
    """p(x_t) in proportion to prod_i p_i(x_t)^{w_i}: a product of experts (Hinton 2002).

    Args:
        terms: Predicts on one path.
        weights: w_i, one finite number per term; a negative weight divides. None means 1 for each.

    Raises:
        ValueError: for no terms, or weights that do not fit.
    """

    terms: Sequence[Predict]
    weights: Sequence[float] | None = None

    def __post_init__(self) -> None:
        _check(self.terms, self.weights, -math.inf)

    @property
    def path(self) -> Path:
        """The path of the first term."""
        return self.terms[0].path

    def __call__(
        self, x_t: Tensor, t: Tensor | float | Level, condition: Tensor | None = None
    ) -> Prediction:
        """The Prediction whose score is the weighted sum of the terms' scores.

        Args:
            x_t: states, (b, *shape).
            t: one time, one per item, or a Level.
            condition: passed to all terms.
        """
        predictions = [term(x_t, t, condition) for term in self.terms]
        eps = torch.zeros_like(x_t)
        for weight, prediction in zip(self._weights, predictions, strict=True):
            eps = eps + weight * prediction.eps
        return Prediction.solve("eps", eps, x_t, predictions[0].level)

    def energy(
        self,
        x_t: Float[Tensor, "b *shape"],
        t: Tensor | float | Level,
        condition: Tensor | None = None,
    ) -> Float[Tensor, " b"]:
        """sum_i w_i E_i in nats, up to a constant.

        Args:
            x_t: shape (b, *shape).
            t: one time, one per item, or a Level.
            condition: passed to every term.

        Returns:
            Shape (b,).

        Raises:
            ValueError: for a term that has no energy.
        """
        energies = [
            weight * energy_of(term, x_t, t, condition)
            for weight, term in zip(self._weights, self.terms, strict=True)
        ]
        return torch.stack(energies).sum(0)

    @property
    def _weights(self) -> Sequence[float]:
        return self.weights if self.weights is not None else [1.0] * len(self.terms)


def negation(base: Predict, unwanted: Predict, weight: float = 1.0) -> Product:
    """p(x_t) in proportion to p_base / p_unwanted^weight (Du et al. 2020).

    Args:
        base: the density to keep.
        unwanted: the density to move away from.
        weight: its power; the quotient must still have a finite integral.

    Returns:
        The Predict of the quotient.
    """
    return Product((base, unwanted), (1.0, -weight))


@dataclass(frozen=True)
class MixtureOfDensities:
    """p(x_t) in proportion to sum_i w_i exp(-E_i(x_t)).

    For energies with their constants, -log p_i, the weights are those of the mixture.

    Args:
        terms: Predicts on one path, each with an energy.
        weights: w_i, one positive number per term; None means 1 for each.

    Raises:
        ValueError: for no terms, or weights that do not fit.
    """

    terms: Sequence[Predict]
    weights: Sequence[float] | None = None

    def __post_init__(self) -> None:
        _check(self.terms, self.weights, 0.0)

    @property
    def path(self) -> Path:
        """The path of the first term."""
        return self.terms[0].path

    def __call__(
        self, x_t: Tensor, t: Tensor | float | Level, condition: Tensor | None = None
    ) -> Prediction:
        """The terms' predictions, weighted by their responsibilities for x_t.

        Args:
            x_t: states, (b, *shape).
            t: one time, one per item, or a Level.
            condition: passed to all terms.
        """
        responsibilities = self._log_joint(x_t, t, condition).softmax(0)
        predictions = [term(x_t, t, condition) for term in self.terms]

        x0 = torch.zeros_like(x_t)
        eps = torch.zeros_like(x_t)
        for responsibility, prediction in zip(responsibilities, predictions, strict=True):
            r = expand_like(responsibility, x_t)
            x0 = x0 + r * prediction.x0
            eps = eps + r * prediction.eps
        return Prediction.of(x0, eps, predictions[0].level)

    def energy(
        self,
        x_t: Float[Tensor, "b *shape"],
        t: Tensor | float | Level,
        condition: Tensor | None = None,
    ) -> Float[Tensor, " b"]:
        """-log sum_i w_i exp(-E_i) in nats, up to a constant.

        Args:
            x_t: shape (b, *shape).
            t: one time, one per item, or a Level.
            condition: passed to every term.

        Returns:
            Shape (b,).

        Raises:
            ValueError: for a term that has no energy.
        """
        return -self._log_joint(x_t, t, condition).logsumexp(0)

    def _log_joint(
        self, x_t: Tensor, t: Tensor | float | Level, condition: Tensor | None
    ) -> Float[Tensor, "terms b"]:
        """log w_i - E_i."""
        energies = torch.stack([energy_of(term, x_t, t, condition) for term in self.terms])
        weights = torch.ones(len(energies)) if self.weights is None else torch.tensor(self.weights)
        return weights.log().to(energies)[:, None] - energies


@dataclass(frozen=True, eq=False)
class FixedCondition:
    """A Predict under one condition, whatever it is called with: a term for compositions of labels.

    Args:
        base: a conditional Predict.
        condition: one label, or a row of another kind of condition as a tensor.
    """

    base: Predict
    condition: Shaped[Tensor, "*row"] | int

    @property
    def path(self) -> Path:
        """The path of the base."""
        return self.base.path

    def __call__(
        self, x_t: Tensor, t: Tensor | float | Level, condition: Tensor | None = None
    ) -> Prediction:
        """The base's prediction under the fixed condition.

        Args:
            x_t: states, (b, *shape).
            t: one time, one per item, or a Level.
            condition: ignored.
        """
        return self.base(x_t, t, self._for_each(x_t))

    def energy(
        self,
        x_t: Float[Tensor, "b *shape"],
        t: Tensor | float | Level,
        condition: Tensor | None = None,
    ) -> Float[Tensor, " b"]:
        """The base's energy under the fixed condition.

        Args:
            x_t: shape (b, *shape).
            t: one time, one per item, or a Level.
            condition: ignored.

        Returns:
            Shape (b,).

        Raises:
            ValueError: for a base that has no energy.
        """
        return energy_of(self.base, x_t, t, self._for_each(x_t))

    @property
    def consistent(self) -> bool:
        """Whether x0 and eps add up to x_t."""
        return is_consistent(self.base)

    def _for_each(self, x_t: Tensor) -> Shaped[Tensor, "b *row"]:
        return for_each(torch.as_tensor(self.condition), x_t)


def _check(terms: Sequence[Predict], weights: Sequence[float] | None, least: float) -> None:
    if len(terms) == 0:
        raise ValueError("terms: none; give at least one")
    for term in terms:
        check_consistent(term, "terms")
    if weights is not None and (
        len(weights) != len(terms)
        or not all(abs(w) <= MAX_PARAMETER and w > least for w in weights)
    ):
        above = "positive" if least == 0 else "finite"
        raise ValueError(
            f"weights: {list(weights)} for {len(terms)} terms; give one {above} number each, of at "
            f"most {MAX_PARAMETER:,} in size"
        )
