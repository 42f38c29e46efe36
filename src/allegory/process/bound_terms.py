r"""The three terms of the bound of a diffusion model, for its likelihood and its training loss.

    log p(x) >= E[log p(x | z_0)]                                   reconstruction
                - KL(q(z_1 | x) || p(z_1))                          prior matching
                - E_t[ -1/2 log_snr'(t) |eps - eps_hat(z_t)|^2 ]    diffusion loss

in continuous time (VDM, eq. 17; Luo 2022, eq. 58 and 110); with T steps the weight of the last is
T/2 expm1(log_snr_s - log_snr_t), s = t - 1/T (VDM, eq. 14). Each is one draw per item.

That is for a reverse step with the variance of q(z_s | z_t, x). With the variance larger by the
factor e^{-u} per number the divergence of a step is

    KL = e^u/2 expm1(log_snr_s - log_snr_t) |eps - eps_hat|^2 + 1/2 (e^u - 1 - u)

where u = 2 v log(sigma_s/sigma_t) for the fraction v of Nichol & Dhariwal 2021, eq. 15. The last
part falls as 1/T in the sum over T steps: in continuous time the variance does not matter.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from .coefficients import expm1
from .decoder import Decoder
from .kernel import Gaussian, marginal, variance_fraction
from .path import Level, Path
from .prediction import Predict, Prediction


def prior_matching(path: Path, x0: Float[Tensor, "b *shape"]) -> Float[Tensor, " b"]:
    """KL(q(z_1 | x) || N(0, prior_std^2 I)) in nats, for data `x0` on a `path`.

    It has a gradient to the end of a learned schedule, which moves the prior as well.
    """
    end = path.at(1.0, like=x0)
    return marginal(x0, end).kl(Gaussian(torch.zeros_like(x0), end.marginal_std))


def reconstruction(
    path: Path, decoder: Decoder, x0: Float[Tensor, "b *shape"], eps: Float[Tensor, "b *shape"]
) -> Float[Tensor, " b"]:
    """One draw of log p(x | z_0) in nats.

    Args:
        path: the forward process.
        decoder: p(x | z_0).
        x0: data in model space, shape (batch, *shape).
        eps: the noise of z_0.
    """
    return decoder.log_prob(x0, eps, path.at(0.0, like=x0))


def diffusion_loss(
    predict: Predict,
    truth: Prediction,
    *,
    steps: int | None = None,
    condition: Tensor | None = None,
    variance: str | None = None,
) -> Float[Tensor, " b"]:
    """One draw of the diffusion term at one time per item; the term itself is its mean over t.

    Args:
        predict: the predictor, with its path.
        truth: data in model space and standard normal noise at one time per item, on the same path:
            `Prediction.of(x0, eps, predict.path.at(t, like=x0))`.
        steps: T weighs by the step that ends at t, T/2 expm1(log_snr_s - log_snr_t); None by the
            slope of log-SNR.
        condition: one row per item, or None.
        variance: of a reverse step, as for `kernel.reverse_step`; continuous time does not depend
            on it.

    Returns:
        Nats per item.

    Raises:
        ValueError: for a variance that the model does not have.
    """
    prediction = predict(truth.x_t, truth.level, condition)
    if steps is not None:
        return step_loss(prediction, truth, steps, variance)

    variance_fraction(prediction, variance)  # refuses one that the model does not have
    error = prediction.squared_error(truth, "eps").flatten(1).sum(1)
    weight = -0.5 * torch.as_tensor(truth.level.dlog_snr)
    return weight.reshape(-1) * error


def step_loss(
    prediction: Prediction, truth: Prediction, steps: int, variance: str | None = None
) -> Float[Tensor, " b"]:
    """T KL(q(z_s | z_t, x) || p(z_s | z_t)) with s = t - 1/T, of a prediction that is there.

    Args:
        prediction: what the model predicts at the z_t of `truth`.
        truth: data and noise at one time per item.
        steps: the number T of steps.
        variance: of the reverse step, as for `kernel.reverse_step`.

    Returns:
        Nats per item; their mean over the T times is the diffusion term.
    """
    level = truth.level
    error = prediction.squared_error(truth, "eps")
    fraction = variance_fraction(prediction, variance)
    before = _earlier(level, 1 / steps, like=truth.x0)
    weight = steps / 2 * torch.as_tensor(expm1(before.log_snr_minus(level)))
    if fraction is None:
        return weight.reshape(-1) * error.flatten(1).sum(1)

    u = 2 * fraction * torch.log(torch.as_tensor(before.sigma / level.sigma)).to(error)
    return (weight * error * u.exp() + steps / 2 * (u.expm1() - u)).flatten(1).sum(1)


def _earlier(level: Level, gap: float, like: Tensor) -> Level:
    """The Level of the same path, `gap` before, but not before t = 0."""
    t = (torch.as_tensor(level.t) - gap).clamp(min=0)
    return level.path.at(t.flatten() if t.ndim else t, like=like)
