"""Discrete diffusion against enumeration: a random joint table of three tokens of four values."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise, permutations, product

import numpy as np
import pytest
import torch
from tests.helpers.matrix_path import MatrixPath, masked_rates, uniform_rates
from torch import Tensor

from allegory.likelihood.token_bound import (
    order_log_prob,
    token_bound,
    token_levels,
    token_step_bound,
)
from allegory.process.discrete import (
    MaskedPath,
    TokenDraw,
    TokenLevel,
    TokenPath,
    TokenPrediction,
    TokenTable,
    UniformPath,
    token_loss,
)

K, L = 4, 3
TABLE = 1.5 * torch.randn((K,) * L, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
ITEMS = torch.tensor([*product(range(K), repeat=L)])


def states(path: TokenPath, length: int = L) -> Tensor:
    return torch.tensor([*product(range(path.states), repeat=length)])


def pairs(path: TokenPath) -> tuple[Tensor, Tensor]:
    """Every item with every noisy state."""
    x_t = states(path)
    return ITEMS.repeat_interleave(len(x_t), 0), x_t.repeat(len(ITEMS), 1)


def mean_over_states(path: TokenPath, t: float, of: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """E[of(x0, x_t)] of each item, over all x_t at t that it can have."""
    x0, x_t = pairs(path)
    q = path.marginal(x0, path.at(t)).log_prob(x_t).exp()
    seen = q > 0
    terms = torch.zeros_like(q)
    terms[seen] = q[seen] * of(x0[seen], x_t[seen])
    return terms.view(len(ITEMS), -1).sum(1)


def predictor(table: TokenTable, level: TokenLevel) -> Callable[[Tensor], TokenPrediction]:
    """The prediction at a level, computed once for each state."""
    path = table.path
    log_probs = table(states(path), level).log_probs
    place = path.states ** torch.arange(L).flip(0)
    return lambda x_t: TokenPrediction(log_probs[(x_t * place).sum(1)], x_t, level)


def rate_of_all(table: TokenTable, t: float) -> Tensor:
    """E[rate] of each item at t."""
    predict = predictor(table, table.path.at(t))
    return mean_over_states(table.path, t, lambda x0, x_t: table.path.rate(predict(x_t), x0))


def step_bound(table: TokenTable, times: list[float]) -> Tensor:
    """The bound of each item with steps at these times, by enumeration of all x_t."""
    path = table.path
    levels = [path.at(0.0), *(path.at(t) for t in times)]
    total = -path.marginal(ITEMS, levels[-1]).kl(path.prior(ITEMS))

    for s, t in pairwise(levels):
        predict = predictor(table, t)

        def divergence(
            x0: Tensor,
            x_t: Tensor,
            s: TokenLevel = s,
            t: TokenLevel = t,
            predict: Callable[[Tensor], TokenPrediction] = predict,
        ) -> Tensor:
            q = path.posterior(TokenPrediction.of(x0, x_t, t), s)
            return q.kl(path.posterior(predict(x_t), s))

        total = total - mean_over_states(path, float(t.t), divergence)
    return total


@pytest.mark.parametrize(
    ("path", "rates"),
    [(MaskedPath(K), masked_rates(K)), (UniformPath(K), uniform_rates(K))],
    ids=["masked", "uniform"],
)
def test_kernels_are_those_of_the_matrix_of_rates(path: TokenPath, rates: Tensor) -> None:
    reference = MatrixPath(rates, values=K, end=0.0)
    x0 = torch.arange(K)[:, None]
    s, t = path.at(0.3), path.at(0.55)
    own_s, own_t = reference.at(0.3), reference.at(0.55)
    torch.testing.assert_close(path.marginal(x0, t).probs, reference.marginal(x0, own_t).probs)
    every = torch.arange(path.states)[:, None]
    found = path.transition(every, s, t).probs
    torch.testing.assert_close(found, reference.transition(every, own_s, own_t).probs)

    logits = torch.randn(path.states, 1, K, generator=torch.Generator().manual_seed(0)).double()
    log_probs = (logits + path.likelihood(every, t).log()).log_softmax(-1)
    prediction = TokenPrediction(log_probs, every, t)
    other = TokenPrediction(log_probs, every, own_t)
    torch.testing.assert_close(
        path.posterior(prediction, s).probs, reference.posterior(other, own_s).probs
    )
    for value in range(K):
        x = torch.full_like(every, value)
        seen = path.marginal(x, t).log_prob(every).isfinite()
        torch.testing.assert_close(
            path.rate(prediction, x)[seen], reference.rate(other, x)[seen], rtol=1e-9, atol=1e-9
        )


def test_log_snr_is_the_log_odds_that_a_token_was_not_replaced() -> None:
    path = UniformPath(K, end=0.2)
    times = torch.tensor([0.0, 0.25, 1.0]).double()
    expected = torch.tensor([torch.inf, np.log(0.8 / 0.2), np.log(0.2 / 0.8)]).double()
    found = torch.as_tensor(path.at(times, torch.zeros(3, L, dtype=torch.int64)).log_snr)
    torch.testing.assert_close(found.flatten(), expected)
    alone = [float(path.at(float(t)).log_snr) for t in times]
    assert alone == pytest.approx(expected.tolist())


@pytest.mark.parametrize("path", [MaskedPath(K), UniformPath(K), UniformPath(2)])
def test_divergence_of_a_short_step_is_the_rate(path: TokenPath) -> None:
    values = path.values
    x0 = torch.zeros(path.states, 1, dtype=torch.int64)
    x_t = torch.arange(path.states)[:, None]
    dt = 1e-6
    s, t = path.at(0.6 - dt), path.at(0.6)
    logits = torch.randn(path.states, 1, values, generator=torch.Generator().manual_seed(1))
    log_probs = (logits.double() + path.evidence(x_t, t)).log_softmax(-1)
    prediction = TokenPrediction(log_probs, x_t, t)
    seen = path.marginal(x0, t).log_prob(x_t).isfinite()
    q = path.posterior(TokenPrediction.of(x0, x_t, t), s)
    step = q.kl(path.posterior(prediction, s)) / dt
    torch.testing.assert_close(step[seen], path.rate(prediction, x0)[seen], rtol=1e-4, atol=1e-6)


def test_every_order_gives_the_log_probability() -> None:
    table = TokenTable(TABLE, MaskedPath(K))
    for order in permutations(range(L)):
        found = order_log_prob(table, ITEMS, torch.tensor(order).expand(len(ITEMS), -1))
        torch.testing.assert_close(found, table.log_prob(ITEMS), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("path", [MaskedPath(K), UniformPath(K)], ids=["masked", "uniform"])
def test_continuous_time_is_exact_for_every_item(path: TokenPath) -> None:
    table = TokenTable(TABLE, path)
    nodes, weights = np.polynomial.legendre.leggauss(80)
    u = (nodes + 1) / 2
    times, scale = u * u * (3 - 2 * u), 6 * u * (1 - u) * weights / 2
    integral = sum(w * rate_of_all(table, t) for t, w in zip(times, scale, strict=True))
    torch.testing.assert_close(-integral, table.log_prob(ITEMS), rtol=0, atol=2e-6)


def test_sum_over_the_number_of_masked_tokens_is_exact() -> None:
    """`token_loss` of a masked path, over all sets of each size."""
    table = TokenTable(TABLE, MaskedPath(K))
    total = torch.zeros(len(ITEMS), dtype=torch.float64)
    for m in range(L):
        time = torch.full((len(ITEMS),), (m + 0.5) / L, dtype=torch.float64)
        for order in permutations(range(L)):
            u = (torch.tensor(order).double() / L).expand(len(ITEMS), -1)
            total -= token_loss(table, ITEMS, TokenDraw(time, u)) / L / 6
    torch.testing.assert_close(total, table.log_prob(ITEMS), rtol=1e-12, atol=1e-12)


def entropy(tokens: tuple[int, ...]) -> float:
    """Of these tokens together, in nats."""
    p = TABLE.exp() / TABLE.exp().sum()
    others = [i for i in range(L) if i not in tokens]
    p = p.sum(others) if others else p
    return float(-(p * p.log()).sum()) if tokens else 0.0


@pytest.mark.parametrize("times", [[1.0], [0.5, 1.0], [0.2, 0.3, 0.9, 1.0]])
def test_gap_of_masked_steps_is_the_sum_of_total_correlations(times: list[float]) -> None:
    """A token is revealed in a step, known before it, or still masked after it."""
    gap = 0.0
    for s, t in zip([0.0, *times[:-1]], times, strict=True):
        for roles in product(("revealed", "known", "masked"), repeat=L):
            chance = {"revealed": t - s, "known": 1 - t, "masked": s}
            revealed = tuple(i for i in range(L) if roles[i] == "revealed")
            known = tuple(i for i in range(L) if roles[i] == "known")
            apart = sum(entropy((*known, i)) - entropy(known) for i in revealed)
            together = entropy((*known, *revealed)) - entropy(known)
            gap += float(np.prod([chance[role] for role in roles])) * (apart - together)

    table = TokenTable(TABLE, MaskedPath(K))
    log_p = table.log_prob(ITEMS)
    found = (log_p.exp() * (log_p - step_bound(table, times))).sum().item()
    assert found == pytest.approx(gap, abs=1e-10)
    assert gap > 0.01 or len(times) > 2


def test_gap_of_uniform_steps_falls_with_their_number() -> None:
    table = TokenTable(TABLE, UniformPath(K))
    log_p = table.log_prob(ITEMS)
    gaps = []
    for steps in (4, 16, 64):
        times = [i / steps for i in range(1, steps + 1)]
        gaps.append((log_p.exp() * (log_p - step_bound(table, times))).sum().item())
    assert 0 < gaps[2] < gaps[1] / 3 < gaps[0] / 6


@pytest.mark.parametrize("end", [0.5, 0.1, 0.01])
def test_gap_in_continuous_time_is_that_of_the_signal_that_is_left(end: float) -> None:
    """KL(q(x_1 | x) || pi) less what x_1 says of x: KL(q(x_1) || pi) in the mean over x."""
    table = TokenTable(TABLE, UniformPath(K, end=end))
    log_p = table.log_prob(ITEMS)
    x0, x_1 = pairs(table.path)
    q = table.path.marginal(x0, table.path.at(1.0)).log_prob(x_1).view(len(ITEMS), -1)
    joint = q + log_p[:, None]
    marginal = joint.logsumexp(0)
    gap = (marginal.exp() * (marginal + L * np.log(K))).sum().item()

    nodes, weights = np.polynomial.legendre.leggauss(40)
    u = (nodes + 1) / 2
    times, scale = u * u * (3 - 2 * u), 6 * u * (1 - u) * weights / 2
    cost = sum(w * rate_of_all(table, t) for t, w in zip(times, scale, strict=True))
    cost = cost + table.path.marginal(ITEMS, table.path.at(1.0)).kl(table.path.prior(ITEMS))
    assert (log_p.exp() * (log_p + cost)).sum().item() == pytest.approx(gap, abs=1e-5)


@pytest.mark.parametrize("end", [0.0, 0.3])
def test_cost_of_the_prior_is_the_entropy_that_the_last_tokens_lack(end: float) -> None:
    """KL(q(x_1 | x) || 1/K) = log K - H(q) of each token."""
    q = torch.tensor([end + (1 - end) / K, *[(1 - end) / K] * (K - 1)], dtype=torch.float64)
    expected = L * (np.log(K) + float((q * q.log()).sum()))
    table = TokenTable(TABLE, UniformPath(K, end=end))
    for bound in (
        token_bound(table, ITEMS[:2], draws=1),
        token_step_bound(table, ITEMS[:2], token_levels(table, 2)),
    ):
        assert bound.prior.tolist() == pytest.approx([expected] * 2, abs=1e-12)


@pytest.mark.parametrize("path", [MaskedPath(K), UniformPath(K)], ids=["masked", "uniform"])
def test_bound_is_the_enumerated_one_in_the_mean(path: TokenPath) -> None:
    table = TokenTable(TABLE, path)
    items = ITEMS[5:6].expand(2000, -1)
    bound = token_step_bound(table, items, token_levels(table, 3))
    exact = step_bound(table, [1 / 3, 2 / 3, 1.0])[5]
    error = bound.total.std() / len(items) ** 0.5
    assert len(bound.divergences) == 2
    assert abs(bound.total.mean() - exact) < 4 * error
    continuous = token_bound(table, items, draws=8).total
    error = continuous.std() / len(items) ** 0.5
    assert abs(continuous.mean() - table.log_prob(items[:1])[0]) < 4 * error


def test_cross_entropy_is_added_to_the_rate() -> None:
    table = TokenTable(TABLE, UniformPath(K))
    u = torch.rand(ITEMS.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    draw = TokenDraw(torch.full((len(ITEMS),), 0.4, dtype=torch.float64), u)
    level = table.path.at(0.4)
    x_t = table.path.marginal(ITEMS, level).quantile(u)
    plain = token_loss(table, ITEMS, draw)
    more = token_loss(table, ITEMS, draw, cross_entropy=3.0)
    torch.testing.assert_close(more - plain, -3 * table(x_t, level).x0.log_prob(ITEMS))


def test_the_error_of_a_uniform_bound_is_that_of_its_spread() -> None:
    """Times that are uniform have no finite variance: batches were off by 7 of their errors."""
    table = TokenTable(TABLE, UniformPath(K))
    items = ITEMS[torch.arange(20_000) % len(ITEMS)]
    gap = token_bound(table, items, draws=8).total - table.log_prob(items)
    scores = [each.mean() / (each.std() / 100**0.5) for each in gap.split(100)]
    assert gap.std() < 3.5
    assert torch.stack(scores).std() < 1.2
