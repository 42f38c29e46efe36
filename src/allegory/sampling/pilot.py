r"""The pilot: `auto` adapted to one model by a few evaluations of a few items.

The flow of the items is solved in five times as many steps, which pass through the nodes of `auto`.
So at each node the slope F_j of a form is known, and over each step the true increment of z = x/g
(`flow_forms`). The weights of Adams-Bashforth and Adams-Moulton integrate a polynomial; those that
integrate these slopes best are a ridge regression around them, for each step

    min_w  sum_i r_i |z_{i+1} - z_i - sum_j w_j F_ij|^2  +  s^2 |w - w_Adams|^2 / max|w_Adams|^2,

where s^2 is the weighted error itself, and r_i is in proportion to 1/|error of item i|^2: items
that are between two modes must not decide for all (iteratively reweighted least squares).

Then five candidates go through their N steps: `auto`, the two fits (in the v and the flow form),
and `auto` on grids of another turn. That with the least geometric mean of the items' errors is
taken. All of it takes at most 10 N evaluations of the items.

Coefficients from statistics of the model's own trajectories: Zheng et al. 2023 (DPM-Solver-v3).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor

from ..lookup import check_count
from ..process.grid import MAX_STEPS, Grid, grid, turn_of
from ..process.guide import check_consistent
from ..process.path import Level, Path
from ..process.prediction import Predict, Prediction
from .auto import AUTO
from .driver import sample, trajectory
from .flow_forms import FLOW_FORMS, FlowForm, LambdaNodes
from .memory import named_memory_error
from .multistep import form_updates, predictor_corrector_weights
from .quadrature_rules import WeightRule, adams_rule
from .solver import Update
from .tuned_sampler import TunedSampler

PILOT = "auto:pilot"
"""The name by which a Sampler makes its own pilot."""
AS_AUTO = replace(AUTO, name=PILOT)
"""The Solver of a Sampler of that name, for its grid and its description."""
PILOT_SEEDS = range(2**40, 2**40 + 8)
"""Of the items of a pilot that a Sampler makes."""

_REFINEMENT = 5
"""Steps of the fine solution in a step of `auto`."""
_ORDER = 3
"""Of the predictors whose weights are fitted."""
_FORMS = ("v", "flow")
_OTHER_TURNS = (0.7, 1.5)
_REWEIGHTINGS = 4
_LEAST_FRACTION = 1e-3
"""Of the mean squared error, which is added to that of an item: no item decides alone."""


def pilot(
    predict: Predict,
    x_T: Float[Tensor, "n *shape"],
    steps: int,
    *,
    end: str = "zero",
    condition: Tensor | None = None,
) -> TunedSampler:
    """A sampler of so many evaluations, chosen by the flow of a few items.

    Args:
        predict: the network, oracle or guided Predict.
        x_T: initial noise of the items, shape (n, *shape); 8 are enough.
        steps: number of steps, one evaluation each.
        end: what the last Level of the grid is, see `process.grid`.
        condition: one per item; None for no condition.

    Returns:
        The sampler, with the geometric mean of the items' errors by `auto` (`before`) and by it
        (`after`).

    Raises:
        ValueError: for a condition that does not fit, no items, a predict that is not finite or
            depends on the step before, or too little memory for the items.
    """
    check_count("steps", steps, 1, MAX_STEPS // _REFINEMENT)
    check_consistent(predict, "pilot")
    if len(x_T) == 0:
        raise ValueError("x_T: no items; give initial noise, e.g. of 8")
    if condition is not None and len(condition) != len(x_T):
        raise ValueError(
            f"condition: {len(condition)} for {len(x_T)} items of x_T; give one per item"
        )

    too_little = f"x_T: too little memory for {len(x_T)} items and {steps + 1} states of each"
    with named_memory_error(too_little, "give fewer items"), torch.no_grad():
        return _Pilot.of(predict, x_T, steps, end, condition).best()


Candidate = tuple[Grid, tuple[Update, ...]]


@dataclass(frozen=True, eq=False)
class _Pilot:
    """The fine solution of the items at the nodes of `auto`.

    Args:
        predict: what is sampled.
        own: the grid of `auto`.
        states: at its Levels, steps + 1 of them.
        predictions: at all of them but the last.
        condition: of the items.
        end: what the last Level is.
    """

    predict: Predict
    own: Grid
    states: list[Tensor]
    predictions: list[Prediction]
    condition: Tensor | None
    end: str

    @classmethod
    def of(
        cls, predict: Predict, x_T: Tensor, steps: int, end: str, condition: Tensor | None
    ) -> _Pilot:
        """With the fine solution by `auto`."""
        own = grid(predict.path, steps, "angle", end, x_T[0].numel())
        fine = Grid(tuple(_refined(own.levels)))
        nodes = {level.log_snr for level in own.levels}

        states, predictions, level = [x_T], [], fine.levels[0]
        for state in trajectory(predict, x_T, fine, solver=AUTO, condition=condition):
            if level.log_snr in nodes:
                predictions.append(state.prediction)
            level = state.level
            if level.log_snr in nodes:
                states.append(state.x)
        return cls(predict, own, states, predictions, condition, end)

    def best(self) -> TunedSampler:
        """The candidate of the least error on the items."""
        candidates = [*self._candidates()]
        errors = [self._error(each) for each in candidates]
        if not math.isfinite(errors[0]):
            raise ValueError(
                "predict: NaN or infinite numbers on the way from noise to samples; take other "
                "weights (best, ema, last) or a smaller scale of the guide, or train again with a "
                "smaller learning_rate"
            )
        best = min(range(len(errors)), key=lambda i: (math.isnan(errors[i]), errors[i]))
        return TunedSampler(*candidates[best], errors[0], errors[best])

    def _candidates(self) -> Iterator[Candidate]:
        """`auto` first."""
        steps, path = self.own.steps, self.predict.path
        dims = self.states[0][0].numel()
        yield self.own, _planned(self.own)
        for name in _FORMS:
            yield self.own, tuple(self._fitted(FLOW_FORMS[name]))
        for factor in _OTHER_TURNS:
            other = grid(path, steps, f"angle:{factor * turn_of(dims, steps):.6g}", self.end)
            yield other, _planned(other)

    def _error(self, candidate: Candidate) -> float:
        """The geometric mean of the items' root mean squared errors."""
        levels, updates = candidate
        solver = TunedSampler(levels, updates, 0.0, 0.0).solver
        x = sample(self.predict, self.states[0], levels, solver=solver, condition=self.condition)
        squared = (x - self.states[-1]).double().square().flatten(1).mean(1)
        return squared.clamp(min=1e-24).log().mean().div(2).exp().item()

    def _fitted(self, form: FlowForm) -> list[Update]:
        """Adams's method of a form with weights that suit the slopes of the items."""
        levels = self.own.levels
        slopes = [
            prediction.combine(*form.slope(level)).flatten(1).double()
            for prediction, level in zip(self.predictions, levels, strict=False)
        ]
        z = [
            x.flatten(1).double() / form.scale(level)
            for x, level in zip(self.states, levels, strict=True)
        ]
        increments = [after - before for before, after in pairwise(z)]

        def fit(rule: WeightRule, newest: int) -> WeightRule:
            def fitted(nodes: LambdaNodes) -> Tensor:
                rows = rule(nodes)
                for i, increment in enumerate(increments):
                    # The last step has no slope at its end: nothing corrects it.
                    used = slopes[max(0, i + newest + 1 - rows.shape[1]) : i + newest + 1][::-1]
                    if i + newest < len(slopes):
                        own = rows[i, : len(used)].clone()
                        rows[i, : len(used)] = ridge(torch.stack(used), increment, own)
                return rows

            return fitted

        predictor = fit(adams_rule(form, _ORDER, "form_time"), 0)
        corrector = fit(adams_rule(form, _ORDER, "form_time", implicit=True), 1)
        nodes = LambdaNodes.of(levels)
        return form_updates(form, levels, predictor_corrector_weights(nodes, predictor, corrector))


def ridge(
    slopes: Float[Tensor, "k n d"], increment: Float[Tensor, "n d"], prior: Float[Tensor, " k"]
) -> Float[Tensor, " k"]:
    """The weights w of slopes whose sum is nearest to an increment (see the module).

    Args:
        slopes: F_ij, of k nodes and n items.
        increment: z_{i+1} - z_i.
        prior: the weights that they are near.
    """
    F, change = slopes, torch.zeros_like(prior)
    missing = increment - torch.einsum("k,knd->nd", prior, F)
    products, targets = torch.einsum("knd,lnd->nkl", F, F), torch.einsum("knd,nd->nk", F, missing)
    eye = torch.eye(len(prior), dtype=prior.dtype)

    for _ in range(_REWEIGHTINGS):
        error = (missing - torch.einsum("k,knd->nd", change, F)).square().sum(1)
        error = error + _LEAST_FRACTION * error.mean() + torch.finfo(error.dtype).tiny
        r = (1 / error) / (1 / error).sum()
        strength = (r @ error) / prior.abs().max().square()
        gram = torch.einsum("n,nkl->kl", r, products)
        change = torch.linalg.solve(gram + strength * eye, r @ targets)
    return prior + change


def _planned(levels: Grid) -> tuple[Update, ...]:
    return tuple(each for each in AUTO.plan(levels.levels) if isinstance(each, Update))


def _refined(levels: Sequence[Level]) -> Iterator[Level]:
    """The Levels with others between them, at even steps of the angle atan(sigma/alpha).

    A last step to clean data goes from t = 0 there, where there are no Levels between.
    """
    path = levels[0].path
    for here, to in pairwise(levels):
        yield here
        yield from _between(path, here, to)
    yield levels[-1]


def _between(path: Path, here: Level, to: Level) -> tuple[Level, ...]:
    """The Levels between two neighbouring ones of a grid."""
    lowest = path.schedule.ends[0]
    first, last = (
        math.atan(math.exp(-min(float(level.log_snr), lowest) / 2)) for level in (here, to)
    )
    if first == last:
        return ()
    inside = torch.linspace(first, last, _REFINEMENT + 1, dtype=torch.float64)[1:-1]
    return path.levels(path.schedule.inverse(-2 * inside.tan().log()))
