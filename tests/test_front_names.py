"""The names of the top level: lazy, in step with what type checkers see, and cheap to import."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import allegory

SOURCE = Path(allegory.__file__).read_text()


def test_type_checkers_see_the_same_names_in_the_same_places():
    tree = ast.parse(SOURCE)
    (guarded,) = (node for node in tree.body if isinstance(node, ast.If))
    seen = {
        alias.name: node.module
        for node in ast.walk(guarded)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert all(
        alias.name == alias.asname
        for node in ast.walk(guarded)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    ), "a re-export is written `import X as X`"
    assert seen == allegory._HOME


@pytest.mark.parametrize("name", allegory.__all__)
def test_every_name_is_there_and_says_what_it_is(name):
    assert (getattr(allegory, name).__doc__ or "").strip()


def test_another_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        allegory.nothing  # noqa: B018


def test_importing_the_package_imports_nothing_else():
    code = (
        "import sys; before = set(sys.modules); import allegory; "
        "print(sorted(m for m in set(sys.modules) - before if not m.startswith('allegory')))"
    )
    done = subprocess.run(
        [sys.executable, "-S", "-c", code],
        capture_output=True,
        text=True,
        env={"PYTHONPATH": str(Path(allegory.__file__).parents[1])},
        check=True,
    )
    heavy = {"torch", "numpy", "jaxtyping", "safetensors"}
    assert not heavy & set(ast.literal_eval(done.stdout))
