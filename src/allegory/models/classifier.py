r"""A classifier of noisy data, log p(y | x_t): what guides an unconditional diffusion model.

It is trained by the cross-entropy -log p(y | x_t) with x_t = alpha x0 + sigma eps at times uniform
on [0, 1] (Dhariwal & Nichol 2021, section 4). The minimum over all functions is the posterior of
the class at each noise level, whose gradient in x_t is grad log p(x_t | y) - grad log p(x_t) (Luo
2022, eq. 165).

As a denoiser, the network sees x_t/sqrt(alpha^2 s^2 + sigma^2) and log-SNR, which are the same for
every scaling of one state: a classifier that was trained on one path is one on any other whose
log-SNR has the same range.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NoReturn

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, log_softmax

from ..conditions import Labels
from ..data.spec import DataSpec
from ..lookup import check_type
from ..objectives.draws import draw_noised
from ..process.path import Level, Path, check_path
from .base import evaluating
from .denoiser import network_inputs


class Classifier(nn.Module):
    """log p(y | x_t) of the classes of the data at every noise level (Dhariwal & Nichol 2021).

    Args:
        network: forward(x, log_snr, condition) -> (b, classes), e.g. of an `EncoderConfig`; the
            condition is None.
        path: the forward process of x_t.
        spec: what the data are, with two classes or more.
        data_std: standard deviation of the data in model space.

    Raises:
        ValueError: for what is no Path, data without two classes or with another condition, or a
            data_std that is not positive.
    """

    unit = "nats"
    generative = False
    """It makes no samples."""

    def __init__(
        self, network: nn.Module, path: Path, spec: DataSpec, data_std: float = 1.0
    ) -> None:
        super().__init__()
        check_path(path)

        check_type("spec", spec, DataSpec, "a DataSpec, e.g. data.spec")
        if spec.condition is not None and not isinstance(spec.condition, Labels):
            raise ValueError(
                f"spec: its condition is of kind {type(spec.condition).__name__}; a classifier "
                "needs data with the class alone"
            )

        if spec.classes is None or spec.classes < 2:
            raise ValueError(
                f"spec: {spec.classes or 'no'} classes; a classifier needs data of two or more, "
                "give labelled data"
            )

        if not data_std > 0:
            raise ValueError(
                f"data_std={data_std}; give the positive standard deviation of the data"
            )

        self.network = network
        self.path = path
        self.spec = spec
        self.data_std = data_std

    def logits(self, x_t: Float[Tensor, "b *shape"], level: Level) -> Float[Tensor, "b classes"]:
        """The output of the network: log p(y | x_t) up to a number per item.

        Args:
            x_t: states in model space.
            level: their noise level, on this path or on another one.

        Raises:
            ValueError: for a network with another output.
        """
        assert self.spec.classes is not None
        scaled, log_snr = network_inputs(self.network, x_t, level, self.data_std)

        found: Tensor = self.network(scaled, log_snr, None)

        wanted = (len(x_t), self.spec.classes)
        if found.shape != wanted:
            raise ValueError(
                f"network: output of shape {tuple(found.shape)}; give one number per item and "
                f"class, {wanted}, e.g. EncoderConfig().build(shape, outputs={wanted[1]})"
            )

        return found.to(torch.promote_types(found.dtype, torch.float32))

    def class_log_prob(
        self, x_t: Float[Tensor, "b *shape"], t: Tensor | float | Level
    ) -> Float[Tensor, "b classes"]:
        """log p(y | x_t) in nats, differentiable in x_t; the model is in eval mode meanwhile.

        Args:
            x_t: states in model space, (b, *shape).
            t: one time of this path, one per item, or a Level, which may be of a path with another
                scaling.
        """
        level = t if isinstance(t, Level) else self.path.at(t, like=x_t)

        with evaluating(self):
            return log_softmax(self.logits(x_t, level), dim=1).to(x_t.dtype)

    def loss(
        self, batch: tuple[Tensor, Tensor | None], generator: torch.Generator
    ) -> Float[Tensor, " b"]:
        """The cross-entropy -log p(y | x_t) of each item in nats, at one random time each.

        Args:
            batch: raw data (b, *shape), and the class of each.
            generator: where times and noise are drawn from.

        Raises:
            ValueError: for a batch without classes.
        """
        raw, labels = batch
        if labels is None or labels.shape != raw.shape[:1] or labels.is_floating_point():
            raise ValueError("batch: no classes; a classifier needs the class of each item")

        noised = draw_noised(self.path, self.spec.encode(raw), generator)

        logits = self.logits(noised.x_t, noised.level)
        return cross_entropy(logits, labels.long(), reduction="none")

    def sample(
        self,
        seeds: Sequence[int],
        condition: object = None,
        sampler: object = None,
        *,
        batch: int = 250,
        on_step: object = None,
    ) -> NoReturn:
        """ValueError: a classifier makes no samples.

        Args:
            seeds: not used.
            condition: not used.
            sampler: not used.
            batch: not used.
            on_step: not used.
        """
        raise ValueError(NO_SAMPLES)


NO_SAMPLES = (
    "a classifier makes no samples; use it to guide a diffusion model of the same data: "
    "--guide classifier:1:run=RUN (in Python ClassifierGuidance)"
)
