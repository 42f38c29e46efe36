"""Predictor and corrector, and annealed Langevin dynamics, on densities that are known."""

import math

import pytest
import torch
from tests.helpers.paths import PATHS

from allegory import Mixture, Path, grid, initial_noise, sample, trajectory
from allegory.process import Betas, Geometric, LinearLogSNR, RectifiedFlow, as_predict
from allegory.process.noise import Noise
from allegory.sampling import (
    SOLVERS,
    Correction,
    Hamiltonian,
    Langevin,
    annealed,
    mala,
    predictor_corrector,
    solver_named,
    step_size,
)
from allegory.sampling.driver import SamplingLoop
from allegory.sampling.mcmc.target import EnergyDensity, NoisedDensity

PREDICTORS = (
    "reverse_diffusion",
    "ddpm",
    "euler_maruyama",
    "reverse_diffusion:0",
    "ddim",
    "dpmpp2m",
    "sa3",
    "heun",
)
CORRECTORS = ("langevin", "mala", "hmc:0.4", "langevin_batch")
SCALINGS = ("vp", "sub_vp", "ve", "flow")


def far_modes(path, dtype=torch.float32):
    """Two modes ten deviations apart, of weights .8 and .2 (Song & Ermon 2019, section 3.2.2)."""
    means = torch.tensor([[-5.0, -5.0], [5.0, 5.0]], dtype=dtype)
    return Mixture(means, 1.0, path=path, weights=torch.tensor([0.8, 0.2], dtype=dtype))


def walk(solver, predict, path, x, steps):
    """The end of a walk on the solver's own grid, with draws from the global generator: many
    items at once.
    """
    levels = grid(path, steps, "log_snr", solver.end).levels
    return SamplingLoop(predict, x, levels[0], draw=torch.randn_like).run(solver.plan(levels))


@pytest.mark.slow
@pytest.mark.thorough
def test_annealed_langevin_finds_the_weights_where_plain_langevin_does_not():
    """Song & Ermon's own experiment, the same steps for both: weights within .02 of .8 and .2,
    and about a half each.

    The share of 6,000 samples has a standard error of .005.
    """
    n, levels, count = 6000, 48, 25
    gamma = 40.0 ** (1 / (levels - 1))
    path = Path(Geometric(0.5, 20.0), "ve")
    oracle = far_modes(path)
    found = walk(
        annealed(Langevin(step_size(count, gamma), count)),
        oracle,
        path,
        20 * torch.randn(n, 2),
        levels,
    )
    assert (found.sum(1) < 0).float().mean().item() == pytest.approx(0.8, abs=0.02)
    x, density = torch.rand(n, 2) * 16 - 8, EnergyDensity(lambda y: -oracle.log_prob(y))
    plain = Langevin(0.05, levels * count)(density, x, torch.randn_like).x
    assert (plain.sum(1) < 0).float().mean().item() == pytest.approx(
        0.5, abs=0.03
    )  # what the start had


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("scaling", "predictor", "corrector"),
    [
        *((scaling, "reverse_diffusion", "langevin") for scaling in SCALINGS),
        *(("vp", "ddim", corrector) for corrector in CORRECTORS),
        ("ve", "ddim", "hmc:0.4"),
    ],
)
def test_any_pair_ends_in_the_density(scaling, predictor, corrector):
    """Weights, means and spreads of a mixture after 80 steps, within 4 standard errors and 3 %
    for the steps.

    All pairs, at 1,000 steps: `python -m benchmarks sde`.
    """
    path, n = Path(LinearLogSNR(7, -8), scaling), 4000
    means = torch.tensor([[-0.9, 0.3], [0.8, -0.2]])
    oracle = Mixture(means, 0.2, path=path, weights=torch.tensor([0.3, 0.7]))
    solver = solver_named(f"{predictor}+{corrector}")
    x = walk(solver, oracle, path, path.prior_std * torch.randn(n, 2), 80)
    right = x[:, 0] > 0
    assert abs(right.float().mean().item() - 0.7) < 4 * math.sqrt(0.21 / n) + 0.02
    for mode, mean in ((~right, means[0]), (right, means[1])):
        part = x[mode]
        torch.testing.assert_close(
            part.mean(0), mean, atol=4 * 0.2 / math.sqrt(len(part)) + 0.03 * 0.2, rtol=0
        )
        torch.testing.assert_close(
            part.std(0),
            torch.full((2,), 0.2),
            atol=0.2 * (4 / math.sqrt(2 * len(part)) + 0.03),
            rtol=0,
        )


@pytest.mark.parametrize("predictor", PREDICTORS)
@pytest.mark.parametrize("corrector", ["langevin", "mala:0.3", "hmc:0.4"])
def test_an_item_is_its_own(predictor, corrector):
    path = PATHS["cosine-vp"]
    oracle = Mixture(torch.tensor([[-1.0, 0.5], [0.7, 0.2]]), 0.3, path=path)
    x, solver = initial_noise(path, (2,), range(5)), solver_named(f"{predictor}+{corrector}")
    levels = grid(path, 6, "log_snr", solver.end)
    whole = sample(oracle, x, levels, solver=solver, seeds=range(5))
    for i in (0, 4):
        alone = sample(oracle, x[i : i + 1], levels, solver=solver, seeds=[i])
        torch.testing.assert_close(alone[0], whole[i], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["ncsn", "ncsn2", "pc"])
def test_annealed_and_pc_items_are_their_own(name):
    path = PATHS["geometric-ve"]
    oracle = Mixture(torch.tensor([[-1.0, 0.5], [0.7, 0.2]]), 0.3, path=path)
    x, solver = initial_noise(path, (2,), range(3)), SOLVERS[name]
    levels = grid(path, 4, "log_snr", solver.end)
    whole = sample(oracle, x, levels, solver=solver, seeds=range(3))
    alone = sample(oracle, x[1:2], levels, solver=solver, seeds=[1])
    torch.testing.assert_close(alone[0], whole[1], rtol=1e-5, atol=1e-5)


def test_the_corrector_works_at_every_level_and_never_on_clean_data():
    path = PATHS["linear-vp"]
    levels = grid(path, 3).levels
    plan = predictor_corrector(SOLVERS["heun"], Langevin(0.1)).plan(levels)
    stays = [i for i, move in enumerate(plan) if isinstance(move, Correction)]
    assert [plan[i].to for i in stays] == list(levels[:-1])
    assert [i == 0 or not plan[i - 1].stage for i in stays] == [True] * 3
    kept = [move for move in plan if not isinstance(move, Correction)]
    assert kept == list(SOLVERS["heun"].plan(levels))
    noisy = grid(path, 3, end="min")
    plan = predictor_corrector(SOLVERS["heun"], Langevin(0.1)).plan(noisy.levels)
    assert [move.to for move in plan if isinstance(move, Correction)] == list(noisy.levels)
    states = trajectory(
        far_modes(path), torch.randn(2, 2), noisy, solver="heun+langevin", seeds=range(2)
    )
    assert [state.level for state in states] == list(noisy.levels[1:])


def test_ncsn_is_the_published_algorithm():
    """Song & Ermon 2019, algorithm 1, in its own letters: x += a/2 s + sqrt(a) z with a =
    epsilon sigma_i^2/sigma_L^2.
    """
    epsilon, count = 2e-5, 3
    path = Path(Geometric(0.01, 1.0), "ve")
    oracle = Mixture(torch.tensor([[0.2, 0.1]]).double(), 0.5, path=path)
    x0 = torch.randn(4, 2, dtype=torch.float64)
    solver = annealed(Langevin(epsilon / (2 * 0.01**2), count))
    levels = grid(path, 9, "log_snr", "min")
    found = sample(oracle, x0, levels, solver=solver, seeds=range(4))
    noise, x = Noise(range(4), (2,)), x0
    for level in levels.levels:
        alpha = epsilon * level.sigma**2 / 0.01**2
        for _ in range(count):
            x = x + alpha / 2 * oracle(x, level).view("score") + math.sqrt(alpha) * noise.draw(x)
    torch.testing.assert_close(found, x)


def test_annealed_langevin_is_the_same_on_every_scaling():
    """x/alpha is what it is at alpha = 1: held while the noise falls, with steps in its own
    units.
    """
    ends, noise = [], torch.randn(4, 2, dtype=torch.float64)
    for scaling in SCALINGS:
        path = Path(LinearLogSNR(5, -4), scaling)
        oracle = Mixture(torch.tensor([[0.2, 0.1], [-0.9, 0.4]]).double(), 0.3, path=path)
        levels = grid(path, 6, "log_snr", "min")
        x = levels.levels[0].sigma * noise
        ends.append(
            sample(oracle, x, levels, solver="ncsn2", seeds=range(4)) / levels.levels[-1].alpha
        )
    for end in ends[1:]:
        torch.testing.assert_close(end, ends[0])


def test_ncsn2_ends_with_the_posterior_mean():
    """x + sigma_L^2 s(x): the denoising step of NCSNv2, from the last level with noise."""
    path = Path(Geometric(0.1, 2.0), "ve")
    oracle = Mixture(torch.tensor([[0.2, 0.1]]).double(), 0.5, path=path)
    states = list(
        trajectory(
            oracle,
            torch.randn(3, 2).double(),
            grid(path, 5, "log_snr", "denoise"),
            solver="ncsn2",
            seeds=range(3),
        )
    )
    last, before = states[-1], states[-1].prediction
    assert last.level.sigma == 0.0 and before.level.sigma == pytest.approx(0.1)
    torch.testing.assert_close(last.x, before.x_t + 0.01 * before.view("score"))


def test_names_of_pairs():
    assert solver_named("heun+mala:0.2").name == "heun+mala:0.2"
    assert solver_named("pc").end == "denoise" and solver_named("ncsn").end == "min"
    for text, message in (
        ("heun+lagevin", "did you mean 'langevin'"),
        ("hun+langevin", "did you mean 'heun'"),
        ("heun+langevin:x", "a finite number above 0"),
        ("heun+langevin:-1", "a finite number above 0"),
        ("heun+hmc:0", "a finite number above 0"),
        ("reverse_diffusion:-1", "eta"),
        ("ncsn2:0", "step"),
        ("heun+mala:nan", "a finite number above 0"),
    ):
        with pytest.raises(ValueError, match=message):
            solver_named(text)


@pytest.mark.parametrize("path", [Path(RectifiedFlow(), "flow"), PATHS["cosine_inf-vp"]])
@pytest.mark.parametrize("name", ["ncsn", "ncsn2"])
def test_annealed_langevin_refuses_a_path_that_ends_in_pure_noise(path, name):
    oracle = far_modes(path)
    with pytest.raises(ValueError, match="finite end"):
        sample(oracle, torch.randn(2, 2), grid(path, 4, "angle"), solver=name, seeds=range(2))


def test_a_corrector_that_needs_an_energy_says_so():
    path = PATHS["linear-vp"]
    oracle = far_modes(path)

    bare = as_predict(lambda x, t, condition: oracle(x, t), path)
    with pytest.raises(ValueError, match="score but no energy"):
        sample(bare, torch.randn(2, 2), grid(path, 3), solver="ddim+mala", seeds=range(2))


def test_a_sampler_whose_proposals_are_all_rejected_warns():
    path = PATHS["linear-vp"]
    solver = predictor_corrector(SOLVERS["ddim"], Hamiltonian(80.0, 3))
    with pytest.warns(RuntimeWarning, match="every proposal was rejected"):
        sample(far_modes(path), torch.randn(2, 2), grid(path, 3), solver=solver, seeds=range(2))


def test_pairs_without_seeds_or_backwards_are_refused():
    path = PATHS["linear-vp"]
    with pytest.raises(ValueError, match="seeds"):
        sample(far_modes(path), torch.randn(2, 2), grid(path, 3), solver="ddim+langevin")
    with pytest.raises(ValueError, match="draws noise"):
        sample(
            far_modes(path),
            torch.randn(2, 2),
            grid(path, 3, end="min").reversed(),
            solver="ddim+langevin",
            seeds=range(2),
        )


def test_gradients_pass_through_a_kernel():
    path = Path(Betas(torch.linspace(1e-3, 0.05, 100)))
    oracle, x = far_modes(path), torch.randn(2, 2, requires_grad=True)
    sample(
        oracle, x, grid(path, 3), solver="ddim+langevin", seeds=range(2), grad=True
    ).sum().backward()
    assert x.grad.abs().min() > 0


def test_mala_at_one_noise_level_keeps_the_density():
    """Held at one noise level it is a chain on p(x_t): second moments within 4 standard errors."""
    n = 4000
    path = Path(LinearLogSNR(2, -2), "vp")
    oracle = Mixture(torch.zeros(1, 1).double(), 0.6, path=path)
    level = path.levels([0.5])[0]
    x = oracle.sample(range(n), 0.5)
    x = mala(0.8, 20)(NoisedDensity(oracle, level), x, torch.randn_like).x
    expected = (0.6 * level.alpha) ** 2 + level.sigma**2
    assert x.var().item() == pytest.approx(expected, abs=4 * expected * math.sqrt(2 / n))
