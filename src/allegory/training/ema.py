"""Exponential moving average of the weights of a model.

After update n = 0, 1, 2, ... the average is m <- d_n m + (1 - d_n) theta, with d_n = min(decay, (1
+ n) / (10 + n)): the ramp forgets the random start quickly, and a short run has an average at all.
Written out, m = sum_i (1 - d_i) (prod_{j > i} d_j) theta_i + (prod_j d_j) theta_start.
"""

import copy
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from .weights import fill


class EMA:
    """Moving average of a module's parameters, as a `module` in eval mode; buffers are copied."""

    def __init__(self, module: nn.Module, decay: float) -> None:
        if not 0 <= decay < 1:
            raise ValueError(
                f"decay must be in [0, 1), got {decay}: 0.999 suits runs of some thousand steps"
            )
        self.module = copy.deepcopy(module).eval().requires_grad_(False)
        self.decay = decay
        self.updates = 0
        self._source = module
        # Kept, because to walk a module takes as long as to average its weights.
        self._averages: list[Tensor] = [*self.module.parameters()]
        self._weights: list[Tensor] = [*module.parameters()]

    @torch.no_grad()
    def update(self) -> None:
        """m <- d m + (1 - d) theta, d = min(decay, (1 + n) / (10 + n)), n the number of updates so
        far.
        """
        weight = 1 - min(self.decay, (1 + self.updates) / (10 + self.updates))
        torch._foreach_lerp_(self._averages, self._weights, weight)
        for mine, theirs in zip(self.module.buffers(), self._source.buffers(), strict=True):
            mine.copy_(theirs)
        self.updates += 1

    def copy_to(self, module: nn.Module) -> None:
        """Give `module` the averaged weights, for good."""
        module.load_state_dict(self.module.state_dict())

    @contextmanager
    def swapped(self, module: nn.Module) -> Iterator[nn.Module]:
        """Give `module` the averaged weights inside a `with` block, and its own back at the end."""
        own = {name: value.clone() for name, value in module.state_dict().items()}
        self.copy_to(module)
        try:
            yield module
        finally:
            module.load_state_dict(own)

    def state_dict(self) -> dict[str, Tensor]:
        """The averaged weights under the module's own names, so that they load into the module."""
        state: dict[str, Tensor] = self.module.state_dict()
        return state

    def load_state_dict(self, weights: Mapping[str, Tensor], updates: int) -> None:
        """Go on from averaged weights after `updates` updates."""
        fill(self.module, weights, "the saved average")
        self.updates = updates
