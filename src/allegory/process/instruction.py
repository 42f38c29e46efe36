"""Instructions: what the plan of a sampler consists of.

A solver plans a list of instructions, and the driver applies them one after another to the state.
The protocol is open: anything with these three members can stand in a plan. `sampling.Update` is
linear in the state, the prediction, the history and the noise, so that it is numbers, which can be
tuned, compiled and run in parallel; `sampling.Correction` is a Markov kernel. Re-noising,
resampling of particles or a projection are instructions that need neither.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor

from .coefficients import Coefficient, Term
from .path import Level
from .prediction import Predict, Prediction


@runtime_checkable
class History(Protocol):
    """Combinations a x0 + b eps of earlier predictions; its length is how many it can hold."""

    def __len__(self) -> int: ...

    def store(self, prediction: Prediction, x0: Coefficient, eps: Coefficient) -> None:
        """Store x0 times the prediction's x0 plus eps times its eps; it becomes the newest."""

    def weighted_sum(self, weights: tuple[Coefficient, ...], base: list[Term]) -> Tensor:
        """The sum of `base` and of the stored combinations times `weights`, newest first."""


@runtime_checkable
class Loop(Protocol):
    """What the driver shows to an instruction."""

    @property
    def x(self) -> Float[Tensor, "b *shape"]:
        """The state."""
        ...

    @property
    def level(self) -> Level:
        """The Level at which the state is."""
        ...

    @property
    def predict(self) -> Predict:
        """The Predict that is sampled, for evaluations at another state or Level."""
        ...

    @property
    def condition(self) -> Tensor | None:
        """The condition of the items; None for no condition."""
        ...

    @property
    def history(self) -> History:
        """Stored combinations of earlier predictions."""
        ...

    @property
    def noise(self) -> deque[Tensor]:
        """Past draws, the newest last; an instruction appends a draw that later ones shall read."""
        ...

    def prediction(self) -> Prediction:
        """The prediction at the state, evaluated once per state."""
        ...

    def draw(self, like: Tensor) -> Tensor:
        """The next standard-normal draw of every item, like `like`, from its own stream."""
        ...

    def record(self, prediction: Prediction | None, accepted: Tensor | None) -> None:
        """Note an instruction's own last prediction, and the fraction that each item accepted."""
        ...


@runtime_checkable
class Instruction(Protocol):
    """One operation of a sampler: from the state at `loop.level` to a state at `to`.

    An instruction is a frozen dataclass. Two members are optional: `history_length` and
    `noise_length`, the numbers of stored combinations and of past draws that it reads (0 if
    absent).
    """

    @property
    def to(self) -> Level:
        """The Level of the state that it leaves."""
        ...

    @property
    def stage(self) -> bool:
        """Whether that state is intermediate, and not one of the trajectory."""
        ...

    def apply(self, loop: Loop, /) -> Float[Tensor, "b *shape"]:
        """The new state."""
        ...


Plan = Sequence[Instruction]
"""What the driver carries out, in order."""
