"""Log-weights and classifiers as guides, against closed forms: the tilted density is known."""

import math

import pytest
import torch
from tests.helpers.paths import ONE_PER_SCALING, PATHS

from allegory import Mixture, Prediction, flow_log_prob, grid, initial_noise, sample
from allegory.data import DataSpec
from allegory.guidance import ClassifierGuidance, Tilt, tilt
from allegory.models import Classifier
from allegory.networks import MLPConfig
from allegory.numerics.broadcast import expand_like
from allegory.process import LinearLogSNR, Path, as_predict

TIMES = torch.tensor([0.0, 0.02, 0.3, 0.5, 0.7, 0.95, 1.0], dtype=torch.float64)
LABELS = torch.tensor([0, 1, 1, 0, 1, 0, 1])


def labelled(path):
    """Label 0 is one component, label 1 two of unequal weight."""
    means = torch.tensor([[1.0, 0.2], [-1.0, 0.4], [0.3, -1.2]], dtype=torch.float64)
    stds = torch.tensor([0.4, 0.3, 0.6])
    weights = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)
    return Mixture(means, stds, path=path, weights=weights, labels=torch.tensor([0, 1, 1]))


def case(path):
    """States between data and noise at every level, one per time."""
    x = torch.randn(len(TIMES), 2, dtype=torch.float64)
    return path.at(TIMES, like=x).mix(torch.randn(len(TIMES), 2, dtype=torch.float64), x)


class Counted:
    """A Predict that remembers the conditions with which it was asked."""

    def __init__(self, base):
        self.base, self.path, self.asked = base, base.path, []

    def __call__(self, x_t, t, condition=None):
        self.asked.append(condition)
        return self.base(x_t, t, condition)


@pytest.mark.parametrize("name", ONE_PER_SCALING)
def test_the_posterior_of_the_label_is_by_bayes_rule(name):
    oracle = labelled(PATHS[name])
    x = case(PATHS[name])
    prior = torch.tensor([0.5, 0.5], dtype=torch.float64).log()
    joint = torch.stack(
        [prior[y] + oracle.log_prob(x, TIMES, torch.full((7,), y)) for y in (0, 1)], 1
    )
    torch.testing.assert_close(
        oracle.class_log_prob(x, TIMES), joint.log_softmax(1), rtol=1e-10, atol=1e-10
    )


@pytest.mark.parametrize("name", ONE_PER_SCALING)
def test_with_the_exact_posterior_the_guided_score_is_the_conditional_one(name):
    oracle = labelled(PATHS[name])
    x = case(PATHS[name])
    guided = ClassifierGuidance(oracle)(oracle)
    found, exact = guided(x, TIMES, LABELS), oracle(x, TIMES, LABELS)
    torch.testing.assert_close(found.eps, exact.eps, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(found.x_t, x, rtol=1e-10, atol=1e-10)
    level = PATHS[name].at(TIMES, like=x)
    # x0 = (x_t - sigma eps)/alpha multiplies the rounding of both sides by sigma/alpha.
    slack = 1e-11 * (1 + (level.sigma / level.alpha) ** 2)
    assert ((found.x0 - exact.x0).abs() <= slack).all()


@pytest.mark.parametrize("scale", [-0.5, 0.3, 4.0])
def test_the_energy_has_the_guided_score_as_its_gradient(scale):
    path = PATHS["cosine-flow"]
    oracle = labelled(path)
    x = case(path).requires_grad_()
    guides = [
        ClassifierGuidance(oracle, scale),
        ClassifierGuidance(oracle, scale, given=True),
        Tilt(lambda x, level, condition: -x.square().sum(1), scale),
        Tilt(lambda x, level, condition: (3 * x).sin().sum(1), scale, at="x0"),
    ]
    for guide in guides:
        guided = guide(oracle)
        (slope,) = torch.autograd.grad(guided.energy(x, TIMES, LABELS).sum(), x)
        score = guided(x, TIMES, LABELS).view("score")
        torch.testing.assert_close(score, -slope, rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("at", ["x_t", "x0"])
@pytest.mark.parametrize("name", ONE_PER_SCALING)
def test_a_linear_weight_moves_a_gaussian_by_its_covariance(name, at):
    """N(m, S) exp(a . x0) is N(m + S a, S). In x_t the weight is E[exp(a . x0) | x_t], whose
    logarithm is a . E[x0 | x_t] up to a constant; at x0 the gradient passes through the network.
    """
    path, scale = PATHS[name], 1.7
    a = torch.tensor([0.8, -1.5], dtype=torch.float64)
    m = torch.tensor([[0.3, -0.2]], dtype=torch.float64)
    s = torch.tensor([[0.7, 0.25], [0.25, 0.4]], dtype=torch.float64)
    prior = Mixture(m, None, path=path, covariances=s[None])
    moved = Mixture(m + scale * a @ s, None, path=path, covariances=s[None])

    def in_x_t(x, level, condition):
        alpha, sigma = (each.reshape(-1, 1, 1) for each in (level.alpha, level.sigma))
        noisy = alpha**2 * s + sigma**2 * torch.eye(2, dtype=torch.float64)
        gap = (x - expand_like(level.alpha.flatten(), x) * m)[..., None]
        return ((m[..., None] + alpha * s @ torch.linalg.solve(noisy, gap))[..., 0] * a).sum(1)

    weight = in_x_t if at == "x_t" else (lambda x0, level, condition: (x0 * a).sum(1))
    x = case(path)
    found, exact = tilt(prior, weight, scale, at)(x, TIMES), moved(x, TIMES)
    torch.testing.assert_close(found.eps, exact.eps, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(found.x_t, x, rtol=1e-9, atol=1e-9)


def test_samples_of_a_guided_mixture_have_the_weights_and_moments_of_the_class():
    """The class has two components of weights 0.6 and 0.4; 3 standard errors."""
    path, count = Path(LinearLogSNR(12, -10)), 4000
    oracle = labelled(path)
    x_T = initial_noise(path, (2,), range(count)).double()
    x = sample(
        ClassifierGuidance(oracle)(oracle),
        x_T,
        grid(path, 60, "log_snr"),
        condition=torch.ones(count, dtype=torch.long),
    )
    exact = oracle.sample(range(10**6, 10**6 + 20 * count), condition=torch.ones(20 * count).long())
    features = [lambda x: oracle.class_log_prob(x, path.clean)[:, 1].exp()]
    features += [lambda x, i=i: x[:, i] for i in (0, 1)]
    features += [lambda x, i=i: x[:, i].square() for i in (0, 1)]
    features += [lambda x: x[:, 0] * x[:, 1], lambda x: (x[:, 0] < -0.4).double()]
    for feature in features:
        mine, theirs = feature(x), feature(exact)
        error = math.sqrt(theirs.var().item() * (1 / len(mine) + 1 / len(theirs)))
        assert abs(mine.mean() - theirs.mean()) < 3 * error


@pytest.mark.parametrize("given", [False, True])
def test_without_scale_or_class_the_base_speaks_once(given):
    path = PATHS["linear-vp"]
    x, oracle = case(path), labelled(path)
    for scale, condition in ((0.0, LABELS), (2.0, None)):
        base = Counted(oracle)
        guided = ClassifierGuidance(oracle, scale, given=given)(base)(x, TIMES, condition)
        told = condition if given else None
        exact = oracle(x, TIMES, told)
        assert torch.equal(guided.x0, exact.x0) and torch.equal(guided.eps, exact.eps)
        assert len(base.asked) == 1 and base.asked[0] is told


def test_hidden_classes_get_no_guidance_and_an_item_is_its_own():
    path = PATHS["linear-vp"]
    x, oracle = case(path), labelled(path)
    guided = ClassifierGuidance(oracle, 3.0)(oracle)
    some = LABELS.clone()
    some[[1, 4]] = -1
    found, all_guided, free = guided(x, TIMES, some), guided(x, TIMES, LABELS), oracle(x, TIMES)
    torch.testing.assert_close(found.x0[[1, 4]], free.x0[[1, 4]], rtol=1e-12, atol=1e-12)
    others = [0, 2, 3, 5, 6]
    torch.testing.assert_close(found.x0[others], all_guided.x0[others], rtol=1e-12, atol=1e-12)
    for i in range(len(x)):
        alone = guided(x[i : i + 1], TIMES[i : i + 1], some[i : i + 1])
        torch.testing.assert_close(alone.eps[0], found.eps[i], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode, torch.enable_grad])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_any_grad_mode_and_dtype(mode, dtype):
    path = PATHS["cosine-vp"]
    network = MLPConfig(8, 1).build((2,), outputs=2)
    torch.nn.init.normal_(network.head.weight)
    classifier = Classifier(network, path, DataSpec((2,), -1.0, 1.0, classes=2))
    oracle = labelled(path).to(dtype)
    x = case(path).to(dtype)
    expected = ClassifierGuidance(classifier)(oracle)(x, TIMES, LABELS)
    deep = tilt(oracle, lambda x0, level, y: x0.square().sum(1), at="x0")(x, TIMES)
    with mode():
        again, t, labels = x.clone(), TIMES.clone(), LABELS.clone()
        found = ClassifierGuidance(classifier)(oracle)(again, t, labels)
        inner = tilt(oracle, lambda x0, level, y: x0.square().sum(1), at="x0")(again, t)
        by_level = ClassifierGuidance(classifier)(oracle)(again, path.at(t, like=again), labels)
    assert found.eps.dtype == found.x0.dtype == dtype
    assert torch.equal(found.eps, expected.eps) and torch.equal(inner.x0, deep.x0)
    assert torch.equal(by_level.eps, expected.eps)
    assert mode is torch.enable_grad or not (found.eps.requires_grad or inner.x0.requires_grad)


def test_the_guided_score_can_be_differentiated_again():
    """Likelihoods need its divergence: the Jacobian is that of the conditional score."""
    path = PATHS["linear-vp"]
    oracle = labelled(path)
    x, y = case(path)[3:4], LABELS[3:4]
    guided = ClassifierGuidance(oracle)(oracle)
    jacobians = [
        torch.autograd.functional.jacobian(lambda x, p=p: p(x, 0.5, y).eps, x)
        for p in (guided, oracle)
    ]
    torch.testing.assert_close(*jacobians, rtol=1e-8, atol=1e-8)


def test_the_likelihood_of_a_guided_mixture_is_that_of_the_class():
    path = Path(LinearLogSNR(8, -7))
    oracle, y = labelled(path), LABELS[:4]
    x = oracle.sample(range(4))
    guided = flow_log_prob(ClassifierGuidance(oracle)(oracle), x, condition=y)
    exact = flow_log_prob(oracle, x, condition=y)
    torch.testing.assert_close(guided.log_prob, exact.log_prob, rtol=1e-9, atol=1e-9)


def test_a_classifier_serves_every_scaling_of_its_schedule():
    """One state in two units: the gradients differ by the unit, and x0 not at all."""
    vp, ve = (Path(LinearLogSNR(6, -5), scaling) for scaling in ("vp", "ve"))
    network = MLPConfig(8, 1).build((2,), outputs=2)
    torch.nn.init.normal_(network.head.weight)
    classifier = Classifier(network.double(), vp, DataSpec((2,), -1.0, 1.0, classes=2), 0.7)
    x, t = torch.randn(4, 2, dtype=torch.float64), torch.tensor([0.1, 0.4, 0.6, 0.9])
    unit = (vp.at(t, like=x).alpha / ve.at(t, like=x).alpha).double()
    own, other = (
        ClassifierGuidance(classifier, 2.0)(labelled(path))(state, t, LABELS[:4])
        for path, state in ((vp, x), (ve, x / unit))
    )
    torch.testing.assert_close(own.x0, other.x0, rtol=1e-9, atol=1e-9)


def test_the_learned_variance_is_kept():
    path = PATHS["linear-vp"]
    oracle, x = labelled(path), case(path)

    def predict(x_t, t, condition):
        pair = oracle(x_t, t, condition)
        return Prediction(*(pair.u, pair.y, pair.targets, pair.level), torch.full_like(x_t, 0.25))

    base = as_predict(predict, path)
    for guide in (
        ClassifierGuidance(oracle, 2.0),
        Tilt(lambda x, level, y: x.sum(1)),
        Tilt(lambda x, level, y: x.sum(1), at="x0"),
    ):
        with torch.no_grad():
            fraction = guide(base)(x, TIMES, LABELS).variance_fraction
        assert fraction is not None and (fraction == 0.25).all()


@pytest.mark.parametrize(
    ("weight", "says"),
    [
        (lambda x, level, y: x, "returned shape"),
        (lambda x, level, y: x.detach().sum(1), "has no gradient"),
        (lambda x, level, y: (0 * x.sum(1)).log(), "NaN or infinite"),
    ],
)
@pytest.mark.parametrize("at", ["x_t", "x0"])
def test_a_log_weight_that_gives_no_score_is_refused(weight, says, at):
    path = PATHS["linear-vp"]
    with pytest.raises(ValueError, match=says):
        tilt(labelled(path), weight, at=at)(case(path), TIMES)


def test_what_does_not_fit_is_refused_with_the_reason():
    path = PATHS["linear-vp"]
    oracle, x = labelled(path), case(path)
    for scale in (math.nan, math.inf):
        with pytest.raises(ValueError, match="scale"):
            ClassifierGuidance(oracle, scale)
        with pytest.raises(ValueError, match="scale"):
            tilt(oracle, lambda x, level, y: x.sum(1), scale)
    with pytest.raises(ValueError, match="choose from x_t, x0"):
        tilt(oracle, lambda x, level, y: x.sum(1), at="mean")
    with pytest.raises(ValueError, match="of type float"):
        ClassifierGuidance(3.0)
    with pytest.raises(ValueError, match="class 2; the classifier has the classes 0 to 1"):
        ClassifierGuidance(oracle)(oracle)(x, TIMES, torch.full((7,), 2))
    with pytest.raises(ValueError, match="takes the class of each item"):
        ClassifierGuidance(oracle)(oracle)(x, TIMES, torch.randn(7, 2))
    with pytest.raises(ValueError, match="no signal is left"):
        endless = labelled(PATHS["straight-flow"])
        tilt(endless, lambda x, level, y: x.sum(1))(x, 1.0)
    with pytest.raises(ValueError, match="this mixture has none"):
        Mixture(torch.zeros(1, 2), 1.0, path=path).class_log_prob(x, TIMES)
    with pytest.raises(ValueError, match="trained at log-SNR 6 to -5, and this model has 8 to -7"):
        ClassifierGuidance(labelled(Path(LinearLogSNR(6, -5))))(oracle)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"shape": (3,)}, "items have shape"),
        ({"high": 2.0}, "items have high"),
        ({"classes": 3}, "classes are 0, 1, the model's 0, 1, 2"),
        ({"class_names": ("cat", "dog")}, "the model's cat, dog"),
    ],
)
def test_a_classifier_of_other_items_is_refused(change, says):
    fields = {"shape": (2,), "low": -1.0, "high": 1.0, "classes": 2}
    network = MLPConfig(8, 1).build((2,), outputs=2)
    guide = ClassifierGuidance(Classifier(network, PATHS["linear-vp"], DataSpec(**fields)))
    guide.check_items(DataSpec(**fields))
    guide.check_items(DataSpec(**fields, class_names=(0, 1)))
    with pytest.raises(ValueError, match=says):
        guide.check_items(DataSpec(**fields | change))
