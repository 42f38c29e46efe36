import pytest
import torch
from tests.helpers.paths import BOUNDED, PATHS
from torch import nn

from allegory.conditions import Labels
from allegory.models import CategoricalOutput, Denoiser, categorical_output
from allegory.networks import MLPConfig
from allegory.process import Empirical, Path
from allegory.process.schedule import LinearLogSNR

VALUES = torch.linspace(-1, 1, 5)


class Logits(nn.Module):
    """Gives the same logits everywhere: a prior over the levels."""

    def __init__(self, prior):
        super().__init__()
        self.prior = nn.Parameter(prior.log())

    def forward(self, x, log_snr, condition=None):
        return self.prior.reshape(1, -1, 1, 1).expand(len(x), -1, *x.shape[2:])


@pytest.mark.parametrize("name", [name for name in PATHS if name.startswith(("linear", "cosine-"))])
def test_a_network_that_knows_nothing_leaves_bayes_rule(name):
    """Flat logits: each number on its own has the exact posterior mean of a uniform choice of
    level.
    """
    path = PATHS[name]
    denoiser = Denoiser(Logits(torch.ones(5) / 5), path, CategoricalOutput(VALUES))
    x = torch.randn(4, 1, 2, 3)
    oracle = Empirical(VALUES[:, None], path)
    for t in (0.2, torch.tensor([0.1, 0.4, 0.6, 0.9])):
        each = t if isinstance(t, float) else t.repeat_interleave(6)
        expected = oracle(x.reshape(-1, 1), each).x0.reshape(x.shape)
        torch.testing.assert_close(denoiser(x, t).x0, expected, rtol=1e-4, atol=1e-5)


def test_logits_are_the_log_prior():
    path, prior = Path(LinearLogSNR(5, -5)), torch.tensor([0.1, 0.4, 0.1, 0.3, 0.1])
    (level,) = path.levels([0.5])
    x = torch.randn(3, 1, 1, 2)
    weight = prior * torch.exp(
        -(x[..., None] - level.alpha * VALUES).square() / (2 * level.sigma**2)
    )
    expected = (weight * VALUES).sum(-1) / weight.sum(-1)
    torch.testing.assert_close(
        Denoiser(Logits(prior), path, CategoricalOutput(VALUES))(x, level).x0, expected
    )


def test_near_clean_data_the_predicted_x0_is_the_level_itself():
    path = Path(LinearLogSNR(12, -5))
    x0 = VALUES[torch.randint(5, (3, 1, 4, 4))]
    (level,) = path.levels([0.0])
    prediction = Denoiser(Logits(torch.ones(5)), path, CategoricalOutput(VALUES))(
        level.mix(x0, torch.randn_like(x0)), level
    )
    torch.testing.assert_close(prediction.x0, x0)


@pytest.mark.parametrize("scaling", BOUNDED)
def test_channels_do_not_mix_and_labels_reach_the_network(scaling):
    path = Path(LinearLogSNR(5, -5), scaling)
    network = MLPConfig(width=16, depth=1).build((2, 2, 2), Labels(3), outputs=10)
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.3)
    denoiser = Denoiser(network, path, CategoricalOutput(VALUES))
    x, label = torch.randn(3, 2, 2, 2), torch.tensor([0, 1, 2])
    prediction = denoiser(x, torch.rand(3), label)
    assert prediction.x0.shape == x.shape and prediction.x0.abs().max() <= 1
    torch.testing.assert_close(prediction.x_t, x)
    assert not torch.allclose(denoiser(x, 0.5, label).x0, denoiser(x, 0.5, label.flip(0)).x0)


@pytest.mark.parametrize("times", [0.3, torch.tensor([0.1, 0.3, 0.5, 0.7, 0.9])])
def test_an_item_is_read_the_same_in_pieces_of_any_size(times, monkeypatch):
    """Memory is saved by reading some items at a time; predictions and gradients are those of
    reading all at once.
    """
    path = Path(LinearLogSNR(5, -5))
    x = torch.randn(5, 2, 3, 3)
    level = path.at(times, like=x)
    y = torch.randn(5, 10, 3, 3, requires_grad=True)
    seen = []
    for chunk in (1, 2 * y[0].numel(), 5 * y[0].numel()):
        monkeypatch.setattr(categorical_output, "_CHUNK", chunk)
        x0 = CategoricalOutput(VALUES).read(y, x, level).x0
        (gradient,) = torch.autograd.grad(x0.square().sum(), y)
        seen.append((x0, gradient))
    for x0, gradient in seen[:-1]:
        assert torch.equal(x0, seen[-1][0]) and torch.equal(gradient, seen[-1][1])


def test_an_empty_batch_has_an_empty_prediction():
    path = Path(LinearLogSNR(5, -5))
    x = torch.zeros(0, 1, 2, 2)
    assert (
        CategoricalOutput(VALUES).read(torch.zeros(0, 5, 2, 2), x, path.at(0.5, like=x)).x0.shape
        == x.shape
    )
