"""Encoders and decoders without a level: new blocks change nothing, sizes go down and up, an item
is its own.
"""

import math

import pytest
import torch
from torch.nn.functional import linear, silu

from allegory.networks.dense import Dense
from allegory.networks.residual import (
    Down,
    Flatten,
    Output,
    PictureDecoder,
    PictureEncoder,
    Unflatten,
    Up,
    halves,
    residuals,
)


def test_new_blocks_are_the_identity_and_new_outputs_zero():
    h = torch.randn(2, 8, 6, 4)
    assert torch.equal(residuals(8, 3)(h), h)
    assert not Output(8, 5)(h).any() and Output(8, 5, zero=False)(h).any()
    assert not Flatten(8, (6, 4), 5)(h).any()
    assert not Dense(5, (2, 3), 16, 2, zero=True)(torch.randn(4, 5)).any()


def test_down_and_up_move_pixels():
    """The receptive field of one pixel of `Down` is its block and the eight around it; `Up` sees
    one pixel.
    """
    x = torch.randn(1, 2, 8, 8, requires_grad=True)
    Down(2, 3)(x)[0, :, 1, 1].sum().backward()
    seen = x.grad[0].abs().sum(0) > 0
    assert seen[:6, :6].all() and not seen[6:].any() and not seen[:, 6:].any()
    h = torch.randn(1, 3, 4, 4, requires_grad=True)
    up = Up(3, 2)(h)
    assert up.shape == (1, 2, 8, 8)
    up[0, :, 2:4, 4:6].sum().backward()
    assert (h.grad[0].abs().sum(0) > 0).nonzero().tolist() == [[1, 2]]


def test_a_picture_is_read_at_a_scale_of_its_own():
    """The output is W silu(norm(h)) / sqrt(pixels), and begins at the size of a usual linear
    layer's.
    """
    flatten, h = Flatten(8, (6, 4), 500, zero=False), torch.randn(3, 8, 6, 4)
    weights = flatten.linear.weight, flatten.linear.bias
    expected = linear(silu(flatten.norm(h)).flatten(1), *weights) / math.sqrt(24)
    torch.testing.assert_close(flatten(h)[:, :, 0, 0], expected)
    # torch draws weights from +-1/sqrt(inputs); the largest of 96,000 comes within 1 % of that
    assert weights[0].abs().max().item() / math.sqrt(24) == pytest.approx(
        1 / math.sqrt(192), rel=0.01
    )
    unflatten, z = Unflatten(5, 8, (6, 4)), torch.randn(3, 5, 1, 1)
    expected = linear(z[:, :, 0, 0], unflatten.linear.weight, unflatten.linear.bias) / math.sqrt(24)
    torch.testing.assert_close(unflatten(z), expected.view(3, 8, 6, 4))


def test_encoder_and_decoder_are_mirror_images():
    encoder, decoder = (
        PictureEncoder((2, 8, 12), 5, (8, 8), 1),
        PictureDecoder(5, (3, 8, 12), (8, 8), 1),
    )
    for parameter in [*encoder.parameters(), *decoder.parameters()]:
        parameter.data.add_(0.1 * torch.randn_like(parameter))
    x = torch.randn(4, 2, 8, 12)
    z = encoder(x)
    assert z.shape == (4, 5) and decoder(z).shape == (4, 3, 8, 12)
    # float32 sums of some hundred terms, perhaps in another order
    torch.testing.assert_close(decoder(encoder(x[2:3])), decoder(z)[2:3], rtol=1e-4, atol=1e-5)


def test_dense_takes_any_shape_and_gives_any():
    network, x = Dense(24, (2, 5), 16, 2), torch.randn(3, 4, 6)
    out = network(x)
    assert out.shape == (3, 2, 5) and out.any()
    torch.testing.assert_close(network(x[1:2]), out[1:2])


@pytest.mark.parametrize("shape", [(8,), (1, 8), (1, 6, 8), (1, 8, 10)])
def test_other_pictures_are_refused(shape):
    with pytest.raises(ValueError, match="multiples of 4"):
        halves(shape)
