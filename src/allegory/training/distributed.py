"""The device of a run, and the processes that train it together (data parallelism, by accelerate).

There is one process, or several that `torchrun` or `accelerate launch` has started: each has the
whole model and its own part of every batch, and the gradients are averaged over the processes. Only
this module imports accelerate.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from .device import torch_device
from .group import Group


class Processes(Group):
    """The processes that train a run together, and the device of this process.

    Args:
        device: its name; "auto" is a GPU if there is one, in each process another.

    Raises:
        ValueError: for a device that this machine does not have, or a GPU by name where there are
            several processes.
        TrainingError: if the other processes do not come.
        ModuleNotFoundError: without accelerate.
    """

    def __init__(self, device: str = "auto") -> None:
        try:
            from accelerate import Accelerator  # type: ignore[import-untyped]
        except ImportError as error:
            raise ModuleNotFoundError(
                "training needs accelerate: pip install 'allegory[train]'", name="accelerate"
            ) from error

        super().__init__()
        several = self.world > 1
        if several and device not in ("auto", "cpu"):
            count = f"{self.world} processes"
            raise self.alike(
                ValueError(f"device {device!r} with {count}: leave it out, each finds its own")
            )

        on_cpu = several and (device == "cpu" or not torch.cuda.is_available())
        if several and not on_cpu:
            self._check_gpus()

        # bf16 is a context in `Loss.forward`: accelerate's own would hold for the whole program.
        self._accelerator = Accelerator(mixed_precision="no", cpu=on_cpu)
        self.device: torch.device = self._accelerator.device

        self._is_chosen = device != "auto" and not several
        if self._is_chosen:
            self.device = torch_device(device)

    def _check_gpus(self) -> None:
        """ValueError for more processes on this machine than GPUs."""
        here = int(os.environ.get("LOCAL_WORLD_SIZE", str(self.world)))
        count = torch.cuda.device_count()
        if here > count:
            raise self.alike(
                ValueError(
                    f"{here} processes on a machine with GPUs: {count}; start one for each GPU, or "
                    "give --device cpu"
                )
            )

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
