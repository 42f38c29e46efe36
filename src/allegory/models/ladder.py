r"""The ladder: a hierarchical VAE whose latents are inferred from the top down.

    p(x, z_1..L) = p(z_L) prod_{i<L} p(z_i | z_{i+1..L}) p(x | z_1..L)
    q(z_1..L | x) = q(z_L | x) prod_{i<L} q(z_i | z_{i+1..L}, x)

(Sønderby et al. 2016; Kingma et al. 2016, section 4; Child 2021). Generation and inference share
the pass from the top down. A state h is a function of z_{i+1..L}; p(z_i | .) is computed from h,
and q(z_i | ., x) from h and the features of x, relative to p. When z_i is drawn its p is known, so
all divergences are in closed form, and a problem of Markov chains does not arise: there z_L depends
on x through z_1 alone, here every latent is inferred from the data.

Latents are counted from 0, next to the data, to L - 1, the top: `shapes[i]` is that of z_{i+1}. The
pass from the top down is

    h = model.start(count)
    for i in reversed(range(model.levels)):
        q, p = model.step(i, h, features)      q is None without features
        h = model.advance(i, h, z)             z drawn from q, from p, or decoded from a file
    model.observe(h)

`infer`, `generate` and lossless coding are such passes.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ..data.spec import DataSpec
from ..likelihood.inference import DrawNoise, Inference, Latent
from ..networks.residual import Down, Flatten, Output, Residual, Unflatten, Up, halves, residuals
from ..process.decoder import Observation
from ..process.kernel import Gaussian
from .latent_variable import LatentVariableModel
from .output_heads import Head, gaussian

_VECTOR = 0


@dataclass(frozen=True)
class LadderConfig:
    """The choice of a ladder, for pictures whose sides are divisible by 4.

    `latents` are (stride, channels) from z_1 to z_L: a latent of stride 2 or 4 is a picture of a
    half or a quarter of the size, one of stride 0 a vector. `channels` and `blocks` are those of
    the networks at strides 2 and 4; `warmup` is explained at `LatentVariableModel`.
    """

    latents: tuple[tuple[int, int], ...]
    channels: tuple[int, int] = (32, 64)
    blocks: tuple[int, int] = (1, 1)
    decoder: str = "bernoulli"
    warmup: int = 0

    @property
    def unit(self) -> str:
        """The unit of the training loss."""
        return "bits/dim"

    def build(self, spec: DataSpec) -> Ladder:
        """A new model for data with this `spec`."""
        return Ladder(spec, self)


class LadderLayer(nn.Module):
    """One latent: the networks of p and q, and the network that adds the latent to the state.

    Args:
        channels: channels of the state.
        size: height and width of the state.
        latent: stride and channels of the latent; stride 0 is a vector.
        blocks: residual blocks after the latent.
        top: whether it is z_L, which has a fixed prior.
    """

    def __init__(
        self, channels: int, size: tuple[int, int], latent: tuple[int, int], blocks: int, top: bool
    ) -> None:
        super().__init__()
        stride, width = latent
        self.shape = (width, *(size if stride else (1, 1)))

        def read(zero: bool) -> nn.Module:
            return (
                Output(channels, 2 * width, zero)
                if stride
                else Flatten(channels, size, 2 * width, zero)
            )

        self.prior = None if top else read(True)
        self.posterior = (
            read(False)
            if top
            else nn.Sequential(
                nn.Conv2d(2 * channels, channels, 1), Residual(channels), read(False)
            )
        )
        self.enter = nn.Conv2d(width, channels, 1) if stride else Unflatten(width, channels, size)
        self.after = residuals(channels, blocks)

    def predict(self, h: Tensor) -> Gaussian:
        """p(z_i | z_{i+1..L}) from the state h; N(0, I) at the top."""
        if self.prior is None:
            return Gaussian(h.new_zeros(len(h), *self.shape), h.new_ones(()))
        return gaussian(self.prior(h))

    def infer(self, h: Tensor, features: Tensor, p: Gaussian) -> Gaussian:
        """q(z_i | z_{i+1..L}, x) from the state h and the `features` of x, relative to p."""
        seen = features if self.prior is None else torch.cat([h, features], 1)
        return gaussian(self.posterior(seen), p)

    def forward(self, h: Tensor, z: Tensor) -> Tensor:
        """The state after z = z_i, from the state h before it."""
        out: Tensor = self.after(h + self.enter(z))
        return out


class Ladder(LatentVariableModel):
    """A hierarchical VAE of pictures whose latents are inferred from the top down.

    Args:
        spec: what the data are; the sides of the pictures are divisible by 4.
        config: latents, channels, blocks, decoder and warm-up.

    Raises:
        ValueError: where latents, pictures and decoder do not fit.
    """

    def __init__(self, spec: DataSpec, config: LadderConfig) -> None:
        super().__init__(spec, config.warmup)
        self.config = config
        sizes = halves(spec.shape)
        self.places = _places(config)
        wide, narrow = config.channels
        self.near = nn.Sequential(Down(spec.shape[0], wide), residuals(wide, config.blocks[0]))
        self.far = nn.Sequential(Down(wide, narrow), residuals(narrow, config.blocks[1]))
        self.first = nn.Parameter(torch.zeros(narrow, *sizes[1]))
        last = len(self.places) - 1
        self.rungs = nn.ModuleList(
            LadderLayer(
                config.channels[place], sizes[place], latent, config.blocks[place], top=i == last
            )
            for i, (place, latent) in enumerate(zip(self.places, config.latents, strict=True))
        )
        self.grow = nn.Sequential(Up(narrow, wide), residuals(wide, config.blocks[0]))
        self.head = Head(spec, config.decoder)
        self.output = nn.Sequential(Output(wide, 4 * self.head.outputs), nn.PixelShuffle(2))

    @property
    def levels(self) -> int:
        """L, the number of latents."""
        return len(self.rungs)

    @property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        """The shapes of z_1 to z_L."""
        return tuple(rung.shape for rung in self._rungs)

    def encoder_features(self, x0: Float[Tensor, "b *shape"]) -> tuple[Tensor, ...]:
        """The features of x0, once for each of z_1 to z_L."""
        near = self.near(x0)
        seen = (near, self.far(near))
        return tuple(seen[place] for place in self.places)

    def start(self, count: int) -> Float[Tensor, "b c y x"]:
        """The state of `count` items before any latent is known."""
        return self._grown(self.levels, self.first.expand(count, *self.first.shape))

    def step(
        self, i: int, h: Float[Tensor, "b c y x"], features: tuple[Tensor, ...] | None = None
    ) -> tuple[Gaussian | None, Gaussian]:
        """q(z_{i+1} | above, x), or None without `features` of x, and p(z_{i+1} | above), at state
        h.
        """
        rung = self._rungs[i]
        p = rung.predict(h)
        return None if features is None else rung.infer(h, features[i], p), p

    def advance(self, i: int, h: Float[Tensor, "b c y x"], z: Float[Tensor, "b *latent"]) -> Tensor:
        """The state after z = z_{i+1}, from the state h before it."""
        return self._grown(i, self._rungs[i](h, z))

    def observe(self, h: Float[Tensor, "b c y x"]) -> Observation:
        """p(x | z_1..L), from the state h after the last latent."""
        return self.head(self.output(h))

    def infer(self, x0: Float[Tensor, "b *shape"], draw: DrawNoise) -> Inference:
        """z_L to z_1 of x0, each from q, by the standard normal numbers of `draw`."""
        features, h, latents = self.encoder_features(x0), self.start(len(x0)), list[Latent]()
        for i in reversed(range(self.levels)):
            q, p = self.step(i, h, features)
            assert q is not None
            z = q.draw(draw(q.mean))
            h = self.advance(i, h, z)
            latents.append(Latent(z, q, p, free=True))
        return Inference(self.observe(h).log_prob(x0), tuple(reversed(latents)))

    def generate(
        self, count: int, draw: DrawNoise, top: Float[Tensor, "b *latent"] | None = None
    ) -> Observation:
        """p(x | z) of `count` items: z_L to z_1, each from p, by `draw`.

        Args:
            count: the number of items.
            draw: the noise.
            top: z_L; None draws it from the prior.
        """
        h = self.start(count)
        for i in reversed(range(self.levels)):
            _, p = self.step(i, h)
            z = p.draw(draw(p.mean)) if top is None or i < self.levels - 1 else top
            h = self.advance(i, h, z)

        return self.observe(h)

    @property
    def top(self) -> tuple[int, ...]:
        """The shape of z_L."""
        return self.shapes[-1]

    @property
    def _rungs(self) -> list[LadderLayer]:
        return [rung for rung in self.rungs if isinstance(rung, LadderLayer)]

    def _grown(self, i: int, h: Tensor) -> Tensor:
        """The state, brought to half the picture's size where the next latent, or the observation,
        is the first there.
        """
        here = self.places[i] if i < self.levels else 1
        below = self.places[i - 1] if i > 0 else 0
        out: Tensor = self.grow(h) if here == 1 and below == 0 else h
        return out


def _places(config: LadderConfig) -> tuple[int, ...]:
    """0 for a latent of stride 2, 1 for one of stride 4 and for a vector."""
    strides = [stride for stride, _ in config.latents]
    order = [{2: 0, 4: 1, _VECTOR: 2}.get(stride, -1) for stride in strides]
    if not order or min(order) < 0 or order != sorted(order):
        raise ValueError(
            f"latents of strides {strides}; give at least one, in the order 2, 4, 0 from z_1 to z_L"
        )

    return tuple(min(place, 1) for place in order)
