"""Every bound of one model on the same items: each is what its own function says, and they are
ordered.
"""

import pytest
import torch
from tests.helpers.models import toy_digits, untrained

from allegory import Mixture, Path
from allegory.data import DataSpec, Items
from allegory.evaluation import EvaluationConfig, compare_bounds, evaluate
from allegory.likelihood import (
    CategoricalObservation,
    DequantizedFlow,
    FlowSolver,
    flow_bound,
    iwae_bound,
)
from allegory.models import VDM, Denoiser, Hierarchy
from allegory.process import Gaussian, LinearLogSNR, bits_per_dim

SPEC = DataSpec((2,), -4.0, 4.0)


class Exact(torch.nn.Module):
    """A network that returns E[x0 | x_t] of two Gaussians, on a variance-preserving path (whose
    c_in is 1).
    """

    def __init__(self):
        super().__init__()
        self.path = Path(LinearLogSNR(12, -12))
        self.oracle = Mixture(torch.tensor([[0.2, 0.0], [-0.3, 0.1]]).double(), 0.2, path=self.path)
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def forward(self, x, log_snr, condition=None):
        return self.oracle(
            x.double(), self.path.schedule.inverse(log_snr.double()).clamp(0, 1)
        ).x0.float()


def by_name(bounds):
    return {bound.name: bound for bound in bounds}


def test_more_steps_tighten_the_bound_towards_log_p():
    exact = Exact()
    model = VDM(Denoiser(exact, exact.path, "x0"), SPEC)
    x = exact.oracle.sample(range(300))
    found = by_name(compare_bounds(model, Items(SPEC.decode(x)), EvaluationConfig(draws=64)))
    order = [
        found[name].nats.mean
        for name in ("VLB, T = 10", "VLB, T = 100", "VLB, T = 1000", "VLB, continuous time")
    ]
    assert order == sorted(order, reverse=True)
    truth = -(exact.oracle.log_prob(x) + SPEC.log_scale).mean().item()
    assert found["ODE"].nats.mean == pytest.approx(truth, abs=5e-3)  # no draws, and an exact trace
    last = found["VLB, continuous time"]
    assert abs(last.nats.mean - truth) < 0.1
    assert (
        last.difference.mean == 0
        and last.evaluations == 64
        and found["VLB, T = 10"].evaluations == 10
    )
    first = found["VLB, T = 10"]
    assert first.difference.mean == pytest.approx(first.bits.mean - last.bits.mean)
    assert first.difference.error < first.bits.error  # differences are paired


def vae(data):
    """An untuned linear VAE of items of four numbers."""
    module = torch.nn.Linear(4, 2)
    out = torch.nn.Linear(2, 4)

    class Up(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = module

        def forward(self, x):
            return Gaussian(self.linear(x.flatten(1)), 0.7)

    class Observe(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = out

        def forward(self, z):
            return CategoricalObservation(
                self.linear(z).reshape(-1, 1, 2, 2)[..., None] * torch.linspace(-1, 1, 5)
            )

    return Hierarchy(data, [Up()], [], Observe(), top=(2,))


def test_a_vae_is_measured_by_its_elbo_and_by_weights():
    data = toy_digits(classes=None)
    model = vae(data.spec)
    found = by_name(compare_bounds(model, data.test, EvaluationConfig(4, 20, importance=30)))
    assert set(found) == {"ELBO", "IWAE, k = 30"}
    expected = -iwae_bound(model, data.test.x, 30, seeds=range(4, 4 + len(data.test.x))).double()
    assert found["IWAE, k = 30"].nats.mean == pytest.approx(expected.mean().item())
    assert found["IWAE, k = 30"].bits.mean == pytest.approx(
        bits_per_dim(expected, data.spec).mean().item()
    )
    assert found["IWAE, k = 30"].difference.mean < -3 * found["IWAE, k = 30"].difference.error


def test_a_vae_is_evaluated_like_a_diffusion_model():
    data = toy_digits()  # labels are there, and a VAE does not use them
    found = evaluate(vae(data.spec), data, EvaluationConfig(draws=3, samples=20))
    names = [row.name for row in found.rows()]
    assert found.conditional is None and found.accuracy is None and found.generated.labels is None
    assert "IWAE, k = 50 (40 items)" in names and "  cost of z1" in names
    assert found.likelihood.latents == (found.likelihood.prior,)
    assert found.generated.x.shape == (20, 1, 2, 2)


def test_importance_weights_of_a_diffusion_model_bound_it_too():
    data = toy_digits(classes=None)
    found = by_name(
        compare_bounds(
            untrained(data.spec),
            data.test,
            EvaluationConfig(draws=2, importance=2),
            steps=(3,),
        )
    )
    assert set(found) == {"VLB, T = 3", "VLB, continuous time", "ODE", "IWAE, k = 2, T = 100"}
    flow = found["ODE"]
    model = untrained(data.spec)
    own = flow_bound(
        model.denoiser,
        data.test.x,
        DequantizedFlow(data.spec, FlowSolver(probes=0), kind="normal"),
    )
    assert flow.nats.mean == pytest.approx(-own.total.mean().item(), rel=1e-6)
    assert flow.evaluations == pytest.approx(own.evaluations.double().mean().item())
    assert found["IWAE, k = 2, T = 100"].evaluations == 200
