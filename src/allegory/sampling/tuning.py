r"""Samplers tuned to a model: the numbers of a plan, learned from the model's own fine trajectories.

A plan is numbers, and the state at its end is a differentiable function of them. So for a given number of evaluations,
the nodes y_i (half log-SNR), a correction of every weight, and the level that the network is *told* at every node are
fitted by gradient: with z = x/g of the v form (`multistep`), clock c and W the weights of Adams-Bashforth at these nodes,

    z_{i+1} = (1 + rho_i) z_i + sum_j (W_ij + d_ij (c_{i+1} - c_i)) F_j,     F_j = the v row at (x_j, told y_j + tau_j).

Of starting points with known ends x* the mean of log |x_N - x*| is minimised: the error of the typical item, which a few
items that end in another mode do not outvote. With rho = d = tau = 0 it is `auto`, where the descent begins.

The idea of learning the nodes of a sampler by gradient: Watson et al. 2021 (DDSS); of a plan's numbers against a fine
teacher: Zhao et al. 2023 (DPM-Solver-v3) and Frankel et al. 2025 (S4S) have relatives.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ..process.grid import Grid, grid
from ..process.path import Level, Path
from ..process.prediction import Predict
from .auto import FORM, MOST, rules
from .driver import SamplingLoop, sample
from .multistep import Nodes, merged
from .solver import Update
from .tuned_sampler import TunedSampler

FINE = 100


@dataclass(frozen=True)
class TuningConfig:
    """How a sampler is tuned.

    Args:
        iterations: steps of Adam.
        batch: items per step.
        held_out: how many items, the last ones, are kept for the validation error and not learned from.
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
    """The numbers of a plan as parameters."""

    def __init__(self, path: Path, steps: int, end: str = "zero") -> None:
        super().__init__()
        levels = grid(path, steps, "angle", end).levels
        half = Nodes.of(levels).half
        self.path, self.last, self.end = path, levels[-1], half[-1].item()
        # All nodes but the last lie between t = 1 and t = 0, however far the last, clean data, lies beyond.
        self.low, self.high = half[0].item(), min(path.schedule.ends[0] / 2, self.end)
        inside = torch.cat([half[:-1], half.new_tensor([self.high])])
        self.gaps = nn.Parameter(inside.diff().clamp(min=1e-6).log())
        self.bend = nn.Parameter(half.new_zeros(steps, MOST + 1))
        self.scale = nn.Parameter(half.new_zeros(steps))
        self.told = nn.Parameter(half.new_zeros(steps - 1))

    def forward(self) -> tuple[list[Level], list[Update]]:
        """The Levels of the nodes, and moves between those that the network is told, all differentiable."""
        share = nn.functional.pad(self.gaps.softmax(0).cumsum(0), (1, 0))
        inside = self.low + (self.high - self.low) * share
        half = torch.cat([inside[:-1], inside.new_tensor([self.end])])
        true = [self._level(y) for y in half.unbind()]
        told = (half[1:-1] + self.told).clamp(self.low, self.high)
        asked = [true[0], *(self._level(y) for y in told.unbind()), self.last]
        weights = merged(Nodes(tuple(true), half), *rules(len(self.gaps)))
        weights = (
            nn.functional.pad(weights, (0, MOST + 1 - weights.shape[1]))
            + self.bend * FORM.clock(half).diff()[:, None]
        )
        moves = []
        for i, (here, to) in enumerate(pairwise(true)):
            g = FORM.gauge(to)
            kept = tuple(g * w for w in weights[i, : i + 1].unbind())
            state = g / FORM.gauge(here) * (1 + self.scale[i])
            moves.append(
                Update(asked[i + 1], state=state, store=(FORM.row(asked[i]),), history_weights=kept)
            )
        return true, moves

    def _level(self, half: Tensor) -> Level:
        """The Level of this half log-SNR, whose time follows it: some rows and networks ask for the time."""
        log_snr = 2 * half.detach()
        t = self.path.schedule.inverse(log_snr).clamp(0, 1)
        t = (
            t + (2 * half - log_snr) / self.path.schedule.slope(t).detach()
        )  # the first part is zero, its gradient is not
        return Level(self.path, t, 2 * half, torch.float64)

    @torch.no_grad()
    def numbers(self) -> tuple[Grid, tuple[Update, ...]]:
        """The same as floats."""
        true, moves = self()
        levels = [*self._floats(true[:-1]), self.last]
        asked = [*self._floats([move.to for move in moves[:-1]]), self.last]
        return Grid(tuple(levels)), tuple(
            _plain(move, to) for move, to in zip(moves, asked, strict=True)
        )

    def _floats(self, levels: Sequence[Level]) -> tuple[Level, ...]:
        return self.path.levels([float(level.t) for level in levels])


def _plain(move: Update, to: Level) -> Update:
    keep = tuple((float(a), float(b)) for a, b in move.store)
    return Update(
        to,
        state=float(move.state),
        store=keep,
        history_weights=tuple(float(w) for w in move.history_weights),
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
        predict: the network, oracle or guided Predict; gradients flow through it, its weights are not changed.
        x_T: shape (n, *shape), initial noise of the items to learn from and of config.held_out items to validate with;
            a few hundred. Its seeds should be none of those that are sampled later.
        steps: evaluations of the sampler.
        condition: one per item of x_T; None for no condition.
        config: how to tune; None means TuningConfig().
        on_step: called with (iterations done, iterations in all).

    Returns:
        The sampler with the lowest validation error; the untuned one if none was better.

    Raises:
        ValueError: for steps below 1, a condition or items that do not fit, a predict that is not finite, or too
            little memory for a batch.
    """
    config = config or TuningConfig()
    if condition is not None and len(condition) != len(x_T):
        raise ValueError(
            f"condition: {len(condition)} for {len(x_T)} items of x_T; give one per item"
        )
    if len(x_T) <= config.held_out:
        raise ValueError(
            f"x_T: {len(x_T)} items, of which held_out={config.held_out}; give more, e.g. {config.held_out + 256}"
        )

    with torch.inference_mode(False), torch.enable_grad():  # whatever the caller has switched off
        plan = LearnablePlan(predict.path, steps, config.end)
        problem = _Problem.of(predict, x_T.clone(), condition, config)
        before = problem.judge(plan)
        if not math.isfinite(before):
            raise ValueError("predict: not finite on the way; look for NaN in the network")

        best, after = plan.numbers(), before
        problem.descend(plan, on_step)
        tuned = problem.judge(plan)
        if tuned < before:
            best, after = plan.numbers(), tuned
    return TunedSampler(*best, before, after)


@dataclass(frozen=True, eq=False)
class _Problem:
    """Starting points with their ends; the last `held_out` of them judge."""

    predict: Predict
    x: Tensor
    truth: Tensor
    condition: Tensor | None
    config: TuningConfig

    @classmethod
    def of(
        cls,
        predict: Predict,
        x: Tensor,
        condition: Tensor | None,
        config: TuningConfig,
    ) -> _Problem:
        """With the ends that `auto` reaches on a fine grid, batch by batch."""
        teacher = grid(predict.path, FINE, "angle", config.end)
        groups = [None] * len(x) if condition is None else condition.split(config.batch)
        parts = zip(x.split(config.batch), groups, strict=False)
        ends = [
            sample(predict, part, teacher, solver="auto", condition=group) for part, group in parts
        ]
        return cls(predict, x, torch.cat(ends), condition, config)

    def errors(self, plan: LearnablePlan, which: Tensor | slice, grad: bool) -> Float[Tensor, " n"]:
        """RMSE of each of these items at the end of the plan."""
        levels, moves = plan()
        condition = None if self.condition is None else self.condition[which]
        end = SamplingLoop(self.predict, self.x[which], levels[0], condition).run(moves, grad)
        return ((end - self.truth[which]).double().square().flatten(1).mean(1) + 1e-24).sqrt()

    def judge(self, plan: LearnablePlan) -> float:
        """The median error of the held-out items."""
        with torch.no_grad():
            held_out = torch.arange(self._learned, len(self.x)).split(self.config.batch)
            return (
                torch.cat([self.errors(plan, which, grad=False) for which in held_out])
                .median()
                .item()
            )

    @property
    def _learned(self) -> int:
        return len(self.x) - self.config.held_out

    def descend(self, plan: LearnablePlan, on_step: Callable[[int, int], None] | None) -> None:
        """Adam on the mean log error of random batches; the rate rises, then falls to nothing."""
        config = self.config
        generator = torch.Generator().manual_seed(config.seed)
        optimizer = torch.optim.Adam(plan.parameters(), config.rate / len(plan.gaps))
        rate = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda i: _share(i, config.iterations))
        for i in range(config.iterations):
            count = min(config.batch, self._learned)
            which = torch.randint(self._learned, (count,), generator=generator)
            self._slope(plan, which)
            nn.utils.clip_grad_norm_(plan.parameters(), 1.0)
            optimizer.step()
            rate.step()
            if on_step is not None:
                on_step(i + 1, config.iterations)

    def _slope(self, plan: LearnablePlan, which: Tensor) -> None:
        """The gradient of the loss of these items by the numbers of the plan alone, not by the network's weights."""
        try:
            loss = self.errors(plan, which, grad=True).log().mean()
            grads = torch.autograd.grad(loss, list(plan.parameters()), allow_unused=True)
        except RuntimeError as error:
            if not any(words in str(error) for words in ("out of memory", "allocate memory")):
                raise
            steps = len(plan.gaps)
            raise ValueError(
                f"batch={len(which)}: too little memory for {steps} evaluations with gradient; halve it"
            ) from error
        for parameter, value in zip(plan.parameters(), grads, strict=True):
            parameter.grad = value


def _share(i: int, iterations: int) -> float:
    return min(1.0, (i + 1) / 20) * (1 + math.cos(math.pi * i / iterations)) / 2
