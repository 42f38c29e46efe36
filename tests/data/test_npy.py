"""Array files: every layout, every set, and one line for everything that is wrong."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from allegory.data import Dataset, load
from allegory.lookup import Note

RNG = np.random.default_rng(0)


def save(folder: Path, **arrays: Any) -> str:
    path = folder / "things.npz"
    np.savez(path, **arrays)
    return str(path)


def everything(dataset: Dataset) -> torch.Tensor:
    return torch.cat([dataset.train.x, dataset.validation.x, dataset.test.x])


def same_items(dataset: Dataset, expected: np.ndarray) -> bool:
    found = sorted(item.numpy().tobytes() for item in everything(dataset))
    return found == sorted(item.tobytes() for item in np.ascontiguousarray(expected))


@pytest.mark.parametrize(
    ("shape", "axes"),
    [
        ((40, 6, 5), None),  # grey
        ((40, 3, 6, 5), None),
        ((40, 1, 6, 5), None),
        ((40, 6, 5, 3), (0, 3, 1, 2)),
        ((40, 6, 5, 4), (0, 3, 1, 2)),
        ((40, 3, 8, 3), None),  # both could be channels: the second axis is
        ((40, 7), None),
        ((40, 2, 3, 4, 5), None),
    ],
)
def test_bytes_are_images_of_256_levels(
    tmp_path: Path, shape: tuple[int, ...], axes: tuple[int, ...] | None
) -> None:
    array = RNG.integers(0, 256, shape, dtype=np.uint8)
    np.save(tmp_path / "some.npy", array)
    dataset = load(str(tmp_path / "some.npy"))
    expected = (
        array[:, None] if array.ndim == 3 else array if axes is None else array.transpose(axes)
    )
    assert dataset.name == "some"
    assert dataset.spec.shape == expected.shape[1:]
    assert (dataset.spec.low, dataset.spec.high, dataset.spec.levels) == (0.0, 255.0, 256)
    assert same_items(dataset, expected)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("shape", [(60, 1), (60, 4, 2), (60, 3, 4, 2), (60, 2, 2, 2, 2)])
def test_floats_of_any_shape_are_continuous(
    tmp_path: Path, shape: tuple[int, ...], dtype: type
) -> None:
    array = RNG.normal(size=shape).astype(dtype)
    dataset = load(save(tmp_path, anything=array))
    assert dataset.spec.levels is None and dataset.spec.shape == shape[1:]
    assert isinstance(dataset.spec.low, float) == (len(shape) > 3)  # pictures and videos
    std = dataset.spec.encode(dataset.train.x).std(unbiased=False).item()
    assert std == pytest.approx(0.5, rel=1e-5)
    assert (len(dataset.train), len(dataset.validation), len(dataset.test)) == (54, 3, 3)
    assert same_items(dataset, array.astype(np.float32))


@pytest.mark.parametrize("name", ["labels", "y"])
def test_labels_stay_with_their_items(tmp_path: Path, name: str) -> None:
    x = np.arange(40, dtype=np.float32)[:, None]
    dataset = load(save(tmp_path, x=x, **{name: np.arange(40, dtype=np.int32) % 7}))
    assert dataset.spec.classes == 7
    for part in (dataset.train, dataset.validation, dataset.test):
        assert part.labels is not None and torch.equal(part.labels, part.x[:, 0].long() % 7)


@pytest.mark.parametrize("train", ["", "_train"])
def test_sets_of_the_file_are_kept(tmp_path: Path, train: str) -> None:
    x = np.arange(60, dtype=np.float32)[:, None]
    y = np.arange(60) % 3
    arrays = {f"x{train}": x[:40], f"y{train}": y[:40], "x_test": x[40:50], "y_test": y[40:50]}
    dataset = load(save(tmp_path, **arrays))
    assert (len(dataset.train), len(dataset.validation), len(dataset.test)) == (38, 2, 10)
    assert np.array_equal(dataset.test.x.numpy(), x[40:50])
    dataset = load(save(tmp_path, **arrays, x_validation=x[50:], labels_validation=y[50:]))
    assert (len(dataset.train), len(dataset.validation), len(dataset.test)) == (40, 10, 10)
    # The scaling is that of the training items.
    mean, std = np.arange(40).mean(), np.arange(40).std()
    assert dataset.spec.low == pytest.approx((mean - 2 * std,), rel=1e-12)
    assert dataset.spec.high == pytest.approx((mean + 2 * std,), rel=1e-12)


def test_the_split_is_the_same_every_time(tmp_path: Path) -> None:
    path = save(tmp_path, x=RNG.normal(size=(50, 2)))
    assert torch.equal(everything(load(path)), everything(load(path, seed=5)))


def test_levels_and_bounds_are_declared(tmp_path: Path) -> None:
    path = save(tmp_path, x=RNG.integers(0, 17, (40, 8, 8)))
    spec = load(f"{path}?levels=17").spec
    assert (spec.low, spec.high, spec.levels, spec.shape) == (0.0, 16.0, 17, (1, 8, 8))
    with pytest.raises(ValueError, match=r"16 levels are 0 to 15"):
        load(f"{path}?levels=16")
    with pytest.raises(ValueError, match=r"given together"):
        load(f"{path}?low=0")

    path = save(tmp_path, x=RNG.random((40, 2)))
    spec = load(f"{path}?low=0&high=1").spec
    assert (spec.low, spec.high, spec.bounded) == (0.0, 1.0, True)
    with pytest.raises(ValueError, match=r"outside \[0, 0.1\]"):
        load(f"{path}?low=0&high=0.1")


def test_classes_are_those_of_the_training_set(tmp_path: Path) -> None:
    labels = np.array(["dog", "cat"])[np.arange(40) % 2]
    dataset = load(save(tmp_path, x=GOOD, labels=labels, x_test=GOOD, labels_test=["dog"] * 40))
    assert dataset.spec.class_names == ("cat", "dog")
    assert dataset.test.labels is not None and dataset.test.labels.tolist() == [1] * 40


GOOD = RNG.normal(size=(40, 2))


@pytest.mark.parametrize(
    ("arrays", "named"),
    [
        ({"x": np.zeros((0, 2))}, "no items"),
        ({"x": np.zeros((0, 8, 8), np.uint8)}, "no items"),
        ({"x": GOOD, "x_test": np.zeros((0, 2))}, "no items"),
        ({"x": GOOD[:, 0]}, r"shape \(40,\)"),
        ({"x": np.where(np.arange(80).reshape(40, 2) == 33, np.nan, GOOD)}, "NaN"),
        ({"x": np.where(np.arange(80).reshape(40, 2) == 33, np.inf, GOOD)}, "infinite"),
        ({"x": GOOD * 1e300}, "column 0: numbers such as .* are too large"),
        ({"x": np.ones((40, 2))}, "column 0: every number is 1"),
        ({"x": GOOD.astype(complex)}, "dtype complex128"),
        ({"x": np.full((40, 2), "a")}, "dtype <U1"),
        ({"x": np.zeros((40, 8, 8, 7), np.uint8)}, "no axis of 1, 3 or 4 channels"),
        ({"a": GOOD, "b": GOOD}, "arrays a, b; name the one"),
        ({"x_test": GOOD, "y_test": np.zeros(40, int)}, "name the one to learn from x"),
        ({"x": GOOD, "y": np.zeros(39, int)}, "one label an item"),
        ({"x": GOOD, "y": np.zeros(40)}, "labels: dtype float64"),
        ({"x": GOOD, "y": np.arange(40) - 1}, "labels: 40 classes for 40 items"),
        (
            {"x": GOOD, "y": np.arange(40) % 2, "x_test": GOOD, "y_test": np.arange(40) % 3},
            r"test: class 2: not known; the classes are 0 to 1 \(those of the training set\)",
        ),
        ({"x": GOOD, "x_test": GOOD, "y_test": np.zeros(40, int)}, "label all sets or none"),
        ({"x": GOOD, "y": np.zeros(40, int), "x_test": GOOD}, "label all sets or none"),
        ({"x": GOOD, "x_test": GOOD[:, :1]}, r"test: x: items of shape \(1,\)"),
        ({"x": GOOD, "x_test": np.zeros((40, 2), np.uint8)}, "save all sets alike"),
        ({"x": GOOD[:2]}, "leave none to train on"),
    ],
)
def test_bad_arrays_are_refused(tmp_path: Path, arrays: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=named) as caught:
        load(save(tmp_path, **arrays))
    assert "things" in str(caught.value) and "\n" not in str(caught.value)


class Bomb:
    """An object whose unpickling would be noticed."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (pytest.fail, ("a file was unpickled",))


def test_objects_are_never_unpickled(tmp_path: Path) -> None:
    path = tmp_path / "bad.npy"
    np.save(path, np.array([Bomb()], dtype=object), allow_pickle=True)
    with pytest.raises(ValueError, match="never unpickled"):
        load(str(path))
    with pytest.raises(ValueError, match="never unpickled"):
        load(save(tmp_path, x=np.array([None, 1])))
    path.write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(ValueError, match="cannot be read"):
        load(str(path))


@pytest.mark.parametrize("suffix", [".npy", ".npz"])
@pytest.mark.parametrize("keep", [0.0, 0.01, 0.5, 0.99])
def test_a_file_cut_short_is_refused(tmp_path: Path, suffix: str, keep: float) -> None:
    path = tmp_path / f"cut{suffix}"
    (np.save if suffix == ".npy" else np.savez)(path, GOOD)
    content = path.read_bytes()
    path.write_bytes(content[: int(keep * len(content))])
    with pytest.raises(ValueError, match=r"cannot be read.*write it again"):
        load(str(path))


def test_damaged_bytes_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "bad.npz"
    np.savez_compressed(path, x=GOOD)
    content = bytearray(path.read_bytes())
    content[200:260] = bytes(60)
    path.write_bytes(content)
    with pytest.raises(ValueError, match="cannot be read"):
        load(str(path))


def test_arrays_that_are_not_read_are_named(tmp_path: Path) -> None:
    x, labels = RNG.normal(size=(60, 2)), np.arange(60) % 2
    with pytest.warns(Note, match="not read: label;"):
        assert load(save(tmp_path, x=x, label=labels)).spec.classes is None
    with pytest.warns(Note, match="not read: x, y;"):
        load(save(tmp_path, x=x, x_train=x, labels_train=labels, y=labels))
    assert load(save(tmp_path, x=x, y=labels, x_val=x, y_val=labels)).notes == ()


def test_named_fields_are_columns(tmp_path: Path) -> None:
    table = np.zeros(60, [("income", "f8"), ("age", "i4")])
    table["income"], table["age"] = RNG.normal(size=60), np.arange(60)
    np.save(tmp_path / "table.npy", table)
    dataset = load(str(tmp_path / "table.npy"))
    assert dataset.spec.columns == ("income", "age")
    assert sorted(everything(dataset)[:, 1].tolist()) == list(range(60))
