"""On a GPU: the numbers of the CPU, and that training, compilation and graph capture work there.

    pytest -m cuda                                          on a machine with a GPU
    ALLEGORY_DEVICE=cpu pytest -m cuda tests/accelerator    a rehearsal: the same code on the CPU

`python -m benchmarks accelerator` runs them and reports each. float32 throughout, TF32 off: one
forward pass and one step differ from the CPU's by rounding (1e-5), twenty steps by more (1e-4).
"""

import os
import warnings

import pytest
import torch
from tests.training.toy import Numbers, Toy

from allegory import VDM, Denoiser, Mixture, Path, sample
from allegory.data import load
from allegory.inverse import OPERATORS, measure, operator_named
from allegory.likelihood import flow_log_prob, variational_bound
from allegory.likelihood.decoder import Continuous
from allegory.models import LearnedVariance
from allegory.networks import MLPConfig, UNetConfig
from allegory.process import LinearLogSNR, grid
from allegory.sampling import SOLVERS, initial_noise
from allegory.training import Interrupted, TrainingConfig, train

pytestmark = pytest.mark.cuda
PATH = Path(LinearLogSNR(8, -5))
ITEMS, DIMS = 8, 4
PLANNED = ("dpmpp2m", "auto", "unipc3", "heun")
"""Deterministic solvers of each kind, for compilation and capture."""


@pytest.fixture(scope="module")
def device():
    """The device under test, without TF32."""
    name = os.environ.get("ALLEGORY_DEVICE", "cuda")
    if name == "cuda" and not torch.cuda.is_available():
        pytest.skip("no GPU: torch.cuda.is_available() is False")
    allowed = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    yield torch.device(name)
    torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = allowed


def randomised(module, scale=0.3):
    """The module with random weights: networks are zero at their last layer when they are new."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in module.parameters():
            weight.copy_(scale * torch.randn(weight.shape, generator=generator))
    return module.eval()


def denoiser(solver=""):
    """A multilayer perceptron as a Predict; with a variance where the solver needs one."""
    learned = solver == "ddpm_learned"
    shape, target = (DIMS,), LearnedVariance("v") if learned else "v"
    network = MLPConfig(width=16, depth=1).build(shape, outputs=2 * DIMS if learned else None)
    return randomised(Denoiser(network, PATH, target=target))


def ends(solver, times, device):
    """The last states of a solver on the CPU and on the device, from the same noise."""
    found = []
    for place in (torch.device("cpu"), device):
        predict = denoiser(solver).to(place)
        x_T = initial_noise(PATH, (DIMS,), range(ITEMS)).to(place)
        x = sample(predict, x_T, times, solver=solver, seeds=range(ITEMS))
        assert x.device.type == place.type
        found.append(x.cpu())
    return found


def close(found, expected, tolerance):
    scale = max(1.0, expected.abs().max().item())
    assert (found - expected).abs().max().item() <= tolerance * scale


def test_one_forward_pass_of_each_network_is_the_cpus(device):
    x, log_snr = torch.randn(2, 3, 8, 8), torch.tensor([0.3, -1.0])
    for config in (UNetConfig(channels=32, attention=(4,)), MLPConfig(width=16, depth=1)):
        network = randomised(config.build((3, 8, 8)), scale=0.1)
        with torch.no_grad():
            expected = network(x, log_snr)
            close(
                network.to(device)(x.to(device), log_snr.to(device)).cpu(), expected, tolerance=1e-5
            )


@pytest.mark.parametrize("solver", [name for name in SOLVERS if name != "flow_map"])
def test_every_solver_takes_the_steps_of_the_cpu(solver, device):
    cpu, found = ends(solver, [1.0, 0.9], device)
    close(found, cpu, tolerance=1e-5)
    cpu, found = ends(solver, grid(PATH, 20, "log_snr"), device)
    close(found, cpu, tolerance=1e-4)


def oracle(device):
    means = torch.tensor([[-1.0, 0.0], [1.0, 0.5]])
    return Mixture(means, 0.4, path=PATH).to(device)


def test_the_exact_likelihood_is_the_cpus(device):
    x = torch.linspace(-1, 1, 12).reshape(6, 2)
    cpu = flow_log_prob(oracle("cpu"), x)
    found = flow_log_prob(oracle(device), x.to(device))
    close(found.log_prob.cpu(), cpu.log_prob, tolerance=1e-3)


def test_the_bound_is_the_cpus(device):
    x = torch.linspace(-1, 1, 12).reshape(6, 2)
    cpu = variational_bound(oracle("cpu"), x, Continuous(), draws=16)
    found = variational_bound(oracle(device), x.to(device), Continuous(), draws=16)
    close(found.total.cpu(), cpu.total, tolerance=1e-4)


def vdm():
    moons = load("moons")
    network = MLPConfig(width=32, depth=1).build(moons.spec.shape)
    return VDM(Denoiser(network, PATH, target="edm", data_std=0.5), moons.spec), moons


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_training_lowers_the_loss(precision, device):
    model, moons = vdm()
    config = TrainingConfig(
        steps=60, batch_size=64, warmup=5, ema=0.9, log_every=10, precision=precision
    )
    losses = []
    train(
        model, moons.batches(64, 0), config, callbacks=[lambda report: losses.append(report.loss)]
    )
    weights = list(model.parameters())
    assert all(weight.dtype == torch.float32 and weight.isfinite().all() for weight in weights)
    assert weights[0].device.type == device.type
    assert losses[-1] < losses[0] - 0.5


def test_a_run_that_was_stopped_and_resumed_is_the_run_that_was_not(device, tmp_path):
    config = TrainingConfig(steps=8, log_every=2)
    whole = train(Toy(), Numbers(), config, tmp_path / "whole")
    with pytest.raises(Interrupted):
        train(Toy(), Numbers(interrupt_at=4), config, tmp_path / "halves")
    halves = train(Toy(seed=1), Numbers(), config, tmp_path / "halves", resume=True)
    for one, other in zip(whole.ema.parameters(), halves.ema.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0)


def planned(solver, device):
    """A sampler as a function of x_T alone: its grid and plan are fixed."""
    predict = denoiser().to(device)
    levels = grid(PATH, 6, "log_snr")
    fixed = SOLVERS[solver].planned(levels.levels)
    return lambda x_T: sample(predict, x_T, levels, solver=fixed)


@pytest.mark.parametrize("solver", PLANNED)
def test_a_planned_solver_compiles(solver, device):
    if hasattr(sample, "__wrapped__"):
        pytest.skip("type checks do not compile: run python -m benchmarks accelerator")
    run = planned(solver, device)
    x_T = initial_noise(PATH, (DIMS,), range(ITEMS)).to(device)
    expected = run(x_T)
    backend = "inductor" if device.type == "cuda" else "eager"
    torch.compiler.reset()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's own, of its caches
        found = torch.compile(run, backend=backend, fullgraph=True)(x_T)
    close(found, expected, tolerance=1e-4)


@pytest.mark.parametrize("solver", PLANNED)
def test_a_planned_solver_is_captured_as_a_graph(solver, device):
    if device.type != "cuda":
        pytest.skip("CUDA graphs need a GPU")
    run = planned(solver, device)
    first, second = (initial_noise(PATH, (DIMS,), range(k, k + ITEMS)).to(device) for k in (0, 100))
    held = first.clone()
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        run(held)
    torch.cuda.current_stream().wait_stream(side)

    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        out = run(held)
    held.copy_(second)
    graph.replay()
    close(out, run(second), tolerance=1e-6)


@pytest.mark.parametrize("name", OPERATORS)
def test_a_measurement_has_the_numbers_of_the_cpu(device, name):
    numbers = {"downsample": 2, "projection": 5, "blur": 1}
    entry = OPERATORS.entry(name)
    full = name if entry.value is not None else f"{name}:{numbers.get(name, 0.5)}"
    x = torch.rand(ITEMS, 3, 8, 6, generator=torch.Generator().manual_seed(0))
    seen = measure(operator_named(full, (3, 8, 6)), x, 0.1)
    moved = seen.to(torch.zeros((), device=device))

    for one in (0, -1):
        index = torch.tensor([0, one])
        found = moved.rows(index).residual(x[index].to(device))
        assert found.device.type == device.type
        close(found.cpu(), seen.residual(x)[index], 1e-5)
    back = moved.linear.pseudo_inverse(moved.y)
    close(back.cpu(), seen.linear.pseudo_inverse(seen.y), 1e-3)
