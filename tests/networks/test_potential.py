"""The scalar network: one output per item, smooth in the level, with conditions like the others."""

import pytest
import torch

from allegory.conditions import Labels
from allegory.networks import PotentialConfig


def awake(config, shape=(2,), condition=None):
    """A network whose head is not zero."""
    torch.manual_seed(0)
    network = config.build(shape, condition)
    torch.nn.init.normal_(network.head.weight)
    return network


def test_one_number_an_item_and_zero_when_new():
    x, log_snr = torch.randn(5, 1, 3, 3), torch.linspace(-30, 30, 5)
    assert torch.equal(PotentialConfig(8, 1).build((1, 3, 3))(x, log_snr), torch.zeros(5))
    network = awake(PotentialConfig(8, 2, (0, 1)), (1, 3, 3))
    whole = network(x, log_snr)
    assert whole.shape == (5,) and whole.isfinite().all()
    for i in range(5):
        torch.testing.assert_close(network(x[i : i + 1], log_snr[i : i + 1])[0], whole[i])
    assert network(x, torch.tensor([-float("inf"), float("inf"), 0, 0, 0])).isfinite().all()


def test_its_waves_fade_with_the_noise():
    """Where the noise is wide, a shift by a small part of x changes only what is not a wave."""
    waves, plain = awake(PotentialConfig(16, 1, (4,))), awake(PotentialConfig(16, 1))
    x = torch.randn(50, 2)

    def bend(network, log_snr):
        told = torch.full((50,), log_snr)
        return (network(x + 0.03, told) - network(x, told)).std().item()

    assert bend(waves, 9.0) > 3 * bend(plain, 9.0)
    assert bend(waves, 0.0) < 2 * bend(plain, 0.0)


def test_the_potential_is_smooth_in_log_snr():
    """No feature of the level has a period below 2 pi/0.8: a hundredth of a nat moves it by far
    less than one.
    """
    network = awake(PotentialConfig(32, 2, (0, 1)))
    x, told = torch.randn(50, 2), torch.linspace(-8, 8, 50)
    near = (network(x, told + 0.01) - network(x, told)).abs().max().item()
    far = (network(x, told + 1.0) - network(x, told)).abs().max().item()
    assert near < 0.03 * far


def test_labels_reach_it():
    network = awake(PotentialConfig(16, 1), (2,), Labels(3))
    for parameter in network.condition.parameters():
        torch.nn.init.normal_(parameter)
    x, told = torch.randn(4, 2), torch.zeros(4)
    one, two = (network(x, told, torch.full((4,), label)) for label in (0, 2))
    assert (one - two).abs().min() > 1e-4


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match="at least 1"):
        PotentialConfig(0, 1)
    with pytest.raises(ValueError, match="one output per item"):
        PotentialConfig().build((2,), outputs=4)
    with pytest.raises(ValueError, match="built for"):
        PotentialConfig(8, 1).build((2,))(torch.randn(3, 4), torch.zeros(3))
