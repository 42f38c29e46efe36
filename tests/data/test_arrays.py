"""Data sets from arrays in memory: types, levels, splits, labels, and what is refused."""

import numpy as np
import pytest
import torch

from allegory.data import Dataset
from allegory.data.vocabularies import Bytes

RNG = np.random.default_rng(0)
FLOATS = RNG.normal(size=(100, 3)).astype(np.float32)


def everything(dataset: Dataset) -> torch.Tensor:
    return torch.cat([dataset.train.x, dataset.validation.x, dataset.test.x])


@pytest.mark.parametrize(
    "make", [np.asarray, torch.from_numpy, lambda x: torch.from_numpy(x).requires_grad_()]
)
def test_floats_are_continuous_and_scaled_by_their_training_items(make):
    dataset = Dataset.from_arrays(make(FLOATS.copy()))
    assert (
        dataset.spec.shape == (3,) and dataset.spec.levels is None and dataset.spec.classes is None
    )
    mean, std = (f(dataset.train.x.double().numpy(), 0) for f in (np.mean, np.std))
    assert dataset.spec.low == pytest.approx(mean - 2 * std, rel=1e-12)
    assert dataset.spec.high == pytest.approx(mean + 2 * std, rel=1e-12)
    assert not dataset.spec.bounded and dataset.notes == ()
    assert [len(dataset.train), len(dataset.validation), len(dataset.test)] == [90, 5, 5]
    assert everything(dataset).dtype == torch.float32
    assert sorted(everything(dataset)[:, 0].tolist()) == sorted(FLOATS[:, 0].tolist())


def test_float_levels_span_the_range():
    values = RNG.integers(0, 5, (60, 2)) * 0.25 - 0.5
    dataset = Dataset.from_arrays(values, levels=5)
    assert (dataset.spec.low, dataset.spec.high, dataset.spec.levels) == (-0.5, 0.5, 5)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int64])
def test_integers_with_levels_run_from_zero(dtype):
    pictures = RNG.integers(0, 16, (40, 8, 8)).astype(dtype)
    dataset = Dataset.from_arrays(pictures, levels=17)
    assert dataset.spec.shape == (1, 8, 8)
    assert (dataset.spec.low, dataset.spec.high, dataset.spec.levels) == (0, 16, 17)
    assert everything(dataset).dtype == torch.uint8


def test_the_type_gives_the_levels_where_it_can():
    bytes_ = Dataset.from_arrays(RNG.integers(0, 256, (40, 6, 6, 3), dtype=np.uint8))
    assert bytes_.spec.shape == (3, 6, 6) and bytes_.spec.levels == 256
    for flags in (RNG.random((40, 5)) > 0.5, torch.rand(40, 5) > 0.5):
        bits = Dataset.from_arrays(flags)
        assert (bits.spec.low, bits.spec.high, bits.spec.levels) == (0, 1, 2)


def test_labels_stay_with_their_items_and_the_seed_moves_them():
    x = np.arange(100, dtype=np.float32)[:, None]
    dataset = Dataset.from_arrays(x, [i % 7 for i in range(100)], split=(0.5, 0.2, 0.3))
    assert dataset.spec.classes == 7
    assert [len(dataset.train), len(dataset.validation), len(dataset.test)] == [50, 20, 30]
    for part in (dataset.train, dataset.validation, dataset.test):
        assert torch.equal(part.labels, part.x[:, 0].long() % 7)
    again, other = (Dataset.from_arrays(x, seed=seed).train.x for seed in (0, 1))
    assert torch.equal(again, Dataset.from_arrays(x).train.x) and not torch.equal(again, other)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((np.arange(80).reshape(40, 2), None, 80), None),
        ((np.arange(80).reshape(40, 2), None, 40), r"integers in \[0, 79\]; 40 levels are 0 to 39"),
        ((np.arange(80).reshape(40, 2), None, 100_000), "2 to 65,536 values"),
        ((-np.arange(80).reshape(40, 2), None, 40), r"integers in \[-79, 0\]"),
        ((FLOATS, None, 4), "round them"),
        ((FLOATS[:, 0],), r"shape \(100,\)"),
        ((FLOATS * np.nan,), "column 0: NaN or infinite in 90 items"),
        ((FLOATS.astype(complex),), "dtype complex"),
        ((np.where(FLOATS > 9, 0, [1.0, 3.0, 2.0]),), "column 0: every number is 1"),
        ((FLOATS.astype(float) * 1e300,), "column 0: numbers such as .* are too large"),
        ((FLOATS.astype(float) * 1e-300,), "column 0: numbers such as .* vary too little"),
        ((2**62 + np.arange(200).reshape(100, 2),), "column 0: whole numbers from .* subtract"),
        ((np.ma.masked_less(FLOATS, 5),), "x: .* numbers are masked"),
        ((FLOATS, np.ma.masked_less(np.arange(100) % 3, 1)), "labels: .* numbers are masked"),
        ((np.zeros(40, [("place", "f4", 3)]),), r"column 'place': \(3,\) numbers an item"),
        ((FLOATS, np.arange(100)), "labels: 100 classes for 100 items"),
        ((FLOATS, np.arange(100) + 2**40), "labels: 100 classes for 100 items"),
        ((FLOATS, [None] * 100), "labels: dtype object"),
        ((FLOATS[:2],), "leave none to train on"),
        ((FLOATS[:0],), "no items"),
        (([[1.0], [1.0, 2.0]],), "lists of different lengths"),
        ((np.array([[None], [1]]),), "Python objects"),
        ((FLOATS, np.zeros(99, int)), "one label an item"),
        ((FLOATS, np.zeros(100)), "labels: dtype float64"),
    ],
)
def test_bad_arrays_are_refused(arguments, says):
    x, labels, levels = (*arguments, None, None)[:3]
    if says is None:
        assert Dataset.from_arrays(x, labels, levels=levels).spec.levels == levels
        return
    with pytest.raises(ValueError, match=says):
        Dataset.from_arrays(x, labels, levels=levels)


@pytest.mark.parametrize("split", [(0.9, 0.1, 0.1), (0.0, 0.5, 0.5), (1.2, -0.1, -0.1)])
def test_fractions_sum_to_one(split):
    with pytest.raises(ValueError, match="three fractions that sum to 1"):
        Dataset.from_arrays(FLOATS, split=split)


def test_a_transform_makes_each_batch():
    """Random flips: each item is itself or its mirror image, the same for the same seed."""

    def flip(stored, seed):
        chosen = torch.from_numpy(np.random.default_rng(seed).random(len(stored)) < 0.5)
        return torch.where(chosen[:, None], stored.flip(1), stored)

    plain = Dataset.from_arrays(FLOATS)
    flipped = Dataset(plain.name, plain.spec, plain.train, plain.validation, plain.test, flip)
    given, made = (next(each.batches(90, seed=0))[0] for each in (plain, flipped))
    same = (given == made).all(1)
    assert torch.equal(torch.where(same[:, None], given, given.flip(1)), made)
    assert 20 < int(same.sum()) < 70
    assert torch.equal(made, next(flipped.batches(90, seed=0))[0])


TABLE = np.stack(
    [RNG.normal(50_000, 20_000, 400), RNG.normal(0.5, 0.1, 400), 1e8 + RNG.normal(0, 5, 400)], 1
)


def test_each_column_of_a_table_has_its_own_scale():
    dataset = Dataset.from_arrays(TABLE, columns=["income", "rate", "time"])
    x = dataset.spec.encode(dataset.train.x)
    torch.testing.assert_close(x.mean(0), torch.zeros(3), rtol=0, atol=1e-6)
    torch.testing.assert_close(x.std(0, unbiased=False), torch.full((3,), 0.5), rtol=1e-6, atol=0)
    assert dataset.spec.columns == ("income", "rate", "time")


def test_numbers_of_a_large_offset_are_loaded_whole():
    dataset = Dataset.from_arrays(TABLE)
    assert everything(dataset).dtype == torch.float64
    assert sorted(everything(dataset)[:, 2].tolist()) == sorted(TABLE[:, 2].tolist())
    assert len(dataset.spec.encode(everything(dataset))[:, 2].unique()) > 395
    assert Dataset.from_arrays(TABLE[:, :2]).train.x.dtype == torch.float32


@pytest.mark.parametrize("shape", [(2, 6, 5), (6, 5), (30,)])
def test_pictures_have_one_scale_and_others_one_for_each_number(shape):
    x = RNG.normal(size=(60, *shape)) * np.arange(1, 1 + np.prod(shape)).reshape(shape)
    dataset = Dataset.from_arrays(x)
    std = dataset.spec.encode(dataset.train.x).std(0, unbiased=False)
    overall = dataset.spec.encode(dataset.train.x).std(unbiased=False).item()
    assert overall == pytest.approx(0.5, rel=1e-5)
    assert isinstance(dataset.spec.low, float) == (len(shape) == 3)
    assert (float(std.max() / std.min()) < 1.0001) == (len(shape) < 3)


def test_only_training_items_scale():
    x = RNG.normal(size=(1000, 1))
    dataset = Dataset.from_arrays(x)
    outside = x.copy()
    held_out = np.isin(x[:, 0].astype(np.float32), dataset.test.x.numpy())
    outside[held_out] += 1e6
    moved = Dataset.from_arrays(outside)
    assert moved.spec == dataset.spec and moved.test.x.min() > 1e5


def test_whole_numbers_are_continuous_unless_levels_are_declared():
    whole = RNG.integers(-5, 1000, (60, 2))
    dataset = Dataset.from_arrays(whole)
    assert dataset.spec.levels is None and dataset.spec.shape == (2,)
    assert sorted(everything(dataset)[:, 0].tolist()) == sorted(whole[:, 0].tolist())
    assert "whole numbers (int64) are read as continuous" in dataset.notes[0]


def test_bounds_are_a_law():
    x = RNG.random((60, 3))
    dataset = Dataset.from_arrays(x, bounds=(0, 1))
    assert (dataset.spec.low, dataset.spec.high, dataset.spec.bounded) == (0.0, 1.0, True)
    assert Dataset.from_arrays(x, bounds=([0, 0, -1], (1, 2, 3))).spec.high == (1.0, 2.0, 3.0)
    with pytest.raises(ValueError, match=r"values in \[.*\], outside \[0, 0.5\]"):
        Dataset.from_arrays(x, bounds=(0, 0.5))
    with pytest.raises(ValueError, match="declare levels, or save floats"):
        Dataset.from_arrays((x * 9).astype(np.uint8), bounds=(0, 9))


@pytest.mark.parametrize(
    ("values", "names"),
    [
        (["dog", "cat"], ("cat", "dog")),
        ([7, 0], (0, 7)),
        ([-1, 1], (-1, 1)),
        ([2**40, 10_000_000], (10_000_000, 2**40)),
        ([True, False], (False, True)),
        ([1, 0], None),
        (np.array(["b", "a"], dtype=object), ("a", "b")),
        (np.array([b"b", b"a"]), ("a", "b")),
    ],
)
def test_labels_of_any_kind(values, names):
    labels = np.asarray(values)[np.arange(60) % 2]
    dataset = Dataset.from_arrays(np.arange(60.0)[:, None], labels)
    assert (dataset.spec.classes, dataset.spec.class_names) == (2, names)
    for part in dataset.sets:
        found = dataset.spec.class_values(part.labels)
        expected = labels[part.x[:, 0].long().numpy()]
        assert found.astype(str).tolist() == np.asarray(expected.tolist()).astype(str).tolist()


def test_a_data_frame_has_names_and_labels():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"a": np.arange(60), "b": RNG.normal(size=60)})
    frame["kind"] = np.where(frame["a"] % 2 == 0, "even", "odd")
    for labels, x in (("kind", frame), (frame["kind"], frame[["a", "b"]])):
        dataset = Dataset.from_arrays(x, labels)
        assert dataset.spec.columns == ("a", "b") and dataset.spec.class_names == ("even", "odd")
        assert torch.equal(dataset.train.labels, dataset.train.x[:, 0].long() % 2)
    with pytest.raises(ValueError, match="column 'kind': object, no numbers"):
        Dataset.from_arrays(frame)
    with pytest.raises(ValueError, match="labels='colour': no such column; there are a, b, kind"):
        Dataset.from_arrays(frame, "colour")
    frame.loc[[3, 5, 7], "b"] = np.nan
    with pytest.raises(ValueError, match=r"column 'b': NaN or infinite in [123] items?"):
        Dataset.from_arrays(frame, "kind")


def test_named_fields_are_columns():
    x = np.zeros(40, [("low", "f4"), ("high", "i2")])
    x["low"], x["high"] = RNG.normal(size=40), np.arange(40)
    dataset = Dataset.from_arrays(x)
    assert dataset.spec.columns == ("low", "high") and dataset.spec.shape == (2,)
    assert sorted(everything(dataset)[:, 1].tolist()) == list(range(40))


def test_whole_numbers_beyond_2_53_are_read_where_a_double_tells_them_apart():
    days = 1_700_000_000_000_000_000 + 86_400_000_000_000 * np.arange(80).reshape(40, 2)
    assert len(everything(Dataset.from_arrays(days)).unique()) == 80


def test_a_class_without_training_items_is_said():
    last = int(np.random.RandomState(0).permutation(100)[-1])
    labels = np.where(np.arange(100) == last, "rare", "usual")
    (note,) = Dataset.from_arrays(FLOATS, labels).notes
    assert note.startswith("no training items of class rare: all were held out")
    assert Dataset.from_arrays(FLOATS, np.arange(100) % 2).notes == ()


@pytest.mark.parametrize(
    ("levels", "dtype"), [(300, "int16"), (40_000, "int32"), (65_536, "int32")]
)
def test_tokens_of_many_levels_are_kept_as_small_integers(levels: int, dtype: str) -> None:
    x = np.random.default_rng(0).integers(0, levels, (60, 5))
    x[0, :2] = 0, levels - 1
    data = Dataset.from_arrays(x, levels=levels)
    every = torch.cat([part.x for part in data.sets])
    order = torch.cat([part.index for part in data.sets]).argsort()
    assert every.dtype == getattr(torch, dtype) and torch.equal(
        every[order], torch.tensor(x).to(every)
    )
    assert torch.equal(data.spec.index(every[order]), torch.tensor(x))
    assert torch.equal(data.spec.decode(data.spec.encode(every)), every)


def test_arrays_of_tokens_have_the_vocabulary_that_is_given() -> None:
    x = np.random.default_rng(0).integers(0, 256, (60, 5))
    assert Dataset.from_arrays(x, vocabulary=Bytes()).spec.vocabulary == Bytes()
    for bad, message in (
        (x.astype(float), "tokens are whole numbers"),
        (x + 1, "256 levels are 0 to 255"),
        (x.reshape(60, 5, 1), "it is for sequences"),
    ):
        with pytest.raises(ValueError, match=message):
            Dataset.from_arrays(bad, vocabulary=Bytes())
    with pytest.raises(ValueError, match="levels=300: bytes has 256"):
        Dataset.from_arrays(x, vocabulary=Bytes(), levels=300)


def test_few_levels_in_bytes_are_said():
    """uint8 is 256 levels, which grey values from 0 to 3 do not need."""
    x = np.arange(4, dtype=np.uint8).repeat(40).reshape(40, 1, 2, 2)
    (note,) = Dataset.from_arrays(x).notes
    assert "256 levels, and the largest number is 3" in note and "?levels=4" in note
    assert not Dataset.from_arrays(x, levels=4).notes
    assert not Dataset.from_arrays(64 * x).notes
