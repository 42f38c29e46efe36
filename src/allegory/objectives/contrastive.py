r"""Losses of energies: p(x) = exp(-E(x))/Z, and Z is never computed.

    contrastive divergence   E(x) - E(x')    x' from p by a Markov chain             (Hinton 2002)
    persistent CD            the same        x' from chains that continue over the
                                             steps of training                    (Tieleman 2008)
    noise contrastive        logistic loss of log p(x) - log q(x), with c = -log Z learned
                                                               (Gutmann & Hyvarinen 2010)

The gradient of -log p(x) is grad E(x) - E_p[grad E(x')], which is that of the first line when the
chain has converged and x' is taken for a constant (Song & Kingma 2021, section 2). CD-k starts k
steps from the data, which is biased: it never reaches a mode that is far from all data. Persistent
chains continue where they ended; a small fraction starts anew from noise at each step (Du &
Mordatch 2019). Noise contrast needs no chain, but a q that is everywhere where p is.

Per item, in nats. (The third is in nats of a classification, not of x.)
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import softplus

from ..lookup import pick
from ..numerics.broadcast import expand_like
from ..numerics.generators import draw_rows, gather_rows, processes_of, uniform

EnergyFunction = Callable[[Tensor], Tensor]
"""x (b, *shape) -> E(x) (b,)."""


def contrastive_divergence(
    energy: EnergyFunction,
    x: Float[Tensor, "b *shape"],
    negatives: Float[Tensor, "..."],
    decay: float = 0.0,
) -> Float[Tensor, " b"]:
    """E(x) - E(x') + decay (E(x)^2 + E(x')^2) with x' held fixed (Hinton 2002).

    The value is no divergence: only its gradient has a meaning. The last term is that of Du &
    Mordatch 2019, eq. 4.

    Args:
        energy: x -> E(x), one number per item.
        x: data in model space.
        negatives: x', draws from p, as many as there are items.
        decay: weight of the squared energies.

    Raises:
        ValueError: for another number of negatives.
    """
    if negatives.shape != x.shape:
        raise ValueError(
            f"negatives: shape {tuple(negatives.shape)} for x {tuple(x.shape)}; give one an item"
        )

    data, model = energy(x), energy(negatives.detach())
    loss = data - model
    return loss + decay * (data.square() + model.square()) if decay else loss


def noise_contrastive(
    log_ratio_data: Float[Tensor, " b"], log_ratio_noise: Float[Tensor, " k"]
) -> tuple[Float[Tensor, " b"], Float[Tensor, " k"]]:
    """-log sigmoid(r(x)) of data, -log sigmoid(-r(x')) of noise, r = log p - log q + log(b/k).

    The minimum of the sum over all items, over all functions, has p the density of the data,
    normalised (Gutmann & Hyvarinen 2010, theorem 1).

    Args:
        log_ratio_data: log p - log q of each datum, with the learned constant in log p.
        log_ratio_noise: the same of each draw from q.

    Returns:
        The losses of the data and of the noise.
    """
    odds = math.log(len(log_ratio_data) / len(log_ratio_noise))
    return softplus(-(log_ratio_data + odds)), softplus(log_ratio_noise + odds)


class Replay(nn.Module):
    """Persistent chains: the ends of the Markov chains of earlier steps, from which the next
    negatives start.

    At each draw a fraction of them starts anew from the reference (Tieleman 2008; Du & Mordatch
    2019, section 3.1). The chains are a buffer, so they are part of a checkpoint and a resumed run
    continues them.

    Args:
        noise: (count, generator) -> `count` draws from the reference density.
        size: number of chains.
        fresh: the fraction that starts anew at each draw, from 0 to 1.
        seed: seed of the first draw of all chains.
    """

    chains: Tensor

    def __init__(
        self,
        noise: Callable[[int, torch.Generator], Tensor],
        size: int = 1000,
        fresh: float = 0.05,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if size < 1 or not 0 <= fresh <= 1:
            raise ValueError(
                f"size={size}, fresh={fresh}; give at least 1 chain, and a fraction from 0 to 1"
            )

        self.noise = noise
        self.fresh = fresh
        self.register_buffer("chains", noise(size, torch.Generator().manual_seed(seed)))
        self._drawn = torch.zeros(0, dtype=torch.int64)

    def draw(self, count: int, generator: torch.Generator) -> Float[Tensor, "count *shape"]:
        """The states of `count` different chains, chosen by the `generator`.

        Where several processes share a batch, each has other ones.

        ValueError for more than there are.
        """
        source, rank, world = processes_of(generator)
        if count * world > len(self.chains):
            raise ValueError(
                f"count={count * world}: there are {len(self.chains)} chains; make the buffer "
                "larger"
            )

        order = torch.randperm(len(self.chains), generator=source, device=source.device)
        self._drawn = order[: count * world].to(self.chains.device)
        old = self.chains[self._drawn[rank * count : (rank + 1) * count]]

        anew = draw_rows(uniform, (count,), generator) < self.fresh
        chosen = expand_like(anew.to(old.device), old)
        return torch.where(chosen, self.noise(count, generator).to(old), old)

    def put(
        self, x: Float[Tensor, "count *shape"], generator: torch.Generator | None = None
    ) -> None:
        """Set the states of the chains that were drawn last, in all processes that share a batch.

        Args:
            x: the states.
            generator: that of `draw`; None means a process that has a batch to itself.

        Raises:
            ValueError: for another number of them.
        """
        x = x.detach().to(self.chains)
        if generator is not None:
            x = gather_rows(x, generator)

        if len(x) != len(self._drawn):
            raise ValueError(
                f"x: {len(x)} items, {len(self._drawn)} chains were drawn last; give one for each"
            )
        self.chains[self._drawn] = x


METHODS = ("cd", "pcd", "nce")


def method_named(name: str) -> str:
    """The `name` itself: cd, pcd or nce. ValueError with the closest otherwise."""
    return pick("method", name, dict.fromkeys(METHODS, name))
