"""A small model with all that a resume must carry: dropout, noise, buffers, tied weights."""

import signal
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

Batch = tuple[Tensor | None, ...]


class Toy(nn.Module):
    """A regression with dropout, batch norm (buffers), a tied weight, and noise in the loss."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.inward = nn.Linear(4, 4)
            self.again = nn.Linear(4, 4)
            self.out = nn.Linear(4, 1)
        self.again.weight = self.inward.weight
        self.norm = nn.BatchNorm1d(4)
        self.dropout = nn.Dropout(0.3)

    def loss(self, batch: Batch, generator: torch.Generator) -> Tensor:
        x, y = batch
        assert x is not None and y is not None
        noise = torch.randn(y.shape, generator=generator, device=generator.device)
        hidden = self.dropout(self.again(self.norm(torch.tanh(self.inward(x)))))
        return (self.out(hidden)[:, 0] + 0.1 * noise - y) ** 2


class Smooth(nn.Module):
    """A regression without chance: what two processes learn can equal what one learns."""

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.net = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1))

    def loss(self, batch: Batch, generator: torch.Generator) -> Tensor:
        x, y = batch
        assert x is not None and y is not None
        residual: Tensor = self.net(x)[:, 0] - y
        return residual**2


class Numbers:
    """Batches of (x, sum of x), each from its own seed; a rank of `world` gets its share."""

    def __init__(
        self, size: int = 8, rank: int = 0, world: int = 1, interrupt_at: int | None = None
    ) -> None:
        self.size, self.rank, self.world, self.interrupt_at = size, rank, world, interrupt_at
        self.position = 0

    def __iter__(self) -> Iterator[Batch]:
        return self

    def __next__(self) -> Batch:
        self.position += 1
        if self.position == self.interrupt_at:
            signal.raise_signal(signal.SIGINT)
        x = torch.randn(self.size, 4, generator=torch.Generator().manual_seed(self.position))
        x = x[self.rank :: self.world]
        return x, x.sum(1)

    def state_dict(self) -> dict[str, Any]:
        return {"position": self.position}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.position = state["position"]
