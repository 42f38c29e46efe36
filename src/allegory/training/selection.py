"""The best checkpoint of a run by its validation loss, written to `best.safetensors`."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jaxtyping import Float
from torch import Tensor, nn

from .checkpoint import BEST, write_weights
from .counters import Record
from .group import Group
from .validation import Validator, item_count
from .weights import fill, item_metadata, read_weights

_ERRORS_APART = 2.0


@dataclass(frozen=True)
class Validation:
    """The validation losses of a run, best and last.

    Args:
        best_step: the step with the lowest validation loss.
        best: that loss.
        last: the loss at the last validation.
        overfitted: whether the last loss is above the best by more than two standard errors of
            the mean difference per item.
    """

    best_step: int
    best: float
    last: float
    overfitted: bool


class Selection:
    """The selection of the best weights by the validation loss, during training.

    Args:
        validator: the held-out items.
        record: the state of validation, from earlier sessions; it is changed in place.
        folder: the run folder, for the best weights; None holds them in memory.
    """

    def __init__(self, validator: Validator, record: Record, folder: Path | None) -> None:
        self.validator, self.record, self.folder = validator, record, folder
        self._best: dict[str, Tensor] = {}
        self._last_losses: Float[Tensor, " n"] | None = None

    def validate(self, module: nn.Module, step: int, images: int, seconds: float) -> dict[str, Any]:
        """Compute the validation loss, and save the weights if it is the lowest so far.

        Args:
            module: the averaged model, in eval mode.
            step: steps so far.
            images: items seen so far.
            seconds: time so far.

        Returns:
            A line for metrics.jsonl.
        """
        record = self.record
        if record.items == 0:
            count = item_count(self.validator.config, step, images, seconds)
            record.items = min(count, self.validator.available)

        self._last_losses = self.validator.losses(module, record.items)
        loss = self._last_losses.mean().item()
        record.last = loss if math.isfinite(loss) else None
        if record.last is not None and (record.best is None or loss < record.best):
            record.best_step, record.best = step, loss
            self._save(module)

        return {
            "step": step,
            "validation": record.last,
            "best_step": record.best_step,
            "best": record.best,
        }

    def best(self, module: nn.Module) -> nn.Module:
        """A copy of `module` with the best weights; `module` itself if its weights are the best."""
        is_last = self.record.last is not None and self.record.last == self.record.best
        if self.record.best is None or is_last:
            return module

        chosen = copy.deepcopy(module)
        if self.folder is None:
            fill(chosen, self._best, "the best weights")
        else:
            fill(chosen, read_weights(self.folder / BEST), str(self.folder / BEST))
        return chosen

    def result(self, best: nn.Module, last: nn.Module) -> Validation | None:
        """The validation losses, and whether the run overfitted.

        Args:
            best: the module with the best weights.
            last: the module with the last weights.

        Returns:
            The losses; None without a finite one.
        """
        record = self.record
        if record.best is None or record.last is None:
            return None
        if best is last:
            return Validation(record.best_step, record.best, record.last, overfitted=False)

        if self._last_losses is None:
            self._last_losses = self.validator.losses(last, record.items)
        difference = self._last_losses - self.validator.losses(best, record.items)

        count = len(difference)
        error = difference.std().item() / math.sqrt(count) if count > 1 else math.inf
        overfitted = difference.mean().item() > _ERRORS_APART * error
        return Validation(record.best_step, record.best, record.last, overfitted)

    def _save(self, module: nn.Module) -> None:
        weights = module.state_dict()
        if self.folder is None:
            self._best = {name: value.clone() for name, value in weights.items()}
        else:
            metadata = item_metadata(getattr(module, "spec", None))
            write_weights(self.folder / BEST, weights, metadata)


def selected(
    selection: Selection | None, last: nn.Module, group: Group
) -> tuple[nn.Module, Validation | None]:
    """The module with the best weights, and the validation losses, the same in all processes.

    Args:
        selection: that of the first process; None without validation, and in the others.
        last: the module with the last weights.
        group: the processes that train together.
    """

    def choose() -> tuple[nn.Module, Validation | None]:
        if selection is None:
            return last, None
        best = selection.best(last)
        return best, selection.result(best, last)

    best, found = group.first(choose) or (last, None)
    if group.world == 1:
        return best, found

    own = None if best is last else {name: w.cpu() for name, w in best.state_dict().items()}
    weights, found = group.from_first((own, found))
    if weights is None or group.rank == 0:
        return best, found

    chosen = copy.deepcopy(last)
    chosen.load_state_dict(weights)
    return chosen, found
