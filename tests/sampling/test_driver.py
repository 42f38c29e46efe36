import ast
import subprocess
import sys

import pytest
import torch
from tests.helpers.paths import PATHS

from allegory import Mixture, grid, initial_noise, invert, sample, trajectory
from allegory.process.noise import Noise, Stream
from allegory.process.prediction import Prediction, as_predict
from allegory.sampling import SOLVERS
from allegory.sampling.driver import SamplingLoop

PATH = PATHS["linear-vp"]


def oracle(dtype=torch.float32):
    means = torch.tensor([[[1.0, 0.5], [0.0, -1.0]], [[-1.0, 0.3], [0.8, 0.2]]], dtype=dtype)
    return Mixture(means, 0.3, path=PATH, labels=torch.tensor([0, 1]))


@pytest.mark.parametrize(
    "solver", [name for name in SOLVERS if name not in ("ddpm_learned", "flow_map")]
)
def test_an_item_with_its_seed_is_the_same_alone_and_in_a_batch(solver):
    """The noise is bit-identical; the end point too, because this oracle computes item by item."""
    seeds, walk = list(range(40, 56)), grid(PATH, 6)
    together = sample(
        oracle(), initial_noise(PATH, (2, 2), seeds), walk, solver=solver, seeds=seeds
    )
    for i in (0, 15):
        alone = sample(
            oracle(),
            initial_noise(PATH, (2, 2), seeds[i : i + 1]),
            walk,
            solver=solver,
            seeds=seeds[i : i + 1],
        )
        torch.testing.assert_close(alone[0], together[i], rtol=1e-6, atol=1e-6)


def test_noise_belongs_to_its_seed():
    a, b = Noise([3, 9, 4], (5,)), Noise([9], (5,))
    for _ in range(3):
        assert torch.equal(a.draw()[1], b.draw()[0])


def test_streams_and_seeds_do_not_meet():
    draws = torch.stack(
        [
            Noise([seed], (1000,), stream).draw()[0]
            for seed in (0, 1, 2)
            for stream in (Stream.START, Stream.STEPS)
        ]
    )
    correlation = draws.corrcoef() - torch.eye(6)
    assert correlation.abs().max() < 5 / 1000**0.5


def test_start_has_the_spread_of_the_prior():
    path = PATHS["geometric-ve"]
    x = initial_noise(path, (100,), range(400))
    assert x.std().item() == pytest.approx(path.prior_std, rel=4 / (2 * 40_000) ** 0.5)


@pytest.mark.thorough
@pytest.mark.parametrize("solver", ["ddim", "euler", "heun", "dpmpp2m"])
def test_encoding_is_undone_and_better_with_more_steps(solver):
    """DDIM paper, section 5.4: the reconstruction error falls as steps are added."""
    exact = oracle(torch.float64)
    x0 = exact.sample(range(32))

    def error(steps):
        walk = grid(PATH, steps, "log_snr", "min")
        noise = invert(exact, x0, walk, solver=solver)
        back = sample(exact, noise, walk, solver=solver)
        return (back / walk.levels[-1].alpha - x0).square().mean().sqrt().item()

    coarse, fine = error(50), error(200)
    assert fine < coarse / 3
    assert fine < 0.03


def test_encodings_are_standard_normal():
    """Pushing data to noise gives the prior: mean and variance within three standard errors."""
    exact = oracle(torch.float64)
    n = 4000
    z = invert(
        exact, exact.sample(range(n)), grid(PATH, 100, "log_snr", "min"), solver="heun"
    ).flatten(1)
    assert (z.mean(0).abs() < 3.5 / n**0.5).all()
    assert ((z.var(0) - 1).abs() < 3.5 * (2 / n) ** 0.5).all()


def test_the_trajectory_yields_every_state_and_leaves_the_grad_mode_alone():
    walk, x = grid(PATH, 6), initial_noise(PATH, (2, 2), range(3))
    seen = []
    for state in trajectory(oracle(), x, walk, solver="ddim"):
        assert torch.is_grad_enabled()
        assert not state.x.requires_grad
        seen.append(state)
    assert [state.level for state in seen] == list(walk.levels[1:])
    torch.testing.assert_close(seen[-1].x, sample(oracle(), x, walk, solver="ddim"))


def test_gradients_flow_when_asked():
    x = initial_noise(PATH, (2, 2), range(3)).requires_grad_()
    sample(oracle(), x, grid(PATH, 4), solver="dpmpp2m", grad=True).sum().backward()
    assert x.grad is not None and x.grad.abs().sum() > 0


def test_the_condition_reaches_the_predict():
    exact = oracle()
    label = torch.tensor([0, 1] * 8)
    end = sample(
        exact,
        initial_noise(PATH, (2, 2), range(16)),
        grid(PATH, 25),
        solver="dpmpp2m",
        condition=label,
    )
    nearest = (end[:, None] - exact.means.reshape(2, 2, 2)).square().sum((2, 3)).argmin(1)
    assert torch.equal(nearest, label)


def test_plain_times_and_progress():
    calls = []
    sample(
        oracle(),
        torch.randn(2, 2, 2),
        [0.9, 0.5, 0.1],
        solver="ddim",
        on_step=lambda i, n: calls.append((i, n)),
    )
    assert calls == [(1, 2), (2, 2)]


@pytest.mark.parametrize("seeds", [None, range(2)])
def test_a_stochastic_solver_asks_for_its_seeds(seeds):
    with pytest.raises(ValueError, match=r"one per item, e\.g\. range\(3\)"):
        sample(oracle(), torch.randn(3, 2, 2), grid(PATH, 4), solver="ddpm", seeds=seeds)


def test_a_stochastic_solver_cannot_be_inverted():
    with pytest.raises(ValueError, match="cannot be inverted"):
        invert(oracle(), torch.randn(3, 2, 2), grid(PATH, 4, end="min"), solver="ddpm")


def test_every_whole_number_is_a_seed_of_its_own():
    seeds = [0, 1, 2**64 - 1, 2**31, 2**32, 2**63, 12345678901234567890]
    x = initial_noise(PATH, (4,), seeds)
    assert len({tuple(row) for row in x.tolist()}) == len(seeds)


@pytest.mark.parametrize("times", [[1.0, 0.5, 0.5, 0.2], [0.2, 0.6, 0.4]])
def test_times_that_stand_still_or_turn_back_are_refused(times):
    with pytest.raises(ValueError, match="one way"):
        sample(oracle(), torch.randn(2, 2, 2), times, solver="dpmpp2m")


def test_a_stochastic_solver_does_not_go_from_data_to_noise():
    with pytest.raises(ValueError, match="from data to noise"):
        sample(oracle(), torch.randn(2, 2, 2), [0.1, 0.5, 0.9], solver="ddpm", seeds=range(2))


COMPILES = """
import torch
from allegory import Path, grid, sample
from allegory.models import Denoiser
from allegory.process import LinearLogSNR
from allegory.sampling import SOLVERS

class Small(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(4, 4)

    def forward(self, x, log_snr, condition=None):
        return self.layer(x) * log_snr[:, None].sigmoid()

path = Path(LinearLogSNR(8, -7))
predict, levels, x = Denoiser(Small(), path), grid(path, 5, "log_snr"), torch.randn(3, 4)
for name in ("heun", "auto"):
    planned = SOLVERS[name].planned(levels.levels)
    torch._dynamo.reset()
    whole = lambda x: sample(predict, x, levels, solver=planned)
    compiled = torch.compile(whole, backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(x), sample(predict, x, levels, solver=name))
"""


@pytest.mark.thorough
@pytest.mark.skipif(
    tuple(map(int, torch.__version__.split(".")[:2])) < (2, 8),
    reason="the compiler of torch up to 2.7 does not take the loop's generator as one graph",
)
def test_a_planned_sampler_compiles_to_one_graph():
    """fullgraph refuses every break. In a process of its own, because the tests' type checks
    cannot be compiled.
    """
    done = subprocess.run([sys.executable, "-c", COMPILES], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.mark.parametrize("solver", ["ddim", "auto", "sde_dpmpp2m"])
def test_nothing_in_the_loop_waits_for_the_device(solver, monkeypatch):
    """A number read from a tensor is a wait: on meta tensors, which hold none, it would be an
    error.
    """
    levels = grid(PATH, 5, "log_snr")

    def predict(x, t, condition=None):
        return Prediction.solve("eps", torch.zeros_like(x), x, t)

    moves, x = SOLVERS[solver].plan(levels.levels), torch.zeros(3, 4, device="meta")
    zero = as_predict(predict, PATH)
    loop = SamplingLoop(zero, x, levels.levels[0])
    states = [loop.x for _ in loop.execute(moves)]
    assert len(states) == 5 and states[-1].device.type == "meta"


ELSEWHERE = """
import sys, torch
from allegory import Mixture, Path, grid, sample, initial_noise
from allegory.process import LinearLogSNR

path = Path(LinearLogSNR(8, -7))
oracle = Mixture(torch.tensor([[1.0, 0.5], [-1.0, 0.3]]), 0.3, path=path)
seeds = [int(word) for word in sys.argv[1:]]
x_T = initial_noise(path, (2,), seeds)
out = sample(oracle, x_T, grid(path, 12), solver="ddpm", seeds=seeds)
print([[number.hex() for number in row] for row in out.double().tolist()])
"""


@pytest.mark.thorough
def test_an_item_with_its_seed_is_the_same_in_two_processes():
    """One process draws items 3 and 4, another item 4 alone: bit for bit, whoever draws it."""
    said = [
        subprocess.run(
            [sys.executable, "-c", ELSEWHERE, *seeds], capture_output=True, text=True, check=True
        ).stdout
        for seeds in (("3", "4"), ("4",))
    ]
    both, one = (ast.literal_eval(text) for text in said)
    assert both[1] == one[0] and both[0] != one[0]


def test_a_trajectory_begun_in_inference_mode_goes_on_outside():
    x, levels = torch.randn(2, 2, 2), grid(PATH, 5, "log_snr")
    with torch.inference_mode():
        states = trajectory(oracle(), x, levels, solver="dpmpp2m")
        next(states)
    *_, last = states
    torch.testing.assert_close(last.x, sample(oracle(), x, levels, solver="dpmpp2m"))


def test_a_grid_of_another_path_is_refused():
    x = torch.randn(2, 2, 2)
    with pytest.raises(ValueError, match="made for another path"):
        sample(oracle(), x, grid(PATHS["cosine-flow"], 5), solver="ddim")


def test_the_state_keeps_its_dtype():
    """Whatever a Predict answers in: here bfloat16."""
    x, levels = torch.randn(2, 4), grid(PATH, 3, "log_snr")

    def predict(x_t, t, condition=None):
        return Prediction.solve("x0", torch.zeros_like(x_t, dtype=torch.bfloat16), x_t, t)

    half = as_predict(predict, PATH)
    for solver in ("ddim", "heun", "dpmpp2m", "auto"):
        assert sample(half, x, levels, solver=solver).dtype == torch.float32
