"""Tables of numbers in parquet files, columns by name, and files that declare what is not there."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tests.helpers.damaged_images import damaged

from allegory.data import load
from allegory.data.parquet import from_tables
from allegory.data.parquet_files import Table
from allegory.data.table_columns import TableOptions

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

RNG = np.random.default_rng(0)
ROWS = 60


def columns() -> dict[str, Any]:
    return {
        "income": RNG.normal(4e4, 1e4, ROWS),
        "age": RNG.integers(18, 90, ROWS),
        "smokes": RNG.random(ROWS) < 0.3,
        "kind": [str(i % 3) * 2 for i in range(ROWS)],
        "note": ["text"] * ROWS,
    }


def save(path: Path, table: dict[str, Any]) -> str:
    pq.write_table(pa.table(table), path)
    return str(path)


def png(seed: int = 0) -> bytes:
    buffer = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 256, (4, 4), dtype=np.uint8)
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def test_columns_are_chosen_by_name(tmp_path: Path) -> None:
    table = columns()
    path = save(tmp_path / "people.parquet", table)
    data = load(f"{path}?columns=age,income&label=kind")
    assert data.spec.columns == ("age", "income") and data.spec.shape == (2,)
    assert data.spec.class_names == ("00", "11", "22") and data.spec.levels is None
    assert (len(data.train), len(data.validation), len(data.test)) == (54, 3, 3)

    x = torch.cat([part.x for part in (data.train, data.validation, data.test)]).double()
    expected = np.stack([table["age"], table["income"]], 1)
    order = np.argsort(x[:, 1].numpy())
    assert np.allclose(x.numpy()[order], expected[np.argsort(expected[:, 1])], rtol=1e-6)
    encoded = data.spec.encode(data.train.x)
    assert torch.allclose(encoded.std(0), torch.tensor(0.5), atol=0.01)  # each by its own


def test_a_table_of_numbers_is_read_whole(tmp_path: Path) -> None:
    table = columns()
    del table["note"]
    table["label"] = table.pop("kind")
    table["__index_level_0__"] = list(range(ROWS))  # pandas' own
    data = load(save(tmp_path / "a.parquet", table))
    assert data.spec.columns == ("income", "age", "smokes")
    assert data.spec.class_names == ("00", "11", "22")
    assert load(f"{tmp_path / 'a.parquet'}?label=&columns=age").spec.classes is None


def test_levels_and_bounds_are_declared(tmp_path: Path) -> None:
    path = save(
        tmp_path / "a.parquet", {"a": RNG.integers(0, 5, ROWS), "b": RNG.integers(0, 5, ROWS)}
    )
    assert any("?levels=N" in note for note in load(path).notes)
    levelled = load(f"{path}?levels=5")
    assert levelled.spec.levels == 5 and levelled.spec.columns == ("a", "b")
    bounded = load(f"{path}?low=0&high=9.5")
    assert (bounded.spec.low, bounded.spec.high, bounded.spec.bounded) == (0, 9.5, True)


def test_names_with_signs_are_written_with_percent(tmp_path: Path) -> None:
    path = save(
        tmp_path / "a.parquet", {"a,b&c": RNG.normal(size=ROWS), "d.e": RNG.normal(size=ROWS)}
    )
    assert load(f"{path}?columns=a%2Cb%26c,d.e").spec.columns == ("a,b&c", "d.e")
    assert load(f"{path}?columns=d.e").spec.columns == ("d.e",)


def test_digits_of_float64_are_kept(tmp_path: Path) -> None:
    """Seconds since 1970 over one hour: float32 would tell 29 of 3,600 apart."""
    times = 1.7e9 + np.arange(3600.0)
    data = load(save(tmp_path / "a.parquet", {"time": times, "x": RNG.normal(size=3600)}))
    assert len(torch.cat([data.train.x, data.validation.x, data.test.x])[:, 0].unique()) == 3600


def test_images_and_labels_are_chosen_by_name(tmp_path: Path) -> None:
    cells = [{"bytes": png(i), "path": None} for i in range(ROWS)]
    wrong = [{"bytes": b"x", "path": None}] * ROWS
    path = save(tmp_path / "a.parquet", {"image": wrong, "photo": cells, **columns()})
    data = load(f"{path}?image=photo&label=kind")
    assert data.spec.shape == (1, 4, 4) and data.spec.class_names == ("00", "11", "22")
    assert load(f"{path}?image=photo").spec.classes is None
    plain = save(tmp_path / "b.parquet", {"photo": [cell["bytes"] for cell in cells]})
    assert load(f"{plain}?image=photo").spec.shape == (1, 4, 4)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ("columns=age,wage", r"\?columns=wage: no such column; there are income, age"),
        ("columns=age,age", "names a column twice"),
        ("columns=age&label=age", "names a column twice, or that of the labels"),
        ("columns=age,note", "column 'note': string, no numbers"),
        ("columns=age&label=income", "labels must be whole numbers"),
        ("columns=age&label=kin", r"\?label=kin: no such column"),
        ("columns=", r"\?columns=: no such column"),
        ("image=age", r"column 'age': holds no encoded images \(int64\)"),
        ("image=age&columns=age", "give one of them"),
        ("columns=age&low=0", "are given together"),
        ("columns=age&low=nan&high=1", r"option \?low=nan; give a number"),
        ("columns=age&levels=3", "integers in"),
        ("columns=hole", "column 'hole': 2 cells are empty; remove those rows, or leave it out"),
        ("", r"columns kind, note, hole: neither .* as in \?columns=income,age,smokes"),
        ("columns=age&size=8", "size"),
        ("colum=age", r"leave \?colum out, or choose from \?image=, \?label=, \?columns="),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, options: str, says: str) -> None:
    table = {**columns(), "hole": pa.array([None, None, *["a"] * (ROWS - 2)])}
    if options == "columns=hole":
        table["hole"] = pa.array([None, None, *[1.5] * (ROWS - 2)])
    path = save(tmp_path / "a.parquet", table)
    with pytest.raises(ValueError, match=says) as caught:
        load(f"{path}?{options}" if options else path)
    assert str(caught.value).isprintable()


def test_sets_of_other_columns_are_refused(tmp_path: Path) -> None:
    save(tmp_path / "train.parquet", {"a": RNG.normal(size=ROWS), "b": RNG.normal(size=ROWS)})
    save(tmp_path / "test.parquet", {"a": RNG.normal(size=ROWS)})
    with pytest.raises(ValueError, match="test, column 'b': no such column, and the training set"):
        load(str(tmp_path))
    save(tmp_path / "train_2.parquet", {"a": [1]})
    with pytest.raises(ValueError, match=r"other columns than train\.parquet"):
        load(str(tmp_path))


def test_what_is_no_table_is_counted_and_hidden_files_skipped(tmp_path: Path) -> None:
    for name in ("train.parquet", "extra.parquet", ".train.parquet"):
        save(tmp_path / name, {"a": RNG.normal(size=ROWS), "b": RNG.normal(size=ROWS)})
    (tmp_path / "README.md").write_text("what it is")
    assert load(str(tmp_path)).notes == (
        "1 file is no parquet table (.md) and was skipped",
        "1 table is of no set (extra.parquet) and was skipped",
        "1 file or folder is hidden (.train.parquet) and was skipped",
    )


def test_a_hidden_table_does_not_make_tables_of_images(tmp_path: Path) -> None:
    (tmp_path / ".cache").mkdir()
    save(tmp_path / ".cache" / "train.parquet", {"a": [1.0]})
    for i in range(3):
        (tmp_path / f"{i}.png").write_bytes(png(i))
    assert load(str(tmp_path)).spec.shape == (1, 4, 4)


@pytest.mark.parametrize("kind", ["struct", "text"])
@pytest.mark.parametrize("outside", ["/etc/hostname", "../secret.png", "link.png", "\0", "no.png"])
def test_paths_outside_of_the_folder_are_not_opened(
    tmp_path: Path, outside: str, kind: str
) -> None:
    """A table from elsewhere might name any file of this machine."""
    folder = tmp_path / "table"
    folder.mkdir()
    for place in (tmp_path / "secret.png", folder / "good.png"):
        place.write_bytes(png())
    (folder / "link.png").symlink_to(tmp_path / "secret.png")

    def cells(name: str) -> list[Any]:
        return [{"bytes": None, "path": name} if kind == "struct" else name] * 3

    good = save(folder / "good.parquet", {"image": cells("good.png")})
    assert load(good).spec.shape == (1, 4, 4)
    bad = save(folder / "bad.parquet", {"image": cells(outside)})
    with pytest.raises(ValueError, match="no file in the folder of the table") as caught:
        load(bad)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    "description",
    [
        b"null",
        b"[" * 100_000,
        b'{"info": null}',
        b'{"info": {"features": null}}',
        b'{"info": {"features": {"label": {"names": 3}}}}',
        b'{"info": {"features": {"label": {"names": []}}}}',
        b'{"info": {"features": {"label": {"names": ["a", "a"]}}}}',
        b"\xff\xfe",
        b"",
    ],
)
def test_a_damaged_description_is_refused(tmp_path: Path, description: bytes) -> None:
    table = pa.table({"label": [0, 1] * 30, "a": RNG.normal(size=ROWS)})
    pq.write_table(
        table.replace_schema_metadata({b"huggingface": description}), tmp_path / "a.parquet"
    )
    with pytest.raises(ValueError, match="the metadata 'huggingface'") as caught:
        load(str(tmp_path / "a.parquet"))
    assert str(caught.value).isprintable() and len(str(caught.value)) < 400


def test_a_description_of_columns_that_are_not_there_does_no_harm(tmp_path: Path) -> None:
    features = {"picture": {"_type": "Image"}, "odd": {"_type": "Sequence"}, "list": [1]}
    table = pa.table({"a": RNG.normal(size=ROWS)})
    described = {b"huggingface": json.dumps({"info": {"features": features}}).encode()}
    pq.write_table(table.replace_schema_metadata(described), tmp_path / "a.parquet")
    assert load(str(tmp_path / "a.parquet")).spec.columns == ("a",)


def test_more_rows_than_a_file_can_hold_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"a": np.zeros(10**6)}), path)
    path.write_bytes(path.read_bytes())
    with pytest.raises(ValueError, match=r"1000000 rows in \d+ bytes"):
        load(str(path))


def test_rows_that_do_not_fit_into_memory_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = save(tmp_path / "a.parquet", {"a": RNG.normal(size=2000), "b": RNG.normal(size=2000)})
    monkeypatch.setattr("allegory.data.memory.free_memory", lambda: 100_000)
    with pytest.raises(ValueError, match=r"2,000 rows of 2 columns take .* \?columns="):
        load(path)


def test_fewer_rows_than_declared_are_refused() -> None:
    """A footer may say what it likes."""
    batch = pa.record_batch({"a": [1.0, 2.0], "image": [png(0), png(1)]})
    table = Table(batch.schema, 5, {}, lambda names, rows: iter([batch.select(list(names))]), ())
    for options in (TableOptions(columns="a"), TableOptions(image="image")):
        with pytest.raises(ValueError, match="2 rows, and its end says 5"):
            from_tables("name", "source", {"train": table}, options, ())


def test_damaged_tables_are_read_or_refused(tmp_path: Path) -> None:
    cells = [{"bytes": png(i), "path": None} for i in range(20)]
    whole = Path(save(tmp_path / "a.parquet", {"image": cells, "label": [0, 1] * 10})).read_bytes()
    numbers = Path(save(tmp_path / "b.parquet", {"a": RNG.normal(size=20)})).read_bytes()
    random = np.random.default_rng(0)
    refused = 0
    for content in [whole, numbers] * 20:
        changed = damaged(content[::-1], random)[::-1] if random.random() < 0.7 else content[:-9]
        (tmp_path / "a.parquet").write_bytes(changed)
        try:
            load(str(tmp_path / "a.parquet"))
        except ValueError as error:
            refused += 1
            assert str(error).isprintable() and str(tmp_path) in str(error)
    assert refused > 20
