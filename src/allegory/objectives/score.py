r"""Score matching: losses whose minimum is the score s(x) = grad log p(x).

The aim is the Fisher divergence, and p is not known (Luo 2022, eq. 157; Hyvarinen 2005):

    Fisher      1/2 E |s(x) - grad log p(x)|^2                        known densities only
    exact       E [ tr grad s(x) + 1/2 |s(x)|^2 ]                     integration by parts
                = Fisher - 1/2 E |grad log p|^2
    sliced      E [ v^T grad s(x) v + 1/2 |s(x)|^2 ], E v v^T = I     Song et al. 2019, eq. 8
    projected   E [ v^T grad s(x) v + 1/2 (v^T s(x))^2 ]              Song et al. 2019, eq. 7
    denoising   1/2 E |s(x_t) - grad log q(x_t | x0)|^2               Vincent 2011
                = Fisher at t + a constant

All have the same minimiser, the score of the density that x is drawn from; for `denoising` that is
p(x_t). With Rademacher probes v and S the symmetric part of grad s, the sliced loss of one x and
one probe has the variance

    sliced   2 sum_{i != j} S_ij^2              projected   the same of S + 1/2 s s^T

so the first is the better one wherever |s|^2 can be had, and in one dimension it is exact.

**Denoising, over levels.** The error of the score is alpha/sigma^2 times that of x0, so a weight of
one is a weight of the other, and one function, `denoising_loss`, computes both:

    lambda(t) |s - grad log q|^2 = lambda alpha^2/sigma^4 |x0_hat - x0|^2  `score_weighting`
    lambda = sigma^2     SNR              NCSN (Song & Ermon 2019, eq. 6), twice its loss: `simple`
    lambda = g^2 / 2     -log_snr'/2 SNR  ScoreFlow (Song et al. 2021, theorem 1), nats: `elbo`

The second is the likelihood. Its estimate varies with t less when t is drawn in proportion to
g^2/sigma^2 = -log_snr', that is uniformly in log-SNR, and multiplied by the inverse
(`uniform_in_log_snr`).

Units: per item, summed over its numbers; s is in 1/units of x, so all but the weighted losses are
in 1/units^2. No mean is taken over the batch or over t.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from ..numerics.trace import traces
from ..process.coefficients import Coefficient
from ..process.path import Level
from ..process.prediction import Predict, Prediction, energy_of
from .base import OBJECTIVES
from .denoising import check_fixed_schedule, denoising_loss
from .draws import draw_noised
from .weights import Weight

Score = Callable[[Tensor], Tensor]
"""x -> grad log p(x), item by item."""


def score_at(predict: Predict, level: Level, condition: Tensor | None = None) -> Score:
    """The score of p(x_t) that `predict` has at one `level`, as a function of x_t alone.

    A `condition` has one entry per item.
    """
    return lambda x_t: predict(x_t, level, condition).view("score")


def fisher_divergence(
    score: Score, truth: Score, x: Float[Tensor, "b *shape"]
) -> Float[Tensor, " b"]:
    """1/2 |s(x) - grad log p(x)|^2 of each item, with the `score` s and the `truth` grad log p.

    Its mean over x from p is the Fisher divergence (Luo 2022, eq. 157).
    """
    return (score(x) - truth(x)).flatten(1).square().sum(1) / 2


def exact_score_matching(score: Score, x: Float[Tensor, "b *shape"]) -> Float[Tensor, " b"]:
    """tr grad s(x) + 1/2 |s(x)|^2 of a `score` s (Hyvarinen 2005, eq. 4).

    It takes one backward pass per dimension.
    """
    s, x = _with_graph(score, x)
    flat = s.flatten(1)
    return traces(s, x, None, create_graph=torch.is_grad_enabled())[:, 0] + flat.square().sum(1) / 2


def sliced_score_matching(
    score: Score,
    x: Float[Tensor, "b *shape"],
    probes: Float[Tensor, "probes b *shape"],
    project: bool = False,
) -> Float[Tensor, " b"]:
    """v^T grad s(x) v + 1/2 |s(x)|^2, the mean over the probes (Song et al. 2019, eq. 8).

    It takes one backward pass per probe.

    Args:
        score: x -> s(x).
        x: the items.
        probes: the vectors v, with E v v^T = I, e.g. `random_signs`.
        project: take 1/2 (v^T s(x))^2 for the last term (their eq. 7).

    Raises:
        ValueError: without probes, and for a score that is not a differentiable function of x.
    """
    if len(probes) == 0:
        raise ValueError("probes: none; give at least one, e.g. random_signs(1, x, generator)")

    s, x = _with_graph(score, x)
    bends = traces(s, x, probes, create_graph=torch.is_grad_enabled()).mean(1)
    sizes = (
        (s * probes).flatten(2).sum(2).square().mean(0) if project else s.flatten(1).square().sum(1)
    )

    return bends + sizes / 2


def score_weighting(scale: Callable[[Level], Coefficient]) -> Weight:
    """lambda alpha^2/sigma^4: the weight of |x0_hat - x0|^2 that is lambda of |score error|^2.

    `scale` is lambda as a function of the Level.
    """

    def weight(level: Level) -> Tensor:
        ratio = level.alpha / (level.sigma * level.sigma)
        return torch.as_tensor(scale(level) * ratio * ratio)

    return weight


def denoising_score_matching(
    predict: Predict,
    truth: Prediction,
    scale: Callable[[Level], Coefficient] = lambda level: level.sigma * level.sigma / 2,
    condition: Tensor | None = None,
) -> Float[Tensor, " b"]:
    """lambda(t) |s(x_t, t) - grad log q(x_t | x0)|^2 (Song & Ermon 2019, eq. 5 and 6).

    Args:
        predict: what is trained.
        truth: clean data in model space and standard normal noise, at one time per item of the path
            of `predict`: `Prediction.of(x0, eps, predict.path.at(t, like=x0))`.
        scale: lambda as a function of the Level, by default sigma^2/2. `level.diffusion / 2` gives
            nats, the likelihood weighting of ScoreFlow (Song et al. 2021).
        condition: one entry per item, or None.

    Returns:
        The loss of each item.
    """
    return denoising_loss(predict, truth, score_weighting(scale), condition)


def dual_score_matching(
    predict: Predict, truth: Prediction, condition: Tensor | None = None
) -> Float[Tensor, " b"]:
    """1/2 |sigma grad E - eps|^2 + 1/2 (dE/dl + d log q(x_t | x0)/dl)^2, l = log-SNR (Guth et al.
    2025).

    The second term, of E(x_t, t) at fixed x_t, has -log p(x_t) for its minimum as the first has,
    constants included. It carries the weights of separate parts of the data, which no score can see
    at low noise, down from the levels where the parts overlap, and the normaliser from t = 1.

    Args:
        predict: a Predict with an energy that is differentiable in t.
        truth: clean data in model space and standard normal noise, at one time per item of the path
            of `predict`: `Prediction.of(x0, eps, predict.path.at(t, like=x0))`.
        condition: one entry per item, or None.

    Returns:
        The loss of each item.

    Raises:
        ValueError: for a predict without an energy.
    """
    x0, eps = truth.x0, truth.eps
    times = torch.as_tensor(truth.level.t).detach().flatten().expand(len(x0))
    with torch.no_grad():
        level = predict.path.at(times, like=x0)
        x_t = level.mix(x0, eps)

    with torch.enable_grad():
        t = times.clone().requires_grad_()
        x_t.requires_grad_()
        in_x, in_t = torch.autograd.grad(
            energy_of(predict, x_t, t, condition).sum(),
            (x_t, t),
            create_graph=True,
            materialize_grads=True,
        )

    in_log_snr = in_t.to(x0) / torch.as_tensor(level.dlog_snr).flatten()
    space = (level.sigma * in_x - eps).flatten(1).square().sum(1)
    time = (in_log_snr + _slope_of_log_kernel(level, x0, eps)).square()

    return (space + time) / 2


@dataclass(frozen=True)
class DualScoreMatching:
    """The objective `dual_score_matching` at stratified times, per dimension, for energies."""

    @property
    def unit(self) -> str:
        """Half the squared errors of both derivatives, per dimension."""
        return "dual-weighted error"

    def check(self, predict: Predict) -> None:
        """ValueError for a predict without an energy, and where a schedule would learn from it."""
        if not callable(getattr(predict, "energy", None)):
            raise ValueError(
                "objective='dual': matches the derivatives of an energy; use an Energy, or "
                "another objective"
            )
        check_fixed_schedule(predict.path, "dual")

    def __call__(
        self,
        predict: Predict,
        x0: Float[Tensor, "b *shape"],
        condition: Tensor | None,
        generator: torch.Generator,
    ) -> Float[Tensor, " b"]:
        """One draw of the loss of x0 per item, of `predict` given the `condition`.

        Times and noise are drawn from the `generator`.
        """
        truth = draw_noised(predict.path, x0, generator)
        return dual_score_matching(predict, truth, condition) / x0[0].numel()


def _slope_of_log_kernel(level: Level, x0: Tensor, eps: Tensor) -> Float[Tensor, " b"]:
    """d log q(x_t | x0)/dl at fixed x_t: (sigma'/sigma (|eps|^2 - d) + alpha'/sigma <eps, x0>) /
    l'.
    """
    fall, rise = level.dsigma / level.sigma, level.dalpha / level.sigma
    terms = (fall * (eps.square() - 1) + rise * eps * x0) / level.dlog_snr
    return terms.flatten(1).sum(1)


def _with_graph(score: Score, x: Tensor) -> tuple[Tensor, Tensor]:
    """s(x) and the x that it is a function of."""
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        s = score(x)

    if s.shape != x.shape:
        raise ValueError(
            f"score: shape {tuple(s.shape)} for x {tuple(x.shape)}; a score has the shape of x"
        )
    if not s.requires_grad:
        raise ValueError(
            "score: its output has no gradient with respect to x; take no_grad and detach out of it"
        )

    return s, x


OBJECTIVES.register(
    "dual",
    DualScoreMatching(),
    "both derivatives of an energy, in x and in log-SNR (Guth et al. 2025)",
)
