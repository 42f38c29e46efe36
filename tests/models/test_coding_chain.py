"""A diffusion model read by all that its logits say: exact where the data are known."""

import pytest
import torch
from torch import nn

from allegory import Path
from allegory.data.spec import DataSpec
from allegory.likelihood.level_placement import node_levels
from allegory.models import VDM, CategoricalOutput, Denoiser
from allegory.models.base import CanCode
from allegory.models.coding_chain import CodingChain
from allegory.process import LinearLogSNR, estimate
from allegory.process.noise import Noise, Stream

DATA = DataSpec((1, 1, 3), 0, 3, 4)
CHANCE = torch.tensor([[0.1, 0.6, 0.1, 0.2], [0.7, 0.1, 0.1, 0.1], [0.25, 0.25, 0.25, 0.25]])


class Known(nn.Module):
    """The logits of independent numbers with known probabilities: the exact network."""

    def forward(self, x, log_snr, condition=None):
        return CHANCE.log().T[:, None].expand(len(x), 4, 1, 3)


class Zero(nn.Module):
    """Says nothing."""

    def forward(self, x, log_snr, condition=None):
        return 0.5 * x


def vdm(target=None):
    return VDM(
        Denoiser(
            Known() if target is None else Zero(),
            Path(LinearLogSNR(6, -6)),
            target or CategoricalOutput(DATA.values),
        ),
        DATA,
    )


def coding(model):
    return CodingChain(model.denoiser, model.spec, model.decoder)


def test_the_prediction_is_bayes():
    """p(v | z) proportional to p(v) N(z; alpha v, sigma^2): table, mean and variance, number by
    number.
    """
    reader, (level,) = coding(vdm()), node_levels(Path(LinearLogSNR(6, -6)), (40, 128))[:1]
    z = torch.randn(5, 1, 1, 3)
    normal = torch.distributions.Normal(level.alpha * DATA.values, level.sigma)
    table = (CHANCE.log() + normal.log_prob(z[..., None])).softmax(-1)
    torch.testing.assert_close(reader(z, level).observe().log_pmf.exp(), table)
    mean = table @ DATA.values
    prediction = reader(z, level)
    torch.testing.assert_close(prediction.prediction.x0, mean)
    torch.testing.assert_close(
        prediction.variance, table @ DATA.values.square() - mean.square(), rtol=1e-4, atol=1e-6
    )


def test_the_mean_is_the_denoisers():
    model, (level,) = vdm(), node_levels(Path(LinearLogSNR(6, -6)), (70, 128))[:1]
    model.denoiser.path = Path(LinearLogSNR(6, -6))
    z = torch.randn(4, 1, 1, 3)
    torch.testing.assert_close(coding(model)(z, level).prediction.x0, model.denoiser(z, level.t).x0)


def test_an_exact_reading_of_one_step_reaches_the_entropy():
    """Independent numbers that the decoder knows at any noise cost their entropy at the least; a
    chain of few steps of VDM with its own decoder costs more. Nothing is below the entropy.
    """
    model = vdm()
    index = torch.multinomial(CHANCE, 4000, replacement=True).T.reshape(4000, 1, 1, 3)
    x0 = DATA.values[index]
    log_p = CHANCE.log()[torch.arange(3), index].flatten(1).sum(1)
    noise = Noise(range(4000), DATA.shape, Stream.BOUND)
    levels = node_levels(model.denoiser.path, (96, 112, 128))
    gap = estimate(log_p - coding(model).chain(levels).infer(x0, noise.draw).log_weight)
    assert -3 * gap.error < gap.mean < 0.05
    coarse = estimate(log_p - model.as_hierarchy(2).infer(x0, noise.draw).log_weight)
    assert coarse.mean > 10 * gap.mean


def test_another_target_has_the_coding_chain_of_vdm():
    model = vdm("x0")
    levels = node_levels(model.denoiser.path, (0, 64, 128))
    x0, noise = (
        DATA.values[torch.randint(0, 4, (5, 1, 1, 3))],
        [Noise(range(5), DATA.shape, Stream.BOUND) for _ in range(2)],
    )
    ours = coding(model).chain(levels).infer(x0, noise[0].draw).log_weight
    torch.testing.assert_close(ours, model.as_hierarchy(2).infer(x0, noise[1].draw).log_weight)


def test_continuous_data_are_refused():
    model = VDM(Denoiser(Zero(), Path(LinearLogSNR(6, -6)), "x0"), DataSpec((2,), -1, 1))
    with pytest.raises(ValueError, match="no lossless code"):
        coding(model)


def test_a_model_brings_its_own_chain():
    """The same chain by the protocol that compression uses, at nodes that cost least."""
    model = vdm()
    x0 = DATA.values[torch.randint(0, 4, (5, 1, 1, 3))]
    nodes = model.coding_nodes(x0, 4)
    assert isinstance(model, CanCode) and 2 <= len(nodes) <= 5
    noise = [Noise(range(5), DATA.shape, Stream.BOUND) for _ in range(2)]
    ours = model.coding_chain(nodes).infer(x0, noise[0].draw).log_weight
    levels = node_levels(model.denoiser.path, nodes)
    torch.testing.assert_close(
        ours, coding(model).chain(levels).infer(x0, noise[1].draw).log_weight
    )
    with pytest.raises(ValueError, match="two latents or more"):
        model.coding_chain(None)
