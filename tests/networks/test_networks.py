"""What every network promises, whatever its kind and its condition."""

import json
import math
from dataclasses import asdict
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from allegory.conditions import Condition, Labels, Numbers, Picture
from allegory.networks import DiTConfig, MLPConfig, UNetConfig

SHAPE = (2, 8, 4)
CONFIGS: list[Any] = [
    MLPConfig(width=16, depth=2),
    UNetConfig(
        channels=8, multipliers=(1, 2), blocks=1, attention=(4,), heads=2, dropout=0.1, fourier=(1,)
    ),
    DiTConfig(patch=2, width=16, depth=2, heads=2, dropout=0.1, fourier=(1,)),
]
KINDS: list[Condition | None] = [None, Labels(5), Numbers(3), Picture((1, *SHAPE[1:]))]
every_config = pytest.mark.parametrize("config", CONFIGS, ids=lambda c: type(c).__name__)
every_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda k: type(k).__name__)


def example(
    kind: Condition | None, batch: int, dtype: torch.dtype = torch.float32
) -> Tensor | None:
    match kind:
        case Labels():
            return torch.arange(batch) % kind.classes
        case Numbers():
            return torch.randn(batch, kind.dim, dtype=dtype)
        case Picture():
            return torch.randn(batch, *kind.shape, dtype=dtype)
        case None:
            return None


def null(kind: Condition | None, given: Tensor) -> Tensor:
    return torch.full_like(given, -1 if isinstance(kind, Labels) else math.nan)


def awake(network: nn.Module) -> nn.Module:
    """The network with all weights random: a fresh one returns 0 and would pass any comparison."""
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.2)
    return network.eval()


@every_kind
@every_config
def test_a_new_network_returns_zero_of_the_input_shape(config: Any, kind: Condition | None) -> None:
    x, log_snr = torch.randn(3, *SHAPE), torch.randn(3)
    out = config.build(SHAPE, kind)(x, log_snr, example(kind, 3))
    assert out.shape == x.shape
    assert out.abs().max() == 0


@every_config
def test_a_new_network_learns_from_its_first_step(config: Any) -> None:
    network = config.build(SHAPE)
    (network(torch.randn(3, *SHAPE), torch.randn(3)) - 1).square().mean().backward()
    assert network.head.weight.grad.abs().max() > 0


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-12)])
@every_kind
@every_config
def test_an_item_comes_out_the_same_alone_and_in_a_batch(
    config: Any, kind: Condition | None, dtype: torch.dtype, tolerance: float
) -> None:
    network = awake(config.build(SHAPE, kind)).to(dtype)
    x, log_snr, condition = (
        torch.randn(5, *SHAPE, dtype=dtype),
        torch.randn(5),
        example(kind, 5, dtype),
    )
    together = network(x, log_snr, condition)
    assert together.dtype == dtype and together.abs().max() > 0.1
    for i in range(5):
        own = condition if condition is None else condition[i : i + 1]
        alone = network(x[i : i + 1], log_snr[i : i + 1], own)
        torch.testing.assert_close(alone, together[i : i + 1], rtol=tolerance, atol=tolerance)


@every_kind
@every_config
def test_outputs_and_gradients_are_finite_at_infinite_log_snr(
    config: Any, kind: Condition | None
) -> None:
    network = awake(config.build(SHAPE, kind))
    x = torch.randn(4, *SHAPE, requires_grad=True)
    log_snr = torch.tensor([math.inf, -math.inf, 25.0, 0.0])
    out = network(x, log_snr, example(kind, 4))
    out.square().sum().backward()
    assert out.isfinite().all() and x.grad is not None and x.grad.isfinite().all()
    assert all(
        p.grad is not None and p.grad.isfinite().all()
        for p in network.parameters()
        if p.requires_grad
    )


@pytest.mark.parametrize("kind", KINDS[1:], ids=lambda k: type(k).__name__)
@every_config
def test_a_condition_moves_its_own_item_only(config: Any, kind: Condition | None) -> None:
    network = awake(config.build(SHAPE, kind))
    x, log_snr, given = torch.randn(3, *SHAPE), torch.randn(3), example(kind, 3)
    assert given is not None
    changed = given.clone()
    changed[0] = given[1]
    before, after = network(x, log_snr, given), network(x, log_snr, changed)
    assert (before[0] - after[0]).abs().max() > 1e-3
    torch.testing.assert_close(before[1:], after[1:], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS[1:], ids=lambda k: type(k).__name__)
@every_config
def test_the_null_of_every_item_is_no_condition(config: Any, kind: Condition | None) -> None:
    network = awake(config.build(SHAPE, kind))
    x, log_snr, given = torch.randn(3, *SHAPE), torch.randn(3), example(kind, 3)
    assert given is not None
    nothing = network(x, log_snr)
    torch.testing.assert_close(network(x, log_snr, null(kind, given)), nothing, rtol=0, atol=0)
    assert (network(x, log_snr, given) - nothing).abs().max() > 1e-3


@every_config
def test_the_level_is_seen(config: Any) -> None:
    network = awake(config.build(SHAPE))
    x = torch.randn(1, *SHAPE).expand(2, *SHAPE)
    out = network(x, torch.tensor([-1.0, 1.0]))
    assert (out[0] - out[1]).abs().max() > 1e-3


@every_config
def test_outputs_may_have_another_number_of_channels(config: Any) -> None:
    network = config.build(SHAPE, None, outputs=7)
    assert network(torch.randn(3, *SHAPE), torch.zeros(3)).shape == (3, 7, *SHAPE[1:])


@every_config
def test_dropout_is_off_in_evaluation_and_on_in_training(config: Any) -> None:
    network = awake(config.build(SHAPE))
    x, log_snr = torch.randn(3, *SHAPE), torch.zeros(3)
    torch.testing.assert_close(network(x, log_snr), network(x, log_snr), rtol=0, atol=0)
    if not isinstance(config, MLPConfig):
        network.train()
        assert not torch.equal(network(x, log_snr), network(x, log_snr))


@every_config
def test_configs_survive_json(config: Any) -> None:
    fields = json.loads(json.dumps(asdict(config)))
    read = {
        name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()
    }
    assert type(config)(**read) == config
