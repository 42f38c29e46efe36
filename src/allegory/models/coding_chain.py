r"""A diffusion model as a chain of few steps, which uses all that a `CategoricalOutput` reading knows.

The logits of a network give for each number a distribution over its levels,

    p(x_i = v | z_t) proportional to exp(logit_{i,v}(z_t)) N(z_{t,i}; alpha v, sigma^2),

of which the denoiser keeps the mean. A chain of T steps can use the rest. The decoder is p(x | z_0) itself: that of VDM
sees nothing but z_{0,i}, so z_0 must be clean enough to tell neighbouring levels apart; a network knows most
levels from their surroundings long before. And a step, p(z_s | z_t), is widened by the variance of the prediction
(`likelihood.placing.Moments`). Both are the same model in continuous time, where a step has no length.

A model of another target is the chain of VDM: no variance, its own decoder.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor

from ..likelihood.decoder import Discretised
from ..likelihood.inference import Kernel
from ..likelihood.level_placement import MeanOnly, Moments
from ..likelihood.observation import CategoricalObservation
from ..process.path import Level, Path
from ..process.prediction import Prediction
from .as_hierarchy import unroll
from .categorical_output import CategoricalOutput
from .diffusion import VDM
from .energy import Energy
from .hierarchy import Hierarchy


@dataclass(frozen=True, eq=False)
class CodingChain:
    """What a VDM predicts of x, and of the next latent, given one. ValueError for data without levels."""

    model: VDM

    def __post_init__(self) -> None:
        if self.model.spec.levels is None:
            raise ValueError(
                "levels=None: continuous data have no lossless code; train on data of finitely many levels"
            )

    @property
    def path(self) -> Path:
        """The forward process of the model."""
        return self.model.denoiser.path

    def __call__(self, z: Float[Tensor, "b *shape"], level: Level) -> Moments:
        """Mean and variance of x0 given z at this level, and p(x | z), by one evaluation."""
        denoiser, target = self.model.denoiser, self.model.denoiser.target
        if isinstance(denoiser, Energy) or not isinstance(target, CategoricalOutput):
            return MeanOnly(denoiser, self.model.decoder)(z, level)
        output = denoiser.output(z, denoiser.path.at(level, like=z)).to(z.dtype)
        logits, values = output.unflatten(1, (len(target.values), z.shape[1])), target.values.to(z)
        mean, variance = _moments(logits, z, level, values.reshape(-1, *(1,) * (z.ndim - 1)))

        def table() -> CategoricalObservation:
            return CategoricalObservation(
                logits.movedim(1, -1) + Discretised(values).observe(z, level).logits
            )

        return Moments(Prediction.solve("x0", mean, z, level), variance, table)

    def chain(self, levels: Sequence[Level]) -> Hierarchy:
        """The model as a hierarchy with latents at these levels, from the cleanest on."""
        model = self.model
        vdm = unroll(model.denoiser, model.denoiser.path, model.spec, model.decoder, levels)

        def down(s: Level, t: Level) -> Kernel:
            return lambda z: self(z, t).posterior(s)

        return Hierarchy(
            model.spec, vdm.kernels_up, [down(s, t) for s, t in pairwise(levels)],
            lambda z: self(z, levels[0]).observe(), top=vdm.top, prior_std=vdm.prior_std,
        )  # fmt: skip


def _moments(logits: Tensor, z: Tensor, level: Level, values: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and variance of softmax(logits - (z - alpha v)^2 / (2 sigma^2)), item by item: one fits into a core's cache."""
    means, variances = list[Tensor](), list[Tensor]()
    for piece, at in zip(logits.split(1), (z / level.sigma)[:, None].split(1), strict=True):
        distance = at - level.alpha / level.sigma * values
        chance = torch.addcmul(piece, distance, distance, value=-0.5).softmax(1)
        means.append((chance * values).sum(1))
        variances.append((chance * (values - means[-1][:, None]).square()).sum(1))
    return torch.cat(means), torch.cat(variances)
