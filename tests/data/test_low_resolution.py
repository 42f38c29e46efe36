"""Images whose condition is themselves at a lower resolution, and samples that agree with it."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn.functional import avg_pool2d

import allegory as al
from allegory.conditions import Combined, Labels, Picture, hidden_like
from allegory.data import DataSpec
from allegory.data.low_resolution import NOISE, decode_given
from allegory.numerics.blocks import block_means
from allegory.training import TrainingConfig

KIND = Picture((1, 2, 2), 0.0, 16.0, noise=0.5, blocks=4, bounded=True)
SPEC = DataSpec((1, 8, 8), 0.0, 16.0, 17, 10, condition=KIND)


@pytest.fixture(scope="module")
def digits():
    return al.load("digits?lowres=4:0.5")


@pytest.fixture(scope="module")
def model(digits):
    torch.manual_seed(0)
    network = al.UNet(digits.spec, channels=8, multipliers=(1, 2), blocks=1, attention=())
    model = al.VDM(al.Denoiser(network, al.Path.vdm(8, -5), target="v"), digits.spec)
    config = TrainingConfig(steps=3, batch_size=32, validation_every=0)
    al.train(model, digits, config=config)
    return model


def test_the_condition_is_the_mean_of_each_block_without_noise(digits):
    assert digits.spec == SPEC
    for items in digits.sets:
        means = avg_pool2d(items.x.double(), 4)
        assert torch.equal(items.condition[:, :1].double(), means)
        assert (items.condition[:, 1:] == 0).all()
    assert DataSpec.from_dict(digits.spec.to_dict()) == digits.spec


def test_noise_is_optional():
    assert al.load("digits?lowres=2").spec.condition.noise == NOISE
    plain = al.load("digits?lowres=2:0")
    assert plain.spec.condition.noise == 0
    assert plain.test.condition.shape[1:] == (1, 4, 4)


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("digits?lowres=3", r"3 does not divide 8x8; give one that does \(2, 4, 8\)"),
        ("digits?lowres=1", "give the sides of a block, 2 or more"),
        ("digits?lowres=four", "give the sides of a block, 2 or more"),
        ("digits?lowres=4:2", "noise, from 0 to 1"),
        ("digits?lowres=4:nan", "noise, from 0 to 1"),
        ("digits?lowres=4&flip=both", r"has a transform \(flip"),
        ("moons?lowres=2", "it is for images"),
    ],
)
def test_other_options_and_data_are_refused(source, says):
    with pytest.raises(ValueError, match=says):
        al.load(source)


def test_samples_agree_with_what_they_were_given(digits, model):
    some = digits.test.take(torch.arange(12))
    sampler = al.Sampler("ddim", steps=3)
    x = model.sample(range(12), some.condition, sampler)
    assert x.dtype == torch.uint8
    assert torch.equal(block_means(x, 4), block_means(some.x, 4))
    assert torch.equal(x, model.sample(range(12), avg_pool2d(some.x.double(), 4).numpy(), sampler))

    alone = model.sample([7], some.condition[7:8], sampler)
    assert torch.equal(alone, x[7:8])

    guided = model.sample(range(12), some.condition, replace(sampler, guide="agree"))
    assert torch.equal(block_means(guided, 4), block_means(some.x, 4))


def test_samples_without_a_condition_or_with_noise_are_those_of_the_sampler(digits, model):
    sampler = al.Sampler("ddim", steps=3)
    rows = digits.test.condition[:4]
    eps = torch.randn(4, 1, 2, 2, generator=torch.Generator().manual_seed(0))
    noised = KIND.noised(rows, torch.full((4,), 0.4), eps)
    seen = []
    handle = model.denoiser.network.inputs.register_forward_pre_hook(
        lambda module, given: seen.append(given[2])
    )
    for given in (None, hidden_like(rows), noised):
        free = [*model.trajectory(range(4), given, sampler)][-1].x
        assert torch.equal(model.sample(range(4), given, sampler), digits.spec.decode(free))
    handle.remove()
    assert (seen[-1][:, 1] == 0.4).all()


def test_noise_of_level_zero_is_the_plain_picture(digits):
    rows = digits.test.condition[:4]
    assert torch.equal(KIND.noised(rows, torch.zeros(4), torch.randn(4, 1, 2, 2)), rows)


def test_continuous_items_agree_to_the_rounding_of_float32():
    x = np.random.default_rng(0).normal(100, 30, (40, 1, 6, 6)).astype(np.float32)
    for bounds in (None, (0, 200)):
        data = al.Dataset.from_arrays(x.clip(0, 200), bounds=bounds)
        low, high = data.spec.low, data.spec.high
        kind = Picture((1, 3, 3), low, high, blocks=2, bounded=bounds is not None)
        rows = block_means(data.train.x, 2).float()
        free = torch.randn(data.train.x.shape, generator=torch.Generator().manual_seed(0))
        found = decode_given(replace(data.spec, condition=kind), free, rows)
        assert found.dtype == torch.float32
        torch.testing.assert_close(block_means(found, 2).float(), rows, rtol=3e-7, atol=1e-5)
        assert bounds is None or (found.min() >= 0 and found.max() <= 200)


def test_a_picture_as_a_part_of_several_conditions(digits):
    kind = Combined(("what", "low"), (Labels(10), KIND))
    spec = replace(SPEC, condition=kind)
    rows = kind.join({"low": digits.test.condition[:6]}, (6,))
    x = decode_given(spec, torch.randn(6, 1, 8, 8), rows)
    assert torch.equal(block_means(x, 4), block_means(digits.test.x[:6], 4))


def test_pictures_that_no_item_has_are_refused(model):
    too_bright = np.full((1, 2, 2), 17.0)
    with pytest.raises(ValueError, match="numbers from 17 to 17, and no item has them"):
        model.sample([0], too_bright)


@pytest.mark.parametrize("kind", [replace(KIND, high=17.0), replace(KIND, shape=(1, 3, 2))])
def test_pictures_of_other_items_are_refused(kind):
    for each in (kind, Combined(("what", "low"), (Labels(10), kind))):
        with pytest.raises(ValueError, match=r"give items of .*, and their low and high"):
            replace(SPEC, condition=each)


def test_blocks_of_one_pixel_are_refused():
    with pytest.raises(ValueError, match="blocks=1: give 2 or more"):
        replace(KIND, blocks=1)
