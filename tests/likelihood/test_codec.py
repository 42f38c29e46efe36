"""Bits-back coding: what was pushed comes back, bit by bit, and costs what the bound says."""

import math
import struct
import zlib

import numpy as np
import pytest
import torch

from allegory import Mixture, Path
from allegory.data.spec import DataSpec
from allegory.likelihood import Bernoulli, Discretised, GaussianObservation, LogisticMixture
from allegory.likelihood.codec import (
    Bins,
    BitsBackCode,
    Container,
    Normal,
    OutOfBits,
    Stack,
    choose_bins,
    decode,
    encode,
    fingerprint,
    pack,
    unpack,
)
from allegory.likelihood.codec.stream import initial_words
from allegory.likelihood.inference import Latent
from allegory.models import Hierarchy, Ladder, LadderConfig, unroll
from allegory.process import Gaussian, LinearLogSNR, estimate
from allegory.process.noise import Noise, Stream

pytest.importorskip("constriction")
LN2 = math.log(2)


def net(inputs, outputs, std):
    """A random smooth map, fixed, with a standard deviation of its own for each number."""
    weight, bias = torch.randn(outputs, inputs) / math.sqrt(inputs), torch.randn(outputs)
    stds = std * (0.5 + torch.rand(outputs))
    return lambda z: Gaussian(torch.tanh(z @ weight.mT + bias), stds.expand(len(z), -1))


def black_and_white(levels=1):
    """A hierarchy of random networks over 12 numbers of two levels; one level is a VAE."""
    data, read = DataSpec((12,), 0, 1, 2), net(4, 12, 1.0)
    up = [net(12, 4, 0.3), *(net(4, 4, 0.3) for _ in range(levels - 1))]
    down = [net(4, 4, 0.7) for _ in range(levels - 1)]
    return Hierarchy(data, up, down, lambda z: Bernoulli(4 * read(z).mean), top=(4,))


def grey():
    """A VAE with a mixture of discretised logistics over 9 levels."""
    data, read = DataSpec((6,), 0, 8, 9), net(3, 36, 1.0)

    def observe(z):
        weights, means, scales = read(z).mean.unflatten(1, (3, 2, 6)).unbind(1)
        return LogisticMixture(weights, means, scales - 2, 9)

    return Hierarchy(data, [net(6, 3, 0.2)], [], observe, top=(3,))


PATH = Path(LinearLogSNR(6, -5))


def diffusion(steps):
    """The exact denoiser of a mixture, unrolled; its data are rounded to 17 levels."""
    data = DataSpec((3,), -1, 1, 17)
    oracle = Mixture(torch.tensor([[0.5, 0.0, -0.5], [-0.5, 0.5, 0.0]]), 0.2, path=PATH)
    return unroll(oracle, data, Discretised(data.values), steps)


def ladder():
    torch.manual_seed(1)
    return Ladder(
        DataSpec((1, 8, 8), 0, 1, 2), LadderConfig(((2, 1), (0, 3)), channels=(8, 8))
    ).eval()


MODELS = {
    "a VAE": black_and_white,
    "three levels": lambda: black_and_white(3),
    "a logistic mixture": grey,
    "one step": lambda: diffusion(1),
    "three steps": lambda: diffusion(3),
    "twenty steps": lambda: diffusion(20),
    "a ladder": ladder,
}


def items(model, count):
    """Draws of the model as numbers of their levels."""
    raw = torch.cat([model.sample(range(i, min(i + 50, count))) for i in range(0, count, 50)])
    return model.spec.index(raw)


def bins_of(model, index, fineness=0.5):
    x0 = model.spec.values[index]
    with torch.no_grad():
        return choose_bins(
            model.infer(x0, Noise(range(len(x0)), model.spec.shape, Stream.BOUND).draw).latents,
            fineness,
        )


def code(model, index, batch=16, fineness=0.5, seed=0):
    bins = bins_of(model, index[:16], fineness)
    return encode(BitsBackCode(model, model.spec.values, bins), index, batch=batch, seed=seed), bins


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("count", [1, 30])
def test_items_come_back(name, count):
    """Bit by bit, whatever the model; the last batch of the 30 items is a smaller one."""
    model = MODELS[name]()
    index = items(model, min(count, 8) if name == "twenty steps" else count)
    coded, bins = code(model, index)
    assert sum(coded.sizes) == len(index) and max(coded.sizes) <= 16
    assert torch.equal(
        decode(BitsBackCode(model, model.spec.values, bins), coded, model.spec.shape), index
    )


@pytest.mark.parametrize("name", ["a VAE", "a logistic mixture", "twenty steps"])
def test_the_net_size_is_the_bound_of_its_own_latents(name):
    """With bins of w standard deviations log of a bin's mass differs from that of its middle's
    density by w^2 (r^2 - 1)/24 + O(w^4): below half a percent of a bit a number for w <= 1/8 and
    r^2 of a few. (Where a model is so wrong that r > 5, the least probability of the coder makes
    the code shorter than the formula.)
    """
    model = MODELS[name]()
    count = 30 if name == "twenty steps" else 100
    index = items(model, count)
    coded, _ = code(model, index, batch=64, fineness=1 / 8)
    latents = sum(
        latent.z[0].numel()
        for latent in model.infer(model.spec.values[index[:2]], torch.randn_like).latents
    )
    off = coded.net_bits - coded.nats.sum().item() / LN2
    assert abs(off) < 0.005 * latents * count + 4


@pytest.mark.parametrize("name", ["a VAE", "three levels", "three steps", "a ladder"])
def test_what_is_paid_is_the_bound_in_mean(name):
    """The bits that latents are popped from are as good as random, even where the model is wrong
    about the data: data that are not the model's own, in a chain of few steps, are where bits that
    were pushed tell of the data.
    """
    model = MODELS[name]()
    torch.manual_seed(5)
    index = torch.randint(0, model.spec.levels, (1, *model.spec.shape)).expand(
        400, *model.spec.shape
    )
    coded, _ = code(model, index, batch=50, fineness=1 / 16)
    x0 = model.spec.values[index]
    with torch.no_grad():
        drawn = -model.infer(
            x0, Noise(range(9000, 9400), model.spec.shape, Stream.BOUND).draw
        ).log_weight
    gap = estimate(coded.nats - drawn.double())
    assert abs(gap.mean) < 4 * gap.error


def test_bins_of_half_a_deviation_cost_nothing():
    """The code of the coarser latent is at most as long (data processing), but for what 1/48 more
    variance does.
    """
    model = black_and_white()
    index = items(model, 400)
    fine, coarse = (code(model, index, batch=100, fineness=f)[0].net_bits for f in (1 / 16, 1 / 2))
    assert coarse < 1.01 * fine


def test_the_stack_ends_where_it_began():
    """Push undoes pop exactly, at deviations from a thousandth of a bin to thousands, and stirring
    undoes itself.
    """
    rng = np.random.default_rng(0)
    normal = Normal(rng.normal(0, 1e4, 3000), np.exp(rng.uniform(-7, 9, 3000)))
    table = np.log(rng.dirichlet(np.ones(5), 700))
    words = initial_words(3, 5000)
    for escapes in (False, True):
        stack = Stack(words)
        stack.scramble((1, 2), 100)
        k, symbols = stack.pop(normal, escapes), stack.pop_table(table)
        stack.push_table(symbols, table)
        stack.push(k, normal, escapes)
        assert not np.array_equal(stack.words, words)
        stack.scramble((1, 2), 100)
        assert np.array_equal(stack.words, words)


def test_what_is_popped_is_distributed_as_asked():
    """Mean, variance and a fourth moment of 100,000 numbers; none outside the window, where the
    coder has mass to spare.
    """
    normal = Normal(np.full(100_000, 0.3), np.full(100_000, 40.0))
    r = (Stack(initial_words(0, 100_000)).pop(normal, escapes=False) - 0.3) / 40
    assert abs(r.mean()) < 4 / math.sqrt(1e5) and abs(r.var() - 1) < 4 * math.sqrt(2 / 1e5)
    assert abs((r**4).mean() - 3) < 4 * math.sqrt(96 / 1e5) and np.abs(r).max() < 5.1


def test_what_no_window_holds_escapes():
    """Numbers far from where they are expected come back, each for 50 bits and a little."""
    normal, k = (
        Normal(np.zeros(40), np.ones(40)),
        np.linspace(-(2**31) + 1, 2**31 - 1, 40).astype(np.int64),
    )
    stack = Stack(initial_words(0, 8))
    before = stack.bits
    stack.push(k, normal, escapes=True)
    assert stack.bits - before == pytest.approx(40 * 50, abs=2)
    assert np.array_equal(stack.pop(normal, escapes=True), k)
    with pytest.raises(ValueError, match="bins from its mean"):
        stack.push(k * 2, normal, escapes=True)


def test_numbers_that_code_nothing_are_refused():
    for mean, std in ((math.nan, 1.0), (0.0, 0.0), (0.0, math.inf)):
        with pytest.raises(ValueError, match="NaN, infinite or 0"):
            Normal(np.array([mean]), np.array([std]))
    with pytest.raises(ValueError, match="bins from 0"):
        Normal(np.array([1e12]), np.array([1.0]))
    with pytest.raises(ValueError, match="probability is NaN"):
        Stack(initial_words(0, 9)).push_table(np.array([0]), np.full((1, 3), math.nan))
    with pytest.raises(OutOfBits):
        Stack(initial_words(0, 4)).pop(Normal(np.zeros(99), np.full(99, 50.0)), escapes=False)


def test_a_density_is_no_code():
    read, data = net(2, 3, 1.0), DataSpec((3,), 0, 1, 2)
    model = Hierarchy(data, [net(3, 2, 0.5)], [], lambda z: GaussianObservation(read(z)), top=(2,))
    with pytest.raises(ValueError, match="no data without loss"):
        code(model, torch.zeros(4, 3, dtype=torch.long))


def test_bins_are_powers_of_two_below_the_narrowest_gaussian():
    """`fineness` times the narrower of q and p over the items, rounded down; one exponent where all
    numbers agree.
    """
    z, wide = torch.zeros(2, 3), torch.tensor([[1.0, 8.0, 0.1], [0.3, 9.0, 0.2]])
    each, one = choose_bins(
        [
            Latent(z, Gaussian(z, wide), Gaussian(z, 5.0), False),
            Latent(z, Gaussian(z, 3.0), Gaussian(z, 0.9), False),
        ],
        0.5,
    )
    assert each == Bins((-3, 1, -5)) and one == Bins((-2,))


def test_arguments_are_checked():
    model = black_and_white()
    with pytest.raises(ValueError, match="at least one"):
        encode(
            BitsBackCode(model, model.spec.values, bins_of(model, items(model, 2))),
            items(model, 1)[:0],
        )
    with pytest.raises(ValueError, match="exponents"):
        Bins((200,))
    with pytest.raises(ValueError, match="2 exponents for a latent of 4"):
        encode(BitsBackCode(model, model.spec.values, (Bins((-3, -3)),)), items(model, 1))


@pytest.mark.parametrize("seed", [0, 7, 2**40])
@pytest.mark.parametrize("key", [(0, 0), (0, 1), (3, 2)])
def test_the_first_latents_of_a_new_stack_are_draws(seed, key):
    """1,000 draws of N(0, 1): the keys that scramble the stack are not the words that it begins
    with.
    """
    stack = Stack(initial_words(seed, 512))
    z = Bins((-4,)).draw(stack, Gaussian(torch.zeros(1, 1000), 1.0), (seed, *key))
    assert abs(z.mean()) < 4 / math.sqrt(1000) and abs(z.std() - 1) < 4 / math.sqrt(2000)


def test_other_results_of_the_network_are_noticed():
    """Decoding with a kernel that is a little other goes astray and says so."""
    model = black_and_white(3)
    index = items(model, 30)
    coded, bins = code(model, index)
    kernel = model.kernels_up[1]
    model.up = (
        model.up[0],
        lambda z: Gaussian(kernel(z).mean * (1 + 2e-7), kernel(z).std * (1 + 1e-3)),
        model.up[2],
    )
    with pytest.raises(ValueError, match="computed different Gaussians"):
        decode(BitsBackCode(model, model.spec.values, bins), coded, model.spec.shape)


CONTAINER = Container({"a": [1, 2, 3], "b": None}, np.arange(1, 300, dtype=np.uint32))


def test_a_file_holds_what_was_packed():
    found = unpack(pack(CONTAINER), "file")
    assert found.header == CONTAINER.header and np.array_equal(found.words, CONTAINER.words)


def test_every_altered_byte_is_noticed():
    content = pack(CONTAINER)
    for place in range(len(content)):
        changed = bytearray(content)
        changed[place] ^= 1 << (place % 8)
        with pytest.raises(ValueError, match="altered"):
            unpack(bytes(changed), "file")


def test_every_cut_is_noticed():
    content = pack(CONTAINER)
    for length in range(1, len(content)):
        with pytest.raises(ValueError, match="cut short"):
            unpack(content[:length], "file")
    with pytest.raises(ValueError, match="too many"):
        unpack(content + b"x", "file")


def test_files_of_others_are_refused():
    for content in (b"", b"PK\x03\x04" * 50, b"\x89PNG\r\n\x1a\n" + bytes(200)):
        with pytest.raises(ValueError, match="not a file that"):
            unpack(content, "file")


def test_another_version_is_named(monkeypatch):
    monkeypatch.setattr("allegory.likelihood.codec.file._VERSION", 7)
    content = pack(CONTAINER)
    monkeypatch.undo()
    with pytest.raises(ValueError, match="format version 7, not 2"):
        unpack(content, "file")


def test_a_fingerprint_knows_every_weight_and_the_choice():
    model = torch.nn.Linear(3, 2)
    first = fingerprint(model, "a")
    assert first == fingerprint(model, "a") != fingerprint(model, "b")
    with torch.no_grad():
        model.bias[1] += 1e-6
    assert fingerprint(model, "a") != first


def packed_header(deflated):
    """A file with right checksums and this header."""
    sizes = struct.pack("<HIQ", 2, len(deflated), 1)
    body = deflated + bytes(4)
    checks = [struct.pack("<I", zlib.crc32(part)) for part in (sizes, body)]
    return b"\x89ALLEGO\n" + sizes + checks[0] + body + checks[1]


@pytest.mark.parametrize(
    ("deflated", "said"),
    [
        (zlib.compress(b" " * 2**24 + b"{}"), "longer than 1,048,576 bytes"),
        (zlib.compress(b"[" * 10**5), "nested deeper"),
        (zlib.compress(b"[]"), "holds no names"),
        (zlib.compress(b"null"), "holds no names"),
        (zlib.compress(b'{"a": NaN}'), "NaN"),
        (zlib.compress(b"\xff"), "header"),
        (zlib.compress(b"{}")[:-1], "does not end"),
        (zlib.compress(b"{}") + b"x", "does not end"),
        (b"{}", "not deflated"),
        (b"", "does not end"),
    ],
)
def test_a_header_that_is_none_is_refused(deflated, said):
    with pytest.raises(ValueError, match=said):
        unpack(packed_header(deflated), "file")
