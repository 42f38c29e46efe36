r"""Forward processes of tokens, numbers of finitely many values (Austin et al. 2021, D3PM).

    marginal    q(x_t | x0)  = alpha_t [x_t = x0] + (1 - alpha_t) pi(x_t)
    transition  q(x_t | x_s) = r [x_t = x_s] + (1 - r) pi(x_t),         r = alpha_t/alpha_s

for each token on its own. alpha_t is the probability that a token was not replaced until t, from 1
at t = 0 down, and pi is what it is replaced by:

    masked   one more value, the mask (D3PM's absorbing state)
    uniform  all values alike; with two values, the binomial diffusion of Sohl-Dickstein et al. 2015

By Bayes' rule the reverse step of a prediction p(x0 | x_t) is, with w = p(x0 | x_t) / q(x_t | x0)
and W its sum over x0,

    p(x_s = y | x_t) = q(x_t | x_s = y) [alpha_s w(y) + (1 - alpha_s) pi(y) W]

which is q(x_s | x_t, x0) where x0 is known. In continuous time, with r(y) = q(y | x0)/q(x_t | x0)
and r^(y) = alpha_t w(y) + (1 - alpha_t) pi(y) W,

    rate = -alpha'/alpha pi(x_t) sum_{y != x_t} [r^(y) - r(y) + r(y) log r(y)/r^(y)]

is the divergence per unit of time (Campbell et al. 2022; Lou et al. 2024). For masked tokens it is
-alpha'/(1 - alpha) times -log p(x0 | x_t) of each token that is masked (Shi et al. 2024, MD4).
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float64, Int64
from torch import Tensor, nn

from ...lookup import check_count
from ..coefficients import Coefficient
from .categorical import Categorical, known

MOST_VALUES = 2**17
"""The largest number of values of a token."""


@dataclass(frozen=True, eq=False)
class TokenLevel:
    """A path at one time, in float64: numbers, or tensors that broadcast against tokens.

    Args:
        path: the path.
        t: the time.
        alpha: the probability that a token is not replaced.
        noise: 1 - alpha, without the loss of digits.
        slope: d alpha/dt.
    """

    path: TokenPath
    t: Coefficient
    alpha: Coefficient
    noise: Coefficient
    slope: Coefficient

    @property
    def log_snr(self) -> Coefficient:
        """log alpha/(1 - alpha), the time as a network sees it."""
        if isinstance(self.alpha, Tensor):
            return self.alpha.log() - torch.as_tensor(self.noise).log()
        return _log(self.alpha) - _log(float(self.noise))


@dataclass(frozen=True, eq=False)
class TokenPrediction:
    """What a model predicts of the clean tokens, given noisy ones.

    Args:
        log_probs: log p(x0_i = v | x_t) of each token, normalised, (batch, *shape, values).
        x_t: the noisy tokens that it was computed at.
        level: their Level.
    """

    log_probs: Tensor
    x_t: Int64[Tensor, "b *shape"]
    level: TokenLevel

    @classmethod
    def of(
        cls, x0: Int64[Tensor, "b *shape"], x_t: Int64[Tensor, "b *shape"], level: TokenLevel
    ) -> TokenPrediction:
        """The prediction that knows `x0`; its reverse step is q(x_s | x_t, x0).

        Args:
            x0: clean tokens.
            x_t: noisy tokens of theirs.
            level: of x_t.
        """
        return cls(known(x0, level.path.values), x_t, level)

    @property
    def x0(self) -> Categorical:
        """The distribution of the clean tokens."""
        return Categorical(self.log_probs)


class TokenPath(nn.Module, ABC):
    """A forward process of tokens with K values, from clean ones at t = 0 to pi at t = 1.

    Args:
        values: K, from 2 on.
        end: alpha at t = 1; 0 for no signal at all.

    Raises:
        ValueError: for fewer than two values, and an end outside of [0, 1).
    """

    def __init__(self, values: int, end: float = 0.0) -> None:
        super().__init__()
        check_count("values", values, 2, MOST_VALUES)
        if not 0 <= end < 1:
            raise ValueError(f"end={end}; give the alpha of t = 1, from 0 to below 1")
        self.values, self.end = values, end

    @property
    def blocks(self) -> int:
        """How many blocks of tokens are noised one after another."""
        return 1

    @property
    @abstractmethod
    def states(self) -> int:
        """How many values a noisy token can have."""

    @property
    @abstractmethod
    def pi(self) -> Float64[Tensor, " states"]:
        """The probabilities of what a token is replaced by."""

    @abstractmethod
    def rate(
        self, prediction: TokenPrediction, x0: Int64[Tensor, "b *shape"]
    ) -> Float64[Tensor, " b"]:
        """The divergence per unit of time, in nats per item (see the module).

        Args:
            prediction: of noisy tokens at one time.
            x0: the clean tokens.
        """

    def at(
        self, t: Tensor | float | TokenLevel, like: Int64[Tensor, "b *shape"] | None = None
    ) -> TokenLevel:
        """The Level at a time; alpha falls linearly in t.

        Args:
            t: from 0 to 1, one number or one per item; a Level is returned as it is.
            like: tokens that the Level shall broadcast against, for one time per item.

        Raises:
            ValueError: for times outside of [0, 1].
        """
        if isinstance(t, TokenLevel):
            return t
        if isinstance(t, Tensor) and t.ndim > 0:
            assert like is not None, "one time per item needs the items"
            t = t.double().reshape(-1, *[1] * (like.ndim - 1))
        else:
            t = float(t)
        if not bool(torch.as_tensor((t >= 0) & (t <= 1)).all()):
            raise ValueError(f"t={t!r:.60}; give times from 0 to 1")

        noise = (1 - self.end) * t
        return TokenLevel(self, t, 1 - noise, noise, self.end - 1.0)

    def levels(self, times: Float64[Tensor, " n"] | Sequence[float]) -> tuple[TokenLevel, ...]:
        """The Level at each of these times."""
        return tuple(self.at(float(t)) for t in times)

    def steps_of_a_block(self, steps: int) -> int:
        """How many of `steps` steps each block has.

        Raises:
            ValueError: where they are no multiple of the blocks; a step over the end of a block
                would reveal tokens whose block before is not complete, which no network has seen.
        """
        if steps % self.blocks:
            raise ValueError(
                f"steps={steps}: is no multiple of the {self.blocks} blocks of a sequence; give "
                f"{self.nearest_steps(steps)}"
            )
        return steps // self.blocks

    def nearest_steps(self, steps: int) -> int:
        """The multiple of the blocks that is the nearest to a number of steps."""
        return self.blocks * max(1, round(steps / self.blocks))

    def times(self, within: Float64[Tensor, " n"]) -> Float64[Tensor, " times"]:
        """The times of all steps, from 1 to 0.

        Args:
            within: those of a block on its own clock, from 1 to 0.
        """
        begins = torch.arange(self.blocks - 1, -1, -1, dtype=torch.float64)[:, None]
        inner = (begins + within[:-1]) / self.blocks
        return torch.cat([inner.flatten(), torch.zeros(1, dtype=torch.float64)])

    def prior(self, like: Int64[Tensor, "b *shape"]) -> Categorical:
        """The distribution pi of each token, for items like these."""
        log_pi = self.pi.log().to(like.device)
        return Categorical(log_pi.expand(*like.shape, self.states))

    def marginal(self, x0: Int64[Tensor, "b *shape"], level: TokenLevel) -> Categorical:
        """q(x_t | x0) at a `level`."""
        return Categorical(self._mixed(x0, level.alpha, level.noise).log())

    def transition(
        self, x_s: Int64[Tensor, "b *shape"], s: TokenLevel, t: TokenLevel
    ) -> Categorical:
        """q(x_t | x_s) for s < t."""
        return Categorical(self._mixed(x_s, *_step(s, t)).log())

    def likelihood(
        self, x_t: Int64[Tensor, "b *shape"], level: TokenLevel
    ) -> Float64[Tensor, "b *shape values"]:
        """q(x_t | x0 = v) of each token for all values v."""
        return self._likelihood(x_t, level.alpha, level.noise)[..., : self.values]

    def evidence(
        self, x_t: Int64[Tensor, "b *shape"], level: TokenLevel
    ) -> Float64[Tensor, "b *shape values"]:
        """log q(x_t | x0 = v) of each token for all v, up to a constant of the token."""
        return self.likelihood(x_t, level).log()

    def posterior(self, prediction: TokenPrediction, s: TokenLevel) -> Categorical:
        """p(x_s | x_t) of a prediction for s < t, or q(x_s | x_t, x0) where it knows x0.

        Args:
            prediction: of the clean tokens given x_t.
            s: the cleaner level.
        """
        t = prediction.level
        p = prediction.x0.probs
        q_t = self.likelihood(prediction.x_t, t)
        w = torch.where(p > 0, p / q_t, torch.zeros_like(p))

        pi = self.pi.to(w.device)
        y = last_axis(s.noise) * pi * w.sum(-1, keepdim=True)
        y[..., : self.values] += last_axis(s.alpha) * w
        probs = self._likelihood(prediction.x_t, *_step(s, t)) * y
        return Categorical((probs / probs.sum(-1, keepdim=True)).log())

    def _mixed(
        self, x: Int64[Tensor, "b *shape"], same: Coefficient, replaced: Coefficient
    ) -> Float64[Tensor, "b *shape states"]:
        """same [y = x] + replaced pi(y) for all y."""
        own = nn.functional.one_hot(x, self.states).double()
        return last_axis(same) * own + last_axis(replaced) * self.pi.to(x.device)

    def _likelihood(
        self, y: Int64[Tensor, "b *shape"], same: Coefficient, replaced: Coefficient
    ) -> Float64[Tensor, "b *shape states"]:
        """same [y = x] + replaced pi(y) for all x."""
        own = nn.functional.one_hot(y, self.states).double()
        return last_axis(same) * own + last_axis(replaced) * self.pi.to(y.device)[y][..., None]


def _step(s: TokenLevel, t: TokenLevel) -> tuple[Coefficient, Coefficient]:
    """alpha_t/alpha_s, and one minus that."""
    return t.alpha / s.alpha, (t.noise - s.noise) / s.alpha


def last_axis(scale: Coefficient) -> Coefficient:
    """One more axis, that of the values."""
    return scale[..., None] if isinstance(scale, Tensor) else scale


def _log(number: float) -> float:
    return math.log(number) if number > 0 else -math.inf
