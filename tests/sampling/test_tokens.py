"""Samplers of tokens against the law of an exact prediction."""

from __future__ import annotations

from itertools import product

import pytest
import torch
from torch import Tensor

from allegory.process.discrete import (
    BlockMaskedPath,
    Categorical,
    MaskedPath,
    TokenPath,
    TokenTable,
    UniformPath,
)
from allegory.process.noise import Noise
from allegory.sampling.tokens import TokenBatch, TokenSampler, token_trajectory

K, L = 4, 3
TABLE = 1.2 * torch.randn((K,) * L, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
COUNT = 2**14


def states(path: TokenPath) -> Tensor:
    return torch.tensor([*product(range(path.states), repeat=L)])


def drawn(
    path: TokenPath, sampler: TokenSampler, count: int = COUNT, known: Tensor | None = None
) -> Tensor:
    batch = TokenBatch(torch.full((count, L), 2), range(count), known=known)
    *_, last = token_trajectory(TokenTable(TABLE, path), batch, sampler)
    return last.x


def law_of_steps(path: TokenPath, times: Tensor) -> Tensor:
    """p(x) of ancestral sampling with the exact prediction, over all states of each step."""
    table, every = TokenTable(TABLE, path), states(path)
    weights = path.prior(every).log_prob(every).exp()
    for t, s in zip(path.levels(times[:-1]), path.levels(times[1:]), strict=True):
        step = path.posterior(table(every, t), s).probs
        moved = torch.zeros(len(every), dtype=torch.float64)
        for i, x_s in enumerate(every):
            chance = torch.stack([step[:, j, x_s[j]] for j in range(L)]).prod(0)
            moved[i] = torch.where(weights > 0, weights * chance, 0.0).sum()
        weights = moved
    return weights[(every < K).all(1)]


def chi_squared(x: Tensor, law: Tensor) -> tuple[float, int]:
    """The statistic over cells that expect 5 or more, the others together, and its freedom."""
    index = (x * torch.tensor([K**2, K, 1])).sum(1)
    expected = len(x) * law.flatten()
    found = torch.bincount(index, minlength=K**L).double()
    large = expected >= 5
    pooled = torch.cat([expected[large], expected[~large].sum()[None]])
    seen = torch.cat([found[large], found[~large].sum()[None]])
    keep = pooled > 1e-9
    return float(((seen - pooled)[keep] ** 2 / pooled[keep]).sum()), int(keep.sum()) - 1


def check(x: Tensor, law: Tensor) -> None:
    statistic, freedom = chi_squared(x, law)
    assert statistic < freedom + 5 * (2 * freedom) ** 0.5


LAW = TABLE.exp() / TABLE.exp().sum()


def test_times_are_those_of_the_spacing() -> None:
    """cos(pi i / 2N), 1 - i/N, or as they are given, and exactly 0 at the end."""
    cosine = [1.0, 3**0.5 / 2, 0.5, 0.0]
    assert TokenSampler(steps=3).times.tolist() == pytest.approx(cosine, abs=1e-15)
    assert TokenSampler(steps=3).times[-1] == 0
    even = TokenSampler(steps=4, spacing="time").times
    assert even.tolist() == [1.0, 0.75, 0.5, 0.25, 0.0]
    assert TokenSampler(steps=2, spacing=(1.0, 0.9, 0.0)).times.tolist() == [1.0, 0.9, 0.0]


def test_one_token_a_step_draws_the_table() -> None:
    x = drawn(MaskedPath(K), TokenSampler("first_hitting", steps=L, spacing="time"))
    check(x, LAW)
    statistic, freedom = chi_squared(x[:, [1, 0, 2]], LAW)
    assert statistic > 10 * freedom  # the test can fail


@pytest.mark.parametrize(
    "path",
    [MaskedPath(K), UniformPath(K), BlockMaskedPath(K, L, 1)],
    ids=["masked", "uniform", "blocks"],
)
def test_ancestral_steps_draw_the_law_of_the_chain(path: TokenPath) -> None:
    sampler = TokenSampler("ancestral", steps=3)
    x = drawn(path, sampler)
    check(x, law_of_steps(path, sampler.times_on(path)))
    if isinstance(path, BlockMaskedPath):
        check(x, LAW)  # one token in each step
    else:
        statistic, freedom = chi_squared(x, LAW)
        assert statistic > 10 * freedom  # three steps are not exact


def test_known_tokens_stay_and_the_others_have_their_conditional_law() -> None:
    known = torch.tensor([False, True, False]).expand(COUNT, -1)
    sampler = TokenSampler("first_hitting", steps=L, spacing="time")
    x = drawn(MaskedPath(K), sampler, known=known)
    assert (x[:, 1] == 2).all()
    conditional = torch.zeros_like(LAW)
    conditional[:, 2] = LAW[:, 2] / LAW[:, 2].sum()
    check(x, conditional)
    with pytest.raises(ValueError, match="masked"):
        drawn(UniformPath(K), TokenSampler(), 4, known[:4])


def test_each_step_reveals_its_share_of_what_is_missing() -> None:
    path = MaskedPath(K)
    known = torch.tensor([True, False, False]).expand(20, -1)
    batch = TokenBatch(torch.full((20, L), 2), range(20), known=known)
    sampler = TokenSampler("first_hitting", steps=2, spacing="time")
    first, last = token_trajectory(TokenTable(TABLE, path), batch, sampler)
    assert ((first.x == path.mask).sum(1) == 1).all() and (last.x < K).all()
    revealed = first.x != path.mask
    assert torch.equal(last.x[revealed], first.x[revealed])


def test_an_item_alone_is_the_same_as_in_a_batch() -> None:
    for sampler in (TokenSampler(steps=4), TokenSampler("first_hitting", steps=2)):
        many = drawn(MaskedPath(K), sampler, 50)
        alone = TokenBatch(many[:1], [37])
        *_, one = token_trajectory(TokenTable(TABLE, MaskedPath(K)), alone, sampler)
        assert torch.equal(one.x[0], many[37])


def test_rare_values_are_drawn_as_often_as_they_should() -> None:
    p = torch.tensor([0.5, 1e-7, 0.5 - 2e-7, 1e-7], dtype=torch.float64)
    law = Categorical(p.log().expand(6, 4))
    edges = p.cumsum(0)
    around = torch.stack([edges[:3] - 1e-12, edges[:3] + 1e-12], 1).flatten()
    assert law.quantile(around).tolist() == [0, 1, 1, 2, 2, 3]
    assert Categorical(p.log()[None]).quantile(torch.tensor([1 - 2.0**-53]).double()).item() == 3
    never = torch.tensor([[0.0, 1.0, 0.0]]).log()
    assert Categorical(never).quantile(torch.zeros(1).double()).item() == 1
    assert Categorical(never).quantile(torch.tensor([1 - 2.0**-53]).double()).item() == 1


@pytest.mark.slow
def test_two_hundred_million_draws() -> None:
    p = torch.tensor([1 - 1e-7, 1e-7], dtype=torch.float64)
    noise = Noise([7], (2_000_000,))
    found = 0
    for _ in range(100):
        u = noise.uniforms()[0]
        found += int(Categorical(p.log().expand(len(u), 2)).quantile(u).sum())
    assert abs(found - 20) <= 14


@pytest.mark.parametrize(
    ("choice", "words"),
    [
        ({"solver": "dpmpp2m"}, "ancestral"),
        ({"steps": 0}, "steps"),
        ({"spacing": "log_snr"}, "cosine"),
        ({"steps": 2, "spacing": (1.0, 0.6, 0.7)}, "falling"),
        ({"guide": "clamp"}, "cfg:W"),
    ],
)
def test_wrong_choices_are_refused(choice: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        TokenSampler(**choice)
