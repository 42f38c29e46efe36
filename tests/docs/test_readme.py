"""Every command that the README and the pages name exists (Python blocks: see `test_pages.py`)."""

import re
import shlex
from pathlib import Path

import pytest

from allegory.cli.parse import COMMANDS, parse

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.glob("*.md")), *sorted(DOCS.glob("howto/*.md"))]
PAGES.remove(DOCS / "extending.md")  # test_extending.py


def commands(page):
    """The `allegory ...` lines of a page, without their comments."""
    lines = re.findall(r"^    allegory (.*)$", page.read_text(), re.MULTILINE)
    return [shlex.split(line, comments=True) for line in lines]


def test_the_targets_exist():
    makefile = (ROOT / "Makefile").read_text()
    for page in PAGES:
        for target in re.findall(r"^    make (\w+)", page.read_text(), re.MULTILINE):
            assert f"\n{target}:" in makefile


@pytest.mark.parametrize("page", [page for page in PAGES if commands(page)], ids=lambda p: p.name)
def test_the_commands_are_understood(page):
    for words in commands(page):
        assert words[0] in COMMANDS, words
        try:
            parse(words)
        except SystemExit as stop:  # after --help
            assert not stop.code
        except ValueError as error:  # a run to be resumed, or a file of the reader's, is not there
            assert "no such" in str(error) or "holds no run" in str(error)
