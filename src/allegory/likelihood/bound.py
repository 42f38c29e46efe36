r"""The variational bound of a diffusion model, for any Predict.

The latents are z_t = alpha x0 + sigma eps on the path. With T steps of equal length, t = i/T and
s = (i - 1)/T,

    log p(x) >= E[log p(x | z_0)] - KL(q(z_1 | x) || p(z_1)) - sum_{i=1}^T E[KL_i]
    KL_i      = KL(q(z_s | z_t, x) || p(z_s | z_t))
              = 1/2 expm1(log_snr_s - log_snr_t) |eps - eps_hat(z_t)|^2

(VDM, eq. 14; Luo 2022, eq. 58 and 110), and as T grows the sum becomes the integral of
-1/2 log_snr'(t) |eps - eps_hat|^2  over t (VDM, eq. 17).

Each expectation is estimated with `draws` pairs (t, eps) per item. The times are stratified: evenly
spaced over [0, 1] from one random offset per item, which is unbiased for any number of draws. With
`draws` >= T every step is taken once and the sum is over all.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from ..lookup import check_count
from ..process.bound import Bound
from ..process.bound_terms import diffusion_loss, prior_matching, reconstruction
from ..process.decoder import Decoder
from ..process.guide import check_consistent
from ..process.noise import Noise, Stream, item_seeds
from ..process.prediction import Predict, Prediction, check_predict

MAX_DRAWS = 100_000
"""The largest number of draws, and of steps."""
_RECONSTRUCTION_DRAWS = 8
"""The reconstruction is the mean over at most so many draws of noise."""


def _times(offset: Float[Tensor, " b"], draws: int, steps: int | None) -> Float[Tensor, "draws b"]:
    """Evenly spaced times from one offset per item; multiples of 1/steps for a finite number."""
    if steps is not None and draws >= steps:
        every = torch.arange(1, steps + 1, dtype=torch.float64)[:, None] / steps
        return every.expand(-1, len(offset))

    times = (offset + torch.arange(draws, dtype=torch.float64)[:, None] / draws) % 1
    return times if steps is None else (torch.floor(times * steps) + 1) / steps


@torch.no_grad()
def variational_bound(
    predict: Predict,
    x0: Float[Tensor, "b *shape"],
    decoder: Decoder,
    *,
    seeds: Sequence[int] | None = None,
    draws: int = 8,
    steps: int | None = None,
    condition: Tensor | None = None,
    variance: str | None = None,
) -> Bound:
    """The evidence lower bound of each item, in nats.

    Args:
        predict: the predictor, with its path.
        x0: data in model space, shape (batch, *shape).
        decoder: p(x | z_0).
        seeds: one integer per item, from which its times and noise are drawn; 0, 1, 2, ... for
            None.
        draws: evaluations of the predictor per item. With draws >= steps the divergences of the
            Bound are the T terms of the sum; otherwise they are one unbiased estimate of it.
        steps: the number T of steps; None for continuous time.
        condition: one row per item, or None.
        variance: of each of the `steps`: "posterior", "large" or "learned", as for
            `process.kernel.reverse_step`; None: learned where the model learned it, else
            "posterior". Continuous time does not depend on it.

    Raises:
        ValueError: for draws or steps below 1, a wrong number of seeds, or a variance that the
            model does not have.
    """
    check_count("draws", draws, 1, MAX_DRAWS)
    if steps is not None:
        check_count("steps", steps, 1, MAX_DRAWS)

    check_predict(predict)
    check_consistent(predict, "a bound")
    path = predict.path
    noise = Noise(item_seeds(seeds, len(x0)), x0.shape[1:], Stream.BOUND)
    times = _times(noise.uniform(), draws, steps)
    truths = (Prediction.of(x0, noise.draw(x0), path.at(t.to(x0.device), like=x0)) for t in times)
    losses = [
        diffusion_loss(predict, truth, steps=steps, condition=condition, variance=variance)
        for truth in truths
    ]
    every_step = steps is not None and draws >= steps
    if every_step:
        divergences = tuple(loss / len(losses) for loss in losses)
    else:
        divergences = (torch.stack(losses).mean(0),)

    likelihoods = [
        reconstruction(path, decoder, x0, noise.draw(x0))
        for _ in range(min(draws, _RECONSTRUCTION_DRAWS))
    ]

    return Bound(torch.stack(likelihoods).mean(0), prior_matching(path, x0), divergences)


def loss_by_log_snr(
    predict: Predict,
    x0: Float[Tensor, "b *shape"],
    *,
    seeds: Sequence[int] | None = None,
    points: int = 32,
    condition: Tensor | None = None,
) -> tuple[Float[Tensor, " points"], Float[Tensor, "points b"]]:
    """The diffusion term per unit of log-SNR, 1/2 E|eps - eps_hat|^2, at equal steps of log-SNR.

    Its integral over log-SNR (here the mean over points times the range) is the diffusion term of
    the bound, whatever the schedule (VDM, section 5.1).

    Args:
        predict: the predictor, with its path, whose ends must be finite.
        x0: data in model space, shape (batch, *shape).
        seeds: one integer per item; 0, 1, 2, ... for None.
        points: how many values of log-SNR, each with one draw of noise per item.
        condition: one row per item, or None.

    Returns:
        log-SNR, shape (points,), and nats, shape (points, batch).
    """
    check_consistent(predict, "a bound")
    path = predict.path
    start, end = path.schedule.ends
    log_snr = end + (start - end) * (torch.arange(points, dtype=torch.float64) + 0.5) / points
    noise = Noise(item_seeds(seeds, len(x0)), x0.shape[1:], Stream.BOUND)
    nats = []

    with torch.no_grad():
        for level in path.levels(path.schedule.inverse(log_snr)):
            truth = Prediction.of(x0, noise.draw(x0), level)
            prediction = predict(truth.x_t, level, condition)
            nats.append(0.5 * prediction.squared_error(truth, "eps").flatten(1).sum(1))

    return log_snr, torch.stack(nats)
