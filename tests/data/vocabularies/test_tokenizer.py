"""Tokenizers: text back from tokens, true counts of bytes, and refusals."""

import json
import warnings
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from allegory.data import DataSpec, load
from allegory.data.text import text_spec
from allegory.data.vocabularies import Tokenizer, text_vocabulary
from allegory.data.vocabularies import tokenizer as module

tokenizers = pytest.importorskip("tokenizers", reason="needs the package tokenizers")
from tokenizers import decoders, models, normalizers, pre_tokenizers, trainers  # noqa: E402

CORPUS = ["Über den Wolken muß die Freiheit wohl grenzenlos sein. 日本語 ", "low lower lowest "] * 5


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("tokenizers")


@pytest.fixture(scope="module")
def of_bytes(folder):
    """Byte pair encoding of bytes, as GPT-2 has it, with one added token."""
    made = tokenizers.Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=300, initial_alphabet=alphabet, show_progress=False)
    made.train_from_iterator(CORPUS, trainer)
    made.add_special_tokens(["<end>"])
    made.enable_truncation(5)
    return saved(made, folder / "bytes.json")


@pytest.fixture(scope="module")
def of_pieces(folder):
    """Pieces of words after a sign for a space, with single bytes for unknown characters, as Llama
    has them."""
    single = [f"<0x{number:02X}>" for number in range(256)]
    pieces = [*single, "▁", "a", "b", "e", "l", "o", "w", "▁a", "lo", "▁low", "ü"]
    vocab = {piece: number for number, piece in enumerate(pieces)}
    merges = [("▁", "a"), ("l", "o"), ("▁", "low"), ("lo", "w")]
    vocab |= {"low": len(vocab)}
    made = tokenizers.Tokenizer(models.BPE(vocab=vocab, merges=merges, byte_fallback=True))
    made.normalizer = normalizers.Sequence(
        [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
    )
    made.decoder = decoders.Sequence(
        [
            decoders.Replace("▁", " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(" ", 1, 0),
        ]
    )
    return saved(made, folder / "pieces.json")


def saved(tokenizer, file):
    tokenizer.save(str(file))
    return Tokenizer.of(file)


@settings(max_examples=60, deadline=None)
@given(text=st.text(st.characters(exclude_categories=["Cs"]), max_size=60))
def test_text_comes_back_and_its_bytes_are_counted(of_bytes, text):
    tokens = of_bytes.encode(text)
    assert of_bytes.decode(tokens) == text
    assert of_bytes.byte_counts(tokens[None]).tolist() == [len(text.encode())]


def test_each_part_of_a_text_counts_its_own_bytes(of_bytes):
    text = CORPUS[0] * 4 + "<end>"
    tokens = of_bytes.encode(text)
    assert len(tokens) < len(text.encode())
    windows = tokens[: len(tokens) // 3 * 3].view(-1, 3)
    assert of_bytes.byte_counts(windows).sum() == of_bytes.byte_table()[windows].sum()
    assert of_bytes.byte_table()[tokens[-1]] == len("<end>")
    whole = {token: number for token, number in zip(["low", "日"], [3, 3], strict=True)}
    for part, count in whole.items():
        assert of_bytes.byte_counts(of_bytes.encode(part)[None]).tolist() == [count]


def test_pieces_count_the_space_that_they_stand_for(of_pieces):
    tokens = of_pieces.encode("low aé low")
    assert of_pieces.decode(tokens) == "low aé low"
    assert of_pieces.byte_counts(tokens[:, None]).tolist() == [4, 2, 1, 1, 4]
    assert of_pieces.byte_counts(of_pieces.encode("aü")[:, None]).tolist() == [2, 2]


def test_padding_is_one_more_level(of_bytes):
    padded = replace(of_bytes, padding=True)
    tokens = torch.cat([padded.encode("lowest"), torch.tensor([padded.size] * 2)])
    assert padded.levels == of_bytes.levels + 1 and padded.decode(tokens) == "lowest"
    assert padded.byte_counts(tokens[None]).tolist() == [6]
    assert torch.equal(padded.translate(tokens[None, :-2], of_bytes)[0], tokens[:-2])


def test_a_text_file_is_read_by_a_tokenizer(of_bytes, tmp_path, monkeypatch):
    (tmp_path / "book.txt").write_text("".join(CORPUS))
    monkeypatch.chdir(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        data = load(f"book.txt?unit={of_bytes.name}&length=7")
        lines = load(f"book.txt?unit={of_bytes.name}&items=windows&length=5&shift=false")

    assert data.spec == text_spec(of_bytes, 7) and f"tokens of {of_bytes.name}" in str(data.spec)
    assert DataSpec.from_dict(json.loads(json.dumps(data.spec.to_dict()))) == data.spec
    assert data.train.x.dtype == torch.int16
    assert "".join(CORPUS).startswith(of_bytes.decode(lines.train.x.flatten()))


def test_another_tokenizer_is_refused(of_bytes, of_pieces, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_loaded", module._loaded.__wrapped__)
    file = tmp_path / "tokenizer.json"
    file.write_bytes(Path(of_bytes.name).read_bytes())
    moved = Tokenizer.of(tmp_path)
    assert moved.hash == of_bytes.hash and of_bytes.translate(torch.tensor([[3]]), moved) == 3
    with pytest.raises(ValueError, match=f"hash {of_pieces.hash}.*, and the run learned"):
        of_bytes.translate(torch.tensor([[3]]), of_pieces)

    file.write_bytes(Path(of_pieces.name).read_bytes())
    with pytest.raises(ValueError, match=f"and the model learned with {moved.hash}; give that"):
        replace(moved, name=str(file)).decode(torch.tensor([3]))


def test_a_tokenizer_that_loses_text_is_refused(tmp_path):
    words = {"[UNK]": 0, "low": 1, "lower": 2}
    made = tokenizers.Tokenizer(models.WordLevel(words, unk_token="[UNK]"))
    made.normalizer = normalizers.Lowercase()
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    vocabulary = saved(made, tmp_path / "words.json")
    message = r"from character 4 it has 'LOWER', and its tokens 'lower'; choose another"
    with pytest.raises(ValueError, match=message):
        vocabulary.encode("low LOWER")
    with pytest.raises(ValueError, match=r"from character 0 it has 'high', and its tokens '.UNK.'"):
        vocabulary.encode("high")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: Tokenizer.of(path / "no.json"), r"no\.json: no such file; give a file"),
        (lambda path: Tokenizer.of(path / "bad.json"), r"bad\.json: not read \(.*tokenizers, as"),
        (
            lambda path: text_vocabulary("byte", "ab"),
            "unit 'byte': not known; did you mean 'bytes'",
        ),
        (lambda path: Tokenizer("a", "b", 3), r"make this vocabulary by Tokenizer\.of"),
    ],
)
def test_refusals(tmp_path, make, message):
    (tmp_path / "bad.json").write_text("{}")
    with pytest.raises(ValueError, match=message):
        make(tmp_path)


def test_without_a_network_the_remedy_is_a_file(monkeypatch):
    import huggingface_hub

    def offline(*_, **__):
        raise OSError("offline")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", offline)
    with pytest.raises(ValueError, match=r"out of reach; give a file tokenizer\.json, or the name"):
        Tokenizer.of("nobody/nothing")


def test_windows_have_as_many_characters_as_the_text(of_bytes):
    text = "日本語 low ü 😀 " * 20
    tokens = of_bytes.encode(text)
    assert len(tokens) > len(text) and of_bytes.character_counts(tokens[:, None]).sum() == len(text)
    padded = replace(of_bytes, padding=True)
    end = torch.tensor([padded.size])
    assert padded.character_counts(torch.cat([tokens, end])[None]).tolist() == [len(text)]


def test_characters_of_pieces_are_counted_one_by_one(of_pieces):
    tokens = of_pieces.encode("low aé low")
    assert of_pieces.character_counts(tokens[:, None]).tolist() == [4, 2, 1, 0, 4]
