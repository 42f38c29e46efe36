"""Predictions that agree with a lower resolution of the item, against an exact one."""

import pytest
import torch

from allegory.conditions import Combined, Labels, Numbers, Picture, hidden_like
from allegory.guidance import Agree
from allegory.numerics.blocks import BlockMeans, block_means
from allegory.process import Path, Prediction, as_predict
from allegory.sampling import Sampler

KIND = Picture((1, 2, 3), 0.0, 4.0, blocks=2)
PATH = Path.vdm(8, -6)
SPREAD = 0.5


def exact(bias):
    """E[x0 | x_t, m] of pixels that are independent but for their means over blocks, plus a bias.

    Given m, x0 is m, repeated, and a normal part of standard deviation SPREAD and of mean 0 over
    each block.
    """

    def predict(x_t, t, condition=None):
        level = PATH.at(t, like=x_t)
        means = BlockMeans(condition.double() / 2 - 1, 2)  # 0 to 4 is -1 to 1
        centre = means.shifted(torch.zeros_like(x_t))
        part = BlockMeans(torch.zeros_like(means.means), 2).shifted(x_t)
        gain = level.alpha * SPREAD**2 / (level.alpha**2 * SPREAD**2 + level.sigma**2)
        return Prediction.solve("x0", centre + gain * part + bias, x_t, level)

    return as_predict(predict, PATH)


@pytest.fixture
def rows():
    return 4 * torch.rand(3, 1, 2, 3, generator=torch.Generator().manual_seed(0))


def test_an_exact_prediction_stays_and_a_biased_one_becomes_exact(rows):
    x_t = torch.randn(3, 1, 4, 6, generator=torch.Generator().manual_seed(1)).double()
    guide = Agree().bound_to(KIND)
    bias = torch.randn(3, 1, 2, 3).double().repeat_interleave(2, 2).repeat_interleave(2, 3)

    for t in (0.1, 0.5, 0.9):
        truth = exact(0.0)(x_t, t, rows)
        for each in (0.0, bias):
            found = guide(exact(each))(x_t, t, rows)
            torch.testing.assert_close(found.x0, truth.x0, rtol=0, atol=1e-12)
            torch.testing.assert_close(found.eps, truth.eps, rtol=1e-10, atol=1e-10)


def test_samples_have_the_law_that_was_given(rows):
    sampler = Sampler("dpmpp2m", steps=40, guide=Agree(KIND))
    many = rows[:1].expand(4000, -1, -1, -1)
    x = sampler.sample(exact(0.3), (1, 4, 6), seeds=range(4000), condition=many)
    means = rows.double() / 2 - 1
    torch.testing.assert_close(
        block_means(x[:5], 2), means[:1].expand(5, -1, -1, -1), atol=0.02, rtol=0
    )

    # Of a block of 4, a part of mean 0 has 3/4 of the variance in each pixel.
    variance = x.double().var(0)
    expected = 0.75 * SPREAD**2
    assert ((variance - expected).abs() < 4.5 * expected * (2 / 4000) ** 0.5 + 0.002).all()


def test_hidden_and_noised_pictures_ask_for_nothing(rows):
    noisy = Picture((1, 2, 3), 0.0, 4.0, noise=0.5, blocks=2)
    given = noisy.noised(noisy.encode(rows.numpy()), torch.tensor([0.0, 0.1, 0.1]), rows)
    given[2] = hidden_like(given[2])
    base = as_predict(
        lambda x_t, t, condition=None: Prediction.solve("x0", 0.1 * x_t, x_t, PATH.at(t, like=x_t)),
        PATH,
    )
    x_t = torch.randn(3, 1, 4, 6)
    found = Agree(noisy)(base)(x_t, 0.5, given).x0
    assert torch.equal(found[1:], base(x_t, 0.5).x0[1:])
    torch.testing.assert_close(block_means(found[:1], 2), rows[:1].double() / 2 - 1)
    alone = Agree(noisy)(base)(x_t[:1], 0.5, given[:1]).x0
    assert torch.equal(alone, found[:1])


def test_a_part_of_several_conditions_is_enough(rows):
    kind = Combined(("what", "low"), (Labels(3), KIND))
    assert Agree().bound_to(kind).kind == kind
    assert str(Agree(kind)) == "agree"


@pytest.mark.parametrize(
    "kind", [None, Numbers(2), Picture((1, 2, 3)), Combined(("a", "b"), (Labels(2), Labels(2)))]
)
def test_other_conditions_are_refused(kind):
    with pytest.raises(ValueError, match=r"guide agree: is for items of known means.*lowres=4"):
        Agree().bound_to(kind)


def test_a_guide_without_a_kind_is_refused(rows):
    with pytest.raises(ValueError, match=r"give it the kind of the condition"):
        Agree()(exact(0.0))(torch.zeros(3, 1, 4, 6), 0.5, rows)
