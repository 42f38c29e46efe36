r"""Measurements: what is known of items, y = A(x0) + noise.

A batch holds one measurement per item, and each may have its own y, mask, matrix or noise.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from ..data.spec import DataSpec
from ..lookup import check_type
from ..process.noise import item_seeds
from .likelihoods import GaussianNoise, NoiseModel, noise_model
from .operators.base import Index, LinearOperator, Operator, on_device
from .operators.combined import AffineInput, ComposedOperator
from .operators.decoded import DecodedInput
from .operators.pointwise import Scaled
from .possible import check_law, check_possible, check_real, checked_values


@dataclass(frozen=True, eq=False)
class Measurement:
    """Measurements of a batch of items.

    Args:
        operator: A, for all items or one per item.
        y: what was measured, (b, *measured). What the operator does not observe may be anything,
            also NaN, and becomes 0.
        noise: the standard deviation of Gaussian noise (a number, (*measured), (b, 1, ...) or
            (b, *measured)), or a NoiseModel.

    Raises:
        ValueError: for a y of another shape or one that is not finite, an adjoint that is wrong,
            noise that is none, and a y without noise that no item has.
    """

    operator: Operator
    y: Shaped[Tensor, "b *measured"]
    noise: float | Tensor | NoiseModel

    def __post_init__(self) -> None:
        check_type("operator", self.operator, Operator, "an Operator, e.g. Mask(known)")
        check_type("y", self.y, Tensor, "a tensor (items, *measured)")
        object.__setattr__(self, "noise", self.likelihood)
        object.__setattr__(self, "y", checked_values(self.operator, self.y))
        check_possible(self.operator, self.y, self.likelihood)

    @property
    def likelihood(self) -> NoiseModel:
        """The density of y given A(x0)."""
        return noise_model(self.noise)

    @property
    def variance(self) -> Float[Tensor, "*any"]:
        """The variance of Gaussian noise; it broadcasts against y.

        Raises:
            ValueError: for noise of another kind.
        """
        likelihood = self.likelihood
        if not isinstance(likelihood, GaussianNoise):
            raise ValueError(
                f"noise: {type(likelihood).__name__}, and this method is for Gaussian noise; "
                "take dps, daps_chain, fk or tds"
            )
        return likelihood.variance(self.y)

    @property
    def linear(self) -> LinearOperator:
        """The operator, where it is linear.

        Raises:
            ValueError: for another.
        """
        if isinstance(self.operator, LinearOperator):
            return self.operator

        raw = self.operator.operator if isinstance(self.operator, AffineInput) else self.operator
        if isinstance(raw, LinearOperator):
            _ = (
                self.variance
            )  # it is affine in model space: noise of another kind, which is refused
        name = f"operator {type(raw).__name__}"
        if isinstance(raw, DecodedInput):
            name = f"operator {type(raw.operator).__name__} of decoded latents"
        raise ValueError(
            f"{name}: is not linear, and this method needs the adjoint; take dps, daps_chain, fk "
            "or tds"
        )

    def check(self, gaussian: bool = True) -> None:
        """Refuse a measurement that is not by a linear operator.

        Args:
            gaussian: whether noise other than Gaussian is refused as well.

        Raises:
            ValueError: for an operator that is not linear, and noise of another kind.
        """
        _ = self.linear
        if gaussian:
            _ = self.variance

    @property
    def observed(self) -> Tensor | None:
        """Which numbers of y were measured at all; None for all."""
        found: Tensor | None = getattr(self.operator, "observed", None)
        return found

    @property
    def fingerprint(self) -> str:
        """A hash of the operator."""
        return self.operator.fingerprint

    def __len__(self) -> int:
        return len(self.y)

    def residual(self, x0: Float[Tensor, "b *shape"]) -> Float[Tensor, "b *measured"]:
        """y - A(x0)."""
        return self.y.to(x0) - self.operator(x0)

    def log_likelihood(self, x0: Float[Tensor, "b *shape"]) -> Float[Tensor, " b"]:
        """log p(y | x0) in nats per item, differentiable in x0."""
        return self.likelihood.log_prob(self.y.to(x0), self.operator(x0), self.observed)

    def rows(self, index: Index) -> Measurement:
        """The measurements of these items.

        Args:
            index: a slice, or numbers of items, which may repeat.
        """
        likelihood = self.likelihood.rows(index, self.y.ndim)
        return self._with(self.operator.rows(index), self.y[index], likelihood)

    def repeat(self, count: int) -> Measurement:
        """Each measurement `count` times in a row, for as many particles or draws of each."""
        return self.rows(torch.arange(len(self)).repeat_interleave(count))

    def to(self, like: Tensor) -> Measurement:
        """On the device of `like`, with y in its precision."""
        operator = on_device(self.operator, like.device)
        likelihood = on_device(self.likelihood, like.device)
        return self._with(operator, self.y.to(like), likelihood)

    def in_model_space(self, spec: DataSpec) -> Measurement:
        """The same of items in model space, x = (raw - centre) / half.

        With Gaussian noise a linear A becomes A half, and y becomes y - A centre. Any other A is
        evaluated at centre + half x. The noise is as it was.

        Args:
            spec: what the raw items are.

        Raises:
            ValueError: for items of another shape, and a y without noise that is beyond what items
                of a range by law can have.
        """
        check_law(self.operator, self.y, self.likelihood, spec)
        centre, half = (each.expand(spec.shape) for each in spec.affine())
        if not isinstance(self.operator, LinearOperator) or not isinstance(
            self.likelihood, GaussianNoise
        ):
            return self._with(AffineInput(self.operator, centre, half), self.y, self.likelihood)

        y = self.y.double() - self.operator(centre.expand(len(self), *spec.shape).to(self.y.device))
        operator = ComposedOperator(self.operator, Scaled(half, tuple(spec.shape)))
        return self._with(operator, y, self.likelihood)

    def in_latent_space(
        self, spec: DataSpec, decode: Callable[[Tensor], Tensor], shape: Sequence[int]
    ) -> Measurement:
        """The same of latents u: y = A(D(u)) + noise.

        Args:
            spec: what the raw items are.
            decode: D, from latents to raw items.
            shape: of a latent.

        Raises:
            ValueError: as `in_model_space`.
        """
        check_law(self.operator, self.y, self.likelihood, spec)
        operator = DecodedInput(self.operator, decode, tuple(shape))
        return self._with(operator, self.y, self.likelihood)

    def _with(self, operator: Operator, y: Tensor, likelihood: NoiseModel) -> Measurement:
        """Another one, of parts that were checked before."""
        made: Measurement = object.__new__(Measurement)
        for name, value in (("operator", operator), ("y", y), ("noise", likelihood)):
            object.__setattr__(made, name, value)
        return made


def measure(
    operator: Operator,
    x0: Shaped[Tensor, "b *shape"],
    noise: float | Tensor | NoiseModel = 0.0,
    seeds: Sequence[int] | None = None,
) -> Measurement:
    """Measurements of given items, y = A(x0) + noise.

    Args:
        operator: A.
        x0: items.
        noise: a standard deviation, or a NoiseModel.
        seeds: one integer per item, for the noise; None for 0, 1, 2, ...

    Raises:
        ValueError: for items of another shape, or that are not finite, another number of seeds,
            and noise that is none.
    """
    if tuple(x0.shape[1:]) != tuple(operator.shape):
        raise ValueError(
            f"x0: shape {tuple(x0.shape)}, and the operator is for items of shape "
            f"{tuple(operator.shape)}"
        )
    check_real("x0", x0)
    if not bool(x0.isfinite().all()):
        raise ValueError("x0: holds NaN or infinite numbers; give finite items")

    likelihood = noise_model(noise)
    clean = operator(x0 if x0.is_floating_point() else x0.float())
    y = likelihood.draw(clean, item_seeds(seeds, len(x0)))
    return Measurement(operator, y, likelihood)
