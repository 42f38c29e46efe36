"""Every guide with a scale: how often it evaluates, and what w = 0, w = 1 and its options are."""

import math

import pytest
import torch
from tests.helpers.two_gaussians import TwoGaussians, isotropic

from allegory import Path, Prediction, Sampler, grid, sample
from allegory.conditions import Combined, Labels
from allegory.data import DataSpec
from allegory.guidance import (
    GUIDES,
    Autoguidance,
    CFGPlusPlus,
    ClampX0,
    ClassifierFree,
    Composition,
    FixedCondition,
    Negative,
    Product,
    ProjectedGuidance,
)
from allegory.likelihood import flow_log_prob, variational_bound
from allegory.likelihood.decoder import Continuous
from allegory.models.as_hierarchy import unroll
from allegory.process import LinearLogSNR, as_predict
from allegory.process.rescale import Rescaled
from allegory.sampling import SOLVERS, TuningConfig, invert, tune
from allegory.sampling.adaptive import adaptive
from allegory.sampling.parallel import picard

PATH = Path(LinearLogSNR(9, -9))
LABELS = torch.tensor([0, 0, -1, 0, 0])
TIMES = torch.tensor([0.1, 0.3, 0.5, 0.7, 0.9], dtype=torch.float64)
X = torch.linspace(-2, 2, 15, dtype=torch.float64).reshape(5, 3).sin()
WEAK = isotropic(PATH, std=0.7, free_std=1.3, mean=0.2, dims=3)

GUIDES_OF_W = {
    "cfg": ClassifierFree,
    "rescale": lambda w: ClassifierFree(w, rescale=0.7),
    "interval": lambda w: ClassifierFree(w, low=-20.0, high=20.0),
    "apg": lambda w: ProjectedGuidance(w, norm=0.3),
    "cfgpp": CFGPlusPlus,
    "negative": lambda w: Negative(w, torch.tensor(-1)),
    "compose": lambda w: Composition(w, (torch.tensor(0),), weights=(0.0,)),
    "autoguidance": lambda w: Autoguidance(WEAK, w),
}


def base():
    return isotropic(PATH, mean=0.6, dims=3)


class CannotHide:
    """A Predict that does not say how a condition is hidden in a row."""

    def __init__(self, base):
        self.base, self.path = base, base.path

    def __call__(self, x_t, t, condition=None):
        return self.base(x_t, t, condition)

    def energy(self, x_t, t, condition=None):
        return self.base.energy(x_t, t, condition)


def same(one, other):
    return torch.equal(one.x0, other.x0) and torch.equal(one.eps, other.eps)


@pytest.mark.parametrize("name", GUIDES_OF_W)
def test_w_of_0_and_1_is_the_base_itself_at_one_evaluation(name):
    for w in (0, 1, 0.0, 1.0):
        if name == "cfgpp" and w == 1:
            continue
        predict = base()
        WEAK.calls.clear()
        found = GUIDES_OF_W[name](w)(predict)(X, TIMES, LABELS)
        assert predict.calls + WEAK.calls == [5]
        expected = base()(X, TIMES, LABELS) if w == 1 else base()(X, TIMES, None)
        if name == "autoguidance" and w == 0:
            expected = WEAK(X, TIMES, LABELS)
        assert same(found, expected)


@pytest.mark.parametrize("name", GUIDES_OF_W)
def test_two_evaluations_are_one_batch_and_equal_to_two_calls(name):
    predict = base()
    WEAK.calls.clear()
    guide = GUIDES_OF_W[name](2.5)
    together = guide(predict)(X, TIMES, LABELS)
    assert predict.calls + WEAK.calls == ([5, 5] if name == "autoguidance" else [10])
    apart = guide(CannotHide(base()))(X, TIMES, LABELS)
    for row in ("x0", "eps"):
        torch.testing.assert_close(together.view(row), apart.view(row), rtol=1e-10, atol=1e-10)
    assert together.level.t.shape == (5, 1) and together.u.shape == X.shape


@pytest.mark.parametrize("name", GUIDES_OF_W)
def test_an_item_is_the_same_alone_and_a_hidden_one_is_free(name):
    guided = GUIDES_OF_W[name](2.5)(base())
    together = guided(X, TIMES, LABELS)
    for i in range(5):
        alone = guided(X[i : i + 1], TIMES[i : i + 1], LABELS[i : i + 1])
        torch.testing.assert_close(alone.x0, together.x0[i : i + 1], rtol=1e-10, atol=1e-10)
    if name != "autoguidance":
        free = base()(X, TIMES)
        torch.testing.assert_close(together.x0[2], free.x0[2], rtol=1e-10, atol=1e-10)


def test_wrappers_pass_on_that_rows_can_be_hidden():
    for wrap in (lambda each: Rescaled(each, "ve"), ClampX0(-9, 9), ClassifierFree(1.0)):
        predict = base()
        ClassifierFree(3.0)(wrap(predict))(X, 0.4, LABELS)
        assert predict.calls == [10]
    assert not hasattr(Rescaled(CannotHide(base()), "ve"), "hidden")
    assert not hasattr(ClampX0()(CannotHide(base())), "hidden")


@pytest.mark.parametrize("kind", [ClassifierFree, ProjectedGuidance])
def test_outside_the_interval_it_is_the_base_and_inside_the_guide(kind):
    predict = base()
    within = kind(4.0, low=-4.0, high=4.0)(predict)
    for t, inside in ((0.1, False), (0.5, True), (0.9, False)):
        predict.calls.clear()
        found = within(X, t, LABELS)
        assert predict.calls == ([10] if inside else [5])
        assert same(found, (kind(4.0)(base()) if inside else base())(X, t, LABELS))

    found = within(X, TIMES, LABELS)
    log_snr = PATH.at(TIMES).log_snr
    assert (log_snr.abs() <= 4).tolist() == [False, True, True, True, False]
    plain, guided = base()(X, TIMES, LABELS), kind(4.0)(base())(X, TIMES, LABELS)
    torch.testing.assert_close(found.x0[[0, 4]], plain.x0[[0, 4]], rtol=0, atol=1e-12)
    torch.testing.assert_close(found.x0[1:4], guided.x0[1:4], rtol=0, atol=1e-12)
    assert kind(4.0, low=0.0)(base())(X, 0.9, LABELS).x0.equal(base()(X, 0.9, LABELS).x0)


@pytest.mark.parametrize("blend", [0.3, 1.0])
def test_rescaling_sets_the_standard_deviation_of_each_item(blend):
    plain = ClassifierFree(5.0)(base())(X, TIMES, LABELS)
    found = ClassifierFree(5.0, rescale=blend)(base())(X, TIMES, LABELS)
    wanted = base()(X, TIMES, LABELS).x0.std(1)
    std = (1 - blend) * plain.x0.std(1) + blend * wanted
    torch.testing.assert_close(found.x0.std(1), std)
    torch.testing.assert_close(found.x_t, X)
    torch.testing.assert_close(
        torch.cosine_similarity(found.x0, plain.x0), torch.ones(5, dtype=torch.float64)
    )


def test_projected_guidance_is_its_formula():
    free, cond = base()(X, TIMES).x0, base()(X, TIMES, LABELS).x0
    for w, eta, norm in ((3.0, 1.0, math.inf), (3.0, 0.4, 0.2), (7.0, 0.0, math.inf)):
        found = ProjectedGuidance(w, eta, norm)(base())(X, TIMES, LABELS)
        expected = []
        for x_u, x_c in zip(free, cond, strict=True):
            gap = x_c - x_u
            gap = gap * min(1.0, norm / max(gap.norm().item(), 1e-300))
            along = (gap @ x_c) / (x_c @ x_c) * x_c
            expected.append(x_c + (w - 1) * (gap - along + eta * along))
        torch.testing.assert_close(found.x0, torch.stack(expected))
        torch.testing.assert_close(found.x_t, X)

    plain = ClassifierFree(3.0)(base())(X, TIMES, LABELS)
    found = ProjectedGuidance(3.0, 1.0)(base())(X, TIMES, LABELS)
    torch.testing.assert_close(found.x0, plain.x0)
    assert not hasattr(ProjectedGuidance(3.0)(base()), "energy")


def test_cfgpp_is_x0_guided_and_eps_free_and_a_free_ddim_step_without_guidance():
    free, cond = base()(X, 0.6), base()(X, 0.6, LABELS)
    found = CFGPlusPlus(0.6)(base())(X, 0.6, LABELS)
    torch.testing.assert_close(found.x0, free.x0 + 0.6 * (cond.x0 - free.x0))
    torch.testing.assert_close(found.eps, free.eps)

    walk = grid(PATH, 6)
    for w, condition in ((0.0, LABELS), (0.6, None)):
        steps = sample(CFGPlusPlus(w)(base()), X, walk, solver="ddim", condition=condition)
        assert torch.equal(steps, sample(base(), X, walk, solver="ddim"))

    to = PATH.at(0.3)
    step = sample(CFGPlusPlus(0.6)(base()), X, [0.6, 0.3], solver="ddim", condition=LABELS)
    torch.testing.assert_close(step, to.alpha * found.x0 + to.sigma * found.eps)


RIGHT = {"ddim", "ddpm", "ddpm_large"}
SOLVERS_HERE = [name for name in SOLVERS if name not in ("ddpm_learned", "flow_map")]
"""All that need no learned variance."""


@pytest.mark.parametrize("solver", [*SOLVERS_HERE, "ddim:0.5", "ddim+langevin", "ddim+mala"])
def test_cfgpp_is_refused_by_all_but_ddim(solver):
    predict = CFGPlusPlus(0.6)(base())
    walk = grid(PATH, 4, "log_snr")

    def run():
        return sample(predict, X, walk, solver=solver, condition=LABELS, seeds=range(5))

    if solver in RIGHT or solver == "ddim:0.5":
        assert run().isfinite().all()
    else:
        with pytest.raises(ValueError, match="ddim"):
            run()


USES = {
    "bound": lambda predict: variational_bound(predict, X, Continuous(0.0), condition=LABELS),
    "flow": lambda predict: flow_log_prob(predict, X, condition=LABELS),
    "hierarchy": lambda predict: unroll(
        predict, DataSpec((3,), -1.0, 1.0), Continuous(0.0), 2, LABELS
    ),
    "adaptive": lambda predict: adaptive(predict, X, condition=LABELS),
    "picard": lambda predict: picard(predict, X, grid(PATH, 4), condition=LABELS),
    "invert": lambda predict: invert(predict, X, grid(PATH, 4, end="min"), solver="ddim"),
    "tune": lambda predict: tune(predict, X, TuningConfig(4, held_out=2), condition=LABELS),
    "guide over it": ClassifierFree(2.0),
    "product": lambda predict: Product((predict, base())),
    "rescaled": lambda predict: flow_log_prob(Rescaled(predict, "ve"), X, condition=LABELS),
    "weak": lambda predict: Autoguidance(predict, 2.0),
    "fixed": lambda predict: flow_log_prob(FixedCondition(predict, 0), X),
}


@pytest.mark.parametrize("use", USES)
def test_cfgpp_is_refused_where_x0_and_eps_have_to_add_up(use):
    with pytest.raises(ValueError, match="ddim"):
        USES[use](CFGPlusPlus(0.6)(base()))


@pytest.mark.parametrize("name", ["cfg", "interval", "negative", "compose", "autoguidance"])
@pytest.mark.parametrize("w", [0.0, 1.0, 2.5])
def test_the_energy_is_that_of_the_score(name, w):
    x = X.clone().requires_grad_()
    guided = GUIDES_OF_W[name](w)(base())
    (slope,) = torch.autograd.grad(guided.energy(x, TIMES, LABELS).sum(), x)
    torch.testing.assert_close(guided(X, TIMES, LABELS).view("score"), -slope, rtol=1e-8, atol=1e-8)


def test_a_rescaled_prediction_has_no_energy():
    with pytest.raises(ValueError, match="leave rescale out"):
        ClassifierFree(2.0, rescale=0.5)(base()).energy(X, 0.4, LABELS)


def test_negative_and_composition_are_their_formulas():
    """Three Gaussians: label 0, label 1 and none."""
    other = isotropic(PATH, std=0.8, mean=-1.0, dims=3)

    def predict(x_t, t, condition=None):
        first, second = base()(x_t, t, condition), other(x_t, t, condition)
        if condition is None:
            return first
        is_second = (condition == 1)[:, None]
        pair = [
            torch.where(is_second, getattr(second, r), getattr(first, r)) for r in ("x0", "eps")
        ]
        return Prediction.of(*pair, first.level)

    predict = as_predict(predict, PATH)
    zero, one = torch.zeros(5, dtype=torch.long), torch.ones(5, dtype=torch.long)
    free, first, second = (predict(X, TIMES, rows).x0 for rows in (None, zero, one))

    negative = Negative(3.0, torch.tensor(1))(predict)
    torch.testing.assert_close(negative(X, TIMES, zero).x0, second + 3 * (first - second))
    torch.testing.assert_close(negative(X, TIMES).x0, second + 3 * (free - second))

    both = Composition(2.0, (torch.tensor(1),), (-0.5,))(predict)
    torch.testing.assert_close(
        both(X, TIMES, zero).x0, free + 2 * (first - free) - 0.5 * (second - free)
    )
    torch.testing.assert_close(both(X, TIMES).x0, free - 0.5 * (second - free))
    equal = Composition(2.0, (torch.tensor(1),))(predict)(X, TIMES, zero)
    torch.testing.assert_close(equal.x0, free + 2 * (first + second - 2 * free))


def test_only_one_part_of_a_combined_condition_is_hidden():
    kind = Combined(("digit", "colour"), (Labels(10), Labels(3)))
    rows = kind.encode({"digit": [1, 2], "colour": [0, 2]})
    seen = []

    def predict(x_t, t, condition=None):
        seen.append(condition)
        return base()(x_t, t)

    guided = ClassifierFree(2.0, part="colour").bound_to(kind)(as_predict(predict, PATH))
    guided(X[:2], 0.4, rows)
    (joined,) = seen
    assert torch.equal(joined[2:], rows)
    assert kind.texts(joined[:2]) == ["digit 1, colour hidden", "digit 2, colour hidden"]
    with pytest.raises(ValueError, match="did you mean 'colour'"):
        ClassifierFree(2.0, part="color").bound_to(kind)
    for other in (None, Labels(3)):
        with pytest.raises(ValueError, match="leave part out"):
            ClassifierFree(2.0, part="colour").bound_to(other)
    with pytest.raises(ValueError, match="unknown condition"):
        ClassifierFree(2.0, part="colour")(base())(X, 0.4, LABELS)


def test_values_become_rows_when_a_model_says_its_kind():
    kind = Labels(3, ("cat", "dog", "owl"))
    assert Negative(2.0, "dog").bound_to(kind).row == 1
    bound = Composition(2.0, ("owl", "cat")).bound_to(kind)
    assert [row.item() for row in bound.rows] == [2, 0]
    with pytest.raises(ValueError, match="bird"):
        Negative(2.0, "bird").bound_to(kind)
    with pytest.raises(ValueError, match="no condition"):
        Negative(2.0, "dog").bound_to(None)
    with pytest.raises(ValueError, match="give a row as a tensor"):
        Negative(2.0, "dog")(base())(X, 0.4, LABELS)
    sampler = Sampler(guide="negative:2:condition=dog")
    assert sampler.bound_to(kind).guides[0].row == 1
    assert Sampler(guide="clamp").bound_to(kind).guide == "clamp"


@pytest.mark.parametrize(
    "text",
    [
        "cfg:2",
        "cfg:1.23456789",
        "cfg:2:low=-3:high=2.5:rescale=0.7:part=colour",
        "apg:4",
        "apg:4:eta=0.5:norm=15:low=-3",
        "cfgpp:0.6",
        "negative:2:condition=a small, red seven:low=-3:rescale=0.1",
        "compose:2:conditions=3|a small, red seven",
        "compose:0:conditions=3|5:weights=1.0|-0.5",
        "clamp:2",
    ],
)
def test_the_text_of_a_guide_reads_to_an_equal_one(text):
    guide = GUIDES.named(text)
    assert str(guide) == text and GUIDES.named(str(guide)) == guide
    assert Sampler(guide=f"{text},clamp").to_dict()["guide"] == f"{text},clamp"


def test_numbers_as_conditions_read_as_their_text():
    assert Negative(2.0, 3) == GUIDES.named("negative:2:condition=3")
    assert "tensor" in str(Negative(2.0, torch.tensor(3)))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ClassifierFree(math.nan), "guidance scale nan"),
        (lambda: ClassifierFree(2.0, low=1.0, high=-1.0), "low=1.0, high=-1.0"),
        (lambda: ClassifierFree(2.0, low=math.nan), "low=nan"),
        (lambda: ClassifierFree(2.0, rescale=-0.1), "rescale=-0.1"),
        (lambda: ProjectedGuidance(math.nan), "guidance scale nan"),
        (lambda: ProjectedGuidance(2.0, eta=math.inf), "eta=inf"),
        (lambda: ProjectedGuidance(2.0, norm=0.0), "norm=0.0"),
        (lambda: CFGPlusPlus(math.nan), "guidance scale nan"),
        (lambda: Negative(math.nan, 3), "guidance scale nan"),
        (lambda: Composition(2.0, ()), "conditions: none"),
        (lambda: Composition(2.0, (3,), (1.0, 2.0)), "weights: 2 for 1"),
        (lambda: Composition(2.0, (3,), (math.nan,)), "guidance weight nan"),
        (lambda: Autoguidance(WEAK, math.nan), "guidance scale nan"),
        (lambda: GUIDES.named("cfg:2:low=3:high=1"), "low=3.0, high=1.0"),
        (lambda: GUIDES.named("cfg:2:lo=3"), "did you mean 'low'"),
        (lambda: GUIDES.named("cfg:2:rescale=x"), "rescale=x: give phi from 0 to 1"),
        (lambda: GUIDES.named("negative:2"), "condition is missing"),
        (lambda: GUIDES.named("compose:2:conditions=3:weights=a"), "weights=a"),
        (lambda: Sampler(guide="cfg:2").sample(base(), (3,), seeds=[0]), "without a condition"),
        (lambda: Sampler(guide="apg:2").sample(base(), (3,), seeds=[0]), "without a condition"),
    ],
)
def test_what_does_not_fit_is_refused(make, message):
    with pytest.raises(ValueError) as caught:
        make()
    assert message in str(caught.value)


def test_the_weak_model_has_to_be_on_the_same_path():
    for path in (Path(LinearLogSNR(9, -8)), Path(LinearLogSNR(9, -9), "ve")):
        with pytest.raises(ValueError, match="same path"):
            Autoguidance(isotropic(path, dims=3), 2.0)(base())
    equal = isotropic(Path(LinearLogSNR(9, -9)), std=0.7, mean=0.2, free_std=1.3, dims=3)
    found = Autoguidance(equal, 2.0)(base())(X, TIMES, LABELS)
    weak, strong = WEAK(X, TIMES, LABELS), base()(X, TIMES, LABELS)
    torch.testing.assert_close(found.x0, 2 * strong.x0 - weak.x0)
    assert isinstance(equal, TwoGaussians) and found.level.path is PATH
