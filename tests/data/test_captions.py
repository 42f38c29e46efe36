"""Captions say what is on the pictures, and no digit is in two sets."""

import re

import numpy as np
import pytest
import torch
from benchmarks.caption_judge import Judge

from allegory import load
from allegory.data import captions
from allegory.data.captions import COLOURS, DIGITS, PLACES, captioned


def test_captions_are_true_and_made_again_alike():
    x, texts, what = captioned("test", 300)
    again, same, _ = captioned("test", 300)
    assert torch.equal(x, again) and texts == same
    for text, size, colour, digit, place in zip(
        texts, what.size, what.colour, what.digit, what.place, strict=True
    ):
        assert re.search(r"\b(large|big)\b" if size else r"\b(small|little)\b", text)
        assert [*COLOURS][colour] in text and DIGITS[digit] in text and [*PLACES][place] in text
    assert {*what.place} == {0, 1, 2, 3, 4} and {*what.colour} == {*range(6)}


def test_a_judge_sees_what_they_say_and_no_other_thing():
    x, _, what = captioned("test", 300)
    judge = Judge.fit()
    right = judge.right(x, what)
    assert right["all"].mean() > 0.97
    dark = judge.right(x.flip(0), what)  # the captions of other pictures
    assert dark["all"].mean() < 0.05
    assert abs(dark["colour"].mean() - 1 / 6) < 0.1


def test_no_digit_is_in_two_sets(monkeypatch):
    asked = []  # the enlarged digits of each part
    monkeypatch.setattr(
        captions, "_placed", lambda glyphs, what, draw: asked.append(glyphs) or _dark(glyphs)
    )
    for part in ("train", "validation", "test"):
        captioned(part, 2000)
    train, validation, test = ({each.numpy().tobytes() for each in glyphs} for glyphs in asked)
    assert min(len(train), len(validation), len(test)) >= 100
    assert not train & validation and not train & test and not validation & test


def _dark(glyphs):
    return torch.zeros(len(glyphs), captions.SIDE, captions.SIDE)


def test_the_source_has_captions_and_classes():
    data = load("captions?count=500")
    assert (len(data.train), len(data.validation), len(data.test)) == (500, 1000, 2000)
    text = data.spec.condition.texts(data.test.condition[:1])[0]
    assert captioned("test", 2000)[1][0].replace(",", " ,") == text
    assert np.array_equal(data.test.labels, captioned("test", 2000)[2].digit)


@pytest.mark.parametrize("count", [0, 10**9])
def test_other_counts_are_refused(count):
    with pytest.raises(ValueError, match="give 100 to 1,000,000"):
        load(f"captions?count={count}")
