"""The U-Net: sizes, blocks, weights."""

from typing import Any

import pytest
import torch
from torch import nn

from allegory.networks import UNetConfig
from allegory.networks.unet import Resolution, UNetModule, resolutions
from allegory.networks.unet_blocks import PixelAttention, ResBlock


class Nothing(nn.Module):
    """Returns zeros, whatever the picture and the embedding."""

    def forward(self, h: torch.Tensor, embedding: torch.Tensor) -> torch.Tensor:
        return torch.zeros_like(h)


@pytest.mark.parametrize(
    ("shape", "multipliers"),
    [
        ((1, 8, 8), (1, 2)),
        ((3, 28, 28), (1, 1, 2)),
        ((1, 7, 9), (1,)),
        ((2, 64, 16), (1, 1, 1, 1)),
        ((5, 2, 2), (1, 2)),
    ],
)
def test_sizes_in_and_out(shape: tuple[int, ...], multipliers: tuple[int, ...]) -> None:
    network = UNetConfig(channels=4, multipliers=multipliers, blocks=1, attention=(7, 8)).build(
        shape
    )
    assert network(torch.randn(2, *shape), torch.zeros(2)).shape == (2, *shape)


def test_levels_halve_the_longer_side() -> None:
    assert resolutions((1, 28, 28), 3) == [28, 14, 7]
    assert resolutions((1, 16, 64), 2) == [64, 32]


def test_sizes_that_cannot_be_halved_are_refused() -> None:
    with pytest.raises(
        ValueError, match=r"28x30 cannot be halved 2 times.*fewer multipliers, or pad it to 28x32"
    ):
        UNetConfig(channels=4, multipliers=(1, 2, 4)).build((1, 28, 30))


def test_data_that_is_no_picture_is_refused() -> None:
    with pytest.raises(ValueError, match=r"shape=\(2,\).*use an MLP"):
        UNetConfig(channels=4).build((2,))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"channels": 0}, "channels=0"),
        ({"multipliers": ()}, r"multipliers=\(\)"),
        ({"multipliers": (1, 0)}, r"multipliers=\(1, 0\)"),
        ({"blocks": 0}, "blocks=0"),
        ({"dropout": 1.0}, r"dropout=1.0 must be in \[0, 1\)"),
        ({"head": 2}, "head=2 must be odd"),
        ({"heads": 3}, "heads=3 must divide the 64 channels"),
    ],
)
def test_impossible_configs_are_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        UNetConfig(**fields).build((1, 8, 8))


def test_a_new_residual_block_is_the_identity() -> None:
    h = torch.randn(3, 8, 4, 5)
    assert torch.equal(ResBlock(8, 8, 6, dropout=0.0)(h, torch.randn(3, 6)), h)


def test_a_new_attention_is_the_identity() -> None:
    h = torch.randn(3, 8, 4, 5)
    assert torch.equal(PixelAttention(8, 2)(h), h)


def test_pixel_attention_does_not_care_where_pixels_are() -> None:
    """Attention has no positions: to permute the pixels before it or after it is the same."""
    attention = PixelAttention(8, 2).double()
    nn.init.normal_(attention.attention.out.weight)
    h = torch.randn(3, 8, 4, 5, dtype=torch.float64)
    order = torch.randperm(20)

    def permuted(h: torch.Tensor) -> torch.Tensor:
        return h.flatten(2)[:, :, order].view_as(h)

    torch.testing.assert_close(attention(permuted(h)), permuted(attention(h)), rtol=0, atol=1e-12)


def test_attention_runs_at_the_listed_sizes_only() -> None:
    def attentions(*sizes: int) -> int:
        network = UNetConfig(channels=4, multipliers=(1, 2), blocks=1, attention=sizes).build(
            (1, 8, 4)
        )
        return sum(isinstance(module, PixelAttention) for module in network.modules())

    assert [attentions(), attentions(8), attentions(4), attentions(8, 4)] == [0, 2, 3, 5]


def test_the_whole_picture_is_seen_through_the_smaller_levels() -> None:
    """A far corner moves an output pixel that the top resolution alone cannot reach."""
    network = UNetConfig(channels=4, multipliers=(1, 1, 1, 1), blocks=1, attention=()).build(
        (1, 64, 64)
    )
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.3)
    x = torch.randn(1, 1, 64, 64, requires_grad=True)
    network(x, torch.zeros(1))[0, 0, 2, 2].backward()
    assert x.grad is not None and x.grad[0, 0, 60, 60] != 0


def test_the_way_up_sees_the_way_down_in_mirror_order() -> None:
    """With nothing coming from inside, what goes out depends on every stage down, the last of them
    first.
    """
    level = Resolution(UNetConfig(channels=4, blocks=2, attention=()), 4, [4], [8])
    level.inside = Nothing()
    for parameter in level.parameters():
        nn.init.normal_(
            parameter
        )  # a new stage is the identity, and one stage would look like the next
    seen: list[torch.Tensor] = []
    for stage in (*level.down, *level.up):
        stage.register_forward_hook(lambda stage, given, out: seen.extend((given[0], out)))
    level(torch.randn(2, 4, 8, 8), torch.randn(2, 16))
    first, second, upper, lower = seen[1], seen[3], seen[4], seen[6]
    assert torch.equal(upper[:, 4:], second)
    assert torch.equal(lower[:, 4:], first)
    assert upper[:, :4].abs().max() == 0


def test_number_of_weights() -> None:
    """Counted by hand for one resolution, 4 channels (embedding 16), one block each way."""
    embedding = (64 * 16 + 16) + (16 * 16 + 16)

    def block(inner: int) -> int:
        convolutions = (inner * 4 * 9 + 4) + (4 * 4 * 9 + 4) + (inner * 4 + 4 if inner != 4 else 0)
        return convolutions + (16 * 8 + 8) + 2 * inner + 2 * 4

    ends = (1 * 4 * 9 + 4) + 2 * 4 + (4 * 1 * 9 + 1)
    network = UNetConfig(channels=4, multipliers=(1,), blocks=1, attention=()).build((1, 8, 8))
    assert (
        sum(p.numel() for p in network.parameters()) == embedding + 2 * block(4) + block(8) + ends
    )


@pytest.mark.parametrize(
    ("config", "millions"),
    [(UNetConfig(), 2.7), (UNetConfig(channels=32, blocks=1, attention=()), 0.4)],
)
def test_documented_numbers_of_weights(config: UNetConfig, millions: float) -> None:
    count = sum(p.numel() for p in config.build((1, 28, 28)).parameters())
    assert round(count / 1e6, 1) == millions


@pytest.mark.parametrize(("head", "reach"), [(1, 0), (3, 1), (5, 2)])
def test_the_last_convolution_reaches_half_its_kernel(head: int, reach: int) -> None:
    """The output at one pixel depends on the features at most `reach` pixels away, and on those
    that far.
    """
    network = UNetConfig(channels=4, multipliers=(1,), blocks=1, attention=(), head=head).build(
        (1, 8, 8), outputs=6
    )
    assert isinstance(network, UNetModule)
    nn.init.normal_(network.head.weight)
    h = torch.randn(1, 4, 8, 8, requires_grad=True)
    network.head(h)[0, :, 3, 3].sum().backward()
    assert h.grad is not None
    rows = h.grad.abs().sum((0, 1, 3)).nonzero().flatten().tolist()
    assert rows == list(range(3 - reach, 4 + reach))
