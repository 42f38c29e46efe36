"""Operators by name."""

import pytest
import torch

from allegory.inverse import OPERATORS, Fourier, Mask, check_adjoint, operator_named
from allegory.inverse.operators import sampled_frequencies

IMAGE = (3, 8, 12)

NAMES = {
    "identity": (3, 8, 12),
    "lower_half": (3, 8, 12),
    "upper_half": (3, 8, 12),
    "left_half": (3, 8, 12),
    "right_half": (3, 8, 12),
    "box:0.5": (3, 8, 12),
    "mask:0.3": (3, 8, 12),
    "mask:0.3:seed=4": (3, 8, 12),
    "crop:0.5": (3, 4, 6),
    "downsample:4": (3, 2, 3),
    "blur:1.5": (3, 8, 12),
    "blur:1.5:padding=circular": (3, 8, 12),
    "grey": (1, 8, 12),
    "projection:16": (16,),
    "projection:16:seed=2": (16,),
    "fourier:0.25": (3, 8, 12),
    "lowpass:0.25": (3, 8, 12),
}


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_an_operator(name):
    operator = operator_named(name, IMAGE)
    assert operator.shape == IMAGE and operator.measured_shape == NAMES[name]
    check_adjoint(operator)


def test_every_name_is_here():
    assert {name.partition(":")[0] for name in NAMES} == set(OPERATORS)
    prints = {operator_named(name, IMAGE).fingerprint for name in NAMES}
    assert len(prints) == len(NAMES)


@pytest.mark.parametrize("name", ["identity", "mask:0.5", "blur:1", "projection:3", "fourier:0.5"])
def test_tables_have_operators_too(name):
    check_adjoint(operator_named(name, (12,)))


@pytest.mark.parametrize("space", [(8, 12), (7, 5), (1, 6), (12,)])
@pytest.mark.parametrize("fraction", [0.1, 0.5, 1.0])
def test_sampled_frequencies_are_a_fraction_with_the_mean(space, fraction):
    known = sampled_frequencies(space, fraction)
    count = known.numel()
    assert fraction * count <= int(known.sum()) < fraction * count + 2
    assert known.flatten()[0]
    assert torch.equal(Fourier(known, space).known, known)  # -k with k
    if fraction == 0.5:
        assert not torch.equal(known, sampled_frequencies(space, fraction, seed=1))


def test_low_frequencies_keep_a_smooth_image():
    across = torch.arange(32) * 2 * torch.pi / 32
    x = (across[:, None].sin() + across[None].cos()).expand(1, 1, 32, 32)
    operator = operator_named("lowpass:0.1", (1, 32, 32))
    assert torch.allclose(operator.adjoint(operator(x)), x, atol=1e-5)
    assert float(operator.known.double().mean()) == pytest.approx(0.1, abs=0.05)
    others = operator.transform((~operator.known).double()[None, None])
    assert operator(others).abs().max() < 1e-12


def test_masks_by_name_say_what_is_unknown():
    assert not operator_named("lower_half", IMAGE).known[:, 4:].any()
    assert operator_named("lower_half", IMAGE).known[:, :4].all()
    assert float(operator_named("mask:0.25", (1, 8, 8)).known.double().mean()) == 0.75
    assert isinstance(operator_named("box:0.5", IMAGE), Mask)


BAD = {
    "downsampl:4": "unknown operator 'downsampl'; did you mean 'downsample'?",
    "downsample": "'downsample' alone is not enough; write downsample:factor",
    "downsample:3": "operator 'downsample:3': factor=3: does not divide",
    "downsample:2.5": "after 'downsample:' comes factor, the sides of a block",
    "mask:1.5": "after 'mask:' comes fraction, that of unknown pixels",
    "mask:0.5:seed=x": "seed=x: give a seed, a finite number",
    "blur:0": "after 'blur:' comes std",
    "blur:1:padding=mirror": "unknown padding 'mirror'",
    "projection:400": "operator 'projection:400': count=400; give a whole number, 1 to 288",
    "fourier:0": "after 'fourier:' comes fraction",
    "crop:0": "after 'crop:' comes fraction",
    "grey:2": "no number follows 'grey'",
}


@pytest.mark.parametrize("name", BAD)
def test_names_that_are_none_are_refused(name):
    with pytest.raises(ValueError) as error:
        operator_named(name, IMAGE)
    assert BAD[name] in str(error.value)


def test_an_operator_that_does_not_fit_the_items_is_refused():
    with pytest.raises(ValueError, match=r"operator 'lower_half': shape=\(12,\): is no image"):
        operator_named("lower_half", (12,))
