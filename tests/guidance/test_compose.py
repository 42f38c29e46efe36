"""Compositions of densities against closed forms."""

import math

import pytest
import torch

from allegory import Mixture, Path, grid
from allegory.guidance import ClassifierFree, FixedCondition, MixtureOfDensities, Product, negation
from allegory.process import LinearLogSNR, as_predict
from allegory.sampling import Hamiltonian, annealed, solver_named
from allegory.sampling.driver import SamplingLoop

PATH = Path(LinearLogSNR(7, -6), "vp")
A = Mixture(
    torch.tensor([[-1.0, 0.0], [1.0, 0.5]]).double(),
    0.4,
    path=PATH,
    weights=torch.tensor([0.3, 0.7]).double(),
)
B = Mixture(torch.tensor([[0.5, 0.0], [-0.8, -0.6]]).double(), 0.5, path=PATH)
X = torch.randn(7, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(3))


def score(energy, x):
    x = x.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(energy(x).sum(), x)
    return -gradient


COMPOSED = [
    Product((A, B)),
    Product((A, B), (0.5, 2.0)),
    negation(A, B, 0.3),
    MixtureOfDensities((A, B), (1, 3)),
]


@pytest.mark.parametrize("composed", COMPOSED)
@pytest.mark.parametrize("t", [0.05, 0.5, torch.linspace(0.1, 0.9, 7).double()])
def test_the_score_is_minus_the_gradient_of_the_energy(composed, t):
    prediction = composed(X, t)
    torch.testing.assert_close(prediction.view("score"), score(lambda x: composed.energy(x, t), X))
    level = PATH.at(t, like=X)
    torch.testing.assert_close(level.alpha * prediction.x0 + level.sigma * prediction.eps, X)


def test_energies_of_products_and_mixtures():
    a, b = A.energy(X, 0.4), B.energy(X, 0.4)
    torch.testing.assert_close(Product((A, B), (2.0, -0.5)).energy(X, 0.4), 2 * a - 0.5 * b)
    torch.testing.assert_close(Product((A, B)).energy(X, 0.4), a + b)
    torch.testing.assert_close(negation(A, B, 0.5).energy(X, 0.4), a - 0.5 * b)
    torch.testing.assert_close(
        MixtureOfDensities((A, B), (0.2, 0.8)).energy(X, 0.4),
        -(0.2 * (-a).exp() + 0.8 * (-b).exp()).log(),
    )


def test_a_mixture_of_oracles_is_the_oracle_of_the_mixture():
    """At every level: the noised mixture is the mixture of what is noised."""
    means = torch.cat([A.means, B.means])
    weights = torch.cat([0.25 * A.log_weights.exp(), 0.75 * B.log_weights.exp()])
    whole = Mixture(means, torch.tensor([0.4, 0.4, 0.5, 0.5]).double(), path=PATH, weights=weights)
    mixed = MixtureOfDensities((A, B), (0.25, 0.75))
    for t in (0.1, 0.6):
        torch.testing.assert_close(mixed.energy(X, t), whole.energy(X, t))
        torch.testing.assert_close(mixed(X, t).x0, whole(X, t).x0)


@pytest.mark.slow
@pytest.mark.thorough
def test_a_product_needs_its_chains():
    """The share on one side at the last level: with chains within 4 standard errors, by summed
    scores far off.

    At each level the two modes have other weights: 0.49 of the noise to 0.60 of the product.
    """
    path = Path(LinearLogSNR(4, -5), "vp")
    a = Mixture(torch.tensor([[-0.6], [0.6]]), 0.3, path=path)
    b = Mixture(torch.tensor([[-0.8], [1.0]]), torch.tensor([0.3, 0.5]), path=path)
    both, n = Product((a, b)), 8000
    last = path.at(0.0)
    line = torch.linspace(-4, 4, 8001)[:, None]
    density = (-both.energy(line, last)).softmax(0)
    exact = density[line[:, 0] < 0].sum().item()

    def share(solver, steps):
        levels = grid(path, steps, "log_snr", "min").levels
        plan = solver.plan(levels)
        loop = SamplingLoop(both, torch.randn(n, 1), levels[0], draw=torch.randn_like)
        x = loop.run(plan)
        return (x < 0).float().mean().item()

    error = math.sqrt(exact * (1 - exact) / n)
    assert abs(share(annealed(Hamiltonian(0.7, 4, count=4)), 40) - exact) < 4 * error + 0.01
    assert abs(share(solver_named("ddim"), 100) - exact) > 0.1
    assert abs(share(solver_named("ddpm"), 300) - exact) > 0.03


def test_a_label_of_its_own():
    labelled = Mixture(A.means, 0.4, path=PATH, labels=torch.tensor([0, 1]))
    for label in (0, 1):
        fixed = torch.full((7,), label)
        torch.testing.assert_close(
            FixedCondition(labelled, label)(X, 0.4).x0, labelled(X, 0.4, fixed).x0
        )
        torch.testing.assert_close(
            FixedCondition(labelled, label).energy(X, 0.4), labelled.energy(X, 0.4, fixed)
        )


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match="at least one"):
        Product(())
    with pytest.raises(ValueError, match="one finite number each"):
        Product((A, B), (1.0,))
    with pytest.raises(ValueError, match="one positive number each"):
        MixtureOfDensities((A, B), (1.0, -1.0))

    bare = as_predict(lambda x, t, condition: A(x, t), PATH)

    assert Product((bare, B))(X, 0.5).x0.isfinite().all()
    with pytest.raises(ValueError, match="no energy"):
        Product((bare, B)).energy(X, 0.5)
    with pytest.raises(ValueError, match="no energy"):
        MixtureOfDensities((bare, B))(X, 0.5)


@pytest.mark.parametrize("scale", [0.0, 1.0, 2.5])
def test_classifier_free_guidance_has_an_energy_too(scale):
    labelled = Mixture(A.means, 0.4, path=PATH, labels=torch.tensor([0, 1]))
    guided, fixed = ClassifierFree(scale)(labelled), torch.tensor([0, 1, 0, 1, 1, 0, 0])
    for condition in (None, fixed):
        prediction = guided(X, 0.4, condition)
        torch.testing.assert_close(
            prediction.view("score"), score(lambda x, c=condition: guided.energy(x, 0.4, c), X)
        )
