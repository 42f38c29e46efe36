"""Discrete diffusion models: their bounds, hierarchy, samples, known tokens and files."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise, product

import pytest
import torch
from torch import Tensor

import allegory as al
from allegory.data import DataSpec
from allegory.likelihood.codec import BitsBackCode, TokenGroups, decode, encode
from allegory.likelihood.codec.tokens import coding_order, grid_cost, group_sizes
from allegory.likelihood.token_bound import order_log_prob, token_levels, token_step_bound
from allegory.models.base import HasBound, HasStepBound, HasTokens, HasTrajectory
from allegory.models.discrete import DiscreteDiffusion
from allegory.models.discrete.steps import TokenObservation, TokenSteps
from allegory.models.discrete.tuned import TunedTokens, tune_tokens
from allegory.networks import TransformerConfig, UNetConfig
from allegory.process.discrete import (
    BlockMaskedPath,
    Categorical,
    MaskedPath,
    TokenPath,
    TokenTable,
    UniformPath,
)
from allegory.recipes import DiscreteDiffusionConfig
from allegory.sampling.tokens import TokenBatch, TokenSampler, token_trajectory

K, L = 3, 3
TABLE = torch.randn((K,) * L, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
ITEMS = torch.tensor([*product(range(K), repeat=L)])
SPEC = DataSpec(shape=(L,), low=0.0, high=K - 1.0, levels=K)
PATHS = [MaskedPath(K), UniformPath(K), BlockMaskedPath(K, L, 1)]


def small(noise: str = "masked", network: object = None, spec: DataSpec | None = None):
    network = network or TransformerConfig(width=16, depth=1, heads=2)
    torch.manual_seed(0)
    config = DiscreteDiffusionConfig(network, noise=noise, features=4)
    model = config.build(spec or replace(SPEC, classes=4))
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return model.eval()


@pytest.mark.parametrize("path", PATHS, ids=["masked", "uniform", "blocks"])
def test_hierarchy_has_the_same_bound_term_by_term(path: TokenPath) -> None:
    table = TokenTable(TABLE, path)
    levels = token_levels(table, 6)
    chain = TokenSteps(table, SPEC, levels)
    x = ITEMS[[7]].expand(4000, -1)
    generator = torch.Generator().manual_seed(0)

    def draw(like: Tensor) -> Tensor:
        return torch.randn(like.shape, generator=generator, dtype=torch.float64)

    generic = chain.infer(SPEC.encode(x).double(), draw).bound
    own = token_step_bound(table, x, levels)
    assert len(generic.divergences) == len(own.divergences) == 5
    terms = zip(
        (generic.reconstruction, generic.prior, *generic.divergences),
        (own.reconstruction, own.prior, *own.divergences),
        strict=True,
    )
    for found, expected in terms:
        error = math.hypot(found.std().item(), expected.std().item()) / len(x) ** 0.5
        assert abs(found.mean() - expected.mean()).item() <= 4 * error + 1e-12


@pytest.mark.parametrize("path", PATHS, ids=["masked", "uniform", "blocks"])
def test_weights_have_the_probability_of_the_chain_as_their_mean(path: TokenPath) -> None:
    """E_q[w] = p(x), which sums to 1 over all x."""
    table = TokenTable(TABLE, path)
    chain = TokenSteps(table, SPEC, token_levels(table, 3))
    x = ITEMS.repeat(500, 1)
    weights = chain.log_weights(x, seeds=range(len(x)))[0].exp().view(500, -1).mean(0)
    assert weights.sum().item() == pytest.approx(1, abs=0.02)
    drawn = chain.generate(100_000, lambda like: torch.randn(like.shape, dtype=torch.float64))
    mean = drawn.tokens.probs.mean(0)
    for j in range(L):
        marginal = torch.stack([weights[ITEMS[:, j] == v].sum() for v in range(K)])
        torch.testing.assert_close(mean[j], marginal, rtol=0, atol=0.02)


def test_means_are_of_the_index_and_of_the_data() -> None:
    p = torch.tensor([[[0.5, 0.2, 0.3], [0.0, 1.0, 0.0]]], dtype=torch.float64)
    tokens = Categorical(p.log())
    assert tokens.mean.tolist() == [pytest.approx([0.8, 1.0])]
    observed = TokenObservation(tokens, SPEC.values)  # -1, 0, 1
    assert observed.mean.tolist() == [pytest.approx([-0.2, 0.0], abs=1e-12)]
    x0 = SPEC.values[torch.tensor([[2, 1]])]
    assert observed.log_prob(x0).tolist() == pytest.approx([math.log(0.3)])


@pytest.mark.parametrize("noise", ["masked", "uniform"])
def test_network_obeys_the_protocol_and_an_item_is_its_own(noise: str) -> None:
    model = small(noise)
    assert isinstance(model, HasTokens) and isinstance(model, HasBound | HasStepBound)
    assert not isinstance(model, HasTrajectory)
    x = ITEMS[:6]
    labels = torch.arange(6) % 4
    bound = model.bound(x, labels, draws=3)
    alone = model.bound(x[4:5], labels[4:5], seeds=[4], draws=3)
    torch.testing.assert_close(bound.total[4:5], alone.total, rtol=1e-6, atol=1e-6)

    sampler = TokenSampler(steps=3, guide="cfg:2")
    samples = model.sample(range(10), 2, sampler)
    assert torch.equal(samples[7:8], model.sample([7], 2, sampler))
    assert samples.dtype == torch.uint8 and samples.max() < K


def test_weights_of_an_item_are_its_own() -> None:
    model, x = small(), ITEMS[:6]
    together = model.log_weights(x, seeds=range(10, 16), draws=2, steps=3)
    alone = model.log_weights(x[4:5], seeds=[14], draws=2, steps=3)
    torch.testing.assert_close(together[:, 4:5], alone)
    other = model.log_weights(x[4:5], seeds=[15], draws=2, steps=3)
    assert not torch.equal(alone, other)


def test_guidance_at_one_is_the_conditional_and_at_zero_the_unconditional() -> None:
    model = small()
    labels = torch.tensor([1, 3])
    x = torch.full((2, L), K)
    guide = al.ClassifierFree(1.0).for_tokens(model.denoise)
    torch.testing.assert_close(
        guide(x, 0.5, labels).log_probs, model.denoise(x, 0.5, labels).log_probs
    )
    none = al.ClassifierFree(0.0).for_tokens(model.denoise)
    torch.testing.assert_close(none(x, 0.5, labels).log_probs, model.denoise(x, 0.5).log_probs)
    free, given = (model.denoise(x, 0.5, each).log_probs for each in (None, labels))
    expected = (free + 3 * (given - free)).log_softmax(-1)
    found = al.ClassifierFree(3.0).for_tokens(model.denoise)(x, 0.5, labels).log_probs
    torch.testing.assert_close(found, expected)
    known = torch.zeros(2, L, dtype=torch.int64)
    log_probs = al.ClassifierFree(3.0).for_tokens(model.denoise)(known, 0.5, labels).log_probs
    assert torch.equal(log_probs.argmax(-1), known) and not log_probs.isnan().any()


def test_samples_are_those_of_the_guided_prediction() -> None:
    model = small()
    labels = torch.tensor([1, 3] * 20)
    batch = TokenBatch(torch.zeros(40, L, dtype=torch.int64), range(40), labels)
    guided = al.ClassifierFree(3.0).for_tokens(model.denoise)
    *_, expected = token_trajectory(guided, batch, TokenSampler(steps=3))
    *_, found = token_trajectory(model.denoise, batch, TokenSampler(steps=3, guide="cfg:3"))
    *_, plain = token_trajectory(model.denoise, batch, TokenSampler(steps=3))
    assert torch.equal(found.x, expected.x) and not torch.equal(found.x, plain.x)


def test_a_token_that_is_not_masked_is_known() -> None:
    model = small()
    x = torch.tensor([[0, K, 2]])
    p = model.denoise(x, 0.4).x0.probs[0]
    torch.testing.assert_close(p[[0, 2]], torch.eye(K, dtype=torch.float64)[[0, 2]])
    assert (p[1] > 0).all()


@pytest.mark.parametrize(
    ("spec", "network"),
    [
        (DataSpec((2, 4, 4), 0.0, 4.0, levels=5), UNetConfig(8, (1, 2), 1, attention=())),
        (DataSpec((1, 4, 4), 0.0, 1.0, levels=2), TransformerConfig(16, 1, 2)),
        (DataSpec((7,), 0.0, 5.0, levels=6), TransformerConfig(16, 1, 2)),
    ],
)
def test_channels_and_places_of_the_output_are_those_of_the_input(spec, network) -> None:
    """The logits of a token do not depend on itself where it is masked, and all others count."""
    model = small(network=network, spec=spec)
    x = torch.full((1, *spec.shape), spec.levels)
    first = model.denoise(x, 1.0).log_probs
    assert first.shape == (1, *spec.shape, spec.levels)
    x.view(-1)[3] = 1
    other = model.denoise(x, 1.0).log_probs
    assert other.view(-1, spec.levels)[3].exp()[1] == 1
    assert not torch.allclose(first.view(-1, spec.levels)[2], other.view(-1, spec.levels)[2])


def test_infill_keeps_what_is_known_and_refuses_uniform_noise() -> None:
    model = small()
    x = ITEMS[:300].repeat(1, 1)
    known = torch.zeros_like(x, dtype=torch.bool)
    known[:, 1] = True
    filled = model.infill(x, known)
    assert torch.equal(filled[:, 1].long(), x[:, 1])
    assert not torch.equal(filled[:, 0].long(), x[:, 0])
    assert torch.equal(model.infill(x[5:6], known[5:6], [5]), filled[5:6])
    with pytest.raises(ValueError, match="noise='masked'"):
        small("uniform").infill(x, known)
    with pytest.raises(ValueError, match="one truth value"):
        model.infill(x, known[:, :2])


@pytest.mark.parametrize("known", [(0,), (0, 1), (0, 1, 2)])
def test_file_gives_the_items_back_and_is_as_long_as_the_groups_cost(known) -> None:
    table = TokenTable(TABLE, MaskedPath(K))
    groups = TokenGroups(table, (L,), known)
    index = ITEMS.repeat(40, 1)
    code = BitsBackCode(groups, SPEC.values, ())
    coded = encode(code, index, batch=100)
    assert torch.equal(decode(code, coded, (L,)), index)
    assert coded.net_bits == pytest.approx(coded.nats.sum().item() / math.log(2), rel=1e-3)
    if len(known) == L:  # one token a group is exact
        order = coding_order(L, table.path).expand(len(index), -1)
        torch.testing.assert_close(coded.nats, -order_log_prob(table, index, order))
        torch.testing.assert_close(coded.nats, -table.log_prob(index))


def test_groups_of_least_cost_are_those_of_all_partitions() -> None:
    table = TokenTable(TABLE, MaskedPath(K))
    p = table.log_prob(ITEMS).exp()
    drawn = torch.multinomial(p, 20_000, True, generator=torch.Generator().manual_seed(0))
    chosen = group_sizes(table, ITEMS[drawn], 2)
    assert chosen[0] == 0 and len(chosen) == 2 and group_sizes(table, ITEMS, 5) == (0, 1, 2)
    found = {known: -_cost(table, known).item() for known in [(0, 1), (0, 2)]}
    assert chosen == min(found, key=lambda known: found[known])


@pytest.mark.parametrize("known", [(0, 1), (0, 2), (0, 1, 2)])
def test_cost_of_a_grid_is_that_of_its_groups(known: tuple[int, ...]) -> None:
    table = TokenTable(TABLE, MaskedPath(K))
    p = table.log_prob(ITEMS).exp()
    drawn = torch.multinomial(p, 20_000, True, generator=torch.Generator().manual_seed(0))
    times = [*(1 - count / L for count in known), 0.0]
    assert grid_cost(table, ITEMS[drawn], times) == pytest.approx(
        -_cost(table, known).item(), abs=0.02
    )

    tuned = tune_tokens(table, ITEMS[drawn], 2)
    chosen = group_sizes(table, ITEMS[drawn], 2)
    assert tuned.times == (1.0, 1 - chosen[1] / L, 0.0) and tuned.after <= tuned.before
    assert TunedTokens.from_dict(tuned.to_dict()) == tuned


def _cost(table: TokenTable, known: tuple[int, ...]) -> Tensor:
    """E log p of groups of random tokens, over the law of the items."""
    p = table.log_prob(ITEMS).exp()
    levels = [table.path.at(1 - k / L) for k in known]
    bound = 0.0
    sizes = [b - a for a, b in pairwise((*known, L))]
    for level, size in zip(levels, sizes, strict=True):
        masked = round(float(level.t) * L)
        terms = []
        for places in product([False, True], repeat=L):
            if sum(places) != masked:
                continue
            x_t = torch.where(torch.tensor(places), table.path.mask, ITEMS)
            nats = table.path.masked_nats(table(x_t, level), ITEMS).sum(1)
            terms.append((p * nats).sum() / masked)
        bound -= size * torch.stack(terms).mean()
    return torch.as_tensor(bound)


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match="continuous"):
        DiscreteDiffusionConfig(TransformerConfig()).build(DataSpec((4,), -1.0, 1.0))
    with pytest.raises(ValueError, match="levels"):
        DiscreteDiffusion(small().denoise, DataSpec((L,), 0.0, 4.0, levels=5))
    with pytest.raises(ValueError, match="noise"):
        DiscreteDiffusionConfig(TransformerConfig(), noise="mask")
    with pytest.raises(ValueError, match="known tokens"):
        TokenGroups(small().denoise, (L,), (0, 2, 2))
    with pytest.raises(ValueError, match="masked"):
        TokenGroups(small("uniform").denoise, (L,), (0,))
    with pytest.raises(ValueError, match="TokenSampler"):
        small().sample(range(2), sampler=al.Sampler())
