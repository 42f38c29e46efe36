"""Guides against closed forms: on mixtures every guided score is known."""

import math

import pytest
import torch
from tests.helpers.paths import PATHS

from allegory import Mixture, Path, Prediction, grid, sample
from allegory.guidance import ClampX0, ClassifierFree
from allegory.process import TARGETS, Cosine, LinearLogSNR, as_predict

NAMES = ("linear-vp", "cosine-flow", "geometric-ve", "betas-sub_vp")
SCALES = (-0.5, 0.0, 0.3, 1.0, 2.0, 7.5)


def labelled(path):
    means = torch.tensor([[1.0, 0.2], [-1.0, 0.4], [0.3, -1.2]], dtype=torch.float64)
    weights = torch.tensor([0.5, 0.3, 0.2])
    return Mixture(
        means,
        torch.tensor([0.4, 0.3, 0.6]),
        path=path,
        weights=weights,
        labels=torch.tensor([0, 1, 1]),
    )


class Counted:
    """A Predict that remembers the conditions with which it was asked."""

    def __init__(self, base):
        self.base, self.path, self.asked = base, base.path, []

    def __call__(self, x_t, t, condition=None):
        self.asked.append(condition)
        return self.base(x_t, t, condition)


def case(path):
    x, t = (
        torch.randn(5, 2, dtype=torch.float64),
        torch.tensor([0.05, 0.3, 0.5, 0.7, 0.95], dtype=torch.float64),
    )
    return x * path.at(t, like=x).sigma, t, torch.tensor([0, 1, 1, 0, 1])


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("name", NAMES)
def test_the_guided_score_is_that_of_the_sharpened_density(name, scale):
    """grad [w log p(x_t | y) + (1 - w) log p(x_t)] by autograd (Luo 2022, eq. 170), and x_t is
    kept.
    """
    oracle = labelled(PATHS[name])
    x, t, labels = case(PATHS[name])
    x.requires_grad_()
    density = scale * oracle.log_prob(x, t, labels) + (1 - scale) * oracle.log_prob(x, t)
    (expected,) = torch.autograd.grad(density.sum(), x)
    guided = ClassifierFree(scale)(oracle)(x, t, labels)
    torch.testing.assert_close(guided.view("score"), expected, rtol=1e-7, atol=1e-7)
    torch.testing.assert_close(guided.x_t, x, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("row", TARGETS)
def test_guidance_is_the_same_blend_on_every_target(row):
    """A network may predict any row: uncond + w (cond - uncond) holds for each of them."""
    path = PATHS["cosine-vp"]
    oracle = labelled(path)
    x, t, labels = case(path)

    def network(x_t, t, condition=None):
        exact = oracle(x_t, t, condition)
        return Prediction.solve(row, exact.view(row), x_t, exact.level)

    guided, free, with_label = (
        ClassifierFree(3.0)(as_predict(network, path))(x, t, labels),
        oracle(x, t),
        oracle(x, t, labels),
    )
    for name in TARGETS:
        expected = free.view(name) + 3.0 * (with_label.view(name) - free.view(name))
        torch.testing.assert_close(guided.view(name), expected, rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize(
    ("scale", "conditions"),
    [(0.0, ["free"]), (1.0, ["label"]), (2.0, ["free", "label"]), (0.5, ["free", "label"])],
)
def test_only_what_is_needed_is_evaluated(scale, conditions):
    path = PATHS["linear-vp"]
    oracle = Counted(labelled(path))
    x, t, labels = case(path)
    guided = ClassifierFree(scale)(oracle)(x, t, labels)
    assert ["free" if asked is None else "label" for asked in oracle.asked] == conditions
    if scale in (0.0, 1.0):
        expected = labelled(path)(x, t, labels if scale == 1 else None)
        assert torch.equal(guided.x0, expected.x0) and torch.equal(guided.eps, expected.eps)


def test_without_a_condition_the_base_speaks_once():
    path = PATHS["linear-vp"]
    oracle = Counted(labelled(path))
    x, t, _ = case(path)
    assert torch.equal(ClassifierFree(4.0)(oracle)(x, t).x0, labelled(path)(x, t).x0)
    assert oracle.asked == [None]


def test_an_item_without_a_label_is_not_guided_and_its_neighbours_are():
    path = PATHS["linear-vp"]
    oracle = labelled(path)
    x, t, labels = case(path)
    some = labels.clone()
    some[[1, 3]] = -1
    guided, all_guided = (
        ClassifierFree(3.0)(oracle)(x, t, some),
        ClassifierFree(3.0)(oracle)(x, t, labels),
    )
    torch.testing.assert_close(guided.x0[[1, 3]], oracle(x, t).x0[[1, 3]])
    torch.testing.assert_close(guided.x0[[0, 2, 4]], all_guided.x0[[0, 2, 4]])


def gaussians(path, cond, free):
    """A Predict with one Gaussian (mean, std) for any condition and another without."""
    oracles = [
        Mixture(torch.tensor([[mean]], dtype=torch.float64), std, path=path)
        for mean, std in (free, cond)
    ]

    def predict(x_t, t, condition=None):
        return oracles[condition is not None](x_t, t)

    return as_predict(predict, path)


@pytest.mark.parametrize("scale", [0.5, 2.0, 4.0])
@pytest.mark.parametrize("name", NAMES)
def test_a_gaussian_pair_blends_into_a_gaussian(name, scale):
    """p(x_t | y)^w p(x_t)^(1-w) has precision w/V_y + (1-w)/V and the precision-weighted mean."""
    path, (m, s), (m0, s0) = PATHS[name], (1.2, 0.4), (0.3, 0.8)
    x, t, labels = case(path)
    x = x[:, :1]
    at = path.at(t, like=x)
    v, v0 = (at.alpha * s) ** 2 + at.sigma**2, (at.alpha * s0) ** 2 + at.sigma**2
    precision = scale / v + (1 - scale) / v0
    mean = at.alpha * (scale * m / v + (1 - scale) * m0 / v0) / precision
    got = ClassifierFree(scale)(gaussians(path, (m, s), (m0, s0)))(x, t, labels).view("score")
    torch.testing.assert_close(got, -precision * (x - mean), rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("scale", [0.0, 1.0, 3.0])
def test_guided_samples_of_two_gaussians_of_one_width(scale):
    """Then the guided density is N(m0 + w (m - m0), s^2) at every level, and so is where the
    flow ends.
    """
    path, z = Path(LinearLogSNR(9, -9)), torch.linspace(-2, 2, 5, dtype=torch.float64)[:, None]
    m, m0, s = 0.9, -0.4, 0.5
    guided = ClassifierFree(scale)(gaussians(path, (m, s), (m0, s)))
    end_mean = m0 + scale * (m - m0)
    walk = grid(path, 200, "log_snr")
    first = walk.levels[0]
    x = first.alpha * end_mean + z * math.hypot(first.alpha * s, first.sigma)
    out = sample(guided, x, walk, solver="heun", condition=torch.zeros(5, dtype=torch.long))
    torch.testing.assert_close(out, end_mean + s * z, rtol=0, atol=5e-3)


def test_the_scale_convention_is_written_where_it_is_used():
    assert "uncond + scale (cond - uncond)" in (ClassifierFree.__doc__ or "")
    assert "1 is unguided" in (ClassifierFree.__doc__ or "")


@pytest.mark.parametrize("name", NAMES)
def test_clamp_keeps_the_state_and_the_range(name):
    path = PATHS[name]
    oracle = labelled(path)
    x, t, labels = case(path)
    x = 3 * x
    raw, clamped = oracle(x, t, labels), ClampX0(-0.5, 0.25)(oracle)(x, t, labels)
    torch.testing.assert_close(clamped.x0, raw.x0.clamp(-0.5, 0.25), rtol=0, atol=0)
    torch.testing.assert_close(clamped.x_t, x, rtol=0, atol=0)
    at = path.at(t, like=x)
    torch.testing.assert_close(
        clamped.eps, (x - at.alpha * raw.x0.clamp(-0.5, 0.25)) / at.sigma, rtol=1e-9, atol=1e-9
    )


def test_clamp_by_default_is_the_range_of_a_model_and_leaves_the_inside_alone():
    path = PATHS["linear-vp"]
    oracle = Mixture(
        torch.tensor([[3.0], [0.1]]).double(), 0.05, path=path, labels=torch.tensor([0, 1])
    )
    x = torch.tensor([[2.9], [0.1]]).double()
    labels = torch.tensor([0, 1])
    got, raw = ClampX0()(oracle)(x, 0.1, labels), oracle(x, 0.1, labels)
    assert got.x0[0] == 1.0
    torch.testing.assert_close(got.eps[1], raw.eps[1], rtol=1e-7, atol=1e-9)
    low = ClampX0()(oracle)(-x, 0.1, labels)
    assert low.x0.min() >= -1


@pytest.mark.parametrize(
    "guide",
    [
        ClassifierFree(3.0),
        ClampX0(),
        lambda base: ClampX0()(ClassifierFree(2.0)(base)),
    ],
)
def test_an_item_does_not_see_its_batch(guide):
    path = Path(Cosine(9, -9))
    guided = guide(labelled(path))
    x, t, labels = case(path)
    alone = [guided(x[i : i + 1], t[i : i + 1], labels[i : i + 1]) for i in range(5)]
    together = guided(x, t, labels)
    torch.testing.assert_close(
        together.x0, torch.cat([prediction.x0 for prediction in alone]), rtol=1e-12, atol=1e-12
    )
    torch.testing.assert_close(
        together.eps, torch.cat([prediction.eps for prediction in alone]), rtol=1e-12, atol=1e-12
    )


@pytest.mark.parametrize("solver", ["ddim", "heun", "dpmpp2m", "ddpm"])
def test_guided_predicts_serve_every_solver(solver):
    """A whole chain, alone and in a batch; labels end at their own means."""
    path = PATHS["cosine-vp"]
    oracle = labelled(path)
    guided, walk = ClampX0(-2, 2)(ClassifierFree(2.0)(oracle)), grid(path, 20)
    x, labels = torch.randn(6, 2, dtype=torch.float64), torch.tensor([0, 1, 0, 1, 0, 1])
    out = sample(guided, x, walk, solver=solver, condition=labels, seeds=range(6))
    alone = sample(guided, x[2:3], walk, solver=solver, condition=labels[2:3], seeds=[2])
    torch.testing.assert_close(out[2:3], alone, rtol=1e-10, atol=1e-10)
    assert (
        oracle.log_prob(out, condition=labels) > oracle.log_prob(out, condition=1 - labels)
    ).all()
