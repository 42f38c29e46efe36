r"""Data distributions whose noised density, score and denoiser are known exactly.

If x0 is a mixture of N(m_k, C_k) with weights w_k, then x_t = alpha x0 + sigma eps is a mixture of
N(alpha m_k, V_k) with V_k = alpha^2 C_k + sigma^2 I. With responsibilities r_k = p(k | x_t),

    E[x0 | x_t]   = sum_k r_k mu_k,        mu_k = m_k + alpha C_k V_k^-1 (x_t - alpha m_k)
    E[eps | x_t]  = sigma sum_k r_k V_k^-1 (x_t - alpha m_k)  =  -sigma grad log p(x_t)
    Cov[x0 | x_t] = sum_k r_k (S_k + mu_k mu_k^T) - E[x0 | x_t] E[x0 | x_t]^T

with S_k = sigma^2 C_k V_k^-1 (Luo 2022, eq. 131 and 151).

`Mixture` computes in the eigenbasis of each C_k. `Empirical` is the same with every data point as a
component of one isotropic width (`empirical.py`): the denoiser that minimises the training loss on
that data set exactly.

A condition is a label per item, -1 for none: it keeps the components with that label.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from ..conditions.base import hidden_like
from ..lookup import check_type
from .mixture_kernel import inverse_cdf
from .noise import Noise, Stream
from .path import Level, Path, check_path
from .prediction import Prediction


class ExactDensity(nn.Module, ABC):
    """The exact Predict of a mixture, with its density.

    Args:
        means: one per component, (k, *shape of an item).
        weights: one positive number per component; None for equal weights.
        path: the forward process of x_t.
        labels: the label of each component, for a condition.

    Raises:
        ValueError: for shapes that do not fit, or numbers that are not finite.
    """

    means: Tensor
    log_weights: Tensor
    labels: Tensor | None

    def __init__(
        self, means: Tensor, weights: Tensor | None, path: Path, labels: Tensor | None
    ) -> None:
        super().__init__()
        check_type("means", means, Tensor, "a tensor (components, *shape of an item)")
        check_path(path)
        if means.ndim < 2 or len(means) == 0:
            raise ValueError(
                f"means: shape {tuple(means.shape)}; give (components, *shape of an item)"
            )
        if not bool(means.isfinite().all()):
            raise ValueError("means: hold NaN or infinite values; give finite ones")
        if labels is not None and labels.shape != means.shape[:1]:
            raise ValueError(
                f"labels: shape {tuple(labels.shape)} for {len(means)} components; give one each"
            )

        weights = torch.ones(len(means)) if weights is None else torch.as_tensor(weights)
        positive = bool(((weights > 0) & weights.isfinite()).all())
        if weights.shape != means.shape[:1] or not positive:
            some = weights.tolist()[:8]
            raise ValueError(
                f"weights: {some} for {len(means)} components; give one positive number each"
            )

        weights = weights.to(means.dtype)
        self.path = path
        self.shape = means.shape[1:]
        self.register_buffer("means", means.flatten(1))
        self.register_buffer("log_weights", (weights / weights.sum()).log())
        self.register_buffer("labels", labels)

    def forward(
        self, x_t: Tensor, t: Tensor | float | Level, condition: Tensor | None = None
    ) -> Prediction:
        """E[x0 | x_t] and E[eps | x_t].

        Args:
            x_t: states, (batch, *shape).
            t: one time, one per item, or a Level.
            condition: one label per item, -1 for none; None for all components.
        """
        flat = x_t.flatten(1)
        x0, eps = self._expect(flat, self.path.at(t, like=flat), condition)
        return Prediction.of(
            x0.reshape(x_t.shape), eps.reshape(x_t.shape), self.path.at(t, like=x_t)
        )

    def hidden(self, condition: Tensor) -> Tensor:
        """Rows that hide these conditions: -1."""
        return hidden_like(condition)

    def log_prob(
        self,
        x: Float[Tensor, "b *shape"],
        t: Tensor | float | Level | None = None,
        condition: Tensor | None = None,
    ) -> Float[Tensor, " b"]:
        """log p(x_t) in nats per item.

        Args:
            x: states, (batch, *shape).
            t: one time, one per item, or a Level; None for clean data.
            condition: one label per item, -1 for none; None for all components.
        """
        flat = x.flatten(1)
        level = self.path.clean if t is None else self.path.at(t, like=flat)
        return self._log_joint(flat, level, condition).logsumexp(1)

    def energy(
        self,
        x_t: Float[Tensor, "b *shape"],
        t: Tensor | float | Level,
        condition: Tensor | None = None,
    ) -> Float[Tensor, " b"]:
        """-log p(x_t) in nats per item, whose gradient is minus the score.

        Args:
            x_t: states, (batch, *shape).
            t: one time, one per item, or a Level.
            condition: one label per item, -1 for none; None for all components.
        """
        return -self.log_prob(x_t, t, condition)

    def class_log_prob(
        self, x_t: Float[Tensor, "b *shape"], t: Tensor | float | Level
    ) -> Float[Tensor, "b classes"]:
        """log p(y | x_t) in nats: the exact posterior of the label, 0 to the largest label.

        Args:
            x_t: states, (batch, *shape).
            t: one time, one per item, or a Level.

        Raises:
            ValueError: for a mixture without labels.
        """
        if self.labels is None:
            raise ValueError("labels: this mixture has none; give labels=, one per component")

        flat = x_t.flatten(1)
        joint = self._log_joint(flat, self.path.at(t, like=flat), None)

        classes = range(int(self.labels.max()) + 1)
        parts = [joint[:, self.labels == label].logsumexp(1) for label in classes]
        return torch.stack(parts, 1) - joint.logsumexp(1, keepdim=True)

    def sample(
        self,
        seeds: Sequence[int],
        t: float | Level | None = None,
        condition: Int[Tensor, " n"] | None = None,
    ) -> Float[Tensor, "n *shape"]:
        """Exact draws of x_t.

        Args:
            seeds: one integer per item; an item depends on its own seed alone.
            t: the time; None for clean data.
            condition: one label per item, -1 for none; None for all components.
        """
        noise = Noise(seeds, self.means.shape[1:], Stream.DATA)
        chosen = inverse_cdf(self._log_weights(condition), noise.uniform().to(self.means.device))
        like = self.means[chosen]
        x0 = like + self._deviation(chosen, noise.draw(like))

        level = self.path.clean if t is None else self.path.at(t)
        return level.mix(x0, noise.draw(like)).reshape(len(seeds), *self.shape)

    def _log_weights(self, condition: Tensor | None) -> Float[Tensor, "b k"]:
        """log p(k | condition), one row for all items or one each."""
        if condition is None:
            return self.log_weights[None]
        if self.labels is None:
            raise ValueError(
                "condition: this mixture has no labels; give labels=, one per component"
            )

        allowed = (condition[:, None] == self.labels) | (condition[:, None] < 0)
        if not bool(allowed.any(1).all()):
            known = self.labels.unique().tolist()
            raise ValueError(
                f"condition: {condition.tolist()[:8]}; give labels out of {known}, or -1 for none"
            )

        return self.log_weights.masked_fill(~allowed, -math.inf).log_softmax(1)

    @abstractmethod
    def _log_joint(self, x: Tensor, level: Level, condition: Tensor | None) -> Float[Tensor, "b k"]:
        """log p(k, x_t)."""

    @abstractmethod
    def _expect(self, x: Tensor, level: Level, condition: Tensor | None) -> tuple[Tensor, Tensor]:
        """E[x0 | x_t] and E[eps | x_t], flat."""

    @abstractmethod
    def _deviation(self, chosen: Tensor, noise: Tensor) -> Tensor:
        """C_k^(1/2) noise for the chosen components."""

    @abstractmethod
    def covariance(
        self, x_t: Tensor, t: Tensor | float | Level, condition: Tensor | None = None
    ) -> Float[Tensor, "b d d"]:
        """Cov[x0 | x_t], over flattened items.

        Args:
            x_t: states, (batch, *shape).
            t: one time, one per item, or a Level.
            condition: one label per item, -1 for none; None for all components.
        """
