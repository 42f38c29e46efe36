"""Text as items: windows, lines, notes, what is refused, and new text for a run."""

import json
import warnings

import numpy as np
import pytest
import torch

from allegory.data import Dataset, DataSpec, load
from allegory.data.text import TextOptions, text_dataset, text_spec
from allegory.data.vocabularies import Bytes, Characters

TEXT = "".join(chr(97 + i % 26) + ("ä\n" if i % 7 == 0 else " ") for i in range(1000))


def read(file, **options):
    query = "&".join(f"{name}={value}" for name, value in options.items())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return load(f"{file}?{query}" if query else str(file))


@pytest.fixture
def book(tmp_path):
    file = tmp_path / "book.txt"
    file.write_bytes(TEXT.encode())
    return file


@pytest.mark.parametrize("unit", ["bytes", "characters"])
def test_windows_hold_each_token_once_in_the_order_of_the_text(book, unit):
    data = read(book, unit=unit, length=50)
    every = torch.cat([part.x for part in data.sets]).flatten()
    tokens = data.spec.vocabulary.encode(TEXT)
    rest = len(tokens) % 50
    assert torch.equal(every.long(), tokens[: len(tokens) - rest])
    assert data.notes[0].startswith(f"the last {rest} {unit} fill no window of 50")

    windows = len(every) // 50
    assert len(data.test) == len(data.validation) == round(0.05 * windows)
    assert every.dtype == torch.uint8 and torch.equal(data.all_as_test().test.x.flatten(), every)


def test_the_spec_says_its_vocabulary_and_comes_back_from_json(book):
    for data in (read(book), read(book, unit="characters", items="lines")):
        assert str(data.spec.vocabulary) in str(data.spec)
        assert DataSpec.from_dict(json.loads(json.dumps(data.spec.to_dict()))) == data.spec
    values = data.spec.to_dict()
    del values["vocabulary"]  # as runs of earlier versions have it
    assert DataSpec.from_dict(values).vocabulary is None

    values["vocabulary"] = {"kind": "Bytes", "padding": False}
    with pytest.raises(ValueError, match="bytes has 256 levels from 0; give low=0, high=255"):
        DataSpec.from_dict(values)
    with pytest.raises(ValueError, match=r"items of shape \(1, 4\); it is for sequences"):
        DataSpec((1, 4), 0.0, 255.0, 256, vocabulary=Bytes())


def test_training_windows_of_an_epoch_have_one_offset_of_their_own(book):
    data = read(book, length=20)
    tokens = data.train.x.flatten()
    offsets = set()
    for epoch in range(40):
        found = data.transform(data.train.stored, (3, epoch, 0))
        offset = next(i for i in range(20) if torch.equal(found[0], tokens[i : i + 20]))
        whole = tokens[offset : offset + 20 * (len(found) - 1)]
        assert torch.equal(found[:-1].flatten(), whole)
        assert torch.equal(found[-1], tokens[-20:])
        assert torch.equal(found[5:7], data.transform(data.train.stored[5:7], (3, epoch, 8)))
        offsets.add(offset)
    assert len(offsets) > 10 and max(offsets) < 20

    assert read(book, length=20, shift="false").transform is None


def test_lines_are_padded_to_the_longest():
    lines = ["ab", "", "a", "bäa"] * 10
    data = text_dataset(
        ["\r\n".join(lines[:20]), "\n".join(lines[20:])], TextOptions(items="lines")
    )
    vocabulary = data.spec.vocabulary
    assert vocabulary == Bytes(padding=True) and data.spec.shape == (4,)
    assert data.train.x.dtype == torch.int16

    every = data.all_as_test().test
    assert vocabulary.texts(every.x) == [line for line in lines if line]
    assert vocabulary.byte_counts(every.x[:3]).tolist() == [2, 1, 4]
    assert data.notes == (
        "10 lines without text are left out",
        "lines of 1 to 4 bytes, filled up to 4 with level 256, which stands for no text",
    )

    short = text_dataset(lines, TextOptions(unit="characters", items="lines", length=2))
    assert short.spec == text_spec(Characters("abä", padding=True), 2)
    assert "10 lines of more than 2 characters are left out" in short.notes


def test_a_folder_of_text_is_read_in_the_order_of_names(tmp_path):
    (tmp_path / "b.txt").write_text("second " * 9)
    (tmp_path / "a.txt").write_text("first " * 9)
    (tmp_path / "notes.md").write_text("other")
    data = read(tmp_path, length=2, unit="characters")
    every = "".join(data.spec.vocabulary.texts(torch.cat([part.x for part in data.sets])))
    assert every == ("first " * 9 + "\n" + "second " * 9)[: len(every)]
    assert "1 file is no .txt (.md) and was skipped" in data.notes


def test_a_source_of_another_name_is_an_absolute_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "poem").write_text("so much depends " * 9)
    data = read("text:poem", length=8)
    assert data.source == f"text:{tmp_path}/poem?length=8"
    assert data.fingerprint == load(data.source).fingerprint


def test_new_text_is_read_by_the_characters_of_the_run(book, tmp_path):
    run = read(book, unit="characters", length=50).spec
    other = tmp_path / "other.txt"
    other.write_text("zebra ä " * 200)
    new = read(other, unit="characters", length=50)
    again = new.as_spec(run)
    assert again.spec == run and new.spec != run
    assert run.vocabulary.texts(again.test.x) == new.spec.vocabulary.texts(new.test.x)
    assert "are mapped by what they stand for" in again.notes[-1]

    seed = (0, 0, 0)
    shifted = run.vocabulary.texts(again.transform(again.train.stored, seed))
    assert shifted == new.spec.vocabulary.texts(new.transform(new.train.stored, seed))

    other.write_text("zebra ö! " * 200)
    with pytest.raises(ValueError, match="text: '!', 'ö': not in the vocabulary"):
        read(other, unit="characters", length=50).as_spec(run)
    with pytest.raises(ValueError, match=r"bytes, and the run learned .*\?unit=characters"):
        read(other, length=50).as_spec(run)
    with pytest.raises(ValueError, match=r"items of shape \(40,\), and the run learned \(50,\)"):
        read(other, length=40).as_spec(run)


def test_tokens_without_a_vocabulary_are_those_of_the_run():
    run = text_spec(Characters("abc"), 4)
    x = np.random.default_rng(0).integers(0, 3, (60, 4)).astype(np.uint8)
    plain = Dataset.from_arrays(x, levels=3)
    again = plain.as_spec(run)
    assert torch.equal(again.test.x, plain.test.x) and "taken as tokens" in again.notes[-1]
    back = again.as_spec(plain.spec)
    assert torch.equal(back.test.x, plain.test.x) and "without a vocabulary" in back.notes[-1]


@pytest.mark.parametrize(
    ("content", "options", "message"),
    [
        (
            b"good \xff bad" * 9,
            {"unit": "characters"},
            r"byte 5 \(0xff\) is no UTF-8; .*\?unit=byt",
        ),
        (b"", {}, "holds no text"),
        (b"\n\n", {"items": "lines"}, "holds no line with text"),
        (b"a bc" * 9, {"length": 100}, "36 bytes are 0 windows of 100, .* or a smaller .length="),
        (b"a bc" * 9, {"length": 15}, "36 bytes are 2 windows of 15"),
        (b"a bc" * 9, {"length": 0}, "length=0; give a whole number, 1 to"),
        (b"a bc" * 9, {"items": "pages"}, "items 'pages'"),
        (b"a bc" * 9, {"items": "lines"}, "1 line with text; give three"),
        (b"a\nb\n" + b"c" * 5000, {"items": "lines"}, "a line of 5,000 bytes; .*items=windows"),
        (b"aaaa" * 999, {"unit": "characters"}, "character 'a' alone"),
    ],
)
def test_refusals(tmp_path, content, options, message):
    file = tmp_path / "bad.txt"
    file.write_bytes(content)
    with pytest.raises(ValueError, match=message):
        read(file, **options)


def test_a_byte_order_mark_is_no_character(tmp_path):
    (tmp_path / "windows.txt").write_bytes(b"\xef\xbb\xbf" + b"ab ba " * 20)
    assert read(tmp_path / "windows.txt", unit="characters", length=6).spec.levels == 3
    assert read(tmp_path / "windows.txt", length=6).train.x[0, 0] == 0xEF


def test_lines_of_one_length_need_no_padding_and_nothing_is_said(tmp_path):
    data = text_dataset(["ab\nba\n" * 20], TextOptions(items="lines"))
    assert data.spec.shape == (2,) and data.notes == ()


def test_bytes_that_are_no_utf_8_are_read_as_bytes(tmp_path):
    (tmp_path / "latin.txt").write_bytes("naïve café ".encode("latin-1") * 20)
    data = read(tmp_path / "latin.txt", length=11)
    assert data.spec.vocabulary.raw(data.test.x[0].long()) == "naïve café ".encode("latin-1")


def test_a_column_of_a_table_is_text(tmp_path):
    lines = [f'{{"id": {i}, "body": "text {i % 10} ä"}}' for i in range(40)]
    (tmp_path / "table.jsonl").write_text("\n".join([*lines, '{"id": 40, "body": null}']))
    (tmp_path / "table.csv").write_text("id,body\n" + "".join(f"1,text {i}\n" for i in range(40)))

    data = read(f"text:{tmp_path}/table.jsonl", text="body", items="lines")
    every = data.all_as_test().test.x
    assert data.spec.vocabulary.texts(every) == [f"text {i % 10} ä" for i in range(40)]
    assert "1 cell is empty and left out" in data.notes
    rows = read(f"text:{tmp_path}/table.csv", text="body", length=7)
    assert Bytes().texts(rows.train.x[:2]) == ["text 0\n", "text 1\n"]

    with pytest.raises(ValueError, match=r"table\.csv: \?text=no: no such column; there are id, b"):
        read(f"text:{tmp_path}/table.csv", text="no")
    with pytest.raises(ValueError, match=r"\?text=id: a column without text"):
        read(f"text:{tmp_path}/table.csv", text="id")
    with pytest.raises(ValueError, match=r"table\.jsonl\?text=COLUMN for the text of its lines"):
        load(tmp_path / "table.jsonl")
    (tmp_path / "book.txt").write_text(TEXT)
    with pytest.raises(ValueError, match=r"\?text=COLUMN is for tables, \.csv, \.jsonl, \.parquet"):
        read(tmp_path / "book.txt", text="body")


@pytest.mark.parametrize(
    ("content", "options", "message"),
    [
        ("ab", {"items": "lines"}, r"1 line with text; give three at least, or \?items=windows"),
        ("ab", {"items": "lines", "length": 1}, r"0 lines of at most 1 byte; .* larger \?length="),
        ("a", {}, r"1 byte is 0 windows of 256, and"),
    ],
)
def test_counts_of_what_is_too_little(content, options, message):
    with pytest.raises(ValueError, match=message):
        text_dataset([content], TextOptions(**options))


def test_text_of_another_length_is_told_how_to_be_read(tmp_path):
    (tmp_path / "a.txt").write_text("abc\nde\nf\n" * 20)
    file = tmp_path / "a.txt"
    lines = read(file, unit="characters", items="lines", length=5).spec
    with pytest.raises(ValueError, match=r"with \?unit=characters&items=lines&length=5"):
        read(file, items="lines").as_spec(lines)
    windows = read(file, length=5).spec
    with pytest.raises(ValueError, match=r"read the text with \?unit=bytes&length=5"):
        read(file, length=6).as_spec(windows)
