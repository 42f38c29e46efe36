r"""Losses of energies: p(x) = exp(-E(x))/Z, and Z is never computed.

    contrastive divergence   E(x) - E(x')    x' from p by a Markov chain                      Hinton 2002
    persistent CD            the same        x' from chains that go on from step to step      Tieleman 2008
    noise contrastive        logistic loss of log p(x) - log q(x), with c = -log Z learned    Gutmann & Hyvarinen 2010

The gradient of -log p(x) is grad E(x) - E_p[grad E(x')], which is that of the first line when the chain has converged and
x' is taken for a constant (Song & Kingma 2021, section 2). CD-k starts k steps from the data, which is biased: it sees no
mode that data never come near. Persistent chains remember where they were; a small share starts anew from noise each step
(Du & Mordatch 2019). Noise contrast needs no chain, but a q that is everywhere where p is.

Per item, in nats. (The third is in nats of a classification, not of x.)
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import softplus

from ..lookup import pick

EnergyFunction = Callable[[Tensor], Tensor]
"""x (b, *shape) -> E(x) (b,)."""


def contrastive_divergence(
    energy: EnergyFunction,
    x: Float[Tensor, "b *shape"],
    negatives: Float[Tensor, "..."],
    decay: float = 0.0,
) -> Float[Tensor, " b"]:
    """E(x) - E(x') + decay (E(x)^2 + E(x')^2), x' held fixed (Hinton 2002; the last term is Du & Mordatch 2019, eq. 4).

    The value is no divergence: only its gradient means something. ValueError for other than one negative an item.
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
    """-log sigmoid(r(x)) of data and -log sigmoid(-r(x')) of noise, r = log p - log q + log(b/k), each an item.

    Their sum over all items is the loss. Its minimum over all functions has p the density of the data, normalised
    (Gutmann & Hyvarinen 2010, theorem 1). `log_ratio` is log p - log q with the learned constant in log p.
    """
    odds = math.log(len(log_ratio_data) / len(log_ratio_noise))
    return softplus(-(log_ratio_data + odds)), softplus(log_ratio_noise + odds)


class Replay:
    """Persistent chains: where the negatives of earlier steps ended, to go on from (Tieleman 2008).

    Each time a share `fresh` of them starts anew from `noise(count)` (Du & Mordatch 2019, section 3.1). They are no part
    of a checkpoint: a run that is resumed starts them all anew.
    """

    def __init__(
        self, noise: Callable[[int], Tensor], size: int = 1000, fresh: float = 0.05
    ) -> None:
        if size < 1 or not 0 <= fresh <= 1:
            raise ValueError(
                f"size={size}, fresh={fresh}; give at least 1 chain, and a share from 0 to 1"
            )
        self.noise, self.fresh, self.chains = noise, fresh, noise(size)
        self._drawn = torch.zeros(0, dtype=torch.int64)

    def draw(self, count: int) -> Float[Tensor, "count *shape"]:
        """Where so many different chains stand. ValueError for more than there are."""
        if count > len(self.chains):
            raise ValueError(
                f"count={count}: there are {len(self.chains)} chains; make the buffer larger"
            )
        self._drawn = torch.randperm(len(self.chains))[:count]
        at = self.chains[self._drawn]
        new = torch.rand(count, device=at.device) < self.fresh
        return torch.where(new.reshape(-1, *(1,) * (at.ndim - 1)), self.noise(count).to(at), at)

    def put(self, x: Float[Tensor, "count *shape"]) -> None:
        """Where those chains stand now. ValueError for other than those that were drawn last."""
        if len(x) != len(self._drawn):
            raise ValueError(
                f"x: {len(x)} items, {len(self._drawn)} chains were drawn last; give one for each"
            )
        self.chains[self._drawn] = x.detach().to(self.chains)


METHODS = ("cd", "pcd", "nce")


def method_named(name: str) -> str:
    """One of cd, pcd, nce. ValueError with the closest otherwise."""
    return pick("method", name, dict.fromkeys(METHODS, name))
