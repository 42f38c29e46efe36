"""Muon against its formulas, and AdamW where it leaves the work to AdamW."""

import copy
import math
from dataclasses import asdict

import pytest
import torch
from tests.training.toy import Batch
from torch import Tensor, nn

from allegory.networks import TransformerConfig
from allegory.training import TrainingConfig
from allegory.training.counters import Counters
from allegory.training.distributed import Processes
from allegory.training.muon import (
    MOMENTUM_DECAY,
    POLAR_COEFFICIENTS,
    POLAR_ITERATIONS,
    STEP_RMS,
    Muon,
    hidden_matrices,
    polar,
)
from allegory.training.optimization import Learner

BF16 = 2.0**-8
"""Rounding of one operation in bfloat16."""


class MixtureOfDensities(nn.Module):
    """A convolution and a linear layer, with a smooth loss."""

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.conv = nn.Conv2d(2, 6, 3)
            self.out = nn.Linear(6, 1)

    def loss(self, batch: Batch, generator: torch.Generator) -> Tensor:
        (x,) = batch
        assert x is not None
        return (self.out(torch.tanh(self.conv(x)).mean((2, 3)))[:, 0] - 1).square()


class Pictures:
    """The same pictures for ever."""

    def __iter__(self) -> "Pictures":
        return self

    def __next__(self) -> Batch:
        return (torch.randn(4, 2, 5, 5, generator=torch.Generator().manual_seed(1)),)

    def state_dict(self) -> dict[str, int]:
        return {}

    def load_state_dict(self, state: dict[str, int], /) -> None: ...


@pytest.mark.parametrize("shape", [(8, 24), (24, 8), (6, 6), (1, 5)])
def test_polar_maps_each_singular_value_by_the_polynomial(shape: tuple[int, int]) -> None:
    """In exact arithmetic U p(p(..S/|M|..)) V^T; each iteration rounds three products to BF16."""
    matrix = torch.randn(shape)
    u, s, v = torch.linalg.svd(matrix.double(), full_matrices=False)
    s = s / matrix.double().norm()
    a, b, c = POLAR_COEFFICIENTS
    for _ in range(POLAR_ITERATIONS):
        s = a * s + b * s**3 + c * s**5
    error = polar(matrix).double() - u @ torch.diag(s) @ v
    assert torch.linalg.matrix_norm(error, 2) < 3 * POLAR_ITERATIONS * BF16
    assert s.min() > 0.65 and s.max() < 1.25


def test_no_gradient_is_no_step() -> None:
    assert not polar(torch.zeros(3, 4)).any()


def test_kernels_follow_the_formula() -> None:
    """Momentum, look ahead, decay and the size of a step, over three gradients."""
    kernel = nn.Parameter(torch.randn(4, 3, 2, 2))
    optimizer = Muon([kernel], lr=0.1, betas=(0.9, 0.99), weight_decay=0.5)
    w, m = kernel.detach().clone(), torch.zeros(4, 3, 2, 2)
    for _ in range(3):
        kernel.grad = torch.randn_like(kernel)
        m = MOMENTUM_DECAY * m + (1 - MOMENTUM_DECAY) * kernel.grad
        ahead = MOMENTUM_DECAY * m + (1 - MOMENTUM_DECAY) * kernel.grad
        step = polar(ahead.reshape(4, 12)).reshape(4, 3, 2, 2)
        w = (1 - 0.1 * 0.5) * w - 0.1 * STEP_RMS * math.sqrt(12) * step
        optimizer.step()
        # polar is computed from momenta that differ by float32 rounding, which bfloat16 may turn
        # into one of its own.
        torch.testing.assert_close(kernel.detach(), w, rtol=0, atol=0.1 * STEP_RMS * 10 * BF16)


def test_the_rest_is_adamw() -> None:
    """Bit for bit the optimizer of torch, vectors and matrices alike."""
    mine, theirs = (nn.Linear(3, 5), nn.Linear(3, 5))
    theirs.load_state_dict(mine.state_dict())
    choice = {"lr": 0.03, "betas": (0.8, 0.95), "weight_decay": 0.1}
    optimizers = (
        Muon(mine.parameters(), **choice),
        torch.optim.AdamW(theirs.parameters(), **choice, fused=True),
    )
    for _ in range(3):
        x = torch.randn(7, 3)
        for layer, optimizer in zip((mine, theirs), optimizers, strict=True):
            optimizer.zero_grad()
            layer(x).square().mean().backward()
            optimizer.step()
    for own, other in zip(mine.parameters(), theirs.parameters(), strict=True):
        assert torch.equal(own, other)


def test_matrices_of_transformer_blocks_are_hidden_and_no_others() -> None:
    """Their steps are those of a kernel with one place."""
    network = TransformerConfig(width=8, depth=2, heads=2, kernel=3).build((3, 4))
    names = {name: p for name, p in network.named_parameters()}
    hidden = {id(p) for p in hidden_matrices(network)}
    found = sorted(name for name, p in names.items() if id(p) in hidden)
    each = ("attention.out.weight", "attention.qkv.weight", "layers.0.weight", "layers.2.weight")
    assert found == [f"blocks.{i}.{name}" for i in range(2) for name in each]

    matrix = nn.Parameter(torch.randn(4, 3))
    kernel = nn.Parameter(matrix.detach().clone()[..., None])
    choice = {"lr": 0.1, "betas": (0.9, 0.99), "weight_decay": 0.5}
    for parameter, matrices in ((matrix, [matrix]), (kernel, [])):
        optimizer = Muon([parameter], **choice, matrices=matrices)
        parameter.grad = torch.linspace(-1, 2, 12).view_as(parameter)
        optimizer.step()
        assert set(optimizer.moments(parameter)) == {"momentum"}
    assert torch.equal(matrix, kernel[..., 0])


def test_a_parameter_without_gradient_stays() -> None:
    kernel, vector = nn.Parameter(torch.ones(2, 2, 1)), nn.Parameter(torch.ones(2))
    Muon([kernel, vector], lr=0.1, betas=(0.9, 0.99), weight_decay=0.5).step()
    assert bool((kernel == 1).all()) and bool((vector == 1).all())


def test_a_resumed_run_takes_the_same_steps() -> None:
    config = TrainingConfig(steps=9, optimizer="muon")
    one, two = (
        Learner(MixtureOfDensities(), config, Processes()),
        Learner(MixtureOfDensities(), config, Processes()),
    )
    batches = Pictures()
    for _ in range(2):
        one.step(batches, 0.05)
    state = {"counters": asdict(Counters(step=2)), "batches": {}}
    saved = copy.deepcopy(one.checkpoint({}, state))
    assert "conv.weight.momentum" in saved.optimizer and "out.weight.exp_avg" in saved.optimizer
    two.restore(saved)
    for learner in (one, two):
        learner.step(batches, 0.05)
    for own, other in zip(one.model.parameters(), two.model.parameters(), strict=True):
        assert torch.equal(own, other)
