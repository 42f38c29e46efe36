"""The loop of a sampler: it applies the instructions of a plan to a state."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

import torch
from jaxtyping import Float
from torch import Tensor

from ..process.instruction import History, Instruction, Plan
from ..process.path import Level
from ..process.prediction import Predict, Prediction
from .history import new_history
from .mcmc.chain import AcceptanceCounter
from .mcmc.target import Draw
from .solver import check_plan


class SamplingLoop:
    """The `Loop` of one trajectory: the state, the last prediction, the history and the noise.

    Args:
        predict: the Predict that is sampled.
        x: the first state, shape (b, *shape).
        level: its Level.
        condition: passed to predict; None for no condition.
        draw: the next standard-normal draw of every item, like a given tensor; None for a plan
            without noise.
    """

    def __init__(
        self,
        predict: Predict,
        x: Float[Tensor, "b *shape"],
        level: Level,
        condition: Tensor | None = None,
        draw: Draw | None = None,
    ) -> None:
        self.predict = predict
        self.x = x
        self.level = level
        self.condition = condition
        self.draw = torch.zeros_like if draw is None else draw
        self.history: History = new_history(0, x, False)
        self.noise: deque[Tensor] = deque(maxlen=0)
        self.last_prediction: Prediction | None = None
        self._predicted = False
        self._acceptance = AcceptanceCounter()

    def prediction(self) -> Prediction:
        """The prediction at the state, evaluated once per state."""
        if not self._predicted or self.last_prediction is None:
            self.last_prediction = self.predict(self.x, self.level, self.condition)
            self._predicted = True
        return self.last_prediction

    def record(self, prediction: Prediction | None, accepted: Tensor | None) -> None:
        """Note an instruction's own last prediction, and the fraction that each item accepted."""
        self.last_prediction = prediction
        self._acceptance.add(accepted)

    def execute(self, plan: Plan, grad: bool = False) -> Iterator[Instruction]:
        """Apply the instructions one after another.

        Args:
            plan: instructions, the first of them for the state at `level`.
            grad: whether gradients flow through the loop.

        Yields:
            Each instruction after it was applied; `x`, `level` and `last_prediction` are then those
            after it.
        """
        if not plan:
            raise ValueError("plan: no instructions; a solver plans one or more per step")
        check_plan(self.predict, plan)
        stored = max([0, *(getattr(each, "history_length", 0) for each in plan)])
        draws = max([0, *(getattr(each, "noise_length", 0) for each in plan)])
        self.history = new_history(stored, self.x, grad)
        self.noise = deque(maxlen=draws)

        for instruction in plan:
            # The grad mode is set around the work only: it must not leak to the caller at a yield.
            with torch.set_grad_enabled(grad):
                x = instruction.apply(self)
            if not isinstance(x, Tensor) or x.shape != self.x.shape:
                returned = tuple(x.shape) if isinstance(x, Tensor) else type(x).__name__
                raise ValueError(
                    f"instruction {type(instruction).__name__}: returned {returned} for a state "
                    f"of shape {tuple(self.x.shape)}; return the new state, of that shape"
                )
            self.x = x.to(self.x.dtype)
            self.level = instruction.to
            self._predicted = False
            yield instruction

        self._acceptance.warn()

    def run(self, plan: Plan, grad: bool = False) -> Float[Tensor, "b *shape"]:
        """The state after all instructions of a plan; `grad` as in `execute`."""
        for _ in self.execute(plan, grad):
            pass
        return self.x
