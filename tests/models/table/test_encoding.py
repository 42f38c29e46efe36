"""Raw rows and model space: there and back, whole numbers, missing ones, and what is known."""

import math

import pytest
import torch
from tests.helpers.table_models import dataset_of, fitted_model, mixed_columns


@pytest.fixture(scope="module")
def model():
    return fitted_model(dataset_of(mixed_columns()), components=2)


@pytest.fixture(scope="module")
def raw():
    return dataset_of(mixed_columns()).train.x[:50].double()


def encode(model, raw, seeds=None):
    return model.encode(raw, seeds if seeds is not None else range(len(raw)))


def test_decoded_rows_are_those_that_were_encoded(model, raw):
    encoded = encode(model, raw)
    assert bool(encoded.is_missing.any())
    again = model.encoding.decode(encoded.rows)
    whole = model.encoding.is_whole
    assert torch.equal(again[:, 3:], raw[:, 3:])
    assert torch.equal(again[:, :3][:, whole], raw[:, :3][:, whole])
    rounding = 1e-14 / encoded.volume.exp()  # that of z, large where the density is small
    gap = (again - raw)[:, :3].abs()
    there = ~encoded.is_missing
    assert bool((gap < 1e-10 + rounding)[there].all())
    assert bool((gap == 0)[~there].all())


@pytest.mark.parametrize("u", [0.0, 0.5, 1 - 2**-24])
def test_a_whole_number_comes_back_from_any_place_in_its_bin(model, raw, u):
    place = torch.full((len(raw), 3), u).double()
    encoded = model.encoding.encode(raw, place, torch.zeros_like(place))
    decoded = model.encoding.decode(encoded.rows)[:, :3]
    middle = u == 0  # 60 bisections may end on either side of the edge of a bin
    gap = (decoded - raw[:, :3])[:, model.encoding.is_whole]
    assert bool(((gap == 0) | (middle & (gap == -1))).all())


def test_the_volume_is_the_derivative_of_model_space_by_raw_numbers(model, raw):
    raw = raw.clone().requires_grad_()
    u = torch.full((len(raw), 3), 0.3).double()
    encoded = model.encoding.encode(raw, u, torch.randn(len(raw), 3).double())
    (slope,) = torch.autograd.grad(encoded.rows.numbers.sum(), raw)
    there = ~encoded.is_missing
    torch.testing.assert_close(encoded.volume[there], slope[:, :3][there].log())
    entropy = torch.distributions.Normal(0.0, 1.0).entropy().double()
    gone = encoded.volume[~there]
    torch.testing.assert_close(gone, entropy.expand_as(gone), rtol=1e-6, atol=0)


def test_the_mean_density_in_a_bin_is_the_probability_of_the_whole_number():
    """E_u p(k + u) is the integral of p from k to k + 1; over all k they sum to one."""
    model = fitted_model(dataset_of({"count": mixed_columns()["count"]}), components=3)
    mixture, encoding = model.denoise.mixture, model.encoding
    u = (torch.arange(4000).double()[:, None] + 0.5) / 4000
    total = 0.0
    for k in range(-12, 25):
        encoded = encoding.encode(torch.full((4000, 1), float(k)).double(), u, torch.zeros_like(u))
        mean = (mixture.log_prob(encoded.rows) + encoded.volume[:, 0]).exp().mean()

        ends = torch.tensor([[k], [k + 1]]).double()
        z, _ = encoding.transforms((ends - encoding.centre) / encoding.scale)
        normal = torch.distributions.Normal(
            mixture.means[:, 0], mixture.covariances[:, 0, 0].sqrt()
        )
        mass = (mixture.weights * normal.cdf(z).diff(dim=0)).sum()
        assert float(mean) == pytest.approx(float(mass), abs=1e-6)
        total += float(mean)
    assert total == pytest.approx(1, abs=1e-4)


def test_the_noise_of_a_row_depends_on_its_seed_alone(model, raw):
    together = encode(model, raw, range(50)).rows.numbers
    alone = encode(model, raw[7:8], [7]).rows.numbers
    torch.testing.assert_close(together[7:8], alone, rtol=1e-12, atol=1e-12)
    other = encode(model, raw[7:8], [8]).rows.numbers
    assert bool((other[:, model.encoding.is_whole] != alone[:, model.encoding.is_whole]).all())


def test_the_noise_of_missing_numbers_is_standard_normal(model, raw):
    row = raw[encode(model, raw).is_missing.any(1)][:1]
    encoded = encode(model, row.expand(4000, -1))
    drawn = encoded.rows.numbers[encoded.is_missing]
    assert len(drawn) == 4000
    assert abs(float(drawn.mean())) < 5 / math.sqrt(4000)
    assert abs(float(drawn.var()) - 1) < 5 * math.sqrt(2 / 4000)


def test_a_known_number_is_known_not_to_be_missing(model):
    names = model.spec.table.entries
    entries = torch.zeros(1, model.spec.dims, dtype=torch.bool)
    entries[0, names.index("weight")] = True
    every = model.encoding.entries(entries)
    assert bool(every[0, names.index("weight is missing")])
    assert int(every.sum()) == 2
    assert int(entries.sum()) == 1


def test_a_number_that_is_known_to_be_missing_has_nothing_to_predict(model, raw):
    encoded = encode(model, raw)
    entries = torch.zeros(1, model.spec.dims, dtype=torch.bool)
    _, unknown = model.encoding.known(entries, encoded)
    assert not bool(unknown.numbers.any())

    entries[0, model.spec.table.entries.index("weight is missing")] = True
    rows, known = model.encoding.known(entries, encoded)
    assert torch.equal(known.numbers, encoded.is_missing)
    assert bool((rows.numbers[encoded.is_missing] == 0).all())
    assert torch.equal(rows.numbers[~encoded.is_missing], encoded.rows.numbers[~encoded.is_missing])


def test_large_whole_numbers_come_back():
    """Beyond 2^24, up to which single precision is exact, such as seconds since 1970."""
    first = 1_700_000_011
    counts = first + torch.arange(0, 4000, 37).numpy()
    data = dataset_of({"count": counts})
    encoding = fitted_model(data, components=1).encoding
    raw = torch.tensor([[counts.min()], [counts.max()], [first + 37]]).double()
    encoded = encoding.encode(raw, torch.full((3, 1), 0.5).double(), torch.zeros(3, 1).double())
    assert torch.equal(encoding.decode(encoded.rows), raw)
