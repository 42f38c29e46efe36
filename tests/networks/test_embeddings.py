"""Features against their formulas, and the ends of the level."""

import math

import pytest
import torch

from allegory.networks.embeddings import (
    InputFourier,
    Inputs,
    LevelEmbedding,
    modulate,
    sinusoids,
    zeroed,
)


def test_sinusoids_are_the_formula() -> None:
    values = torch.tensor([-20.0, -0.3, 0.0, 7.5], dtype=torch.float64)
    features = sinusoids(values, 6)
    for row, value in zip(features, values.tolist(), strict=True):
        frequencies = [4.0, math.sqrt(4.0 * 0.04), 0.04]  # fastest, their geometric mean, slowest
        expected = [math.sin(w * value) for w in frequencies] + [
            math.cos(w * value) for w in frequencies
        ]
        torch.testing.assert_close(row.tolist(), expected, rtol=0, atol=1e-13)


def test_sinusoids_tell_every_level_from_every_other() -> None:
    features = sinusoids(torch.linspace(-20, 20, 401), 64)
    apart = torch.cdist(features, features) + 10 * torch.eye(401)
    assert (
        apart.min() > 0.1
    )  # a step of 0.1 nats moves the fastest pair by 2 sin(0.2) = 0.4 on its own


def test_level_embedding_takes_infinite_ends_as_the_clamped_ones() -> None:
    embed = LevelEmbedding(8)
    infinite = torch.tensor([math.inf, -math.inf])
    torch.testing.assert_close(embed(infinite), embed(torch.tensor([20.0, -20.0])), rtol=0, atol=0)
    assert not torch.equal(embed(infinite)[0], embed(infinite)[1])


def test_level_embedding_takes_double_log_snr_with_single_weights() -> None:
    assert LevelEmbedding(8)(torch.zeros(3, dtype=torch.float64)).dtype == torch.float32


@pytest.mark.parametrize("shape", [(3,), (2, 5), (2, 4, 6)])
def test_input_fourier_is_the_formula(shape: tuple[int, ...]) -> None:
    x = torch.randn(4, *shape, dtype=torch.float64)
    log_snr = torch.tensor([math.inf, 5.0, 1.0, -2.0], dtype=torch.float64)
    fourier = InputFourier((2, 0))
    features = fourier(x, log_snr)
    for item, given, level in zip(features, x, log_snr.tolist(), strict=True):
        waves = [4 * math.pi, math.pi]
        damping = [
            math.exp(-w * w / (2 * (1 + math.exp(level)))) if level < 700 else 1.0 for w in waves
        ]
        parts = [
            d * f(w * given)
            for f in (torch.sin, torch.cos)
            for w, d in zip(waves, damping, strict=True)
        ]
        torch.testing.assert_close(item, torch.cat([given, *parts]), rtol=0, atol=1e-12)
    assert features.shape[1] == fourier.channels(shape[0])


def test_a_damped_wave_is_its_mean_over_the_noise() -> None:
    """The clean wave times the damping = the mean of waves over N(m, s^2), here by quadrature over
    eps.
    """
    log_snr, clean = (
        torch.tensor([1.5], dtype=torch.float64),
        torch.tensor([[0.3]], dtype=torch.float64),
    )
    eps = torch.linspace(-9, 9, 20001, dtype=torch.float64)
    density = torch.exp(-0.5 * eps * eps) / math.sqrt(2 * math.pi) * (eps[1] - eps[0])
    noisy = clean[0] + torch.sigmoid(-log_snr).sqrt() * eps
    _, sine, cosine = InputFourier((0,))(clean, log_snr)[0]
    assert math.isclose(
        sine.item(), (density * torch.sin(math.pi * noisy)).sum().item(), abs_tol=1e-12
    )
    assert math.isclose(
        cosine.item(), (density * torch.cos(math.pi * noisy)).sum().item(), abs_tol=1e-12
    )


def test_input_fourier_without_frequencies_is_the_identity() -> None:
    x = torch.randn(4, 2, 3)
    assert torch.equal(InputFourier(())(x, torch.zeros(4)), x)


def test_modulate_is_the_identity_at_zero_and_the_formula_elsewhere() -> None:
    x, shift, scale = torch.randn(3, 2, 5), torch.randn(3, 2, 1), torch.randn(3, 2, 1)
    zero = torch.zeros(3, 2, 1)
    torch.testing.assert_close(modulate(x, zero, zero), x, rtol=0, atol=0)
    torch.testing.assert_close(modulate(x, shift, scale), x + x * scale + shift)


def test_zeroed_layer_returns_zero() -> None:
    assert zeroed(torch.nn.Linear(3, 2))(torch.randn(4, 3)).abs().max() == 0


def test_inputs_refuse_other_shapes() -> None:
    inputs = Inputs((1, 8, 8), 16, (), None)
    with pytest.raises(ValueError, match=r"x has items of shape \(1, 7, 8\).*\(1, 8, 8\)"):
        inputs(torch.zeros(2, 1, 7, 8), torch.zeros(2), None)
    with pytest.raises(ValueError, match=r"log_snr has shape \(1,\).*\(2,\)"):
        inputs(torch.zeros(2, 1, 8, 8), torch.zeros(1), None)
