r"""T steps of a diffusion model as a Markovian hierarchical VAE with T + 1 latents.

The latents are z_0, ..., z_T at the times t_i = i/T (Luo 2022, section "Variational Diffusion
Models": a hierarchy whose latents have the shape of the data, whose encoders are fixed, and whose
top is noise):

    q(z_0 | x)         the marginal at t = 0
    q(z_i | z_{i-1})   the transition, eq. 31
    p(x | z_0)         the decoder
    p(z_{i-1} | z_i)   the posterior with the predicted x0, eq. 94, and the learned variance of a
                       model that has one

`generate_top_down` draws the same latents from the top down, from q(z_T | x) and
q(z_{i-1} | z_i, x). Every p is then known before its latent is drawn, so all costs are in closed
form, and the bound is the one by denoising matching, eq. 58.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor

from ..data.spec import DataSpec
from ..likelihood.inference import DrawNoise, GaussianKernel, Inference, Latent
from ..process.decoder import Decoder
from ..process.guide import check_consistent
from ..process.kernel import Gaussian, marginal, posterior, reverse_step, transition
from ..process.path import Level, Path
from ..process.prediction import Predict, Prediction
from .hierarchy import Hierarchy


def step_levels(path: Path, steps: int) -> tuple[Level, ...]:
    """The Levels of the `path` at i/T, i = 0..T. ValueError for steps below 1."""
    if steps < 1:
        raise ValueError(f"steps={steps}; give at least 1")
    return path.levels(torch.arange(steps + 1, dtype=torch.float64) / steps)


def unroll(
    predict: Predict,
    spec: DataSpec,
    decoder: Decoder,
    steps: int | Sequence[Level],
    condition: Tensor | None = None,
) -> Hierarchy:
    """The diffusion model of a Predict as a hierarchy of T + 1 latents.

    Args:
        predict: the prediction of x0 and eps, with its path.
        spec: what the data are.
        decoder: p(x | z_0).
        steps: the number of steps T, or the Levels of the latents themselves, the cleanest first.
        condition: one entry per item, so that the hierarchy is one of batches of that length; or
            None.

    Raises:
        ValueError: for fewer than one step.
    """
    check_consistent(predict, "a bound")
    path = predict.path
    levels = step_levels(path, steps) if isinstance(steps, int) else tuple(steps)
    first = levels[0]

    def up(s: Level, t: Level) -> GaussianKernel:
        return lambda z: transition(z, s, t)

    def down(s: Level, t: Level) -> GaussianKernel:
        return lambda z: reverse_step(predict(z, t, condition), s)

    pairs = tuple(pairwise(levels))
    return Hierarchy(
        spec,
        [lambda x0: marginal(x0, first), *(up(s, t) for s, t in pairs)],
        [down(s, t) for s, t in pairs],
        lambda z: decoder.observe(z, first),
        top=spec.shape,
        prior_std=path.prior_std,
    )


@dataclass(frozen=True, eq=False)
class DiffusionChain:
    """A diffusion model as the chain of its latents at given Levels (Luo 2022, eq. 49 to 52).

    Args:
        predict: the prediction of x0 and eps, with its path.
        decoder: p(x | z_0).
        levels: the Levels of the latents, the cleanest first.
        condition: one entry per item, or None.
    """

    predict: Predict
    decoder: Decoder
    levels: Sequence[Level]
    condition: Tensor | None = None

    def __post_init__(self) -> None:
        check_consistent(self.predict, "a bound")


def generate_top_down(
    chain: DiffusionChain, x0: Float[Tensor, "b *shape"], draw: DrawNoise
) -> Inference:
    """Draw z_T, ..., z_0 from q(z_T | x) and q(z_{i-1} | z_i, x) (Luo 2022, eq. 84); all costs are
    KLs (eq. 58).

    Args:
        chain: the diffusion model and the Levels of its latents.
        x0: data in model space.
        draw: standard normal noise like a tensor.

    Returns:
        The draw of each latent, with its q and its p.
    """
    predict, levels = chain.predict, chain.levels
    q = marginal(x0, levels[-1])
    z = q.draw(draw(x0))
    prior = Gaussian(torch.zeros_like(x0), predict.path.prior_std)
    latents = [Latent(z, q, prior, free=True)]

    for s, t in reversed(tuple(pairwise(levels))):
        q = posterior(Prediction.solve("x0", x0, z, t), s)
        p = reverse_step(predict(z, t, chain.condition), s)
        z = q.draw(draw(x0))
        latents.append(Latent(z, q, p, free=True))

    return Inference(chain.decoder.observe(z, levels[0]).log_prob(x0), tuple(reversed(latents)))
