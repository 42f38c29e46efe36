"""One prediction on every scaling."""

import pytest
import torch
from tests.helpers.paths import FINITE, INFINITE, SCALINGS

from allegory import Mixture, Path, grid, initial_noise, sample
from allegory.process import LinearLogSNR, Rescaled, as_predict

MEANS = torch.tensor([[-1.0, 0.5], [0.7, 0.2]], dtype=torch.float64)


def oracle(path):
    return Mixture(
        MEANS,
        torch.tensor([0.3, 0.5]).double(),
        path=path,
        weights=torch.tensor([0.4, 0.6]).double(),
    )


@pytest.mark.parametrize("name", [*FINITE, *INFINITE])
def test_a_rescaled_oracle_is_the_oracle_of_that_scaling(name):
    """Predictions, scores and energies, at inner times, one per item, and at both ends where they
    have any.
    """
    schedule = {**FINITE, **INFINITE}[name]
    scalings = [scaling for scaling in SCALINGS if not (name in INFINITE and scaling == "ve")]
    x = torch.randn(5, 2, dtype=torch.float64)
    for own in scalings:
        for other in scalings:
            found, truth = (
                Rescaled(oracle(Path(schedule, own)), other),
                oracle(Path(schedule, other)),
            )
            for t in (0.3, 1.0, torch.linspace(0.1, 0.9, 5).double()):
                prediction, expected = found(x, t), truth(x, t)
                torch.testing.assert_close(prediction.x0, expected.x0)
                torch.testing.assert_close(prediction.eps, expected.eps)
                shift = found.energy(x, t) - truth.energy(x, t)
                if not isinstance(
                    t, torch.Tensor
                ):  # the units of x_t differ: a constant at each time
                    torch.testing.assert_close(shift, shift[:1].expand(5), rtol=1e-6, atol=1e-6)


def test_the_flow_is_the_same_on_all_scalings():
    """A solver that steps in log-SNR ends in the same item on every scaling, from the same noise in
    its own units.
    """
    schedule = LinearLogSNR(8, -7)
    own = Path(schedule, "vp")
    noise, ends = torch.randn(3, 2, dtype=torch.float64), []
    for scaling in SCALINGS:
        predict = Rescaled(oracle(own), scaling)
        level = predict.path.at(1.0)
        ends.append(
            sample(
                predict,
                level.sigma * noise,
                grid(predict.path, 20, "log_snr"),
                solver="dpmpp2m",
            )
        )
    for end in ends[1:]:
        torch.testing.assert_close(end, ends[0])


def test_an_unknown_scaling_and_a_missing_energy_are_refused():
    own = Path(LinearLogSNR(5, -5))
    with pytest.raises(ValueError, match="did you mean 'sub_vp'"):
        Rescaled(oracle(own), "subvp")
    plain = Rescaled(as_predict(lambda x, t, condition=None: oracle(own)(x, t), own), "ve")
    assert plain(initial_noise(plain.path, (2,), range(3)).double(), 1.0).x0.isfinite().all()
    with pytest.raises(ValueError, match="no energy"):
        plain.energy(torch.randn(3, 2), 0.5)
