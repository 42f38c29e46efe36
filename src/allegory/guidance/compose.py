r"""Guidance by composition: densities multiplied, mixed, or divided by one another.

    product     E = sum_i w_i E_i                          score = sum_i w_i score_i
    negation    E = E_a - w E_b                            the same with a negative weight
    mixture     E = -log sum_i w_i exp(-E_i)               score = sum_i r_i score_i,  r = softmax(log w - E)

Each is right for the densities that are given, at one level of noise. But the product of two noised
densities is not the noised product: a sampler that walks down the summed scores, however finely,
ends in another density (Du et al. 2023). So a product needs a chain within each level that weighs
its proposals by E: an energy, an oracle or a composition of these, and `sampling.annealed` or
`predictor_corrector` with a `Hamiltonian`. The noised mixture is the mixture of what is noised, so
it needs no correction, but only by the energies are its weights known, up to the energies' own
constants.

A grid for a product ends with noise (end="min"): the posterior mean that a denoising step takes
belongs to single terms.

Where a term has no energy a product still has a score, and is refused by whatever needs more.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ..process.path import Level, Path
from ..process.prediction import Predict, Prediction, energy_of


@dataclass(frozen=True)
class Product:
    """p(x_t) in proportion to prod_i p_i(x_t)^{w_i}: a product of experts (Hinton 2002), all weights 1 if none are given.

    A negative weight divides. ValueError for no terms, or weights that are not one finite number
    each.
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
        """The sum of the terms' scores, by weight."""
        predictions = [term(x_t, t, condition) for term in self.terms]
        eps = sum(
            (w * prediction.eps for w, prediction in zip(self._weights, predictions, strict=True)),
            torch.zeros_like(x_t),
        )
        return Prediction.solve("eps", eps, x_t, predictions[0].level)

    def energy(
        self,
        x_t: Float[Tensor, "b *shape"],
        t: Tensor | float | Level,
        condition: Tensor | None = None,
    ) -> Float[Tensor, " b"]:
        """sum_i w_i E_i in nats, up to a constant."""
        energies = (
            w * energy_of(term, x_t, t, condition)
            for w, term in zip(self._weights, self.terms, strict=True)
        )
        return torch.stack(list(energies)).sum(0)

    @property
    def _weights(self) -> Sequence[float]:
        return self.weights if self.weights is not None else [1.0] * len(self.terms)


def negation(base: Predict, unwanted: Predict, weight: float = 1.0) -> Product:
    """p(x_t) in proportion to p_base / p_unwanted^weight (Du et al. 2020): only where this still has a finite integral."""
    return Product((base, unwanted), (1.0, -weight))


@dataclass(frozen=True)
class MixtureOfDensities:
    """p(x_t) in proportion to sum_i w_i exp(-E_i(x_t)), all weights 1 if none are given.

    For energies with their constants, -log p_i, the weights are those of the mixture. ValueError
    for no terms, or weights that are not one positive number each.
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
        """The terms' predictions, each by its responsibility for x_t."""
        share = self._log_joint(x_t, t, condition).softmax(0)
        predictions = [term(x_t, t, condition) for term in self.terms]
        shares = share.reshape(*share.shape, *(1,) * (x_t.ndim - 1))
        x0, eps = (sum((r * each for r, each in zip(shares, row, strict=True)), torch.zeros_like(x_t)) for row in (
            [prediction.x0 for prediction in predictions], [prediction.eps for prediction in predictions]
        ))  # fmt: skip
        return Prediction.of(x0, eps, predictions[0].level)

    def energy(
        self,
        x_t: Float[Tensor, "b *shape"],
        t: Tensor | float | Level,
        condition: Tensor | None = None,
    ) -> Float[Tensor, " b"]:
        """-log sum_i w_i exp(-E_i) in nats, up to a constant."""
        return -self._log_joint(x_t, t, condition).logsumexp(0)

    def _log_joint(
        self, x_t: Tensor, t: Tensor | float | Level, condition: Tensor | None
    ) -> Float[Tensor, "terms b"]:
        energies = torch.stack([energy_of(term, x_t, t, condition) for term in self.terms])
        weights = torch.ones(len(energies)) if self.weights is None else torch.tensor(self.weights)
        return weights.log().to(energies)[:, None] - energies


@dataclass(frozen=True, eq=False)
class FixedCondition:
    """A Predict with a condition of its own, whatever it is called with: a term for compositions of one model's labels."""

    base: Predict
    condition: Int[Tensor, ""] | int

    @property
    def path(self) -> Path:
        """The path of the base."""
        return self.base.path

    def __call__(
        self, x_t: Tensor, t: Tensor | float | Level, condition: Tensor | None = None
    ) -> Prediction:
        """The base's prediction under that condition."""
        return self.base(x_t, t, self._label(x_t))

    def energy(
        self,
        x_t: Float[Tensor, "b *shape"],
        t: Tensor | float | Level,
        condition: Tensor | None = None,
    ) -> Float[Tensor, " b"]:
        """The base's energy under that condition."""
        return energy_of(self.base, x_t, t, self._label(x_t))

    def _label(self, x_t: Tensor) -> Int[Tensor, " b"]:
        return torch.full((len(x_t),), int(self.condition), device=x_t.device)


def _check(terms: Sequence[Predict], weights: Sequence[float] | None, least: float) -> None:
    if len(terms) == 0:
        raise ValueError("terms: none; give at least one")
    if weights is not None and (
        len(weights) != len(terms) or not all(math.isfinite(w) and w > least for w in weights)
    ):
        above = "positive" if least == 0 else "finite"
        raise ValueError(
            f"weights: {list(weights)} for {len(terms)} terms; give one {above} number each"
        )
