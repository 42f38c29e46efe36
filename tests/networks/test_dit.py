"""The transformer: patches, positions, blocks, weights."""

import math
from typing import Any

import pytest
import torch

from allegory.networks import DiTConfig
from allegory.networks.attention import Attention
from allegory.networks.dit import TransformerBlock, positions


@pytest.mark.parametrize(("shape", "patch"), [((1, 8, 8), 2), ((3, 28, 14), 7), ((2, 5, 3), 1)])
def test_sizes_in_and_out(shape: tuple[int, ...], patch: int) -> None:
    network = DiTConfig(patch=patch, width=8, depth=1, heads=2).build(shape)
    assert network(torch.randn(2, *shape), torch.zeros(2)).shape == (2, *shape)


def test_positions_are_the_formula() -> None:
    table = positions(2, 3, 8).double()
    for row in range(2):
        for column in range(3):
            expected = [
                f(place * w)
                for place in (row, column)
                for f in (math.sin, math.cos)
                for w in (1.0, 0.01)
            ]
            torch.testing.assert_close(
                table[3 * row + column].tolist(), expected, rtol=0, atol=1e-6
            )


def test_patches_return_to_where_they_came_from() -> None:
    """With one block that does nothing, and no normalisation, an output patch depends on its own
    input patch alone.
    """
    network = DiTConfig(patch=2, width=8, depth=1, heads=2).build((1, 4, 6))
    torch.nn.init.normal_(network.head.weight)
    x = torch.randn(1, 1, 4, 6, requires_grad=True)
    network(x, torch.zeros(1))[0, 0, 1, 4].backward()
    assert x.grad is not None
    seen = x.grad[0, 0] != 0
    expected = torch.zeros(4, 6, dtype=torch.bool)
    expected[0:2, 4:6] = True
    assert torch.equal(seen, expected)


def test_equal_patches_are_told_apart_by_their_position() -> None:
    network = DiTConfig(patch=2, width=8, depth=1, heads=2).build((1, 4, 4))
    torch.nn.init.normal_(network.head.weight)
    patches = (
        network(torch.ones(1, 1, 4, 4), torch.zeros(1))
        .unfold(2, 2, 2)
        .unfold(3, 2, 2)
        .reshape(4, 4)
    )
    apart = torch.cdist(patches, patches) + torch.eye(4)
    assert apart.min() > 1e-2


def test_a_new_block_is_the_identity() -> None:
    block = TransformerBlock(8, Attention(8, 2))
    h = torch.randn(3, 5, 8)
    assert torch.equal(block(h, torch.randn(3, 8)), h)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"patch": 3}, "patch=3 does not divide an image of 8x8"),
        ({"patch": 0}, "patch=0"),
        ({"width": 6}, "width=6.*multiple of 4"),
        ({"depth": 0}, "depth=0"),
        ({"heads": 3}, "heads=3 must divide the 128 channels"),
        ({"dropout": -0.1}, r"dropout=-0.1 must be in \[0, 1\)"),
    ],
)
def test_impossible_configs_are_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        DiTConfig(**fields).build((1, 8, 8))


def test_data_that_is_no_picture_is_refused() -> None:
    with pytest.raises(ValueError, match=r"shape=\(2,\).*use an MLP"):
        DiTConfig().build((2,))


def test_number_of_weights() -> None:
    """18 w² in the matrices of a block, as the class says, and the rest counted by hand."""
    width, depth = 16, 3
    block = 18 * width**2 + (6 + 3 + 1 + 4 + 1) * width
    embedding = (64 * width + width) + (width**2 + width)
    ends = (4 * width + width) + (2 * width**2 + 2 * width) + (4 * width + 4)
    network = DiTConfig(patch=2, width=width, depth=depth, heads=2).build((1, 8, 8))
    assert sum(p.numel() for p in network.parameters()) == depth * block + embedding + ends
