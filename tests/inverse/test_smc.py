"""Sequential Monte Carlo: the evidence without bias, moments as K grows, each item by itself."""

import math
from dataclasses import replace
from itertools import pairwise

import pytest
import torch

from allegory.inverse import POSTERIOR_METHODS, Mask, Matrix, Measurement, Posterior
from allegory.inverse.methods import ParticleProblem
from allegory.inverse.particle_state import ParticleEvaluation, ParticleState
from allegory.inverse.smc import FKSteering, TwistedSMC
from allegory.process import Cosine, Mixture, Path, Prediction, grid, kernel
from allegory.sampling import Sampler

F64 = torch.float64
PATH = Path(Cosine(math.inf, -math.inf), "vp")
STD_Y = 0.5


def one_dimension(y=0.4):
    """Two modes, one number measured; with p(y)."""
    means = torch.tensor([[-1.0], [1.0]], dtype=F64)
    oracle = Mixture(means, 0.3, path=PATH, weights=torch.tensor([0.7, 0.3]))
    measurement = Measurement(
        Matrix(torch.ones(1, 1, dtype=F64)), torch.tensor([[y]]).double(), 0.5
    )
    normals = torch.distributions.Normal(means[:, 0], math.hypot(0.3, STD_Y))
    log_evidence = (oracle.log_weights + normals.log_prob(torch.tensor(y))).logsumexp(0)
    return oracle, measurement, float(log_evidence)


def two_dimensions():
    """Two full covariances, one row measured; with p(y)."""
    root = torch.tensor([[[0.5, 0.0], [0.3, 0.2]], [[0.3, 0.0], [-0.2, 0.6]]], dtype=F64)
    means = torch.tensor([[1.0, 0.5], [-0.8, -0.3]], dtype=F64)
    covariances = root @ root.mT
    oracle = Mixture(
        means, None, path=PATH, covariances=covariances, weights=torch.tensor([0.4, 0.6])
    )
    row = torch.tensor([[0.8, -0.5]], dtype=F64)
    measurement = Measurement(Matrix(row), torch.tensor([[0.3]], dtype=F64), STD_Y)

    stds = (row @ covariances @ row.mT)[:, 0, 0].add(STD_Y**2).sqrt()
    normals = torch.distributions.Normal((means @ row.mT)[:, 0], stds)
    log_evidence = (oracle.log_weights + normals.log_prob(torch.tensor(0.3))).logsumexp(0)
    return oracle, measurement, float(log_evidence)


def run(method, oracle, measurement, steps, seeds):
    levels = grid(oracle.path, steps).levels
    return method.run(ParticleProblem(oracle, measurement, levels, seeds))


def gap(found, log_evidence):
    """(mean of Z-hat/Z - 1) in standard errors."""
    ratio = (found.log_evidence - log_evidence).exp()
    return float((ratio.mean() - 1) / (ratio.std() / len(ratio) ** 0.5))


@pytest.mark.parametrize("particles", [2, 8])
@pytest.mark.parametrize("problem", [one_dimension, two_dimensions])
def test_the_evidence_has_no_bias_with_exact_kernels_and_three_steps(problem, particles):
    oracle, measurement, log_evidence = problem()
    runs = 40_000 // particles
    method = TwistedSMC(particles, "tweedie", "exact")
    found = run(method, oracle, measurement.repeat(runs), 3, range(runs))
    assert abs(gap(found, log_evidence)) < 3


def chain_evidence(measurement, oracle, steps):
    """log p(y) under the ancestral chain of a GaussianNoise, which is Gaussian."""
    levels = grid(PATH, steps).levels
    mean, variance = 0.0, PATH.prior_std**2
    for here, to in pairwise(levels):
        x = torch.tensor([[0.0], [1.0]], dtype=F64)
        step = kernel.reverse_step(oracle(x, here), to)
        at_0, at_1 = step.mean[:, 0].tolist()
        mean = at_0 + (at_1 - at_0) * mean
        variance = (at_1 - at_0) ** 2 * variance + step.std**2
    total = torch.distributions.Normal(mean, math.hypot(variance**0.5, STD_Y))
    return float(total.log_prob(measurement.y[0, 0]))


METHODS_OF_THE_CHAIN = {
    "tweedie": TwistedSMC(4, "tweedie"),
    "isotropic": TwistedSMC(4, "isotropic"),
    "likelihood": TwistedSMC(4, "likelihood"),
    "difference": FKSteering(4),
    "max": FKSteering(4, potential="max"),
    "sum": FKSteering(4, potential="sum"),
    "always": TwistedSMC(4, "tweedie", resample_below=1.0),
    "never": TwistedSMC(4, "tweedie", resample_below=0.0),
}


@pytest.mark.parametrize("name", METHODS_OF_THE_CHAIN)
def test_the_evidence_is_that_of_the_chain_of_a_model(name):
    """Every twist, potential and rule of resampling, on a chain of three steps."""
    oracle = Mixture(torch.tensor([[0.4]], dtype=F64), 0.6, path=PATH)
    _, measurement, _ = one_dimension()
    runs = 5_000
    found = run(METHODS_OF_THE_CHAIN[name], oracle, measurement.repeat(runs), 3, range(runs))
    assert abs(gap(found, chain_evidence(measurement, oracle, 3))) < 3


def test_weighted_particles_have_the_moments_of_the_posterior():
    """Two populations of 20,000, three steps: the weights make up for the coarse proposal."""
    oracle, measurement, _ = one_dimension()
    found = run(TwistedSMC(20_000, "tweedie", "exact"), oracle, measurement.repeat(2), 3, [1, 2])

    shrink = 0.09 / (0.09 + STD_Y**2)
    centres = oracle.means[:, 0] + shrink * (0.4 - oracle.means[:, 0])
    normals = torch.distributions.Normal(oracle.means[:, 0], math.hypot(0.3, STD_Y))
    weights = (oracle.log_weights + normals.log_prob(torch.tensor(0.4))).softmax(0)
    mean = float((weights * centres).sum())
    second = float((weights * (centres.square() + 0.09 * (1 - shrink))).sum())

    x, w = found.x[..., 0], found.log_weights.exp()
    torch.testing.assert_close(w.sum(1), torch.ones(2).double())
    for power, truth in ((x, mean), (x.square(), second)):
        error = 3 * float(power.std()) / 20_000**0.5
        assert (w * power).sum(1).tolist() == pytest.approx([truth, truth], abs=2 * error)
    # The last weight counts: the particles without it are another density's.
    assert abs(float(x.square().mean()) - second) > 0.05


def test_one_particle_is_drawn_by_weight():
    oracle, measurement, _ = one_dimension()
    found = run(
        TwistedSMC(400, "tweedie", "exact"), oracle, measurement.repeat(2_000), 3, range(2_000)
    )
    drawn, w = found.chosen[:, 0], found.log_weights.exp()
    for power in (1, 2):
        truth = (w * found.x[..., 0] ** power).sum(1).mean()
        error = float((drawn**power).std()) / 2_000**0.5
        assert abs(float((drawn**power).mean() - truth)) < 3.5 * error


def test_the_error_of_the_evidence_falls_like_one_over_the_root_of_k():
    """And its estimate from one run is near the standard deviation over runs."""
    oracle, measurement, _ = one_dimension()
    deviations = []
    for particles in (32, 128, 512):
        runs = 300
        found = run(
            TwistedSMC(particles, "tweedie", "exact"),
            oracle,
            measurement.repeat(runs),
            4,
            range(runs),
        )
        deviations.append(float(found.log_evidence.std()))
        estimate = float(found.log_evidence_error.square().mean().sqrt())
        assert estimate == pytest.approx(deviations[-1], rel=0.25)
    for coarse, fine in pairwise(deviations):
        assert coarse / fine == pytest.approx(2, rel=0.25)


ALONE = {
    "exact": TwistedSMC(16, "tweedie", "exact"),
    "model": TwistedSMC(16, "isotropic"),
    "likelihood": TwistedSMC(16, "likelihood"),
    "fk": FKSteering(16, potential="max"),
}


@pytest.mark.parametrize("name", ALONE)
def test_a_population_is_the_same_alone_and_with_others(name):
    """With another measurement each, in parts of 7 particles or all at once."""
    oracle, measurement, _ = two_dimensions()
    y = torch.tensor([[0.3], [-1.0], [2.0]], dtype=F64)
    batch = Measurement(measurement.operator, y, STD_Y)
    method = ALONE[name]
    together = run(method, oracle, batch, 6, [5, 6, 7])
    for i in range(3):
        alone = run(method, oracle, batch.rows([i]), 6, [5 + i])
        for field in ("x", "log_weights", "chosen", "log_evidence", "log_evidence_error"):
            torch.testing.assert_close(
                getattr(together, field)[i], getattr(alone, field)[0], rtol=1e-9, atol=1e-9
            )

    in_parts = run(type(method)(**{**vars(method), "rows": 7}), oracle, batch, 6, [5, 6, 7])
    torch.testing.assert_close(in_parts.x, together.x, rtol=1e-9, atol=1e-9)


def test_a_population_that_dies_is_reported_with_its_step_and_item():
    oracle, measurement, _ = one_dimension()
    y = torch.tensor([[0.4], [1e200], [0.1], [-1e200]], dtype=F64)
    batch = Measurement(measurement.operator, y, STD_Y)
    died = r"step 1 of 3 all 8 .* for item 1, 3 \(seeds 1, 3\); check"
    with pytest.raises(ValueError, match=died):
        run(TwistedSMC(8, "likelihood", "exact"), oracle, batch, 3, range(4))

    def only_at_the_end(x0, condition):
        return torch.where(x0[:, 0].abs() > 1e-3, -math.inf, 0.0) if ended(x0) else x0[:, 0]

    calls = []

    def ended(x0):
        calls.append(len(x0))
        return len(calls) == 4

    with pytest.raises(ValueError, match=r"step 3 of 3 all 8 .* for item 0"):
        run(FKSteering(8, only_at_the_end), oracle, measurement, 3, [0])


def test_one_particle_of_no_weight_does_not_spoil_the_others():
    oracle, measurement, _ = one_dimension()

    def sometimes(x0, condition):
        return torch.where(x0[:, 0] > 0, math.nan, 0.0)

    found = run(FKSteering(200, sometimes), oracle, measurement, 5, [0])
    assert found.log_weights.exp().sum().item() == pytest.approx(1)
    assert found.chosen.item() <= 0
    assert found.log_evidence.isfinite().all()


def test_a_reward_without_a_gradient_tilts_the_chain():
    """E[exp(2 [x0 > 0])] of the samples of the chain, which FK steering estimates."""
    oracle, measurement, _ = one_dimension()

    def positive(x0, condition):
        return (x0[:, 0] > 0).double()

    plain = run(FKSteering(4_000, positive, scale=0.0), oracle, measurement, 5, [0])
    truth = (2 * (plain.x[0, :, 0] > 0)).double().exp().mean().log()
    assert plain.log_evidence.item() == 0
    for potential in ("difference", "max", "sum"):
        method = FKSteering(4_000, positive, 2.0, potential)
        found = run(method, oracle, measurement, 5, [1])
        assert found.log_evidence.item() == pytest.approx(truth.item(), abs=0.15)

    with pytest.raises(ValueError, match=r"reward: returned \(8, 1\) for 8 items"):
        run(FKSteering(8, lambda x0, condition: x0), oracle, measurement, 5, [0])


@pytest.mark.parametrize(
    "potential, psi",
    [("difference", [1, 3, 2, 5]), ("max", [1, 1 + 3, 1 + 3 + 3, 5]), ("sum", [1, 5, 11, 5])],
)
def test_the_potentials_of_rewards_1_3_2_and_5_at_the_end(potential, psi):
    """The log-products of potentials; that of the last step makes it the reward."""
    (level,) = PATH.levels([0.5])
    x, zero = torch.zeros(1, 1, dtype=F64), torch.zeros(1, dtype=F64)
    seen = ParticleEvaluation(Prediction.of(x, x, level), zero, None)
    state = ParticleState(x, level, seen, zero, zero)
    found = []
    for number, value in enumerate((1.0, 3.0, 2.0, 5.0)):
        state = replace(state, evaluation=None if number == 3 else seen)
        state = state.with_value(zero + value, potential if number else None)
        found.append(state.log_psi.item())
    assert found == psi


@pytest.mark.parametrize("twist", ["tweedie", "isotropic"])
@pytest.mark.parametrize("dims", [3, 70])
def test_the_noise_of_what_was_not_measured_does_not_matter(twist, dims):
    oracle = Mixture(torch.ones(1, dims), 1.0, path=PATH)
    known = torch.zeros(2, dims).bool()
    known[0, :2], known[1, 1] = True, True
    noise = torch.full((2, dims), 0.5)

    def found(noise):
        measurement = Measurement(Mask(known, (dims,)), torch.ones(2, dims), noise)
        return run(TwistedSMC(4, twist), oracle, measurement, 3, [0, 1])

    assert torch.equal(found(noise).chosen, found(torch.where(known, noise, 0.0)).chosen)


@pytest.mark.parametrize("method", ["tds:4", "fk:4", "daps_importance:2", "daps_chain"])
def test_weights_need_noise(method):
    oracle = Mixture(torch.ones(1, 2), 1.0, path=PATH)
    some = Measurement(Mask(torch.ones(2).bool()), torch.ones(1, 2), torch.tensor([0.1, 0.0]))
    with pytest.raises(ValueError, match=r"noise=0: there is no density of y.*mmps"):
        Posterior(oracle, some, method, Sampler(steps=3)).sample([0])


def test_methods_by_name():
    assert POSTERIOR_METHODS.named("tds:32") == TwistedSMC(32)
    assert POSTERIOR_METHODS.named("tds:8:kernel=exact:twist=tweedie") == TwistedSMC(
        8, "tweedie", "exact"
    )
    assert POSTERIOR_METHODS.named("tds:8:variance=large") == TwistedSMC(8, variance="large")
    assert POSTERIOR_METHODS.named("fk:8:potential=max") == FKSteering(8, potential="max")
    for name in ("tds:32", "tds:8:twist=tweedie:kernel=exact", "tds:8:variance=large"):
        assert str(POSTERIOR_METHODS.named(name)) == name

    for wrong in ("tds:0", "tds:2.5", "tds:8:twist=none", "fk:8:potential=last"):
        with pytest.raises(ValueError, match=wrong.split(":")[0]):
            POSTERIOR_METHODS.named(wrong)


@pytest.mark.parametrize("number", ["inf", "-inf", "nan", "2.5"])
@pytest.mark.parametrize("name", ["tds", "fk", "repaint", "split_gibbs", "daps_importance"])
def test_the_number_of_a_method_is_whole(name, number):
    with pytest.raises(ValueError, match=f"method '{name}:{number}': after '{name}:' comes"):
        POSTERIOR_METHODS.named(f"{name}:{number}")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("repaint:2:jump=x", "jump=x: give how many steps"),
        ("mmps:0.1:most=2.7", "most=2.7: give a whole number"),
        ("daps_importance:8:inner=abc", "inner=abc: give steps of"),
        ("daps_importance:8:log_snr=nan", "log_snr=nan: give a log-SNR or 'clean'"),
    ],
)
def test_options_of_methods_are_numbers(text, says):
    with pytest.raises(ValueError, match=says):
        POSTERIOR_METHODS.named(text)


def test_the_exact_kernel_of_what_has_none_is_refused():
    oracle, measurement, _ = one_dimension()

    class Bare:
        path = PATH

        def __call__(self, x_t, t, condition=None):
            return oracle(x_t, t, condition)

    with pytest.raises(ValueError, match=r"kernel='exact': Bare .*'model'"):
        run(TwistedSMC(4, kernel="exact"), Bare(), measurement, 3, [0])


def test_posterior_samples_come_with_the_evidence():
    oracle, measurement, log_evidence = one_dimension()
    sampler = Sampler(steps=20, spacing="angle")
    found = Posterior(oracle, measurement, "tds:64:kernel=exact", sampler).sample(range(30))
    assert found.x.shape == (30, 1)
    assert found.log_evidence is not None
    assert float(found.log_evidence.mean()) == pytest.approx(log_evidence, abs=0.15)
    assert found.particles[0].x.shape == (30, 64, 1)
