"""Every Python block of the README and of the pages in docs/ runs, in order, as a reader would type
it.
"""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.glob("*.md")), *sorted(DOCS.glob("howto/*.md"))]
PAGES.remove(DOCS / "extending.md")  # test_extending.py
SLOW = ("chain.md",)


def blocks(page):
    return re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL)


@pytest.mark.thorough
@pytest.mark.parametrize(
    "page",
    [
        pytest.param(page, id=page.name, marks=[pytest.mark.slow] * (page.name in SLOW))
        for page in PAGES
        if blocks(page)
    ],
)
def test_the_code_on_the_page_runs_and_prints_true(page, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    scope = {}
    for block in blocks(page):
        exec(compile(block, page.name, "exec"), scope)
    printed = capsys.readouterr().out
    assert "True" in printed and "False" not in printed


def test_the_readme_has_code():
    assert len(blocks(ROOT / "README.md")) >= 4


def test_the_first_program_is_short():
    """From an array to a saved run in at most 15 lines, its imports and its data included."""
    lines = blocks(ROOT / "README.md")[0].splitlines()
    assert len([line for line in lines if line.strip()]) <= 15
