"""Tables: parquet in hub layout as others write it, the hub with its network faked, and the real
MNIST.
"""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from allegory.data import Dataset, load
from allegory.data.parquet import from_tables
from allegory.data.parquet_files import hub_table
from allegory.data.table_columns import TableOptions

datasets = pytest.importorskip("datasets")
pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

RNG = np.random.default_rng(0)


def pictures(n: int, channels: int = 1, size: int = 6) -> np.ndarray:
    shape = (n, size, size) if channels == 1 else (n, size, size, channels)
    return RNG.integers(0, 256, shape, dtype=np.uint8)


def table(
    x: np.ndarray, labels: list[int] | None = None, image: str = "image", label: str = "label"
) -> Any:
    """A data set as `datasets` makes it, images and class names typed."""
    columns: dict[str, Any] = {
        "id": list(range(len(x))),
        image: [Image.fromarray(picture) for picture in x],
    }
    features: dict[str, Any] = {"id": datasets.Value("int64"), image: datasets.Image()}
    if labels is not None:
        columns[label] = labels
        features[label] = datasets.ClassLabel(names=["zero", "one", "two", "three"])
    return datasets.Dataset.from_dict(columns, features=datasets.Features(features))


def bare(path: Path, x: np.ndarray, labels: list[Any]) -> None:
    """The same by pyarrow alone: no features in the file's metadata."""
    cells = []
    for picture in x:
        buffer = io.BytesIO()
        Image.fromarray(picture).save(buffer, "PNG")
        cells.append({"bytes": buffer.getvalue(), "path": None})
    pq.write_table(pa.table({"image": cells, "label": labels}), path)


def keys(x: torch.Tensor) -> list[bytes]:
    return sorted(item.numpy().tobytes() for item in x)


def everything(dataset: Dataset) -> torch.Tensor:
    return torch.cat([dataset.train.x, dataset.validation.x, dataset.test.x])


def test_one_file(tmp_path: Path) -> None:
    x = pictures(40)
    labels = [i % 3 for i in range(40)]
    table(x, labels).to_parquet(tmp_path / "things.parquet")
    dataset = load(str(tmp_path / "things.parquet"))
    assert dataset.name == "things"
    assert dataset.spec.shape == (1, 6, 6) and dataset.spec.levels == 256
    assert dataset.spec.classes == 4  # as many as are named, though the last never occurs
    assert (len(dataset.train), len(dataset.validation), len(dataset.test)) == (36, 2, 2)
    expected = {picture.tobytes(): label for picture, label in zip(x, labels, strict=True)}
    for part in (dataset.train, dataset.validation, dataset.test):
        assert part.labels is not None
        assert all(
            expected[i.numpy().tobytes()] == int(k)
            for i, k in zip(part.x, part.labels, strict=True)
        )


def test_hub_layout_with_shards(tmp_path: Path) -> None:
    x = pictures(50, channels=3)
    (tmp_path / "data").mkdir()
    for shard in range(2):
        rows = slice(20 * shard, 20 * shard + 20)
        table(x[rows], [1] * 20, "img").to_parquet(
            tmp_path / "data" / f"train-0000{shard}-of-00002.parquet"
        )
    table(x[40:], [2] * 10, "img").to_parquet(tmp_path / "data" / "test-00000-of-00001.parquet")
    dataset = load(str(tmp_path))
    assert (len(dataset.train), len(dataset.validation), len(dataset.test)) == (38, 2, 10)
    assert dataset.spec.shape == (3, 6, 6)
    assert np.array_equal(dataset.test.x.numpy(), x[40:].transpose(0, 3, 1, 2))
    assert keys(torch.cat([dataset.train.x, dataset.validation.x])) == sorted(
        picture.transpose(2, 0, 1).tobytes() for picture in x[:40]
    )


def test_files_without_feature_metadata(tmp_path: Path) -> None:
    x = pictures(30)
    bare(tmp_path / "train.parquet", x, [i % 2 for i in range(30)])
    dataset = load(str(tmp_path))
    assert dataset.spec.classes == 2
    assert keys(everything(dataset)) == sorted(picture.tobytes() for picture in x)


def test_no_labels_and_a_class_column_of_another_name(tmp_path: Path) -> None:
    table(pictures(9)).to_parquet(tmp_path / "a.parquet")
    assert load(str(tmp_path / "a.parquet")).spec.classes is None
    table(pictures(9), [0] * 9, label="fine").to_parquet(tmp_path / "b.parquet")
    assert load(str(tmp_path / "b.parquet")).spec.classes == 4


def test_size(tmp_path: Path) -> None:
    table(pictures(9, size=12)).to_parquet(tmp_path / "a.parquet")
    assert load(f"{tmp_path / 'a.parquet'}?size=8").spec.shape == (1, 8, 8)


def test_a_folder_without_a_training_set_is_refused(tmp_path: Path) -> None:
    table(pictures(9)).to_parquet(tmp_path / "test.parquet")
    with pytest.raises(ValueError, match="found test: a training set is needed"):
        load(str(tmp_path))


@pytest.mark.parametrize("keep", [0.0, 0.5, 0.9])
def test_a_truncated_file_is_refused(tmp_path: Path, keep: float) -> None:
    path = tmp_path / "train.parquet"
    table(pictures(9)).to_parquet(path)
    content = path.read_bytes()
    path.write_bytes(content[: int(keep * len(content))])
    with pytest.raises(ValueError, match="not a whole parquet file") as caught:
        load(str(tmp_path))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "empty", [None, {"bytes": None, "path": None}, {"bytes": b"", "path": None}]
)
def test_an_empty_cell_is_named(tmp_path: Path, empty: Any) -> None:
    bare(tmp_path / "train.parquet", pictures(3), [0, 1, 2])
    cells = pq.read_table(tmp_path / "train.parquet")["image"].to_pylist()
    pq.write_table(pa.table({"image": [*cells, empty]}), tmp_path / "train.parquet")
    with pytest.raises(ValueError, match="row 3 is empty; remove it"):
        load(str(tmp_path))


def test_images_may_be_paths(tmp_path: Path) -> None:
    x = pictures(3)
    for i, picture in enumerate(x):
        Image.fromarray(picture).save(tmp_path / f"{i}.png")
    cells = [{"bytes": None, "path": str(tmp_path / f"{i}.png")} for i in range(3)]
    pq.write_table(pa.table({"image": cells}), tmp_path / "train_1.parquet")
    assert keys(everything(load(str(tmp_path)))) == sorted(picture.tobytes() for picture in x)


def test_a_damaged_image_is_named(tmp_path: Path) -> None:
    cells = [{"bytes": b"not a picture", "path": None}] * 3
    pq.write_table(pa.table({"image": cells}), tmp_path / "train.parquet")
    with pytest.raises(ValueError, match="train, row 0: cannot be read"):
        load(str(tmp_path))


@pytest.mark.parametrize(
    ("columns", "named"),
    [
        (
            {"text": [f"a{i}" for i in range(101)]},
            "column 'text': 101 different values in 101 rows are no categ",
        ),
        ({"sent": pa.array([1, 2], pa.date32())}, r"column sent: neither im.*\?image=NAME"),
        (
            {"n": [1, 2, 3], "text": ["a", "b", "c"]},
            r"column text: .* \?label=text, or .* \?columns=n",
        ),
        ({"image": [1, 2, 3]}, "column 'image'"),
        ({"text": pa.array([], pa.string())}, "no items"),
    ],
)
def test_tables_without_images_are_refused(
    tmp_path: Path, columns: dict[str, Any], named: str
) -> None:
    pq.write_table(pa.table(columns), tmp_path / "train.parquet")
    with pytest.raises(ValueError, match=named):
        load(str(tmp_path))


@pytest.mark.parametrize(
    ("labels", "named"),
    [
        ([0.5] * 9, "labels must be whole numbers, text or booleans; found double"),
        ([[1]] * 9, "found list"),
        (
            [0, None, *[1] * 7],
            "column 'label': 1 cell is empty; .* or leave labels out",
        ),
        (["x" * 1000] * 9, "a text of 1,000 characters is no label"),
        ([2**62 + i for i in range(9)], "9 classes for 9 items"),
    ],
)
def test_what_is_no_label_is_refused(tmp_path: Path, labels: list[Any], named: str) -> None:
    bare(tmp_path / "train.parquet", pictures(9), labels)
    with pytest.raises(ValueError, match=named):
        load(str(tmp_path))
    assert load(f"{tmp_path}?label=").spec.classes is None


@pytest.mark.parametrize(
    ("values", "names"),
    [
        (["cat", "dog", "cat"], ("cat", "dog")),
        ([7, -1, 7], (-1, 7)),
        ([2**62, 0, 0], (0, 2**62)),
        ([True, False, False], (False, True)),
        ([1, 0, 1], None),
    ],
)
def test_classes_are_the_values_of_the_column(
    tmp_path: Path, values: list[Any], names: tuple[Any, ...] | None
) -> None:
    """As many classes as there are values, whatever they are: a label of 2^62 takes no memory."""
    x = pictures(30)
    bare(tmp_path / "train.parquet", x, values * 10)
    data = load(str(tmp_path))
    assert data.spec.class_names == names and data.spec.classes == 2
    expected = dict(zip(map(bytes, x), values * 10, strict=True))
    for part in (data.train, data.validation, data.test):
        found = data.spec.class_values(part.labels).tolist()
        assert found == [expected[item.numpy().tobytes()] for item in part.x]


def test_names_of_class_labels_are_kept(tmp_path: Path) -> None:
    table(pictures(9), [0, 2, 1] * 3).to_parquet(tmp_path / "a.parquet")
    assert load(str(tmp_path / "a.parquet")).spec.class_names == ("zero", "one", "two", "three")


@pytest.mark.parametrize("hidden", [-1, 4, 2**62])
def test_hidden_labels_are_refused(tmp_path: Path, hidden: int) -> None:
    """A class label outside of its names, as test sets of contests have it."""
    labelled = table(pictures(9), [0, 1, 2] * 3).data.table
    kind = labelled.schema
    changed = labelled.set_column(2, kind.field(2), pa.array([0, 1, hidden] * 3))
    pq.write_table(changed, tmp_path / "train.parquet")
    with pytest.raises(ValueError, match=r"column 'label': values in .*its classes are 0 to 3"):
        load(str(tmp_path))


def test_a_class_of_the_test_set_alone_is_refused(tmp_path: Path) -> None:
    bare(tmp_path / "train.parquet", pictures(9), ["cat", "dog", "dog"] * 3)
    bare(tmp_path / "test.parquet", pictures(9), ["cat", "dog", "zebra"] * 3)
    with pytest.raises(
        ValueError, match=r"test, column 'label': class zebra: not known; .* cat, dog"
    ):
        load(str(tmp_path))


def test_the_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    x = pictures(40)
    asked = []

    def fake(name: str) -> Any:
        asked.append(name)
        splits = {
            "train": table(x[:30], [1] * 30),
            "test": table(x[30:], [0] * 10),
            "extra": table(x[:5]),
        }
        return datasets.DatasetDict(splits)

    monkeypatch.setattr(datasets, "load_dataset", fake)
    dataset = load("hub:someone/things")
    assert asked == ["someone/things"] and dataset.name == "things"
    assert np.array_equal(dataset.test.x[:, 0].numpy(), x[30:])
    assert len(dataset.train) + len(dataset.validation) == 30
    assert load("hub:someone/things?size=4").spec.shape == (1, 4, 4)


def test_a_hub_table_of_numbers_with_labels_of_text(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(0)

    def rows(n: int, kinds: str) -> Any:
        cells = {"age": random.normal(size=n), "pay": random.normal(size=n), "kind": [*kinds] * n}
        cells["kind"] = cells["kind"][:n]
        return datasets.Dataset.from_dict(cells)

    splits = datasets.DatasetDict({"train": rows(40, "ab"), "test": rows(10, "b")})
    monkeypatch.setattr(datasets, "load_dataset", lambda name: splits)
    with pytest.raises(ValueError, match=r"column kind: .* as in \?columns=age,pay"):
        load("hub:someone/people")
    data = load("hub:someone/people?label=kind")
    assert data.spec.columns == ("age", "pay") and data.spec.class_names == ("a", "b")
    assert data.test.labels is not None and data.test.labels.tolist() == [1] * 10


def test_paths_of_the_hub_are_opened_in_its_cache_alone(tmp_path: Path) -> None:
    """Images of a folder on the hub are rows with the path of what was downloaded."""
    for folder in ("cache", "elsewhere"):
        (tmp_path / folder).mkdir()
        for i, picture in enumerate(pictures(3)):
            Image.fromarray(picture).save(tmp_path / folder / f"{i}.png")

    def rows(folder: str) -> Any:
        paths = [str(tmp_path / folder / f"{i}.png") for i in range(3)]
        kinds = datasets.Features({"image": datasets.Image()})
        return hub_table(datasets.Dataset.from_dict({"image": paths}, kinds), [tmp_path / "cache"])

    read = from_tables("name", "hub:x", {"train": rows("cache")}, TableOptions(), ())
    assert read.spec.shape == (1, 6, 6)
    with pytest.raises(ValueError, match="no file in the folder"):
        from_tables("name", "hub:x", {"train": rows("elsewhere")}, TableOptions(), ())


@pytest.mark.parametrize(
    "error", [ConnectionError("no route\nmore"), FileNotFoundError("no such"), ValueError("pick")]
)
def test_a_hub_that_does_not_answer(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def fail(name: str) -> Any:
        raise error

    monkeypatch.setattr(datasets, "load_dataset", fail)
    with pytest.raises(
        ValueError, match=r"hub:someone/things: not loaded \(.*\); check the name"
    ) as caught:
        load("hub:someone/things")
    assert "\n" not in str(caught.value)


# The counts that the makers of MNIST publish.
TRAIN = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
TEST = [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]


@pytest.mark.thorough
def test_the_test_images_of_real_mnist(shared_data: Path) -> None:
    """Mean and standard deviation of the 10,000 are those that others quote."""
    part = load(str(shared_data / "mnist" / "test.parquet"))
    assert [len(items) for items in part.sets] == [9_000, 500, 500]
    labels = [items.labels for items in part.sets if items.labels is not None]
    assert torch.cat(labels).bincount().tolist() == TEST
    x = torch.cat([items.x for items in part.sets]).double() / 255
    assert abs(x.mean().item() - 0.1325) < 5e-5 and abs(x.std().item() - 0.3105) < 5e-5


@pytest.mark.slow
def test_real_mnist(shared_data: Path) -> None:
    mnist = load(str(shared_data / "mnist"))
    assert (len(mnist.train), len(mnist.validation), len(mnist.test)) == (57_000, 3_000, 10_000)
    assert mnist.spec.shape == (1, 28, 28) and mnist.spec.classes == 10 and mnist.name == "mnist"
    assert (
        mnist.train.labels is not None
        and mnist.validation.labels is not None
        and mnist.test.labels is not None
    )
    assert torch.cat([mnist.train.labels, mnist.validation.labels]).bincount().tolist() == TRAIN
    assert mnist.test.labels.bincount().tolist() == TEST
    counts = sum(
        part.x.flatten().bincount(minlength=256).double()
        for part in (mnist.train, mnist.validation)
    )
    assert isinstance(counts, torch.Tensor)
    value = torch.arange(256, dtype=torch.float64) / 255
    mean = (counts * value).sum() / counts.sum()
    std = ((counts * (value - mean).square()).sum() / counts.sum()).sqrt()
    assert abs(mean.item() - 0.1307) < 5e-5 and abs(std.item() - 0.3081) < 5e-5
