r"""Tuning: the numbers of a sampler's plan, fitted to fine trajectories of the model itself.

The state at the end of a plan is a differentiable function of its numbers. For a given number of
evaluations the nodes lambda_i, a correction d of every weight, a correction rho of every state's
coefficient, and a shift tau of the level at which the network is evaluated are fitted by gradient.
With z = x/g of the v form (`flow_forms`), its time c, and W the weights of Adams-Bashforth at these
nodes,

    z_{i+1} = (1 + rho_i) z_i + sum_j (W_ij + d_ij (c_{i+1} - c_i)) F_j,
    F_j the slope at (x_j, lambda_j + tau_j).

The loss is the mean over items of log |x_N - x*|, x* the end of the fine trajectory: a
log-distance, so that the few items that end in another mode do not dominate. It is initialised at
`auto` (rho = d = tau = 0).

Learning the nodes of a sampler by gradient: Watson et al. 2021 (DDSS). Fitting a plan's numbers to
a fine teacher: Zhao et al. 2023 (DPM-Solver-v3) and Frankel et al. 2025 (S4S) do related things.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ..lookup import check_count
from ..process.grid import grid
from ..process.guide import check_consistent
from ..process.prediction import Predict
from .driver import sample
from .learnable_plan import LearnablePlan
from .loop import SamplingLoop
from .memory import named_memory_error
from .tuned_sampler import TunedSampler

_TEACHER_STEPS = 100
_WARM_UP = 20
_SMALLEST_SQUARED_ERROR = 1e-24


_LARGEST = {"steps": 1000, "iterations": 10_000_000, "batch": 1_000_000, "held_out": 1_000_000}
"""The largest counts; a plan of more steps has no use."""


@dataclass(frozen=True)
class TuningConfig:
    """How a sampler is tuned.

    Args:
        steps: evaluations of the sampler.
        iterations: steps of Adam.
        batch: items per step.
        held_out: how many items, the last ones, are kept for the validation error and not learned
            from.
        rate: learning rate for a plan of one evaluation; divided by the number of evaluations.
        end: what the last node of the grid is, see `process.grid`.
        seed: of the order in which items are drawn.

    Raises:
        ValueError: for a count that is no whole number from 1 to what a machine can hold, or a rate
            that is not positive.
    """

    steps: int
    iterations: int = 400
    batch: int = 32
    held_out: int = 64
    rate: float = 0.06
    end: str = "zero"
    seed: int = 0

    def __post_init__(self) -> None:
        for name, largest in _LARGEST.items():
            check_count(name, getattr(self, name), 1, largest)
        if not 0 < self.rate < math.inf:
            raise ValueError(f"rate={self.rate}; give a positive number")


def tune(
    predict: Predict,
    x_T: Float[Tensor, "n *shape"],
    config: TuningConfig,
    *,
    condition: Tensor | None = None,
    on_step: Callable[[int, int], None] | None = None,
) -> TunedSampler:
    """A sampler of a given number of evaluations, fitted to `predict` by gradient.

    Args:
        predict: the network, oracle or guided Predict; gradients flow through it, its weights are
            not changed.
        x_T: shape (n, *shape), initial noise of the items to learn from and of config.held_out
            items to validate with; a few hundred. Its seeds should be none of those that are
            sampled later.
        config: evaluations of the sampler, and how to tune it.
        condition: one per item of x_T; None for no condition.
        on_step: called with (iterations done, iterations in all).

    Returns:
        The sampler with the lowest validation error; the untuned one if none was better.

    Raises:
        ValueError: for a condition or items that do not fit, a predict that is not finite, or too
            little memory for a batch.
    """
    if condition is not None and len(condition) != len(x_T):
        raise ValueError(
            f"condition: {len(condition)} for {len(x_T)} items of x_T; give one per item"
        )
    check_consistent(predict, "tune")
    if len(x_T) <= config.held_out:
        raise ValueError(
            f"x_T: {len(x_T)} items, of which held_out={config.held_out}; give more, "
            f"e.g. {config.held_out + 256}"
        )

    with torch.inference_mode(False), torch.enable_grad():  # whatever the caller has switched off
        plan = LearnablePlan(predict.path, config.steps, config.end, x_T.shape[1:].numel())
        problem = _Problem.of(predict, x_T.clone(), condition, config)
        before = problem.validation_error(plan)
        if not math.isfinite(before):
            raise ValueError(
                "predict: NaN or infinite numbers on the way from noise to samples; take other "
                "weights (best, ema, last) or a smaller scale of the guide, or train again with a "
                "smaller learning_rate"
            )

        best, after = plan.numbers(), before
        problem.fit(plan, on_step)
        tuned = problem.validation_error(plan)
        if tuned < before:
            best, after = plan.numbers(), tuned
    return TunedSampler(*best, before, after)


@dataclass(frozen=True, eq=False)
class _Problem:
    """Initial noise with the ends of its fine trajectories; the last `held_out` items validate."""

    predict: Predict
    x_T: Tensor
    truth: Tensor
    condition: Tensor | None
    config: TuningConfig

    @classmethod
    def of(
        cls,
        predict: Predict,
        x_T: Tensor,
        condition: Tensor | None,
        config: TuningConfig,
    ) -> _Problem:
        """With the ends that `auto` reaches on a fine grid, batch by batch."""
        teacher = grid(predict.path, _TEACHER_STEPS, "angle", config.end, x_T.shape[1:].numel())
        groups = [None] * len(x_T) if condition is None else condition.split(config.batch)
        parts = zip(x_T.split(config.batch), groups, strict=False)
        ends = [
            sample(predict, part, teacher, solver="auto", condition=group) for part, group in parts
        ]
        return cls(predict, x_T, torch.cat(ends), condition, config)

    def errors(self, plan: LearnablePlan, which: Tensor | slice, grad: bool) -> Float[Tensor, " n"]:
        """The root mean squared error of each of these items at the end of the plan."""
        levels, updates = plan()
        condition = None if self.condition is None else self.condition[which]
        loop = SamplingLoop(self.predict, self.x_T[which], levels[0], condition)

        squared = (loop.run(updates, grad) - self.truth[which]).double().square()
        return (squared.flatten(1).mean(1) + _SMALLEST_SQUARED_ERROR).sqrt()

    def validation_error(self, plan: LearnablePlan) -> float:
        """The median error of the held-out items."""
        with torch.no_grad():
            held_out = torch.arange(self._learned, len(self.x_T)).split(self.config.batch)
            errors = [self.errors(plan, which, grad=False) for which in held_out]
            return torch.cat(errors).median().item()

    @property
    def _learned(self) -> int:
        return len(self.x_T) - self.config.held_out

    def fit(self, plan: LearnablePlan, on_step: Callable[[int, int], None] | None) -> None:
        """Adam on the mean log error of random batches; the rate rises, then falls to 0."""
        config = self.config
        generator = torch.Generator().manual_seed(config.seed)
        optimizer = torch.optim.Adam(plan.parameters(), config.rate / len(plan.log_gaps))
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda i: _rate_factor(i, config.iterations)
        )

        for i in range(config.iterations):
            count = min(config.batch, self._learned)
            which = torch.randint(self._learned, (count,), generator=generator)
            self._set_gradients(plan, which)
            nn.utils.clip_grad_norm_(plan.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            if on_step is not None:
                on_step(i + 1, config.iterations)

    def _set_gradients(self, plan: LearnablePlan, which: Tensor) -> None:
        """The gradient of the loss by the numbers of the plan, not by the network's weights."""
        evaluations = f"{len(plan.log_gaps)} evaluations with gradient"
        with named_memory_error(
            f"batch={len(which)}: too little memory for {evaluations}", "halve it"
        ):
            loss = self.errors(plan, which, grad=True).log().mean()
            gradients = torch.autograd.grad(loss, list(plan.parameters()), allow_unused=True)

        for parameter, gradient in zip(plan.parameters(), gradients, strict=True):
            parameter.grad = gradient


def _rate_factor(i: int, iterations: int) -> float:
    """Linear warm-up, then a cosine to 0."""
    warm_up = min(1.0, (i + 1) / _WARM_UP)
    return warm_up * (1 + math.cos(math.pi * i / iterations)) / 2
