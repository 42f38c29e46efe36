"""How the tests themselves are built: no test module imports another; each mutant's text is
there."""

import ast
from pathlib import Path

import pytest

from tests.mutants import MUTANTS

TESTS = Path(__file__).parent
SOURCE = TESTS.parent / "src" / "allegory"


def imported(module):
    """The names of the modules that a file imports."""
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield from (node.module, *(f"{node.module}.{alias.name}" for alias in node.names))
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def test_no_test_module_imports_another():
    found = {
        (str(file.relative_to(TESTS)), name)
        for file in TESTS.rglob("*.py")
        for name in imported(file)
        if name.startswith("tests.") and name.split(".")[-1].startswith("test_")
    }
    assert not found


@pytest.mark.parametrize("name", MUTANTS)
def test_the_text_of_a_mutant_occurs_once(name):
    """Else it says nothing any more: give the table of `tests/mutants.py` the new text."""
    mutant = MUTANTS[name]
    assert (SOURCE / mutant.module).read_text().count(mutant.old) == 1
    assert mutant.new != mutant.old
    assert all((TESTS / tests).is_file() for tests in mutant.tests.split())
