"""A network of two noise levels becomes a flow map."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ..networks import add_number
from ..process.path import Level, Path
from ..process.prediction import Prediction, Target
from .categorical_output import CategoricalOutput
from .denoiser import Denoiser, network_inputs
from .learned_variance import LearnedVariance


class FlowMapDenoiser(Denoiser):
    """A network as a flow map: its output is read as that of a Denoiser, and depends on the level
    to reach as well.

    With s = t it is a Denoiser. What is added to the network has no effect at first, so with the
    weights of a denoiser every jump is a DDIM step of that denoiser.

    Args:
        network: forward(x, log_snr, condition) -> an array like x. It gets a further number per
            item (`networks.add_number`), log-SNR of the level to reach, and one more where
            `guided`: log_snr of shape (b, 2) or (b, 3).
        path: the forward process.
        target: what the output is: a name of `TARGETS`, a Target, or a `CategoricalOutput`.
        data_std: standard deviation of the data in model space.
        guided: whether the scale of classifier-free guidance is an input.

    Raises:
        ValueError: for a network of one level, and what a `Denoiser` refuses.
    """

    def __init__(
        self,
        network: nn.Module,
        path: Path,
        target: str | Target | CategoricalOutput = "edm",
        data_std: float = 1.0,
        guided: bool = False,
    ) -> None:
        super().__init__(network, path, target, data_std)
        if isinstance(self.target, LearnedVariance):
            raise ValueError(
                f"target={self.target.name!r}: a flow map has no variance; give the target without"
            )
        self.guided, self.scale = guided, 1.0
        for _ in range(1 + guided):
            add_number(network)

    def forward(
        self, x_t: Tensor, t: Tensor | float | Level, condition: Tensor | None = None
    ) -> Prediction:
        """The prediction of x0 and eps: the flow map on the diagonal.

        Args:
            x_t: states, (batch, *shape).
            t: one time, one per item, or a Level.
            condition: one row per item, or None.
        """
        return self.jump(x_t, t, t, condition)

    def jump(
        self,
        x_t: Tensor,
        t: Tensor | float | Level,
        s: Tensor | float | Level,
        condition: Tensor | None = None,
        scale: Tensor | float | None = None,
    ) -> Prediction:
        """(X, E) at t, whose state at s is that of the flow.

        Args:
            x_t: states, (batch, *shape).
            t: their level.
            s: the level to reach; clean data count as the end of the path.
            condition: one row per item, or None.
            scale: of guidance, where the network has it as an input; None for `self.scale`.

        Raises:
            ValueError: for a scale that is no input, or not one per item.
        """
        here, there = self.path.at(t, like=x_t), self.path.at(s, like=x_t)
        y = self._network_output(x_t, here, there, condition, scale)
        return self.target.read(y.to(x_t.dtype), x_t, here)

    def output(self, x_t: Tensor, level: Level, condition: Tensor | None = None) -> Tensor:
        """The network's output on the diagonal, at x_t, this `level` and with this `condition`."""
        return self._network_output(x_t, level, level, condition, None)

    def _network_output(
        self,
        x_t: Tensor,
        here: Level,
        there: Level,
        condition: Tensor | None,
        scale: Tensor | float | None,
    ) -> Tensor:
        """The network's output for a jump from one level to another."""
        scaled, log_snr = network_inputs(self.network, x_t, here, self.data_std)
        start, end = self.path.schedule.ends
        reached = there.log_snr_per_item(x_t).clamp(min=end, max=start)

        numbers = [log_snr, reached.to(log_snr)]
        numbers += self._scales(scale, log_snr)
        y: Tensor = self.network(scaled, torch.stack(numbers, 1), condition)
        return y

    def _scales(self, scale: Tensor | float | None, like: Tensor) -> list[Tensor]:
        """The scale of each item where it is an input. ValueError for one that is none."""
        if not self.guided:
            if scale is not None:
                raise ValueError(
                    "scale: this flow map has no scale of guidance as an input; leave it out"
                )
            return []

        chosen = torch.as_tensor(self.scale if scale is None else scale).to(like)
        if chosen.shape not in ((), (1,), like.shape):
            raise ValueError(
                f"scale: shape {tuple(chosen.shape)} for {len(like)} items; give one number, or "
                "one per item"
            )

        return [chosen.expand(len(like))]


@dataclass(frozen=True, eq=False)
class AtScale:
    """A flow map with the scale of guidance as an input, at a scale per item.

    Args:
        base: the flow map.
        scale: w of each item, (b,), or one for all.
    """

    base: Any
    scale: Tensor | float

    @property
    def path(self) -> Path:
        """That of the flow map."""
        found: Path = self.base.path
        return found

    def rows(self, part: Tensor) -> AtScale:
        """The same for some of the items.

        Args:
            part: which, (b,).
        """
        scale = self.scale
        return AtScale(self.base, scale[part] if isinstance(scale, Tensor) else scale)

    def __call__(
        self, x_t: Tensor, t: Tensor | float | Level, condition: Tensor | None = None
    ) -> Prediction:
        """The prediction on the diagonal at x_t and t, given the `condition`."""
        return self.jump(x_t, t, t, condition)

    def jump(
        self,
        x_t: Tensor,
        t: Tensor | float | Level,
        s: Tensor | float | Level,
        condition: Tensor | None = None,
    ) -> Prediction:
        """The jump from x_t at t to s, given the `condition`, at this scale."""
        found: Prediction = self.base.jump(x_t, t, s, condition, scale=self.scale)
        return found
