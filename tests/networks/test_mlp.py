"""The perceptron: its block against the formula, shapes, weights."""

from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn.functional import layer_norm, silu

from allegory.conditions import Condition, Labels, Numbers, Picture
from allegory.networks import MLPConfig
from allegory.networks.mlp import PerceptronBlock


def test_a_new_block_is_the_identity() -> None:
    h = torch.randn(3, 8)
    assert torch.equal(PerceptronBlock(8)(h, torch.randn(3, 8)), h)


def test_a_block_is_the_formula() -> None:
    block = PerceptronBlock(8).double()
    nn.init.normal_(block.film.weight)
    h, embedding = torch.randn(3, 8, dtype=torch.float64), torch.randn(3, 8, dtype=torch.float64)
    shift, scale, gate = (embedding @ block.film.weight.T).chunk(3, dim=1)
    first, _, second = block.layers
    expected = h + gate * second(silu(first(layer_norm(h, (8,)) * (1 + scale) + shift)))
    torch.testing.assert_close(block(h, embedding), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("shape", "condition"),
    [
        ((2,), Numbers(1)),
        ((1,), Labels(2)),
        ((3, 4, 2, 2), Picture((2, 4, 2, 2))),
        ((5, 7), Picture((1, 7))),
    ],
)
def test_data_of_any_shape(shape: tuple[int, ...], condition: Condition) -> None:
    network = MLPConfig(16, 1).build(shape, condition)
    assert network(torch.randn(3, *shape), torch.zeros(3)).shape == (3, *shape)


def test_shapes_without_an_axis_are_refused() -> None:
    with pytest.raises(
        ValueError, match=r"shape=\(\) must have at least one axis.*\(1,\) for scalars"
    ):
        MLPConfig().build(())


@pytest.mark.parametrize("name", ["width", "depth"])
def test_nothing_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name}=0"):
        replace(MLPConfig(), **{name: 0})


def test_number_of_weights() -> None:
    width, depth = 16, 3
    block = 5 * width**2 + 5 * width
    embedding = (64 * width + width) + (width**2 + width)
    ends = (2 * width + width) + 2 * width + (2 * width + 2)
    network = MLPConfig(width, depth).build((2,))
    assert sum(p.numel() for p in network.parameters()) == depth * block + embedding + ends


def test_one_level_for_all_is_that_level_for_each():
    network = MLPConfig(16, 2).build((3,)).double()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in network.parameters():
            weight += 0.3 * torch.randn(weight.shape, generator=generator).to(weight)
    x = torch.randn(5, 3, generator=generator).double()
    level = torch.tensor([1.5]).double()
    each = network(x, level.repeat(5), None)
    torch.testing.assert_close(network(x, level.expand(5), None), each, atol=1e-12, rtol=1e-12)
    assert float((each[0] - network(x, level.repeat(5) + 1, None)[0]).abs().max()) > 1e-3
