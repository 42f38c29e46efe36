r"""A diffusion model as a chain of few latents for coding, which uses all that a
`CategoricalOutput` says.

The logits of a network give for each number a distribution over its levels,

    p(x_i = v | z_t) proportional to exp(logit_{i,v}(z_t)) N(z_{t,i}; alpha v, sigma^2),

of which the denoiser keeps the mean. A chain of T steps uses the whole distribution, in two places.
Its decoder is p(x | z_0) itself: that of VDM depends on z_{0,i} alone, so z_0 must be clean enough
to separate neighbouring levels, while a network infers most levels from their surroundings at far
more noise. And the variance of a step p(z_s | z_t) includes the variance of the prediction
(`likelihood.level_placement.Moments`). In continuous time both are the same model, because a step
has no length.

A denoiser of another target has no variance and keeps the decoder of VDM.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor

from ..data.spec import DataSpec
from ..likelihood.decoder import Discretised
from ..likelihood.inference import GaussianKernel
from ..likelihood.level_placement import MeanOnly, Moments
from ..likelihood.observation import CategoricalObservation
from ..numerics.broadcast import expand_like
from ..process.decoder import Decoder
from ..process.path import Level, Path
from ..process.prediction import Prediction
from .as_hierarchy import unroll
from .categorical_output import CategoricalOutput
from .denoiser import Denoiser
from .energy import Energy
from .hierarchy import Hierarchy


@dataclass(frozen=True, eq=False)
class CodingChain:
    """The moments that a diffusion model predicts of x0 given a latent, and the chains of latents
    made of them.

    Args:
        denoiser: a Denoiser or an Energy.
        spec: what the data are; they have levels.
        decoder: p(x | z_0) for a denoiser that has no distribution over the levels.

    Raises:
        ValueError: for data without levels.
    """

    denoiser: Denoiser | Energy
    spec: DataSpec
    decoder: Decoder

    def __post_init__(self) -> None:
        """Refuse continuous data."""
        if self.spec.levels is None:
            raise ValueError(
                "levels=None: continuous data have no lossless code; train on data of finitely "
                "many levels"
            )

    @property
    def path(self) -> Path:
        """The forward process of the model."""
        return self.denoiser.path

    def __call__(self, z: Float[Tensor, "b *shape"], level: Level) -> Moments:
        """Mean and variance of x0 given z at this level, and p(x | z), by one evaluation."""
        denoiser, target = self.denoiser, self.denoiser.target
        if isinstance(denoiser, Energy) or not isinstance(target, CategoricalOutput):
            return MeanOnly(denoiser, self.decoder)(z, level)

        output = denoiser.output(z, denoiser.path.at(level, like=z)).to(z.dtype)
        logits = output.unflatten(1, (len(target.values), z.shape[1]))
        values = target.values.to(z)
        mean, variance = _moments(logits, z, level, expand_like(values, z))

        def table() -> CategoricalObservation:
            kernel = Discretised(values).observe(z, level).logits
            return CategoricalObservation(logits.movedim(1, -1) + kernel)

        return Moments(Prediction.solve("x0", mean, z, level), variance, table)

    def chain(self, levels: Sequence[Level]) -> Hierarchy:
        """The model as a hierarchy with latents at these levels, the cleanest first."""
        vdm = unroll(self.denoiser, self.spec, self.decoder, levels)

        def down(s: Level, t: Level) -> GaussianKernel:
            return lambda z: self(z, t).posterior(s)

        return Hierarchy(
            self.spec,
            vdm.kernels_up,
            [down(s, t) for s, t in pairwise(levels)],
            lambda z: self(z, levels[0]).observe(),
            top=vdm.top,
            prior_std=vdm.prior_std,
        )


def _moments(logits: Tensor, z: Tensor, level: Level, values: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and variance of softmax(logits - (z - alpha v)^2 / (2 sigma^2)), item by item: one fits
    into a core's cache.
    """
    means, variances = list[Tensor](), list[Tensor]()
    for piece, at in zip(logits.split(1), (z / level.sigma)[:, None].split(1), strict=True):
        distance = at - level.alpha / level.sigma * values
        chance = torch.addcmul(piece, distance, distance, value=-0.5).softmax(1)
        means.append((chance * values).sum(1))
        variances.append((chance * (values - means[-1][:, None]).square()).sum(1))
    return torch.cat(means), torch.cat(variances)
