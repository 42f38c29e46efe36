"""Exponential moving average of the weights of a model.

Update n = 0, 1, 2, ... is m <- d_n m + (1 - d_n) theta, with the decay
d_n = min(decay, (1 + n) / (10 + n)), which rises from 0.1: the weight of the random start falls
quickly, also in a short run. Written out,

    m = sum_i (1 - d_i) (prod_{j > i} d_j) theta_i + (prod_j d_j) theta_start.
"""

import copy
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from .weights import fill


class EMA:
    """Exponential moving average of the parameters of a module; its buffers are copied.

    `module` is the averaged module, in eval mode; `updates` is the number of updates so far.

    Args:
        module: the module that is trained.
        decay: largest decay of the average per update, in [0, 1).

    Raises:
        ValueError: for a decay out of its range.
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        if not 0 <= decay < 1:
            raise ValueError(
                f"decay must be in [0, 1), got {decay}: 0.999 suits runs of some thousand steps"
            )
        self.module = copy.deepcopy(module).eval().requires_grad_(False)
        self.decay = decay
        self.updates = 0
        self._source = module

        # Lists, because collecting the parameters of a module takes as long as averaging them.
        self._averages: list[Tensor] = [*self.module.parameters()]
        self._weights: list[Tensor] = [*module.parameters()]

    @torch.no_grad()
    def update(self) -> None:
        """m <- d m + (1 - d) theta with d = min(decay, (1 + n) / (10 + n)), n = `updates`."""
        weight = 1 - min(self.decay, (1 + self.updates) / (10 + self.updates))
        torch._foreach_lerp_(self._averages, self._weights, weight)

        for mine, theirs in zip(self.module.buffers(), self._source.buffers(), strict=True):
            mine.copy_(theirs)
        self.updates += 1

    def copy_to(self, module: nn.Module) -> None:
        """Load the averaged weights into `module`."""
        module.load_state_dict(self.module.state_dict())

    @contextmanager
    def swapped(self, module: nn.Module) -> Iterator[nn.Module]:
        """The averaged weights in `module` inside a `with` block, and its own weights after it."""
        own = {name: value.clone() for name, value in module.state_dict().items()}
        self.copy_to(module)
        try:
            yield module
        finally:
            module.load_state_dict(own)

    def state_dict(self) -> dict[str, Tensor]:
        """The averaged weights by the names that they have in the module."""
        state: dict[str, Tensor] = self.module.state_dict()
        return state

    def load_state_dict(self, weights: Mapping[str, Tensor], updates: int) -> None:
        """Restore the average: its `weights`, and the number of `updates` so far."""
        fill(self.module, weights, "the saved average")
        self.updates = updates
