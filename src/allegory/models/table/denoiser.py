r"""A mixture and a network become a predictor of rows.

The mixture is fitted to the rows before training (`process.rows.fit`), and its exact denoiser is
the beginning: the network gives what is to be added,

    x0   = E_mixture[x0 | x_t] + sigma F            eps = E_mixture[eps | x_t] - alpha F
    p(c) proportional to p_mixture(c | x_t) e^L

with F and L zero at first. For one Gaussian of unit variance, F is the target of Karras et al. 2022
up to its sign; a mixture removes more of what is to be learned.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ...process.discrete import TokenPrediction
from ...process.prediction import Prediction
from ...process.rows import (
    KnownEntries,
    RowComponents,
    RowLevel,
    RowMixture,
    RowPath,
    RowPrediction,
    RowState,
)

_REACH = 8.0
"""Of the numbers that a network tells apart, in standard deviations."""


@dataclass(frozen=True)
class RowFeatures:
    """What the network of a denoiser of rows sees: the numbers with their sinusoids, what the
    mixture predicts of their noise, which are known, and each value of each token.

    Args:
        numbers: of a row.
        values: how many values each token has.
        fourier: exponents n of sin(2^n x) and cos(2^n x) of the numbers.
    """

    numbers: int
    values: tuple[int, ...]
    fourier: tuple[int, ...] = ()

    @property
    def inputs(self) -> int:
        """How many features there are."""
        each = 3 + 2 * len(self.fourier)
        return each * self.numbers + sum(self.values) + len(self.values)

    @property
    def outputs(self) -> int:
        """How many outputs a network has."""
        return max(1, self.numbers + sum(self.values))

    def sinusoids(self, x: Float[Tensor, "b d"]) -> list[Float[Tensor, "b d"]]:
        """sin(2^n x) and cos(2^n x) for each exponent."""
        return [wave(2.0**n * x) for n in self.fourier for wave in (torch.sin, torch.cos)]


def near(x: Float[Tensor, "b d"]) -> Float[Tensor, "b d"]:
    """Numbers as the network sees them, bounded: what it adds is constant far from all rows, where
    the mixture alone says how the density falls.
    """
    return _REACH * (x / _REACH).tanh()


class RowDenoiser(nn.Module):
    """A predictor of clean rows.

    Args:
        network: forward(features, log_snr) -> a number for each number of a row, and a logit for
            each value of each token.
        path: the forward process.
        mixture: whose denoiser the network corrects.
        features: what the network sees.
    """

    is_value: Tensor

    def __init__(
        self, network: nn.Module, path: RowPath, mixture: RowMixture, features: RowFeatures
    ) -> None:
        super().__init__()
        self.network, self.path, self.mixture, self.features = network, path, mixture, features
        values = features.values
        counts = torch.tensor(values, dtype=torch.int64)[:, None]
        is_value = torch.arange(path.tokens.values) < counts
        self.register_buffer("is_value", is_value, persistent=False)

    def forward(
        self,
        x_t: RowState,
        level: RowLevel,
        known: KnownEntries,
        parts: RowComponents | None = None,
    ) -> RowPrediction:
        """Predict the clean rows.

        Args:
            x_t: noisy rows.
            level: their Level.
            known: entries that have no noise.
            parts: the components of the mixture given the known numbers, as `components` computes
                them; None computes them.
        """
        with torch.set_grad_enabled(x_t.numbers.requires_grad):
            if parts is None:
                x0, eps, probs = self.mixture.expect_given(x_t, level.numbers, known)
            else:
                x0, eps, probs = self.mixture.expect(x_t, level.numbers, parts)
            eps = torch.where(known.numbers, 0.0, eps)

        shift, logits = self._network(x_t, eps, level, known)
        alpha, sigma = level.numbers.alpha, level.numbers.sigma
        x0 = torch.where(known.numbers, x_t.numbers, x0 + sigma * shift)
        eps = torch.where(known.numbers, 0.0, eps - alpha * shift)

        evidence = self.path.tokens.evidence(x_t.tokens, level.tokens)
        logits = (probs.log() + logits + evidence).masked_fill(~self.is_value, -torch.inf)
        return RowPrediction(
            Prediction.of(x0, eps, level.numbers),
            TokenPrediction(logits.log_softmax(-1), x_t.tokens, level.tokens),
        )

    @torch.no_grad()
    def components(self, rows: RowState, known: KnownEntries) -> RowComponents | None:
        """The components of the mixture given the `known` numbers of these rows.

        None where they change as tokens are revealed, or do not fit in memory.
        """
        if not self.mixture.is_fixed(known):
            return None
        if len(rows) > self.mixture.rows_at_once() and not self.mixture.is_alike(rows, known):
            return None
        return self.mixture.given(rows, known)

    def _network(
        self, x_t: RowState, eps: Tensor, level: RowLevel, known: KnownEntries
    ) -> tuple[Float[Tensor, "b d"], Float[Tensor, "b k v"]]:
        """What the network adds, in float64."""
        d = x_t.numbers.shape[1]
        flags = known.numbers.expand(len(x_t), -1).to(x_t.numbers)
        x, noise = near(x_t.numbers), near(eps)
        seen = [x, noise, flags, *self.features.sinusoids(x), self._one_hot(x_t.tokens)]
        own = next(self.network.parameters()).dtype
        log_snr = torch.as_tensor(level.numbers.log_snr).reshape(-1).to(own).expand(len(x_t))
        out = self.network(torch.cat(seen, 1).to(own), log_snr, None).to(x_t.numbers)

        logits = out.new_zeros(len(x_t), *self.is_value.shape)
        logits[:, self.is_value] = out[:, d:]
        return out[:, :d], logits

    def _one_hot(self, tokens: Tensor) -> Float[Tensor, "b states"]:
        """Each value of each token, and whether it is masked."""
        seen = nn.functional.one_hot(tokens, self.path.tokens.states)
        states = torch.cat([self.is_value, torch.ones_like(self.is_value[:, :1])], 1)
        return seen[:, states].to(self.mixture.means)
