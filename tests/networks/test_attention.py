"""Attention against the definition written out, one head and one token at a time."""

import math

import pytest
import torch
from torch import Tensor

from allegory.networks.attention import Attention


def naive(module: Attention, tokens: Tensor) -> Tensor:
    q, k, v = module.qkv(tokens).chunk(3, dim=-1)
    width = q.shape[-1] // module.heads
    mixed = torch.zeros_like(q)
    for item in range(len(tokens)):
        for head in range(module.heads):
            own = slice(head * width, (head + 1) * width)
            for i in range(tokens.shape[1]):
                scores = torch.stack([q[item, i, own] @ key[own] for key in k[item]]) / math.sqrt(
                    width
                )
                weights = scores.exp() / scores.exp().sum()
                mixed[item, i, own] = sum(
                    w * value[own] for w, value in zip(weights, v[item], strict=True)
                )
    return module.out(mixed)


@pytest.mark.parametrize(
    ("channels", "heads", "count"), [(6, 1, 3), (6, 3, 5), (8, 8, 8), (4, 2, 1)]
)
def test_attention_is_the_definition(channels: int, heads: int, count: int) -> None:
    module = Attention(channels, heads).double()
    tokens = torch.randn(2, count, channels, dtype=torch.float64)
    torch.testing.assert_close(module(tokens), naive(module, tokens), rtol=0, atol=1e-12)


def test_attention_in_bfloat16_keeps_its_type_and_comes_near() -> None:
    module = Attention(8, 2)
    tokens = torch.randn(2, 5, 8)
    near = module.bfloat16()(tokens.bfloat16())
    assert near.dtype == torch.bfloat16
    torch.testing.assert_close(near.float(), naive(module.float(), tokens), rtol=0.1, atol=0.05)


def test_heads_must_divide_the_channels() -> None:
    with pytest.raises(ValueError, match="heads=3 must divide the 8 channels"):
        Attention(8, 3)
