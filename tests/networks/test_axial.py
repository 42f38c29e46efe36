"""The axial transformer and the U-Net of frames: axes kept apart, frames that are given."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from allegory.conditions import Condition, Labels, Numbers, Picture
from allegory.networks import AxialTransformerConfig, VideoUNetConfig, add_number
from allegory.networks.unet_blocks import FrameAttention

VIDEO, SERIES = (4, 1, 8, 4), (6, 3)
AXIAL = AxialTransformerConfig(patch=2, width=16, depth=2, heads=2, dropout=0.1)
CONVOLVING = VideoUNetConfig(
    patch=2, channels=8, multipliers=(1, 2), attention=(2,), time=(2, 4), dropout=0.1
)
CASES: list[Any] = [(AXIAL, VIDEO), (AXIAL, SERIES), (CONVOLVING, VIDEO)]
every_case = pytest.mark.parametrize(
    ("config", "shape"), CASES, ids=("axial-video", "axial-series", "unet")
)


def kinds(shape: tuple[int, ...]) -> list[Condition | None]:
    return [
        None,
        Labels(5),
        Numbers(3),
        Picture((2, *shape[1:])),
        Picture((2, *shape[1:]), noise=1),
    ]


def rows(kind: Condition | None, batch: int) -> Tensor | None:
    match kind:
        case None:
            return None
        case Labels():
            return torch.arange(batch) % kind.classes
        case _:
            return torch.randn(batch, *kind.row_shape).clamp(0, 1)


def awake(network: nn.Module) -> nn.Module:
    """All weights random: a fresh network returns 0 and would pass any comparison."""
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.2)
    return network.eval()


@pytest.mark.parametrize("which", range(5))
@every_case
def test_a_new_network_returns_zero_and_learns_from_its_first_step(
    config: Any, shape: tuple[int, ...], which: int
) -> None:
    kind = kinds(shape)[which]
    network = config.build(shape, kind)
    out = network(torch.randn(3, *shape), torch.randn(3), rows(kind, 3))
    assert out.shape == (3, *shape) and out.abs().max() == 0
    (out - 1).square().mean().backward()
    assert network.head.weight.grad.abs().max() > 0


@pytest.mark.parametrize("which", range(5))
@every_case
def test_an_item_comes_out_the_same_alone_and_in_any_order(
    config: Any, shape: tuple[int, ...], which: int
) -> None:
    """Frames share the axis of the batch inside, where those of two items could be confused."""
    kind = kinds(shape)[which]
    network = awake(config.build(shape, kind)).double()
    x, log_snr, given = torch.randn(5, *shape).double(), torch.randn(5).double(), rows(kind, 5)
    together = network(x, log_snr, given)
    assert together.abs().max() > 0.1

    for i in range(5):
        own = None if given is None else given[i : i + 1]
        alone = network(x[i : i + 1], log_snr[i : i + 1], own)
        torch.testing.assert_close(alone, together[i : i + 1], rtol=1e-10, atol=1e-10)
    order = torch.tensor([3, 0, 4, 1, 2])
    permuted = network(x[order], log_snr[order], None if given is None else given[order])
    torch.testing.assert_close(permuted, together[order], rtol=1e-10, atol=1e-10)


@every_case
def test_every_output_depends_on_every_time_and_place(config: Any, shape: tuple[int, ...]) -> None:
    network = awake(config.build(shape))
    x = torch.randn(1, *shape, requires_grad=True)
    network(x, torch.zeros(1)).flatten()[-1].backward()
    assert x.grad is not None and (x.grad != 0).all()


@pytest.mark.parametrize("given", [False, True])
def test_one_axis_of_attention_at_a_time(given: bool) -> None:
    """Without the blocks over time a frame depends on itself alone, whatever is given before it;
    without those over space a patch on the same patch alone.
    """
    kind = Picture((2, *VIDEO[1:])) if given else None
    for axis, count in (("time", 4), ("space", 8)):
        network = awake(AXIAL.build(VIDEO, kind))
        for block in network.blocks:
            other = block.space if axis == "time" else block.time
            for parameter in other.film.parameters():
                nn.init.zeros_(parameter)

        x = torch.randn(1, *VIDEO, requires_grad=True)
        network(x, torch.zeros(1), rows(kind, 1))[0, 0, 0, 0, 0].backward()
        assert x.grad is not None
        patches = (x.grad[0, :, 0] != 0).unflatten(1, (4, 2)).unflatten(3, (2, 2)).amax((2, 4))
        assert patches.sum() == count
        assert patches[:, 0, 0].all() if axis == "time" else patches[0].all()


def test_without_attention_over_time_a_frame_depends_on_itself_alone() -> None:
    kind = Picture((2, *VIDEO[1:]))
    network = awake(CONVOLVING.build(VIDEO, kind))
    for module in network.modules():
        if isinstance(module, FrameAttention):
            nn.init.zeros_(module.attention.out.weight)
    x = torch.randn(1, *VIDEO, requires_grad=True)
    network(x, torch.zeros(1), rows(kind, 1))[0, 2].sum().backward()
    assert x.grad is not None
    assert (x.grad[0] != 0).flatten(1).any(1).tolist() == [False, False, True, False]


def test_attention_over_time_mixes_no_places() -> None:
    block = FrameAttention(8, 2, frames=3).double()
    nn.init.normal_(block.attention.out.weight)
    block.norm = nn.Identity()  # type: ignore[assignment]  # it mixes the places of a frame
    h = torch.randn(6, 8, 2, 2, dtype=torch.float64, requires_grad=True)
    block(h)[4, :, 1, 0].sum().backward()
    assert h.grad is not None
    seen = (h.grad != 0).any(1)
    assert seen[3:, 1, 0].all() and seen.sum() == 3


@every_case
def test_the_order_of_frames_matters(config: Any, shape: tuple[int, ...]) -> None:
    network = awake(config.build(shape))
    x, log_snr = torch.randn(1, *shape), torch.zeros(1)
    assert (network(x.flip(1), log_snr).flip(1) - network(x, log_snr)).abs().max() > 1e-2


@every_case
def test_given_frames_move_their_own_item_only_and_may_be_hidden(
    config: Any, shape: tuple[int, ...]
) -> None:
    kind = Picture((2, *shape[1:]))
    network = awake(config.build(shape, kind))
    x, log_snr = torch.randn(3, *shape), torch.randn(3)
    given = torch.randn(3, *kind.shape)
    changed = given.clone()
    changed[0, 0] += 1
    before, after = network(x, log_snr, given), network(x, log_snr, changed)
    assert (before[0] - after[0]).abs().amax(tuple(range(1, len(shape)))).min() > 1e-4
    torch.testing.assert_close(before[1:], after[1:], rtol=1e-5, atol=1e-5)

    nothing = network(x, log_snr)
    hidden = network(x, log_snr, torch.full_like(given, math.nan))
    assert torch.equal(hidden, nothing) and (before - nothing).abs().max() > 1e-3


@every_case
def test_several_outputs_per_frame(config: Any, shape: tuple[int, ...]) -> None:
    """The first set of frames is that of the first weights of the head."""
    network = awake(config.build(shape, None, outputs=2 * shape[0]))
    x, log_snr = torch.randn(3, *shape), torch.zeros(3)
    out = network(x, log_snr)
    assert out.shape == (3, 2 * shape[0], *shape[1:])
    half = len(network.head.weight) // 2
    for parameter in network.head.parameters():
        nn.init.zeros_(parameter[half:])
    first, second = network(x, log_snr).chunk(2, dim=1)
    assert torch.equal(first, out[:, : shape[0]]) and (second == 0).all()


@every_case
def test_one_more_number(config: Any, shape: tuple[int, ...]) -> None:
    network = awake(config.build(shape))
    x, log_snr = torch.randn(3, *shape), torch.zeros(3)
    before = network(x, log_snr)
    add_number(network)
    assert torch.equal(network(x, torch.zeros(3, 2)), before)


@every_case
def test_the_level_is_seen_and_may_be_infinite(config: Any, shape: tuple[int, ...]) -> None:
    network = awake(config.build(shape))
    x = torch.randn(1, *shape).expand(4, *shape)
    out = network(x, torch.tensor([math.inf, -math.inf, -1.0, 1.0]))
    assert out.isfinite().all() and (out[2] - out[3]).abs().max() > 1e-3


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: AXIAL.build((1, 8, 8)), r"shape=\(1, 8, 8\).*use a UNet for images"),
        (lambda: AXIAL.build((5,)), r"shape=\(5,\) must be \(time, channels\)"),
        (lambda: AXIAL.build((4, 1, 7, 8)), "patch=2 does not divide an image of 7x8"),
        (lambda: AXIAL.build(VIDEO, None, outputs=7), "outputs=7 for items of 4 frames"),
        (lambda: AxialTransformerConfig(width=6), "width=6.*multiple of 4"),
        (lambda: AxialTransformerConfig(dropout=1.0), "dropout=1.0"),
        (lambda: CONVOLVING.build(SERIES), "use an AxialTransformer for series"),
        (lambda: CONVOLVING.build((4, 1, 7, 8)), "patch=2 does not divide frames of 7x8"),
        (lambda: CONVOLVING.build((4, 1, 10, 10)), "cannot be halved 1 times"),
        (lambda: VideoUNetConfig(patch=0), "patch=0"),
        (lambda: VideoUNetConfig(channels=7), "channels=7 even"),
        (lambda: VideoUNetConfig(multipliers=()), "multipliers"),
    ],
)
def test_impossible_networks_are_refused(build: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build()
