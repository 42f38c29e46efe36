"""Bytes and characters: text back from its tokens, true counts of bytes, refusals."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from allegory.data.vocabularies import Bytes, Characters, text_vocabulary

TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=60)
UNITS = ("bytes", "characters")


@settings(max_examples=60, deadline=None)
@given(text=TEXT, padding=st.booleans(), unit=st.sampled_from(UNITS), end=st.integers(0, 3))
def test_text_comes_back_and_its_bytes_are_counted(text, padding, unit, end):
    vocabulary = text_vocabulary(unit, text + "ab", padding)
    tokens = vocabulary.encode(text)
    assert tokens.dtype == torch.int64 and 0 <= tokens.min() <= tokens.max() < vocabulary.levels
    assert vocabulary.decode(tokens) == text

    if padding:
        tokens = torch.cat([tokens, torch.full((end,), vocabulary.levels - 1)])
        assert vocabulary.decode(tokens) == text
    assert vocabulary.byte_counts(tokens[None]).tolist() == [len(text.encode())]


@settings(max_examples=30, deadline=None)
@given(texts=st.lists(TEXT, max_size=6), unit=st.sampled_from(UNITS))
def test_several_texts_are_encoded_as_each_of_them(texts, unit):
    vocabulary = text_vocabulary(unit, "".join([*texts, "ab"]))
    together, alone = vocabulary.encode_all(texts), [vocabulary.encode(each) for each in texts]
    assert [each.tolist() for each in together] == [each.tolist() for each in alone]


def test_characters_are_levels_in_their_order():
    vocabulary = Characters("bä𝄞a")
    assert vocabulary.encode("aä𝄞b").tolist() == [3, 1, 2, 0]
    assert vocabulary.byte_table().tolist() == [1, 2, 4, 1]
    assert Characters.of("banana") == Characters("abn")
    assert (vocabulary.levels, Characters("ab", padding=True).levels) == (4, 3)
    assert (Bytes().levels, Bytes(padding=True).levels) == (256, 257)


def test_bytes_that_are_no_utf_8_are_tokens_and_read_as_a_sign():
    text = b"a\xffb".decode(errors="surrogateescape")
    tokens = Bytes().encode(text)
    assert tokens.tolist() == [97, 255, 98]
    assert Bytes().decode(tokens) == "a�b" and Bytes().raw(tokens) == b"a\xffb"
    assert Bytes().byte_counts(tokens[None]).tolist() == [3]


def test_tokens_are_mapped_by_the_character_that_they_stand_for():
    run, new = Characters("abc", padding=True), Characters("cb", padding=True)
    tokens = torch.tensor([[0, 1, 0, 2]])
    assert run.translate(tokens, new).tolist() == [[2, 1, 2, 3]]
    assert Bytes(padding=True).translate(tokens, Bytes()).tolist() == tokens.tolist()
    with pytest.raises(ValueError, match=r"'a': not in the vocabulary, 2 characters 'bc'; replace"):
        Characters("bc").translate(torch.tensor([[0, 1]]), Characters("ab"))
    with pytest.raises(ValueError, match="padding: not in the vocabulary"):
        Characters("bc").translate(torch.tensor([[0, 2]]), new)
    with pytest.raises(ValueError, match=r"bytes, and the run learned 2 char.*\?unit=characters"):
        Characters("bc").translate(tokens, Bytes())


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Characters("ab").encode("abcdc\x1b"), r"text: 'c', 'd', '\\x1b': not in the voca"),
        (lambda: Characters("ab").decode(torch.tensor([0, 2])), "tokens: from 0 to 2; 2 charac"),
        (lambda: Bytes().decode(torch.tensor([-1, 2])), "from -1 to 2; bytes has 0 to 255"),
        (lambda: Bytes().encode("a\ud800"), r"character 1 is the surrogate U\+D800"),
        (lambda: Characters("a\ud800"), r"character 1 is the surrogate U\+D800"),
        (lambda: Characters("aba"), "each character once"),
        (lambda: Characters(""), "at least one character"),
        (lambda: text_vocabulary("characters", "aaa"), "the character 'a' alone; give text that"),
        (lambda: text_vocabulary("byte", "a b"), "unit .byte.: not known; did you mean .bytes."),
    ],
)
def test_refusals(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("length", [1, 2, 3, 5])
def test_windows_have_as_many_characters_as_the_text(length):
    text = "天地玄黄 ü 😀 abc " * 15
    tokens = Bytes(padding=True).encode(text)
    whole = tokens[: len(tokens) // length * length].view(-1, length)
    counts = Bytes(padding=True).character_counts(whole)
    begun = len(Bytes().decode(whole.flatten()))  # what is cut at the end has begun
    assert int(counts.sum()) == begun
    assert Bytes(padding=True).character_counts(torch.tensor([[97, 256, 256]])).tolist() == [1]
    assert Characters("ab", padding=True).character_counts(torch.tensor([[0, 1, 2]])).tolist() == [
        2
    ]
