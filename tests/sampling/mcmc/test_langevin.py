"""Markov kernels against closed forms: stationary moments, acceptance, and an item that is its
own.
"""

import math
import warnings

import pytest
import torch

from allegory import Mixture, Path
from allegory.models import Denoiser
from allegory.process import Geometric, LinearLogSNR
from allegory.sampling import (
    BatchLangevin,
    EnergyDensity,
    Hamiltonian,
    Langevin,
    NoisedDensity,
    Transition,
    chain,
    mala,
    run_chain,
)

WELL = EnergyDensity(lambda x: x.flatten(1).square().sum(1) / 2)
"""A standard normal."""
TILTED = torch.tensor([[1.0, 0.6], [0.6, 0.8]], dtype=torch.float64)
PRECISION = torch.linalg.inv(TILTED)
GAUSSIAN = EnergyDensity(lambda x: (x @ PRECISION * x).sum(1) / 2)


def run(kernel, density, x, steps):
    """The last state, with draws from the global generator: many items at once."""
    accepted = torch.zeros(len(x))
    for _ in range(steps):
        moved = kernel(density, x, torch.randn_like)
        x = moved.x
        accepted = accepted if moved.accepted is None else accepted + moved.accepted / steps
    return x, accepted.mean().item()


@pytest.mark.parametrize("c", [0.05, 0.5, 1.5])
def test_unadjusted_langevin_has_the_variance_that_it_must(c):
    """On N(0, 1): 1/(1 - c/2), for any 0 < c < 2 (Luo 2022, eq. 158), within 4 standard errors
    of independent chains.
    """
    n = 40_000
    x, _ = run(Langevin(c), WELL, torch.randn(n, 1, dtype=torch.float64), int(12 / c) + 5)
    expected = 1 / (1 - c / 2)
    assert x.var().item() == pytest.approx(expected, abs=4 * expected * math.sqrt(2 / n))
    assert abs(x.mean().item()) < 4 * math.sqrt(expected / n)


KERNELS = {
    "mala, small": mala(0.05),
    "mala, large": mala(0.9),
    "hmc": Hamiltonian(0.4, 4),
    "hmc, large": Hamiltonian(1.0, 3),
    "hmc, twice": Hamiltonian(0.7, 2, count=2),
}


@pytest.mark.parametrize("name", KERNELS)
def test_weighed_proposals_leave_a_density_as_it_is(name):
    """From exact samples of a tilted Gaussian, after many steps: second and fourth moments
    within 4 standard errors.

    ULA at the steps of "mala, large" would be off by 80 % and more.
    """
    n, root = 20_000, torch.linalg.cholesky(TILTED)
    x, accepted = run(KERNELS[name], GAUSSIAN, torch.randn(n, 2, dtype=torch.float64) @ root.T, 30)
    assert accepted > 0.2
    white = x @ torch.linalg.inv(root).T
    for found, expected, variance in (
        (white.mean(0), torch.zeros(2), 1.0),
        (white.square().mean(0), torch.ones(2), 2.0),
        (white.prod(1).mean(), torch.zeros(()), 1.0),
        (white.square().square().mean(0), 3 * torch.ones(2), 96.0),
    ):
        torch.testing.assert_close(
            found, expected.double(), atol=4 * math.sqrt(variance / n), rtol=0
        )


def test_weighed_proposals_find_a_density():
    """Far from it at first: a chain that never moved would leave the test above green."""
    n = 10_000
    x, _ = run(Hamiltonian(0.5, 5), GAUSSIAN, torch.full((n, 2), 4.0, dtype=torch.float64), 40)
    torch.testing.assert_close(x.T @ x / n, TILTED, atol=4 * math.sqrt(2 / n), rtol=0)


def test_mala_accepts_by_the_ratio_of_its_own_proposals():
    """min(1, p(y) q(x | y) / (p(x) q(y | x))) with q(y | x) = N(x + c score, 2 c), by the
    definition.
    """
    c, x = 0.3, torch.randn(500, 2, dtype=torch.float64)
    draws = [torch.randn(500, 2, dtype=torch.float64), torch.randn(500, 1, dtype=torch.float64)]
    z, u = draws[0], torch.special.ndtr(draws[1])[:, 0]
    y = x + c * GAUSSIAN.score(x) + math.sqrt(2 * c) * z

    def log_q(to, start):
        return -(to - start - c * GAUSSIAN.score(start)).square().sum(1) / (4 * c)

    ratio = GAUSSIAN.log_density(y) + log_q(x, y) - GAUSSIAN.log_density(x) - log_q(y, x)
    taken = u.log() < ratio
    found = mala(c)(GAUSSIAN, x, lambda like: draws.pop(0))
    assert 0 < taken.sum() < 500
    assert torch.equal(found.accepted, taken.double())
    torch.testing.assert_close(found.x, torch.where(taken[:, None], y, x))


def test_leapfrog_is_reversible_and_nearly_keeps_the_energy():
    """Walked on with the momentum turned round it comes back; the energy's error falls by four
    with half the step.
    """
    x, p = torch.randn(6, 2, dtype=torch.float64), torch.randn(6, 2, dtype=torch.float64)

    def drift(step, leapfrogs):
        kernel = Hamiltonian(step, leapfrogs)
        y, score, q = kernel._leapfrog(GAUSSIAN, x, GAUSSIAN.score(x), p)
        back, _, r = kernel._leapfrog(GAUSSIAN, y, score, -q)
        torch.testing.assert_close(back, x)
        torch.testing.assert_close(r, -p)
        start = GAUSSIAN.log_density(x) - p.square().sum(1) / 2
        return (GAUSSIAN.log_density(y) - q.square().sum(1) / 2 - start).abs().mean().item()

    assert drift(0.1, 8) / drift(0.05, 16) == pytest.approx(4, rel=0.15)


@pytest.mark.parametrize("kernel", [Langevin(0.1, 3), mala(0.2, 2), Hamiltonian(0.3, 3)])
@pytest.mark.parametrize("shape", [(2,), (1, 3, 3)])
def test_an_item_is_its_own(kernel, shape):
    """Alone as in a batch, bit for bit in its draws, up to the last digits of a sum in its
    place.
    """
    x = torch.randn(7, *shape)
    density = EnergyDensity(lambda y: (y.square() + 0.1 * y**4).flatten(1).sum(1))
    whole = run_chain(kernel, density, x, 20, seeds=range(7))
    for i in (0, 3, 6):
        alone = run_chain(kernel, density, x[i : i + 1], 20, seeds=[i])
        torch.testing.assert_close(alone.x[0], whole.x[i], rtol=1e-5, atol=1e-6)
        if whole.accepted is not None:
            assert alone.accepted[0] == whole.accepted[i]


def test_the_published_rule_depends_on_the_batch():
    """Score SDE's corrector: c = 2 (r mean|z| / mean|score|)^2, and an item's neighbours change
    it.
    """
    x = torch.randn(4, 3, dtype=torch.float64)
    z = torch.randn(4, 3, dtype=torch.float64)
    kernel = BatchLangevin(0.2)
    c = 2 * (0.2 * z.norm(dim=1).mean() / x.norm(dim=1).mean()) ** 2
    torch.testing.assert_close(kernel(WELL, x, lambda like: z).x, x - c * x + (2 * c).sqrt() * z)
    alone = kernel(WELL, x[:1], lambda like: z[:1]).x
    assert (alone - kernel(WELL, x, lambda like: z).x[:1]).abs().max() > 1e-3


def test_a_step_is_counted_in_sigma():
    path = Path(Geometric(0.1, 10), "ve")
    oracle, level = Mixture(torch.zeros(1, 2), 1.0, path=path), path.levels([0.7])[0]
    x, z = torch.randn(3, 2), torch.randn(3, 2)
    c = 0.05 * level.sigma**2
    found = Langevin(0.05)(NoisedDensity(oracle, level), x, lambda like: z).x
    torch.testing.assert_close(found, x + c * oracle(x, level).view("score") + math.sqrt(2 * c) * z)
    assert torch.allclose(NoisedDensity(oracle, level).log_density(x), oracle.log_prob(x, level))
    draws = [z, torch.full((3, 1), -9.0)]  # u = Phi(-9): accepted
    weighed = Hamiltonian(0.05, 1)(NoisedDensity(oracle, level), x, lambda like: draws.pop(0)).x
    h = 0.05 * level.sigma
    torch.testing.assert_close(weighed, x + h * h / 2 * oracle(x, level).view("score") + h * z)


def test_many_proposals_in_one_call_are_as_many_calls():
    """What is remembered of an item between its proposals is that of where it stands, accepted
    or not.
    """
    x = torch.randn(200, 2, dtype=torch.float64)
    draws = [torch.randn(200, n, dtype=torch.float64) for _ in range(6) for n in (2, 1)]
    together, one_by_one = iter(draws), iter(draws)
    whole = Hamiltonian(0.9, 2, count=6)(GAUSSIAN, x, lambda like: next(together))
    y, accepted = x, torch.zeros(200, dtype=torch.float64)
    for _ in range(6):
        moved = Hamiltonian(0.9, 2)(GAUSSIAN, y, lambda like: next(one_by_one))
        y, accepted = moved.x, accepted + moved.accepted / 6
    assert 0.1 < accepted.mean() < 0.9
    torch.testing.assert_close(whole.x, y)
    torch.testing.assert_close(whole.accepted, accepted)


def test_a_step_that_is_always_rejected_is_reported():
    x = torch.randn(5, 2)
    with pytest.warns(RuntimeWarning, match="every proposal was rejected, of 5 items in 10 calls"):
        moved = run_chain(Hamiltonian(60.0, 4), WELL, x, 10, seeds=range(5))
    assert torch.equal(moved.x, x) and not moved.accepted.any()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        good = run_chain(Hamiltonian(0.5, 4), WELL, x, 10, seeds=range(5))
        run_chain(Langevin(0.1), WELL, x, 3, seeds=range(5))  # proposes nothing
    assert good.accepted.min() > 0.5


def test_a_proposal_that_runs_away_is_rejected():
    """Its energy is no number; the item stays where it was."""
    steep = EnergyDensity(lambda x: x.square().square().sum(1))
    x = torch.full((3, 2), 50.0)
    with pytest.warns(RuntimeWarning, match="smaller"):
        moved = run_chain(Hamiltonian(1.0, 8), steep, x, 2, seeds=range(3))
    assert torch.equal(moved.x, x)


def test_bad_input_is_refused():
    x = torch.randn(4, 2)
    with pytest.raises(ValueError, match=r"one number per item, \(4,\)"):
        run_chain(Langevin(0.1), EnergyDensity(lambda y: y.square()), x, 1, seeds=range(4))
    with pytest.raises(ValueError, match="one number per item"):
        EnergyDensity(lambda y: y.square().sum()).log_density(x)
    for make in (
        lambda: Langevin(0.0),
        lambda: Langevin(-1.0),
        lambda: mala(math.inf),
        lambda: BatchLangevin(math.nan),
    ):
        with pytest.raises(ValueError, match="above 0"):
            make()
    with pytest.raises(ValueError, match="count"):
        Langevin(0.1, 0)
    with pytest.raises(ValueError, match="MALA"):
        Hamiltonian(0.1, 0)
    with pytest.raises(ValueError, match="one per item"):
        run_chain(Langevin(0.1), WELL, x, 1, seeds=range(3))
    with pytest.raises(ValueError, match="at least 1"):
        run_chain(Langevin(0.1), WELL, x, 0, seeds=range(4))
    path = Path(LinearLogSNR(5, -5))
    with pytest.raises(ValueError, match="Level with noise"):
        NoisedDensity(Mixture(torch.zeros(1, 2), 1.0, path=path), path.clean)
    network = Denoiser(torch.nn.Identity(), path)
    with pytest.raises(ValueError, match="score but no energy"):
        NoisedDensity(network, path.levels([0.5])[0]).log_density(x)


def test_a_chain_yields_its_states():
    states = list(chain(Langevin(0.2), WELL, torch.zeros(2, 2), 5, seeds=[3, 4]))
    assert len(states) == 5 and all(isinstance(state, Transition) for state in states)
    assert len({tuple(state.x.flatten().tolist()) for state in states}) == 5
    torch.testing.assert_close(
        states[-1].x, run_chain(Langevin(0.2), WELL, torch.zeros(2, 2), 5, seeds=[3, 4]).x
    )
