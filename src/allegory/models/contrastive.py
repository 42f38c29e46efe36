r"""An energy of clean data, trained without noise levels: by contrast with samples of its own, or
of a known density.

    E(x) = phi(x/s) + |x|^2/(2 s^2)            p(x) = exp(-E(x))/Z

so p is a tilted Gaussian q = N(0, s^2 I), integrable whatever a bounded phi does. See
`objectives.contrastive` for the three ways to train it; the chains of the first two are exact ones,
Hamiltonian with Metropolis' rule.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn

from ..data.spec import DataSpec
from ..numerics.generators import draw_rows, normal
from ..objectives.contrastive import Replay, contrastive_divergence, method_named, noise_contrastive
from ..objectives.draws import normal_like
from ..process.noise import Noise, Stream
from ..sampling.driver import OnStep
from ..sampling.mcmc.chain import AcceptanceCounter, run_chain
from ..sampling.mcmc.langevin import Hamiltonian
from ..sampling.mcmc.target import Density, EnergyDensity, Kernel, energy_per_item
from .base import device_of, seed_batches

SAMPLING_STEPS = 200
"""Steps of the chains of samples, unless another number is given."""


_KERNEL = Hamiltonian(0.05, leapfrogs=5)


@dataclass(frozen=True)
class ContrastiveConfig:
    """How an energy of clean data is trained.

    Args:
        method: "cd" for chains from the data, "pcd" for chains that continue over the steps of
            training, "nce" for noise from q.
        reference_std: s of q = N(0, s^2 I), in model space; wider than the data.
        kernel: the Markov kernel of the chains, by default Hamiltonian steps with Metropolis' rule.
        steps: calls of the kernel per step of training.
        chains: number of persistent chains.

    Raises:
        ValueError: for an unknown method, and for numbers that do not fit.
    """

    method: str = "nce"
    reference_std: float = 1.0
    kernel: Kernel = _KERNEL
    steps: int = 10
    chains: int = 1000

    def __post_init__(self) -> None:
        """Refuse what cannot be trained."""
        method_named(self.method)
        if not self.reference_std > 0 or self.steps < 1:
            raise ValueError(
                f"reference_std={self.reference_std}, steps={self.steps}; give a positive number, "
                "and at least 1 step"
            )


class ContrastiveEnergy(nn.Module):
    """E(x) of clean data, from a network that puts out one number per item, (b,) or (b, 1).

    Args:
        network: forward(x, log_snr, condition); log_snr is always 0 and the condition None.
        spec: what the data are.
        config: how it is trained; None for `ContrastiveConfig()`.
    """

    unit = "nats of contrast"

    def __init__(
        self, network: nn.Module, spec: DataSpec, config: ContrastiveConfig | None = None
    ) -> None:
        super().__init__()
        config = config or ContrastiveConfig()
        method = method_named(config.method)

        self.network = network
        self.spec = spec
        self.config = config
        self.log_constant = nn.Parameter(torch.zeros(()), requires_grad=method == "nce")
        self.replay = Replay(self._reference, config.chains) if method == "pcd" else None

    def energy(self, x: Float[Tensor, "b *shape"]) -> Float[Tensor, " b"]:
        """E(x) in nats, of x in model space."""
        return self._tilt(x) + x.flatten(1).square().sum(1) / (2 * self.config.reference_std**2)

    def density(self) -> Density:
        """p(x) for `chain` and `run_chain`."""
        return EnergyDensity(self.energy)

    def log_density(self, raw: Shaped[Tensor, "n *shape"]) -> Float[Tensor, " n"]:
        """log p of raw items in nats, up to a constant; noise contrast learns it, and -log Z is
        then included.
        """
        d = self.spec.dims
        known = (
            self.log_constant
            - d * math.log(self.config.reference_std * math.sqrt(2 * math.pi))
            + self.spec.log_scale
        )
        return -self.energy(self.spec.encode(raw)) + known

    def loss(
        self, batch: tuple[Tensor, Tensor | None], generator: torch.Generator
    ) -> Float[Tensor, " b"]:
        """One draw of the loss of each item (`objectives.contrastive`); labels are not used.

        Args:
            batch: raw data (batch, *shape), and labels or None.
            generator: where noise and the steps of the chains are drawn from.

        Returns:
            The loss of each item, in `unit`.
        """
        x = self.spec.encode(batch[0])
        if self.config.method == "nce":
            noise = self._reference(len(x), generator).to(x)
            ratios = (self.log_constant - self._tilt(each) for each in (x, noise))  # log p - log q
            return torch.stack(noise_contrastive(*ratios)).sum(0)
        return contrastive_divergence(self.energy, x, self._negatives(x, generator))

    def sample(
        self,
        seeds: Sequence[int],
        condition: Tensor | None = None,
        sampler: object = None,
        *,
        batch: int = 250,
        on_step: OnStep | None = None,
    ) -> Shaped[Tensor, "n *shape"]:
        """Raw items, each the end of a Markov chain of its own that began in q; item i depends on
        seeds[i] alone.

        Args:
            seeds: one integer per item.
            condition: None; the energy has no condition.
            sampler: steps of each chain; None for 200.
            batch: items that are computed at once.
            on_step: called as on_step(batches done, batches).

        Raises:
            ValueError: without seeds, for a batch below 1, a condition, or a sampler that is no
                number.
        """
        if condition is not None:
            raise ValueError("condition: this energy has none; leave it out")

        steps = SAMPLING_STEPS if sampler is None else sampler
        if not isinstance(steps, int) or steps < 1:
            raise ValueError(
                f"sampler={sampler}: give the steps of each chain, a number of at least 1"
            )

        parts = [*seed_batches(seeds, None, batch)]
        samples = []
        for done, (some, _) in enumerate(parts, start=1):
            x = self.config.reference_std * Noise(some, self.spec.shape, Stream.START).draw()
            end = run_chain(
                self.config.kernel, self.density(), x.to(device_of(self)), steps, seeds=some
            )
            samples.append(self.spec.decode(end.x).cpu())
            if on_step is not None:
                on_step(done, len(parts))

        return torch.cat(samples)

    @torch.no_grad()
    def _negatives(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """The ends of chains of `steps` calls of the kernel, from the data or from the ends of
        earlier chains.
        """
        start = x if self.replay is None else self.replay.draw(len(x), generator).to(x)
        acceptance = AcceptanceCounter()
        for _ in range(self.config.steps):
            moved = self.config.kernel(
                self.density(), start, lambda like: normal_like(like, generator)
            )
            acceptance.add(moved.accepted)
            start = moved.x

        acceptance.warn()

        if self.replay is not None:
            self.replay.put(start, generator)
        return start

    def _reference(self, count: int, generator: torch.Generator) -> Tensor:
        """Draws from q = N(0, s^2 I)."""
        drawn = draw_rows(normal, (count, *self.spec.shape), generator)
        return self.config.reference_std * drawn

    def _tilt(self, x: Float[Tensor, "b *shape"]) -> Float[Tensor, " b"]:
        """phi(x/s); the network's own level is the middle of its range, always."""
        y: Tensor = self.network(x / self.config.reference_std, x.new_zeros(len(x)), None)
        return energy_per_item(y.squeeze(1) if y.ndim == 2 and y.shape[1] == 1 else y, x)
