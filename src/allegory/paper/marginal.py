"""Equations 59-70: from one step to the marginal q(x_t | x_0).

Lines 61-63 hold per sample; from 64 on two noises are merged, and the lines hold in distribution.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from ..process.kernel import transition
from .cases import chain
from .check import Kind, Sides, same, section
from .rules import cubature, draws

SECTION = section("marginal", "The marginal of the chain", 59, 70)


def _moments(x: Float[Tensor, "n d"]) -> Float[Tensor, "2 d"]:
    """Mean and variance over equally likely points; together they are a normal law."""
    return torch.stack([x.mean(0), x.var(0, correction=0)])


def _one_step(t: int) -> Sides:
    """sqrt(alpha_t) x + sqrt(1 - alpha_t) eps, against the law that the library gives the step."""
    case, x = chain(), draws(80, 1, 2)
    drawn = math.sqrt(case.alpha[t]) * x + math.sqrt(1 - case.alpha[t]) * cubature(2)
    law = case.forward(t, x)

    return same(
        _moments(drawn),
        torch.stack([law.mean[0], torch.full((2,), float(law.std) ** 2, dtype=torch.float64)]),
    )


@SECTION.equation(59, "x_t = √α_t x_{t−1} + √(1 − α_t) ε ~ q(x_t | x_{t−1})", Kind.LAW)
def _eq59() -> Sides:
    return _one_step(3)


@SECTION.equation(
    60, "x_{t−1} = √α_{t−1} x_{t−2} + √(1 − α_{t−1}) ε ~ q(x_{t−1} | x_{t−2})", Kind.LAW
)
def _eq60() -> Sides:
    return _one_step(2)


def _two_noises() -> tuple[Float[Tensor, "n d"], Float[Tensor, "n d"], Float[Tensor, "n d"]]:
    """x_{t-2} and the noises of the steps to t - 1 and to t."""
    x, near, far = draws(81, 3, 20, 2)
    return x, near, far


@SECTION.equation(61, "x_t = √α_t x_{t−1} + √(1 − α_t) ε*_{t−1}", Kind.SAMPLE)
def _eq61() -> Sides:
    case, t, (x, _, eps) = chain(), 3, _two_noises()

    return same(
        case.forward(t, x).draw(eps),
        math.sqrt(case.alpha[t]) * x + math.sqrt(1 - case.alpha[t]) * eps,
    )


def _library_two_steps(t: int, x: Tensor, near: Tensor, far: Tensor) -> Tensor:
    """From x_{t-2} to x_t by two steps of the library."""
    case = chain()
    return case.forward(t, case.forward(t - 1, x).draw(near)).draw(far)


@SECTION.equation(
    62, "= √α_t (√α_{t−1} x_{t−2} + √(1 − α_{t−1}) ε*_{t−2}) + √(1 − α_t) ε*_{t−1}", Kind.SAMPLE
)
def _eq62() -> Sides:
    t, (x, near, far) = 3, _two_noises()
    b, a = chain().alpha[t - 1 : t + 1]
    inner = math.sqrt(b) * x + math.sqrt(1 - b) * near

    return same(_library_two_steps(t, x, near, far), math.sqrt(a) * inner + math.sqrt(1 - a) * far)


@SECTION.equation(
    63,
    "= √(α_t α_{t−1}) x_{t−2} + √(α_t − α_t α_{t−1}) ε*_{t−2} + √(1 − α_t) ε*_{t−1}",
    Kind.SAMPLE,
)
def _eq63() -> Sides:
    t, (x, near, far) = 3, _two_noises()
    b, a = chain().alpha[t - 1 : t + 1]
    right = math.sqrt(a * b) * x + math.sqrt(a - a * b) * near + math.sqrt(1 - a) * far

    return same(_library_two_steps(t, x, near, far), right)


MERGED = "From here on in distribution only: ε_{t−2} is a new noise, made of two."


@SECTION.equation(
    64,
    "= √(α_t α_{t−1}) x_{t−2} + √((√(α_t − α_t α_{t−1}))² + (√(1 − α_t))²) ε_{t−2}",
    Kind.LAW,
    note=MERGED,
)
def _eq64() -> Sides:
    t, x = 3, draws(82, 1, 2)
    b, a = chain().alpha[t - 1 : t + 1]
    noise = cubature(2, 2)
    two = _library_two_steps(t, x.expand(len(noise), -1), noise[:, 0], noise[:, 1])
    scale = math.sqrt(math.sqrt(a - a * b) ** 2 + math.sqrt(1 - a) ** 2)

    return same(_moments(two), _moments(math.sqrt(a * b) * x + scale * cubature(2)))


def _skip() -> tuple[float, float, float]:
    """alpha_{t-1}, alpha_t, and the library's standard deviation of q(x_t | x_{t-2})."""
    case, t = chain(), 3
    std = transition(case.x0, case.levels[t - 2], case.levels[t]).std
    return case.alpha[t - 1], case.alpha[t], float(std)


@SECTION.equation(65, "noise scale √(α_t − α_t α_{t−1} + 1 − α_t)", Kind.EXACT)
def _eq65() -> Sides:
    b, a, std = _skip()
    return same(std, math.sqrt(a - a * b + 1 - a))


@SECTION.equation(66, "noise scale √(1 − α_t α_{t−1})", Kind.EXACT)
def _eq66() -> Sides:
    b, a, std = _skip()
    return same(std, math.sqrt(1 - a * b))


@SECTION.equation(67, "the same again, down to x_0, for every t", Kind.LAW)
def _eq67() -> Sides:
    case = chain()
    x = case.trajectory(cubature(case.steps, 2))
    steps = range(1, case.steps + 1)
    jumps = [_moments(case.marginal(t, 4).draw(cubature(2))) for t in steps]

    return same(torch.stack([_moments(x[t]) for t in steps]), torch.stack(jumps))


@SECTION.equation(68, "= √(∏ α_i) x_0 + √(1 − ∏ α_i) ε_0, jointly for all t", Kind.LAW)
def _eq68() -> Sides:
    case = chain()
    x = torch.stack(case.trajectory(cubature(case.steps, 2))[1:], 1)
    flat = x.flatten(1) - x.flatten(1).mean(0)
    joint = torch.cat([x.flatten(1).mean(0)[None], flat.T @ flat / len(flat)])
    law = case.q(*range(1, case.steps + 1))
    cov = torch.kron(law.cov, torch.eye(2, dtype=torch.float64))

    return same(joint, torch.cat([law.mean.flatten()[None], cov]))


@SECTION.equation(69, "= √A_t x_0 + √(1 − A_t) ε_0", Kind.SAMPLE)
def _eq69() -> Sides:
    case, eps = chain(), draws(83, 20, 2)
    x0, steps = case.x0.expand(20, -1), range(1, case.steps + 1)
    mixed = [case.levels[t].mix(x0, eps) for t in steps]
    letters = [math.sqrt(case.A[t]) * x0 + math.sqrt(1 - case.A[t]) * eps for t in steps]

    return same(torch.stack(mixed), torch.stack(letters))


@SECTION.equation(70, "~ N(√A_t x_0, (1 − A_t) I)", Kind.LAW)
def _eq70() -> Sides:
    case = chain()
    steps = range(1, case.steps + 1)
    found = [_moments(case.marginal(t, 4).draw(cubature(2))) for t in steps]
    variances = [torch.full((2,), 1 - case.A[t], dtype=torch.float64) for t in steps]
    letters = [
        torch.stack([math.sqrt(case.A[t]) * case.x0[0], v])
        for t, v in zip(steps, variances, strict=True)
    ]

    return same(torch.stack(found), torch.stack(letters))
