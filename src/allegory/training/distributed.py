"""The device of a run, and its group of processes (data parallelism, by accelerate).

There is one process, or several started by `accelerate launch`: each has the whole model and its
own part of every batch, and the gradients are averaged over the processes. Only this module imports
accelerate.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from .device import torch_device


class Processes:
    """The process group that accelerate finds in the environment, and the device of this process.

    Args:
        device: its name; "auto" is the one that accelerate finds.

    Raises:
        ValueError: for a device that this machine does not have, or one by name where there are
            several processes.
        ImportError: without accelerate.
    """

    def __init__(self, device: str = "auto") -> None:
        try:
            from accelerate import Accelerator  # type: ignore[import-untyped]
        except ImportError as error:
            raise ImportError("training needs accelerate: pip install 'allegory[train]'") from error

        # bf16 is a context in `Loss.forward`: accelerate's own would hold for the whole program.
        self._accelerator = Accelerator(mixed_precision="no")
        self.device: torch.device = self._accelerator.device
        self.world: int = self._accelerator.num_processes
        self.rank: int = self._accelerator.process_index

        if device != "auto" and self.world > 1:
            raise ValueError(
                f"device {device!r} with {self.world} processes: leave it out, each finds its own"
            )
        self._is_chosen = device != "auto"
        if self._is_chosen:
            self.device = torch_device(device)

    def wrap(self, module: nn.Module) -> nn.Module:
        """`module` on this device; with several processes its backward averages the gradients."""
        if self._is_chosen:
            return module.to(self.device)
        wrapped: nn.Module = self._accelerator.prepare_model(module)
        return wrapped

    @contextmanager
    def averaging(self, module: nn.Module, now: bool) -> Iterator[None]:
        """Inside the block, gradients of a wrapped `module` are averaged over the processes.

        Args:
            module: what `wrap` returned.
            now: False accumulates them in this process until a later block with True.
        """
        if now:
            yield
        else:
            with self._accelerator.no_sync(module):
                yield

    def mean(self, value: Tensor) -> Tensor:
        """Mean of `value` over the processes."""
        mean: Tensor = self._accelerator.reduce(value, "mean") if self.world > 1 else value
        return mean

    def sum(self, *values: float) -> list[float]:
        """Sum of each of `values` over the processes."""
        if self.world == 1:
            return list(values)
        total: Tensor = self._accelerator.reduce(
            torch.tensor(values, dtype=torch.float64, device=self.device), "sum"
        )
        return total.tolist()

    def gather(self, value: Tensor) -> Tensor:
        """Rows of `value` of all processes, in order of rank."""
        if self.world == 1:
            return value
        rows: Tensor = self._accelerator.gather(value.to(self.device))
        return rows
