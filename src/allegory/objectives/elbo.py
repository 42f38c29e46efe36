r"""The negative evidence lower bound of a diffusion model as a training objective.

    -log p(x)  <=  -E[log p(x | z_0)]  +  KL(q(z_1 | x) || p(z_1))
                   +  E_t[ -log_snr'(t)/2 |eps - eps_hat(z_t)|^2 ]

(Kingma et al. 2021, eq. 11 and 17; Luo 2022, eq. 58 in continuous time.) The terms are those of
`process.bound_terms`. A learned schedule is trained along with the network: its ends by the bound,
its interior by the variance of the loss.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from ..numerics.generators import processes_of
from ..process.bound_terms import diffusion_loss, prior_matching, reconstruction
from ..process.decoder import Decoder
from ..process.learned_schedule import descending_variance
from ..process.path import Path
from ..process.prediction import Predict
from .base import OBJECTIVES
from .draws import draw_noised, normal_like


@dataclass(frozen=True, eq=False)
class Elbo:
    """The negative bound of log p(x) in continuous time, in bits/dim.

    Args:
        decoder: p(x | z_0). None takes the decoder of the model that the objective is given to.
        reconstructed: for so many items of a batch the reconstruction is drawn; their mean stands
            for all. It has no trained part but the start of a learned schedule, which a few items
            move as well as all do.
    """

    decoder: Decoder | None = None
    reconstructed: int = 8

    @property
    def unit(self) -> str:
        """bits/dim."""
        return "bits/dim"

    def with_decoder(self, decoder: Decoder) -> Elbo:
        """The same objective with this decoder, unless it has one."""
        return self if self.decoder is not None else replace(self, decoder=decoder)

    def check(self, predict: Predict) -> None:
        """Refuse a `predict` whose path has an infinite end, and an objective without a decoder."""
        check_finite_ends(predict.path)
        if self.decoder is None:
            raise ValueError(
                "decoder=None: the bound has a term for p(x | z_0); give e.g. "
                "Discretised(spec.values)"
            )

    def __call__(
        self,
        predict: Predict,
        x0: Float[Tensor, "b *shape"],
        condition: Tensor | None,
        generator: torch.Generator,
    ) -> Float[Tensor, " b"]:
        """One draw of the bound of x0 per item, of `predict` given the `condition`.

        Times and noise are drawn from the `generator`.
        """
        assert self.decoder is not None, "check() refuses an Elbo without a decoder"
        path = predict.path
        nats_per_bit = x0[0].numel() * math.log(2)

        with descending_variance(path.schedule) as interior:
            truth = draw_noised(path, x0, generator)
            diffusion = diffusion_loss(predict, truth, condition=condition)

        interior.set_losses(diffusion / nats_per_bit)

        likely = self._reconstruction(path, x0, generator)
        total = likely.expand(len(x0)) - prior_matching(path, x0) - diffusion

        return -total / nats_per_bit

    def _reconstruction(self, path: Path, x0: Tensor, generator: torch.Generator) -> Tensor:
        """The mean of log p(x | z_0) over the first items of the batch, in nats.

        Of several processes that share a batch, each has the sum over its own of these items, such
        that the mean over the processes is that of the batch.
        """
        assert self.decoder is not None
        source, rank, world = processes_of(generator)
        count = min(self.reconstructed, world * len(x0))
        eps = normal_like(x0[:1].expand(count, *x0.shape[1:]), source)

        mine = eps[rank * len(x0) : (rank + 1) * len(x0)]
        noise = mine if len(mine) else eps[:1]  # a decoder takes one item at least
        likely = reconstruction(path, self.decoder, x0[: len(noise)], noise)
        return likely[: len(mine)].sum() * world / count


def check_finite_ends(path: Path) -> None:
    """ValueError for a path whose log-SNR is infinite at an end: its bound is infinite."""
    start, end = path.schedule.ends
    if not (math.isfinite(start) and math.isfinite(end)):
        raise ValueError(
            f"log-SNR from {start:g} to {end:g}: a bound needs finite ends; give both, e.g. "
            "LinearLogSNR(8, -5), "
            "or train without a bound by another objective"
        )


OBJECTIVES.register(
    "elbo", Elbo(), "the negative evidence lower bound, in bits/dim (Kingma et al. 2021, eq. 17)"
)
