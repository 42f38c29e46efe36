r"""Observations p(x | z): the distribution of the data given the latents.

Data are in model space, [-1, 1] (`DataSpec.encode`); discrete data take `levels` equally spaced
values there.

    CategoricalObservation    logits of its own for each number: the decoder of VDM, and of any
                              categorical network
    Bernoulli                 two levels: log p = x log s(l) + (1 - x) log s(-l)
                              (Kingma & Welling 2014, appendix C)
    LogisticMixture           sum_k w_k [s((x + h - m_k)/b_k) - s((x - h - m_k)/b_k)], h = half a
                              step, open at the end levels (Salimans et al. 2017, eq. 2)
    GaussianObservation       a Gaussian, for continuous data

Each gives nats per item, a mean, and a draw from one standard-normal number per number of x: the
inverse of the distribution function at u = Phi(noise), so that a sample belongs to its seed.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn.functional import logsigmoid, softplus
from torch.utils.checkpoint import checkpoint

from ..process.decoder import Observation
from ..process.kernel import Gaussian

_FEW_LEVELS = 32
"""Up to which the probabilities of all levels cost little."""


class Discrete(Observation):
    """An observation of discrete data: every number has a table of probabilities."""

    @property
    @abstractmethod
    def log_pmf(self) -> Tensor:
        """log-probabilities of the levels, shape (batch, *shape, levels)."""


class Table(Discrete):
    """A distribution of discrete data that is given by the probabilities of all levels."""

    @property
    @abstractmethod
    def log_pmf(self) -> Float[Tensor, "b *shape levels"]:
        """log-probabilities of the levels."""

    def draw(self, noise: Float[Tensor, "b *shape"]) -> Float[Tensor, "b *shape"]:
        """The first level at which the distribution function exceeds Phi(noise)."""
        log_pmf = self.log_pmf
        levels = log_pmf.shape[-1]
        passed = log_pmf.exp().cumsum(-1) < torch.special.ndtr(noise)[..., None]
        index: Tensor = passed.sum(-1).clamp(max=levels - 1)
        return (index * (2 / (levels - 1)) - 1).to(noise)

    @property
    def mean(self) -> Float[Tensor, "b *shape"]:
        """E[x | z]."""
        log_pmf = self.log_pmf
        values = torch.linspace(
            -1, 1, log_pmf.shape[-1], dtype=log_pmf.dtype, device=log_pmf.device
        )
        return (log_pmf.exp() * values).sum(-1)


@dataclass(frozen=True, eq=False)
class CategoricalObservation(Table):
    """A categorical distribution for each number, over equally spaced values from -1 to 1.

    Args:
        logits: (batch, *shape, levels).
    """

    logits: Float[Tensor, "b *shape levels"]

    @cached_property
    def log_pmf(self) -> Float[Tensor, "b *shape levels"]:
        """log-probabilities of the levels."""
        return self.logits.log_softmax(-1)

    def log_prob(self, x0: Float[Tensor, "b *shape"]) -> Float[Tensor, " b"]:
        """The sum over i of log p(x0_i | z) for items `x0`, in nats."""
        index = level_index(x0, self.logits.shape[-1])
        return self.log_pmf.gather(-1, index[..., None]).flatten(1).sum(1)


@dataclass(frozen=True, eq=False)
class Bernoulli(Discrete):
    """Two levels, -1 and 1.

    Args:
        logits: log-odds of 1, (batch, *shape).
    """

    logits: Float[Tensor, "b *shape"]

    @property
    def log_pmf(self) -> Float[Tensor, "b *shape levels"]:
        """log-probabilities of -1 and 1."""
        return torch.stack([logsigmoid(-self.logits), logsigmoid(self.logits)], -1)

    def log_prob(self, x0: Float[Tensor, "b *shape"]) -> Float[Tensor, " b"]:
        """The sum over i of log s(+-logit_i) for items `x0`, in nats, with the sign of x0_i."""
        return logsigmoid(x0.sign() * self.logits).flatten(1).sum(1)

    def draw(self, noise: Float[Tensor, "b *shape"]) -> Float[Tensor, "b *shape"]:
        """1 where Phi(noise) < s(logit), else -1."""
        return torch.where(torch.special.ndtr(noise) < torch.sigmoid(self.logits), 1.0, -1.0).to(
            noise
        )

    @property
    def mean(self) -> Float[Tensor, "b *shape"]:
        """E[x | z] = tanh(logit / 2)."""
        return torch.tanh(self.logits / 2)


@dataclass(frozen=True, eq=False)
class LogisticMixture(Table):
    """A mixture of k logistic densities, integrated over the bin of each level.

    The end bins are open (Salimans et al. 2017, eq. 2).

    Args:
        weights: logits of the weights, (batch, k, *shape).
        means: (batch, k, *shape).
        log_scales: (batch, k, *shape).
        levels: how many values there are from -1 to 1.
    """

    weights: Float[Tensor, "b k *shape"]
    means: Float[Tensor, "b k *shape"]
    log_scales: Float[Tensor, "b k *shape"]
    levels: int

    @property
    def log_pmf(self) -> Float[Tensor, "b *shape levels"]:
        """log-probabilities of the levels, one evaluation per level."""
        values = torch.linspace(
            -1, 1, self.levels, dtype=self.means.dtype, device=self.means.device
        )
        return torch.stack([self._log_bins(v.expand(self.means[:, 0].shape)) for v in values], -1)

    def log_prob(self, x0: Float[Tensor, "b *shape"]) -> Float[Tensor, " b"]:
        """The sum over i of log p(x0_i | z) for items `x0`, in nats."""
        return self._log_bins(x0).flatten(1).sum(1)

    @property
    def mean(self) -> Float[Tensor, "b *shape"]:
        """E[x | z] = -1 + step sum_k P(x > level k), which needs no table of all levels."""
        step = 2 / (self.levels - 1)
        edges = torch.arange(self.levels - 1, dtype=self.means.dtype) * step - 1 + step / 2
        total = torch.zeros_like(self.means[:, 0])
        for part in edges.tolist():
            # What a level needs for its gradient is computed again, not stored.
            total = total + checkpoint(self._mass_above, part, use_reentrant=False)
        return step * total - 1

    def draw(self, noise: Float[Tensor, "b *shape"]) -> Float[Tensor, "b *shape"]:
        """The level nearest to a draw of the continuous mixture; of few levels, as of any table.

        Phi(noise) chooses a component, and where it lies between the bounds of that component
        is uniform again: the quantile of the logistic density there.
        """
        if self.levels <= _FEW_LEVELS:
            return super().draw(noise)

        uniform = torch.special.ndtr(noise.double())[:, None]
        weights = self.weights.double().softmax(1)
        ends = weights.cumsum(1)
        chosen = (ends[:, :-1] < uniform).sum(1, keepdim=True)

        def of_chosen(values: Tensor) -> Tensor:
            return values.double().gather(1, chosen)

        within = (uniform - of_chosen(ends - weights)) / of_chosen(weights)
        x = of_chosen(self.means) + of_chosen(self.log_scales).exp() * within.logit(1e-15)
        index = level_index(x[:, 0], self.levels)
        return (index * (2 / (self.levels - 1)) - 1).to(noise)

    def _mass_above(self, edge: float) -> Float[Tensor, "b *shape"]:
        """P(x > edge) of the continuous mixture."""
        above = torch.sigmoid((self.means - edge) * torch.exp(-self.log_scales))
        return (self.weights.softmax(1) * above).sum(1)

    def _log_bins(self, x0: Float[Tensor, "b *shape"]) -> Float[Tensor, "b *shape"]:
        """log of the mixture's mass in the bin of each number.

        s(b) - s(a) = s(b) s(-a) (1 - e^(a - b)) for a < b, which keeps its digits where both are
        near 0 or near 1.
        """
        half = 1 / (self.levels - 1)
        index = level_index(x0, self.levels)[:, None]
        rate = torch.exp(-self.log_scales)
        above = (x0[:, None] + half - self.means) * rate
        below = (x0[:, None] - half - self.means) * rate

        inside = -softplus(-above) - softplus(below) + torch.log(-torch.expm1(-2 * half * rate))
        mass = torch.where(index == self.levels - 1, -softplus(below), inside)
        mass = torch.where(index == 0, -softplus(-above), mass)

        return (self.weights.log_softmax(1) + mass).logsumexp(1)


@dataclass(frozen=True, eq=False)
class GaussianObservation(Observation):
    """A Gaussian of continuous data.

    Args:
        gaussian: in model space.
        log_scale: log |d model units / d data units| per item, in nats.
    """

    gaussian: Gaussian
    log_scale: float = 0.0

    def log_prob(self, x0: Float[Tensor, "b *shape"]) -> Float[Tensor, " b"]:
        """log-density of x0 in the data's own units, in nats."""
        return self.gaussian.log_prob(x0) + self.log_scale

    def draw(self, noise: Float[Tensor, "b *shape"]) -> Float[Tensor, "b *shape"]:
        """mean + std * noise."""
        return self.gaussian.draw(noise)

    @property
    def mean(self) -> Float[Tensor, "b *shape"]:
        """E[x | z]."""
        return self.gaussian.mean


def level_index(x0: Float[Tensor, "*any"], levels: int) -> Int64[Tensor, "*any"]:
    """Which of `levels` equally spaced values from -1 to 1 is nearest to each number of x0."""
    return ((x0 + 1) * ((levels - 1) / 2)).round().long().clamp(0, levels - 1)
