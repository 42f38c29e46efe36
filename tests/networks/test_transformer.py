"""The transformer over all places: rotations, order and causality of its attention."""

from __future__ import annotations

import pytest
import torch

from allegory.networks import TransformerConfig
from allegory.networks.attention import Attention, rotated, rotations


@pytest.mark.parametrize("space", [(9,), (3, 3)])
def test_products_of_rotated_pairs_depend_on_differences_of_places(space: tuple) -> None:
    turns = rotations(space, 6).double()
    q, k = torch.randn(2, 1, 1, 12, dtype=torch.float64)
    n = turns.shape[1]
    products = rotated(q.expand(1, n, -1), turns)[0] @ rotated(k.expand(1, n, -1), turns)[0].T
    places = torch.cartesian_prod(*(torch.arange(size) for size in space)).view(n, -1)
    differences = places[:, None] - places[None]
    assert products.std() > 0.1
    for i in range(n):
        for j in range(n):
            same = (differences == differences[i, j]).all(-1)
            assert (products[same] - products[i, j]).abs().max() < 1e-5  # angles in float32


def test_a_causal_token_sees_itself_and_those_before_it() -> None:
    attention = Attention(8, 2, rotations((5,), 2), causal=True)
    x = torch.randn(1, 5, 8, requires_grad=True)
    for i in range(5):
        (seen,) = torch.autograd.grad(attention(x)[0, i].sum(), x)
        assert (seen[0].abs().sum(-1) > 0).tolist() == [j <= i for j in range(5)]


def test_without_rotation_tokens_have_no_order() -> None:
    x, order = torch.randn(2, 5, 8), torch.tensor([3, 0, 4, 2, 1])
    plain, turned = Attention(8, 2), Attention(8, 2, rotations((5,), 2))
    torch.testing.assert_close(plain(x)[:, order], plain(x[:, order]))
    assert not torch.allclose(turned(x)[:, order], turned(x[:, order]), atol=1e-4)


def test_sizes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="multiple of twice the heads"):
        TransformerConfig(width=12, heads=4)
    with pytest.raises(ValueError, match="one axis of space"):
        TransformerConfig(width=16, heads=4).build((3,))
