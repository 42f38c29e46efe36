r"""Energies: a network that gives the density up to a constant, and the score as its gradient.

    p(x_t) = exp(-E(x_t, t)) / Z(t)         score = -grad E         (Luo 2022, eq. 152 to 156)

A score network may have a curl, and then it is the score of no density; the gradient of an energy
has none. What the network has to learn is scaled to unit variance, as Karras et al. 2022 do for
denoisers: with u = x_t/sqrt(alpha^2 s^2 + sigma^2), s the standard deviation of the data,

    E(x_t) = |u|^2/2 + log |x_t/u| + (alpha s/sigma) phi(u, log_snr)

with the constant of a normal density in log |x_t/u|. The first two terms are -log p of Gaussian
data. -grad phi is what the target `edm` wants of a network and has unit variance at every level, so
that all weights, losses and samplers take an Energy for a denoiser.

phi is -<u, f(u)> for a network f whose output is like x (form="inner_product"). Then
-grad phi = f + J_f^T u. It is zero where f is zero, as in a new network, but its gradient with
respect to the weights is not, so training starts. With form="scalar" phi is one number per item;
only this form has a constant of its own at each level, which `dual_score_matching` learns. Salimans
& Ho 2021 ("Should EBMs model the energy or the score?") compare such forms. Both cost a second
backward pass.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from ..conditions import hidden_like
from ..lookup import pick
from ..process.coefficients import Coefficient, sqrt
from ..process.path import Level, Path
from ..process.prediction import Prediction, edm_target

_FORMS = ("inner_product", "scalar")


class Energy(nn.Module):
    """A network as a Predict whose score is -grad E, and E itself; Z is not known (Luo 2022, eq.
    152).

    Args:
        network: forward(u, log_snr, condition); it must be twice differentiable.
        path: the forward process.
        data_std: standard deviation of the data in model space.
        form: what the network puts out: "inner_product", an array like x; "scalar", (b,) or (b, 1).

    Raises:
        ValueError: for an unknown form, or data_std of 0 or less; when called, for an output of
            another shape.
    """

    def __init__(
        self, network: nn.Module, path: Path, data_std: float = 1.0, form: str = "inner_product"
    ) -> None:
        super().__init__()
        if not data_std > 0:
            raise ValueError(
                f"data_std={data_std}; give the positive standard deviation of the data"
            )

        pick("form", form, dict.fromkeys(_FORMS))
        self.network, self.path, self.data_std, self.form = network, path, data_std, form
        self.target = edm_target(data_std)

    def energy(
        self,
        x_t: Float[Tensor, "b *shape"],
        t: Tensor | float | Level,
        condition: Tensor | None = None,
    ) -> Float[Tensor, " b"]:
        """E(x_t, t) in nats: -log p(x_t) up to a constant of the level, which dual score matching
        learns as well.

        ValueError where there is no noise.
        """
        level = self.path.at(t, like=x_t)
        u = x_t / self._marginal_std(level)
        gain = torch.as_tensor(self.data_std * level.alpha / _noisy(level)).to(x_t)
        log_unit = torch.as_tensor(self._marginal_std(level)).log().to(
            x_t
        ).flatten() + 0.5 * math.log(2 * math.pi)
        plain = u.flatten(1).square().sum(1) / 2 + u[0].numel() * log_unit

        return plain + gain.flatten() * self._phi(u, level, condition)

    def log_density(
        self,
        x_t: Float[Tensor, "b *shape"],
        t: Tensor | float | Level,
        condition: Tensor | None = None,
    ) -> Float[Tensor, " b"]:
        """log p(x_t) in nats, up to a constant that depends on t and on the condition: -E."""
        return -self.energy(x_t, t, condition)

    def forward(
        self, x_t: Tensor, t: Tensor | float | Level, condition: Tensor | None = None
    ) -> Prediction:
        """x_t (batch, *shape) and t -> x0 and eps as the score -grad E has them; it can be
        differentiated again.
        """
        level = self.path.at(t, like=x_t)
        again = torch.is_grad_enabled()
        with torch.inference_mode(False), torch.enable_grad():
            u = x_t / self._marginal_std(level)
            if not (again and u.requires_grad):
                u = u.clone().detach().requires_grad_()
            (slope,) = torch.autograd.grad(
                self._phi(u, level, condition).sum(), u, create_graph=again
            )

        return Prediction.solve(self.target, -slope, x_t, level)

    def hidden(self, condition: Tensor) -> Tensor:
        """Rows that hide these conditions, as in training."""
        return hidden_like(condition)

    def _marginal_std(self, level: Level) -> Coefficient:
        signal = self.data_std * level.alpha
        return sqrt(signal * signal + level.sigma * level.sigma)

    def _phi(
        self, u: Float[Tensor, "b *shape"], level: Level, condition: Tensor | None
    ) -> Float[Tensor, " b"]:
        own = next(self.network.parameters(), u).dtype
        log_snr = level.log_snr_per_item(u).to(torch.promote_types(own, torch.float32))
        with sdpa_kernel(
            SDPBackend.MATH
        ):  # the fused kernels of attention cannot be differentiated twice
            y: Tensor = self.network(u.to(own), log_snr, condition).to(u.dtype)

        if self.form == "inner_product" and y.shape == u.shape:
            return -(u * y).flatten(1).sum(1)
        if self.form == "scalar" and tuple(y.shape) in ((len(u),), (len(u), 1)):
            return y.reshape(-1)
        wanted = (
            f"{tuple(u.shape)}, like x"
            if self.form == "inner_product"
            else f"({len(u)},), one number an item"
        )
        raise ValueError(
            f"network: output of shape {tuple(y.shape)}, which form={self.form!r} makes no energy "
            f"of; give {wanted}, or "
            f"form={'scalar' if self.form == 'inner_product' else 'inner_product'!r}"
        )


def _noisy(level: Level) -> Coefficient:
    """sigma. ValueError where it is 0, and the energy of single points would be infinite."""
    if isinstance(level.sigma, float) and level.sigma == 0.0:
        raise ValueError(
            "t: clean data, where E has no limit; give a t with noise, e.g. 0.0 on a path that "
            "starts with some"
        )
    return level.sigma
