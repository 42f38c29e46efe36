"""The transformer over all places: rotations, order and causality of its attention."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from allegory.networks import TransformerConfig
from allegory.networks.attention import Attention, rotated, rotations
from allegory.networks.transformer import LocalStem


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
    with pytest.raises(ValueError, match="kernel=2 must be odd"):
        TransformerConfig(kernel=2)
    with pytest.raises(ValueError, match="1 to 3 axes"):
        TransformerConfig(kernel=3).build((1, 2, 2, 2, 2))
    with pytest.raises(ValueError, match="multiple of twice the heads"):
        TransformerConfig(width=12, heads=4)
    with pytest.raises(ValueError, match="one axis of space"):
        TransformerConfig(width=16, heads=4).build((3,))


@pytest.mark.parametrize("space", [(6,), (3, 4), (2, 3, 2)])
def test_the_stem_joins_the_places_of_its_kernel_and_no_others(space: tuple) -> None:
    stem = LocalStem(2, 5, 3, len(space))
    x = torch.randn(1, 2, *space, requires_grad=True)
    out = stem(x)
    places = torch.cartesian_prod(*(torch.arange(size) for size in space)).view(-1, len(space))
    for i, place in enumerate(places):
        (gradient,) = torch.autograd.grad(out[0, i].square().sum(), x, retain_graph=True)
        near = ((places - place).abs() <= 1).all(-1)
        assert torch.equal(gradient[0].abs().sum(0).flatten() > 0, near)


def test_attention_on_a_cpu_is_in_float32_under_autocast() -> None:
    """Autocast alone would cast its queries to bfloat16 again."""
    seen = []

    class Seen(Attention):
        def _mixed(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
            out = super()._mixed(q, k, v)
            seen.append({each.dtype for each in (q, k, v, out)})
            return out

    with torch.autocast("cpu", torch.bfloat16):
        Seen(16, 2)(torch.randn(2, 7, 16))
    assert seen == [{torch.float32}]
