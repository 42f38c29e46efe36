r"""A density multiplied by a weight: rewards, constraints, classifiers.

    score' = score + w grad log_weight        eps' = eps - sigma w grad log_weight
                                              x0'  = x0 + (sigma^2/alpha) w grad log_weight

The gradient is always that in x_t, at x_t itself. The log-weight is evaluated

- `at="x_t"`: at the noisy state. The result is the score of p(x0) weight(x0), noised, if
  log_weight(x_t, level) = log E[weight(x0) | x_t], as the posterior p(y | x_t) of a class is
  (Dhariwal & Nichol 2021; Luo 2022, eq. 166). Dhariwal & Nichol take the gradient at the mean of
  the reverse step, which is the same as their steps become small.
- `at="x0"`: at the predicted x0(x_t) = E[x0 | x_t], and the gradient goes through the network
  (universal guidance, Bansal et al. 2023; Chung et al. 2022). log weight(E[x0 | x_t]) stands for
  log E[weight(x0) | x_t]: exact for a weight exp(a . x0) of Gaussian data, and at the clean end;
  elsewhere an approximation.

Both are the derivative of an energy, E - w log_weight, where the base has one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from ..lookup import pick
from ..process.guide import Guided
from ..process.path import Level, Path
from ..process.prediction import Predict, Prediction, energy_of
from .scale import check_guidance_scale

LogWeight = Callable[[Tensor, Level, Tensor | None], Tensor]
"""(x, level, condition) -> log weight of each item, (b,), by operations that are differentiable in
x. An item's weight must depend on that item alone."""

_PLACES = ("x_t", "x0")


@dataclass(frozen=True, eq=False)
class Tilt:
    """The guide of a log-weight: score + scale grad log_weight (see the module).

    `Tilt(log_weight)(predict)` is the guided Predict. It costs one evaluation of the base and the
    gradient of the weight; at="x0" that gradient passes back through the network.

    Args:
        log_weight: (x, level, condition) -> (b,).
        scale: w of the formula; 0 is the base.
        at: "x_t", or "x0" for the predicted x0.

    Raises:
        ValueError: for a scale that is no finite number, or another place.
    """

    log_weight: LogWeight
    scale: float = 1.0
    at: str = "x_t"

    def __post_init__(self) -> None:
        check_guidance_scale(self.scale, neutral="0 is the base")
        pick("place", self.at, dict.fromkeys(_PLACES))

    def __call__(self, base: Predict) -> Guided:
        """The guided Predict of `base`."""
        return Guided(base, self)

    def predict(
        self, base: Predict, x_t: Tensor, t: Tensor | float | Level, condition: Tensor | None
    ) -> Prediction:
        """The guided Prediction at (x_t, t, condition).

        Raises:
            ValueError: for a log-weight of another shape, without a gradient, or one whose gradient
                is not finite.
        """
        if self.scale == 0:
            return base(x_t, t, condition)

        if self.at == "x_t":
            slope = gradient(self.log_weight, base.path, x_t, t, condition)
            return shifted(base(x_t, t, condition), self.scale, slope)

        found: list[Prediction] = []

        def of_prediction(x: Tensor, level: Level, given: Tensor | None) -> Tensor:
            found.append(base(x, level, given))
            return self.log_weight(found[-1].x0, level, given)

        slope = gradient(of_prediction, base.path, x_t, t, condition)
        return shifted(_without_graph(found[-1], x_t), self.scale, slope)

    def energy(
        self,
        base: Predict,
        x_t: Float[Tensor, "b *shape"],
        t: Tensor | float | Level,
        condition: Tensor | None = None,
    ) -> Float[Tensor, " b"]:
        """The energy whose score is the guided one, E - scale log_weight.

        Args:
            base: the Predict that is guided; it must have an energy.
            x_t: shape (b, *shape).
            t: one time, one per item, or a Level.
            condition: passed to the base and to the log-weight.

        Raises:
            ValueError: for a base that has no energy.
        """
        energy = energy_of(base, x_t, t, condition)
        if self.scale == 0:
            return energy

        level = base.path.at(t, like=x_t)
        x = x_t if self.at == "x_t" else base(x_t, level, condition).x0
        return energy - self.scale * self.log_weight(x, level, condition)


def tilt(predict: Predict, log_weight: LogWeight, scale: float = 1.0, at: str = "x_t") -> Guided:
    """A Predict of the density times a weight: score + scale grad log_weight (see the module).

    Args:
        predict: the Predict of the density.
        log_weight: (x, level, condition) -> the logarithm of each item's weight, (b,); x is x_t, or
            the predicted x0.
        scale: what the log-weight is multiplied by; 0 is `predict`.
        at: where the log-weight is evaluated, "x_t" or "x0"; the gradient is in x_t either way.

    Raises:
        ValueError: for a scale that is no finite number, or another place.
    """
    return Tilt(log_weight, scale, at)(predict)


def shifted(prediction: Prediction, scale: float, slope: Tensor) -> Prediction:
    """The Prediction whose score is that of `prediction` plus scale · slope.

    Args:
        prediction: of the base.
        scale: w.
        slope: the gradient of the log-weight in x_t, like x_t.

    Raises:
        ValueError: at a Level without signal, where the shift of x0 is not determined.
    """
    level = prediction.level
    alpha = torch.as_tensor(level.alpha)
    if alpha.device.type == "cpu" and not bool((alpha > 0).all()):
        raise ValueError(
            "t: no signal is left, and the gradient of a weight does not say how x0 moves; use a "
            "path with a finite end, or start below t = 1"
        )

    change = scale * slope
    x0 = prediction.x0 + level.sigma * (level.sigma / level.alpha) * change
    eps = prediction.eps - level.sigma * change

    return replace(Prediction.of(x0, eps, level), variance_fraction=prediction.variance_fraction)


def gradient(
    log_weight: LogWeight,
    path: Path,
    x_t: Float[Tensor, "b *shape"],
    t: Tensor | float | Level,
    condition: Tensor | None,
) -> Float[Tensor, "b *shape"]:
    """The gradient of the log-weight in x_t, at x_t, in any grad mode of the caller.

    Where the caller records gradients it can be differentiated again.

    Args:
        log_weight: (x, level, condition) -> (b,).
        path: the forward process of x_t.
        x_t: states.
        t: one time, one per item, or a Level.
        condition: passed to the log-weight.

    Raises:
        ValueError: for a log-weight of another shape, without a gradient, or one whose gradient is
            not finite.
    """
    again = torch.is_grad_enabled()
    with torch.inference_mode(False), torch.enable_grad():
        x = x_t if again and x_t.requires_grad else x_t.clone().detach().requires_grad_()
        level = path.at(_recorded(t), like=x)
        given = None if condition is None else condition.clone()

        value = log_weight(x, level, given)
        if value.shape != x.shape[:1]:
            raise ValueError(
                f"log_weight: returned shape {tuple(value.shape)} for {len(x)} items; return one "
                "number per item"
            )

        if not value.requires_grad:
            raise ValueError(
                "log_weight: its value has no gradient; compute it from x by operations of torch, "
                "without detach or no_grad"
            )

        (slope,) = torch.autograd.grad(value.sum(), x, create_graph=again)

    # On an accelerator the check would wait for it; samples are checked at the end.
    if slope.device.type == "cpu" and not bool(slope.isfinite().all()):
        broken = int((~slope.isfinite()).flatten(1).any(1).sum())
        raise ValueError(
            f"log_weight: its gradient is NaN or infinite for {broken} of {len(x)} items at "
            f"log-SNR {float(level.log_snr_per_item(x)[0]):.3g}; give a weight that is positive "
            "and smooth, or a smaller scale"
        )

    return slope


def _recorded(t: Tensor | float | Level) -> Tensor | float | Level:
    """The time as autograd may record it: tensors of inference mode are copied."""
    time = t.t if isinstance(t, Level) else t
    if not isinstance(time, Tensor) or not time.is_inference():
        return t
    return replace(t, t=time.clone()) if isinstance(t, Level) else time.clone()


def _without_graph(prediction: Prediction, x_t: Tensor) -> Prediction:
    """The prediction without its graph, where the caller records none."""
    if torch.is_grad_enabled():
        return prediction
    pair = Prediction.of(prediction.x0.detach(), prediction.eps.detach(), prediction.level)
    fraction = prediction.variance_fraction
    return replace(pair, variance_fraction=None if fraction is None else fraction.detach())
