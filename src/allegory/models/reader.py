r"""A diffusion model as a chain of few steps, which uses all that a `Categorical` reading knows.

The logits of a network give for each number a distribution over its levels,

    p(x_i = v | z_t) proportional to exp(logit_{i,v}(z_t)) N(z_{t,i}; alpha v, sigma^2),

of which the denoiser keeps the mean. A chain of T steps can use the rest. The decoder is p(x | z_0) itself: that of VDM
sees nothing but z_{0,i}, so z_0 must be clean enough to tell neighbouring levels apart; a network knows most
levels from their surroundings long before. And a step, p(z_s | z_t), is widened by the variance of the belief
(`likelihood.placing.Moments`). Both are the same model in continuous time, where a step has no length.

A model of another row is the chain of VDM: no variance, its own decoder.
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
from ..likelihood.observation import Levels, Observation
from ..likelihood.placing import Moments, plain
from ..process.path import Level
from ..process.prediction import Prediction
from .categorical import Categorical
from .denoiser import Denoiser
from .diffusion import VDM
from .hierarchy import Hierarchy
from .unrolled import unroll


@dataclass(frozen=True, eq=False)
class Reader:
    """What a VDM believes of x, and of the next latent, given one. ValueError for data without levels."""

    model: VDM

    def __post_init__(self) -> None:
        if self.model.data.levels is None:
            raise ValueError(
                "levels=None: continuous data have no lossless code; train on data of finitely many levels"
            )

    def observe(self, z: Float[Tensor, "b *shape"], level: Level) -> Observation:
        """p(x | z) with z at this level."""
        if isinstance(self.model.denoiser.row, Categorical):
            return _table(self.model.denoiser, self.model.denoiser.row, z, level)
        return self.model.decoder.observe(z, level)

    def believe(self, z: Float[Tensor, "b *shape"], level: Level) -> Moments:
        """Mean and variance of x0 given z."""
        row = self.model.denoiser.row
        if not isinstance(row, Categorical):
            return plain(self.model.denoiser)(z, level)
        chance, values = _table(self.model.denoiser, row, z, level).log_pmf.exp(), row.values.to(z)
        mean = chance @ values
        variance = (chance * (values - mean[..., None]).square()).sum(-1)
        return Moments(Prediction.solve("x0", mean, z, level), variance)

    def chain(self, levels: Sequence[Level]) -> Hierarchy:
        """The model as a hierarchy with latents at these levels, from the cleanest on."""
        model = self.model
        vdm = unroll(model.denoiser, model.denoiser.path, model.data, model.decoder, levels)

        def down(s: Level, t: Level) -> Kernel:
            return lambda z: self.believe(z, t).posterior(s)

        return Hierarchy(
            model.data, vdm.kernels_up, [down(s, t) for s, t in pairwise(levels)],
            lambda z: self.observe(z, levels[0]), top=vdm.top, prior_std=vdm.prior_std,
        )  # fmt: skip


def _table(denoiser: Denoiser, row: Categorical, z: Tensor, level: Level) -> Levels:
    level = denoiser.path.at(level, like=z)
    logits = denoiser.output(z, level).to(z.dtype).unflatten(1, (len(row.values), z.shape[1])).movedim(1, -1)
    seen = Discretised(row.values).observe(z, level).logits
    return Levels(torch.add(logits, seen))
