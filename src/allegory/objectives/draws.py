r"""The random draws of a training loss, all from the generator that is given: times, noise and
probes.

A loss reads no global random state. Two calls with generators in the same state draw the same
numbers, and the training engine saves the state of its generator in each checkpoint. Where several
processes share a batch, an item has the noise that it has in one process (`draw_rows`).
"""

from __future__ import annotations

import math
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor

from ..numerics.generators import draw_rows, normal
from ..process.path import Path, precise
from ..process.prediction import Prediction


def normal_like(x: Float[Tensor, "*shape"], generator: torch.Generator) -> Float[Tensor, "*shape"]:
    """Standard normal numbers in the shape, dtype and place of x, from the `generator`."""
    return draw_rows(partial(normal, dtype=x.dtype), x.shape, generator).to(x.device)


def stratified_times(count: int, generator: torch.Generator) -> Float[Tensor, " count"]:
    """Times (u + i/count) mod 1 with one uniform u: each is uniform on [0, 1), together they cover
    it evenly.

    One random number serves the batch, so the loss of a batch varies far less than with independent
    times (Kingma et al. 2021, appendix). float64, on the generator's device.
    """

    def draw(shape: tuple[int, ...], source: torch.Generator) -> Tensor:
        device, dtype = source.device, precise(source.device)
        offset = torch.rand((), generator=source, dtype=dtype, device=device)
        return (offset + torch.arange(*shape, dtype=dtype, device=device) / shape[0]) % 1

    return draw_rows(draw, (count,), generator)


def draw_noised(
    path: Path, x0: Float[Tensor, "b *shape"], generator: torch.Generator
) -> Prediction:
    """x0 and standard normal noise at stratified times, one per item: what a loss compares with.

    Args:
        path: the forward process.
        x0: clean data in model space.
        generator: where the times, then the noise are drawn from.
    """
    t = stratified_times(len(x0), generator).to(x0.device)
    eps = normal_like(x0, generator)
    return Prediction.of(x0, eps, path.at(t, like=x0))


def uniform_in_log_snr(
    path: Path, count: int, generator: torch.Generator
) -> tuple[Float[Tensor, " count"], Float[Tensor, " count"]]:
    """Times whose log-SNR is uniform between the path's ends, and the factor by which each loss is
    multiplied.

    The times have the density p(t) = -log_snr'(t)/(start - end), in proportion to g^2/sigma^2. The
    factor is 1/p(t), so that the mean over t stays what it is under uniform times (ScoreFlow, Song
    et al. 2021, section 5).

    Args:
        path: the forward process; its log-SNR has two finite ends.
        count: number of times; they are stratified.
        generator: where the one random number comes from.

    Returns:
        The times and the factors.

    Raises:
        ValueError: for a path with an infinite end.
    """
    start, end = path.schedule.ends
    if not (math.isfinite(start) and math.isfinite(end)):
        raise ValueError(
            f"path: log-SNR from {start:g} to {end:g}; times uniform in log-SNR need two finite "
            "ends, e.g. those of LinearLogSNR(8, -5)"
        )

    log_snr = start + (end - start) * stratified_times(count, generator)
    t = path.schedule.inverse(log_snr).clamp(0.0, 1.0)
    return t, (end - start) / path.schedule.slope(t)


def random_signs(
    count: int, like: Float[Tensor, "b *shape"], generator: torch.Generator
) -> Float[Tensor, "probes b *shape"]:
    """Rademacher probes for a stochastic trace: `count` arrays of independent random signs per
    item.

    Args:
        count: probes per item.
        like: the items, whose shape, dtype and device the probes take.
        generator: where the signs come from.

    Returns:
        Numbers of -1 and 1.
    """

    def draw(shape: tuple[int, ...], source: torch.Generator) -> Tensor:
        return torch.randint(0, 2, shape, generator=source, device=source.device)

    return draw_rows(draw, (count, *like.shape), generator, axis=1).to(like) * 2 - 1
