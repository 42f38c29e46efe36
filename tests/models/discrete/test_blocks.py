"""Blocks of tokens against enumeration, and the network that predicts all of them at once."""

from __future__ import annotations

from itertools import permutations, product

import pytest
import torch
from torch import Tensor, nn

from allegory.data import DataSpec
from allegory.likelihood.codec import BitsBackCode, decode, encode
from allegory.likelihood.token_bound import order_log_prob, token_bound
from allegory.models.discrete import DiscreteDiffusion, TokenDenoiser
from allegory.networks import TransformerConfig
from allegory.process.discrete import BlockMaskedPath, MaskedPath, TokenDraw, TokenTable, token_loss
from allegory.recipes.discrete_diffusion import DiscreteDiffusionConfig
from allegory.sampling.tokens import TokenBatch, TokenSampler

K, L = 3, 4
SPEC = DataSpec((L,), 0.0, K - 1.0, K)
TABLE = 1.5 * torch.randn((K,) * L, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
ITEMS = torch.tensor([*product(range(K), repeat=L)])


class OneBlock(nn.Module):
    """A predictor without its `all_blocks`, so that one block is evaluated at a time."""

    def __init__(self, denoiser: TokenDenoiser) -> None:
        super().__init__()
        self.denoiser, self.path = denoiser, denoiser.path

    def forward(self, x_t: Tensor, t: object, condition: Tensor | None = None, /) -> object:
        """The prediction."""
        return self.denoiser(x_t, t, condition)


def random_model(block: int | None, kernel: int = 1, length: int = L) -> DiscreteDiffusion:
    """A model whose weights are random, also those that start from zero; in float64."""
    network = TransformerConfig(width=16, depth=2, heads=2, kernel=kernel)
    spec = DataSpec((length,), 0.0, K - 1.0, K)
    torch.manual_seed(block or 0)
    model = DiscreteDiffusionConfig(network=network, features=4, block=block).build(spec).double()
    with torch.no_grad():
        for weight in model.parameters():
            weight.copy_(torch.randn_like(weight) / max(weight.shape[-1], 4) ** 0.5)
    return model.eval()


def enumerated(predict: object, x0: Tensor) -> Tensor:
    """The mean of `token_loss` over all numbers of masked tokens and all orders of the tokens."""
    orders = torch.tensor([*permutations(range(L))]).double() / L
    losses = [
        token_loss(
            predict, x0, TokenDraw(torch.full((len(x0),), time).double(), u.expand(len(x0), -1))
        )
        for time in ((torch.arange(L).double() + 0.5) / L).tolist()
        for u in orders
    ]
    return torch.stack(losses).double().mean(0)


@pytest.mark.parametrize("block", [1, 2, 4])
def test_bound_of_an_exact_prediction_is_the_log_probability(block: int) -> None:
    table = TokenTable(TABLE, BlockMaskedPath(K, L, block))
    log_p = TABLE.flatten().log_softmax(0)
    torch.testing.assert_close(enumerated(table, ITEMS), -log_p, rtol=0, atol=1e-10)


@pytest.mark.parametrize("kernel", [1, 3])
@pytest.mark.parametrize("block", [1, 2, 4])
def test_all_blocks_at_once_are_the_blocks_one_by_one(block: int, kernel: int) -> None:
    denoiser = random_model(block, kernel).denoise
    path = denoiser.path
    x0 = ITEMS[::7]
    x_t = torch.where(torch.arange(L) % 2 == 0, path.mask, x0)
    every = denoiser.all_blocks(x_t, x0).log_probs

    for first in range(0, L, block):
        place = torch.arange(L)
        alone = torch.where(place < first, x0, torch.where(place < first + block, x_t, path.mask))
        time = 1 - (first + block / 2) / L
        found = denoiser(alone, time).log_probs[:, first : first + block]
        torch.testing.assert_close(found, every[:, first : first + block], rtol=0, atol=1e-12)


@pytest.mark.parametrize("block", [1, 2, 4])
def test_both_draws_of_the_bound_have_the_same_mean(block: int) -> None:
    denoiser = random_model(block, kernel=3).denoise
    x0 = ITEMS[::7]
    one_by_one = enumerated(OneBlock(denoiser), x0)
    torch.testing.assert_close(enumerated(denoiser, x0), one_by_one, rtol=0, atol=1e-12)


def test_one_token_a_block_is_autoregressive() -> None:
    model = random_model(1)
    left_to_right = torch.arange(L).expand(len(ITEMS), -1)
    log_p = order_log_prob(model.denoise, ITEMS, left_to_right)
    bound = token_bound(model.denoise, ITEMS, draws=1)
    torch.testing.assert_close(bound.total, log_p, rtol=0, atol=1e-12)
    assert abs(log_p.exp().sum().item() - 1) < 1e-12

    steps = model.bound(ITEMS, steps=L)
    torch.testing.assert_close(steps.total, log_p, rtol=0, atol=1e-6)


def test_one_block_masks_as_tokens_without_blocks_do() -> None:
    path, plain = BlockMaskedPath(K, L, L), MaskedPath(K)
    for t in (0.0, 0.3, 1.0):
        torch.testing.assert_close(
            path.marginal(ITEMS, path.at(t)).probs, plain.marginal(ITEMS, plain.at(t)).probs
        )
    u = torch.rand(len(ITEMS), L, generator=torch.Generator().manual_seed(0)).double()
    draw = TokenDraw(u[:, 0], u)
    found = [token_loss(TokenTable(TABLE, each), ITEMS, draw) for each in (path, plain)]
    torch.testing.assert_close(*found, rtol=0, atol=1e-12)


def test_blocks_are_masked_one_after_another_the_last_first() -> None:
    path = BlockMaskedPath(K, 6, 2)
    noise = [path.at(t).noise.tolist() for t in (0.0, 1 / 6, 1 / 3, 0.5, 1.0)]
    wanted = [[0] * 6, [0, 0, 0, 0, 0.5, 0.5], [0, 0, 0, 0, 1, 1], [0, 0, 0.5, 0.5, 1, 1], [1] * 6]
    torch.testing.assert_close(torch.tensor(noise), torch.tensor(wanted), rtol=0, atol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("solver", ["ancestral", "first_hitting"])
def test_samples_have_the_probabilities_of_their_orders(solver: str) -> None:
    model = random_model(1)
    count = 20_000
    log_p = order_log_prob(model.denoise, ITEMS, torch.arange(L).expand(len(ITEMS), -1))
    sampler = TokenSampler(solver, L, "time")
    x = model.sample(range(count), sampler=sampler, batch=count).long()

    found = torch.bincount((x * K ** torch.arange(L).flip(0)).sum(1), minlength=K**L)
    expected = count * log_p.exp()
    big = expected >= 5
    statistic = ((found - expected) ** 2 / expected)[big].sum().item()
    assert statistic < big.sum().item() + 5 * (2 * big.sum().item()) ** 0.5


def test_file_of_blocks_gives_the_items_back() -> None:
    model = random_model(2)
    chain = model.coding_chain(tuple(range(L)))
    order = torch.cat(chain.groups)
    assert (order // 2).tolist() == [0, 0, 1, 1]

    code = BitsBackCode(chain, SPEC.values, ())
    coded = encode(code, ITEMS, batch=50)
    assert torch.equal(decode(code, coded, (L,)), ITEMS)
    log_p = order_log_prob(model.denoise, ITEMS, order.expand(len(ITEMS), -1))
    torch.testing.assert_close(coded.nats, -log_p, rtol=0, atol=1e-9)


def test_known_tokens_are_the_first_ones() -> None:
    model = random_model(2)
    known = torch.tensor([True, False, False, False])
    x = model.infill(ITEMS[:9], known.expand(9, -1))
    assert torch.equal(x[:, 0].long(), ITEMS[:9, 0])
    with pytest.raises(ValueError, match="give the first ones"):
        model.infill(ITEMS[:9], known.flip(0).expand(9, -1))


@pytest.mark.parametrize("solver", ["ancestral", "first_hitting"])
@pytest.mark.parametrize("known", [0, 1, 3, 4])
def test_no_step_reveals_a_block_before_the_one_on_its_left(solver: str, known: int) -> None:
    model = random_model(2, length=6)
    sampler = TokenSampler(solver, 6, "cosine")
    assert sampler.times_on(model.denoise.path).tolist()[::2] == [1, 2 / 3, 1 / 3, 0]
    x = torch.zeros(50, 6, dtype=torch.long)
    first = (torch.arange(6) < known).expand(50, -1)
    masked = [
        (state.x == K).unflatten(1, (3, 2))
        for state in model.states(TokenBatch(x, range(50), known=first), sampler)
    ]
    for done, now in enumerate(masked, 1):
        complete, begun = ~now[:, :-1].any(-1), ~now[:, 1:].all(-1)
        given = 2 * torch.arange(1, 3) < known  # known tokens may lie in the block
        assert (complete | ~begun | given).all()
        assert not now[:, : done // 2].any()
    assert not masked[-1].any()


def test_steps_are_a_multiple_of_the_blocks() -> None:
    model = random_model(2)
    for refused in (
        lambda: model.bound(ITEMS, steps=3),
        lambda: model.sample(range(2), sampler=TokenSampler("ancestral", 3)),
        lambda: model.coding_nodes(ITEMS.double(), 3),
    ):
        with pytest.raises(ValueError, match="no multiple of the 2 blocks"):
            refused()
    with pytest.raises(ValueError, match="the ends of the 2 blocks"):
        model.sample(range(2), sampler=TokenSampler("ancestral", 2, (1.0, 0.7, 0.0)))
    x = model.sample(range(2), sampler=TokenSampler("ancestral", 2, (1.0, 0.5, 0.0)))
    assert torch.equal(x, model.sample(range(2), sampler=TokenSampler("ancestral", 2, "time")))
    assert model.coding_nodes(SPEC.encode(ITEMS)) == (0, 1, 2, 3)
    assert model.coding_nodes(SPEC.encode(ITEMS), 2) == (0, 2)


@pytest.mark.parametrize(
    ("choice", "words"),
    [
        ({"block": 0}, "block"),
        ({"block": 2, "noise": "uniform"}, "masked"),
        ({"block": 3}, "divisor"),
    ],
)
def test_what_cannot_be_is_refused(choice: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        DiscreteDiffusionConfig(TransformerConfig(16, 1, 2), **choice).build(SPEC)
