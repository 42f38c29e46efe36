r"""From what a network returns to a distribution: the Gaussian of a latent, the observation of the
spec.

Standard deviations are exp(r), with r bounded smoothly to +-5 by 5 tanh(raw / 5), so
that no early step can make one of them 0 or infinite. Outputs in half precision are taken as
float32 here: densities need the digits.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from ..data.spec import DataSpec
from ..likelihood.observation import Bernoulli, GaussianObservation, LogisticMixture
from ..lookup import pick
from ..process.decoder import Observation
from ..process.kernel import Gaussian

MAX_LOG_STD = 5.0
DECODERS = ("bernoulli", "logistic", "gaussian")


def bounded(raw: Float[Tensor, "*any"], limit: float = MAX_LOG_STD) -> Float[Tensor, "*any"]:
    """limit tanh(raw / limit): raw near 0, never beyond +-limit."""
    return limit * torch.tanh(raw / limit)


def gaussian(raw: Float[Tensor, "b c2 *space"], base: Gaussian | None = None) -> Gaussian:
    """N(mean, std^2), from the channels (mean, r) of `raw`: std = exp(r).

    With a base N(m, s^2), relative to it (Vahdat & Kautz 2020, eq. 4): N(m + s mean, (s exp(r))^2).
    """
    mean, r = _digits(raw).chunk(2, dim=1)
    if base is None:
        return Gaussian(mean, bounded(r).exp())
    return Gaussian(base.mean + base.std * mean, base.std * bounded(r).exp())


def default_decoder(spec: DataSpec) -> str:
    """The decoder that fits data with this `spec`: by the number of its levels."""
    if spec.levels is None:
        return "gaussian"
    return "bernoulli" if spec.levels == 2 else "logistic"


class Head:
    """From the channels of a network to the distribution of the data.

    `outputs` is the number of channels that it needs.

    Args:
        spec: what the data are.
        decoder: "bernoulli", "logistic" or "gaussian".
        components: the logistic distributions of a mixture.

    Raises:
        ValueError: where the decoder does not fit the data.
    """

    def __init__(self, spec: DataSpec, decoder: str, components: int = 5) -> None:
        pick("decoder", decoder, dict.fromkeys(DECODERS))
        if decoder == "bernoulli" and spec.levels != 2:
            raise ValueError(
                f"decoder='bernoulli' needs data of 2 levels, not {spec.levels}; binarize, or use "
                "'logistic'"
            )
        if decoder == "logistic" and spec.levels is None:
            raise ValueError(
                "decoder='logistic' needs data of finitely many levels; use 'gaussian'"
            )
        if decoder == "gaussian" and spec.levels is not None:
            raise ValueError(
                f"decoder='gaussian' is a density, the data have {spec.levels} levels; use "
                "'logistic'"
            )

        self.spec = spec
        self.decoder = decoder
        self.components = components
        channels = {"bernoulli": 1, "logistic": 3 * components, "gaussian": 2}
        self.outputs = spec.shape[0] * channels[decoder]

    def __call__(self, raw: Float[Tensor, "b outputs *space"]) -> Observation:
        """p(x | z), from the network's output `raw`."""
        if self.decoder == "bernoulli":
            return Bernoulli(_digits(raw))
        if self.decoder == "gaussian":
            return GaussianObservation(gaussian(raw), self.spec.log_scale)
        return self._logistic_mixture(_digits(raw))

    def _logistic_mixture(self, raw: Tensor) -> LogisticMixture:
        """A mixture per number; its means begin apart, because equal ones would stay equal."""
        assert self.spec.levels is not None
        table = raw.unflatten(1, (3, self.components, self.spec.shape[0]))
        weights, means, log_scales = table.unbind(1)

        ends = torch.linspace(-1, 1, self.components + 2, dtype=table.dtype, device=table.device)
        offsets = ends[1:-1].view(-1, *[1] * (means.ndim - 2))
        scales = bounded(log_scales) - 2.0

        return LogisticMixture(weights, means + offsets, scales, self.spec.levels)


def _digits(raw: Tensor) -> Tensor:
    return raw.to(torch.promote_types(raw.dtype, torch.float32))
