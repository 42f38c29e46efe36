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
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import pad

from ..process.grid import Grid, grid
from ..process.path import Level, Path
from ..process.prediction import Predict
from .auto import AUTO_FORM, MAX_ORDER, auto_rules
from .driver import SamplingLoop, sample
from .flow_forms import LambdaNodes
from .multistep import predictor_corrector_weights
from .solver import Update
from .tuned_sampler import TunedSampler

_TEACHER_STEPS = 100
_WARM_UP = 20
_SMALLEST_GAP = 1e-6
_SMALLEST_SQUARED_ERROR = 1e-24


@dataclass(frozen=True)
class TuningConfig:
    """How a sampler is tuned.

    Args:
        iterations: steps of Adam.
        batch: items per step.
        held_out: how many items, the last ones, are kept for the validation error and not learned
            from.
        rate: learning rate for a plan of one evaluation; divided by the number of evaluations.
        end: what the last node of the grid is, see `process.grid`.
        seed: of the order in which items are drawn.

    Raises:
        ValueError: for a count that is no positive whole number, or a rate that is not positive.
    """

    iterations: int = 400
    batch: int = 32
    held_out: int = 64
    rate: float = 0.06
    end: str = "zero"
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("iterations", "batch", "held_out"):
            value = getattr(self, name)
            if value < 1 or value != int(value):
                raise ValueError(f"{name}={value}; give a positive number, a whole one")
        if not 0 < self.rate < math.inf:
            raise ValueError(f"rate={self.rate}; give a positive number")


class LearnablePlan(nn.Module):
    """The numbers of a plan as parameters, initialised at `auto`.

    Args:
        path: the path that is sampled.
        steps: number of steps.
        end: what the last node is, see `process.grid`.
    """

    def __init__(self, path: Path, steps: int, end: str = "zero") -> None:
        super().__init__()
        levels = grid(path, steps, "angle", end).levels
        lam = LambdaNodes.of(levels).lam
        self.path = path
        self.last_level = levels[-1]
        self.last_lam = lam[-1].item()

        # All nodes but the last lie between t = 1 and t = 0; the last, clean data, may be beyond.
        self.lowest = lam[0].item()
        self.highest = min(path.schedule.ends[0] / 2, self.last_lam)
        inside = torch.cat([lam[:-1], lam.new_tensor([self.highest])])

        self.log_gaps = nn.Parameter(inside.diff().clamp(min=_SMALLEST_GAP).log())
        self.weight_correction = nn.Parameter(lam.new_zeros(steps, MAX_ORDER + 1))
        self.state_correction = nn.Parameter(lam.new_zeros(steps))
        self.condition_shift = nn.Parameter(lam.new_zeros(steps - 1))

    def forward(self) -> tuple[list[Level], list[Update]]:
        """The Levels of the nodes, and the updates, all differentiable."""
        lam = self._nodes()
        nodes = [self._level(each) for each in lam.unbind()]
        shifted = (lam[1:-1] + self.condition_shift).clamp(self.lowest, self.highest)
        evaluated = [nodes[0], *(self._level(each) for each in shifted.unbind()), self.last_level]
        weights = self._weights(LambdaNodes(tuple(nodes), lam))

        updates = []
        for i, (here, to) in enumerate(pairwise(nodes)):
            g = AUTO_FORM.scale(to)
            updates.append(
                Update(
                    evaluated[i + 1],
                    state=g / AUTO_FORM.scale(here) * (1 + self.state_correction[i]),
                    store=(AUTO_FORM.slope(evaluated[i]),),
                    history_weights=tuple(g * weight for weight in weights[i, : i + 1].unbind()),
                )
            )
        return nodes, updates

    def _nodes(self) -> Float[Tensor, " n"]:
        """lambda of the nodes, in rising order."""
        fractions = pad(self.log_gaps.softmax(0).cumsum(0), (1, 0))
        inside = self.lowest + (self.highest - self.lowest) * fractions
        return torch.cat([inside[:-1], inside.new_tensor([self.last_lam])])

    def _weights(self, nodes: LambdaNodes) -> Float[Tensor, "steps count"]:
        """Those of `auto` at these nodes, with their corrections."""
        weights = predictor_corrector_weights(nodes, *auto_rules(len(self.log_gaps)))
        dc = AUTO_FORM.time(nodes.lam).diff()[:, None]
        return pad(weights, (0, MAX_ORDER + 1 - weights.shape[1])) + self.weight_correction * dc

    def _level(self, lam: Tensor) -> Level:
        """The Level of this lambda; its time is differentiable too, for targets that use it."""
        log_snr = 2 * lam.detach()
        schedule = self.path.schedule
        t = schedule.inverse(log_snr).clamp(0, 1)

        # What is added is zero, and its gradient that of the schedule's inverse.
        t = t + (2 * lam - log_snr) / schedule.slope(t).detach()
        return Level(self.path, t, 2 * lam, torch.float64)

    @torch.no_grad()
    def numbers(self) -> tuple[Grid, tuple[Update, ...]]:
        """The grid of the nodes and the updates, as floats."""
        nodes, updates = self()
        levels = (*self._on_floats(nodes[:-1]), self.last_level)
        evaluated = (*self._on_floats([update.to for update in updates[:-1]]), self.last_level)

        plan = (_on_floats(update, to) for update, to in zip(updates, evaluated, strict=True))
        return Grid(levels), tuple(plan)

    def _on_floats(self, levels: Sequence[Level]) -> tuple[Level, ...]:
        return self.path.levels([float(level.t) for level in levels])


def _on_floats(update: Update, to: Level) -> Update:
    """The update to this Level with floats for its coefficients."""
    return Update(
        to,
        state=float(update.state),
        store=tuple((float(a), float(b)) for a, b in update.store),
        history_weights=tuple(float(weight) for weight in update.history_weights),
    )


def tune(
    predict: Predict,
    x_T: Float[Tensor, "n *shape"],
    steps: int,
    *,
    condition: Tensor | None = None,
    config: TuningConfig | None = None,
    on_step: Callable[[int, int], None] | None = None,
) -> TunedSampler:
    """A sampler of this many evaluations, fitted to `predict` by gradient.

    Args:
        predict: the network, oracle or guided Predict; gradients flow through it, its weights are
            not changed.
        x_T: shape (n, *shape), initial noise of the items to learn from and of config.held_out
            items to validate with; a few hundred. Its seeds should be none of those that are
            sampled later.
        steps: evaluations of the sampler.
        condition: one per item of x_T; None for no condition.
        config: how to tune; None means TuningConfig().
        on_step: called with (iterations done, iterations in all).

    Returns:
        The sampler with the lowest validation error; the untuned one if none was better.

    Raises:
        ValueError: for steps below 1, a condition or items that do not fit, a predict that is not
            finite, or too little memory for a batch.
    """
    config = config or TuningConfig()
    if condition is not None and len(condition) != len(x_T):
        raise ValueError(
            f"condition: {len(condition)} for {len(x_T)} items of x_T; give one per item"
        )
    if len(x_T) <= config.held_out:
        raise ValueError(
            f"x_T: {len(x_T)} items, of which held_out={config.held_out}; give more, "
            f"e.g. {config.held_out + 256}"
        )

    with torch.inference_mode(False), torch.enable_grad():  # whatever the caller has switched off
        plan = LearnablePlan(predict.path, steps, config.end)
        problem = _Problem.of(predict, x_T.clone(), condition, config)
        before = problem.validation_error(plan)
        if not math.isfinite(before):
            raise ValueError("predict: not finite on the way; look for NaN in the network")

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
        teacher = grid(predict.path, _TEACHER_STEPS, "angle", config.end)
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
        try:
            loss = self.errors(plan, which, grad=True).log().mean()
            gradients = torch.autograd.grad(loss, list(plan.parameters()), allow_unused=True)
        except RuntimeError as error:
            if not any(words in str(error) for words in ("out of memory", "allocate memory")):
                raise
            raise ValueError(
                f"batch={len(which)}: too little memory for {len(plan.log_gaps)} evaluations with "
                "gradient; halve it"
            ) from error

        for parameter, gradient in zip(plan.parameters(), gradients, strict=True):
            parameter.grad = gradient


def _rate_factor(i: int, iterations: int) -> float:
    """Linear warm-up, then a cosine to 0."""
    warm_up = min(1.0, (i + 1) / _WARM_UP)
    return warm_up * (1 + math.cos(math.pi * i / iterations)) / 2
