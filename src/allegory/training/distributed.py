"""Where a run lives: its device, and the processes that share the work. Nothing else knows accelerate.

One process alone, or several started by `accelerate launch`: each holds the whole model, sees its own part of
every batch, and takes the mean of the gradients (data parallelism).
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class Processes:
    """The process group and device that accelerate finds in the environment."""

    def __init__(self) -> None:
        try:
            from accelerate import Accelerator  # type: ignore[import-untyped]
        except ImportError as error:
            raise ImportError("training needs accelerate: pip install 'allegory[train]'") from error
        # bf16 is a context in `Loss.forward`: accelerate's own would hold for all runs of a program.
        self._accelerator = Accelerator(mixed_precision="no")
        self.device: torch.device = self._accelerator.device
        self.world: int = self._accelerator.num_processes
        self.rank: int = self._accelerator.process_index

    def wrap(self, module: nn.Module) -> nn.Module:
        """The module on this device; with several processes, one whose backward averages the gradients."""
        wrapped: nn.Module = self._accelerator.prepare_model(module)
        return wrapped

    @contextmanager
    def averaging(self, module: nn.Module, now: bool) -> Iterator[None]:
        """Do gradients made in this block travel between the processes now, or wait for a later block?"""
        if now:
            yield
        else:
            with self._accelerator.no_sync(module):
                yield

    def mean(self, value: Tensor) -> Tensor:
        """Mean over the processes."""
        mean: Tensor = self._accelerator.reduce(value, "mean") if self.world > 1 else value
        return mean

    def sum(self, *values: float) -> list[float]:
        """Sum of each value over the processes."""
        if self.world == 1:
            return list(values)
        total: Tensor = self._accelerator.reduce(
            torch.tensor(values, dtype=torch.float64, device=self.device), "sum"
        )
        return total.tolist()

    def gather(self, value: Tensor) -> Tensor:
        """Rows of all processes, in order of rank."""
        if self.world == 1:
            return value
        rows: Tensor = self._accelerator.gather(value.to(self.device))
        return rows
