"""Import of code from outside the package: modules that register parts, and files with recipes.

An error in such a file is reported in one line, with the file and the line number.
"""

from __future__ import annotations

import importlib
import importlib.util
import re
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

_OPTION = "--import"


def take_imports(arguments: Sequence[str]) -> list[str]:
    """Import the modules of `--import MODULE` and `--import=MODULE`.

    Args:
        arguments: the arguments of the command line.

    Returns:
        The other arguments.

    Raises:
        ValueError: for a module that is missing, or that raises an error.
    """
    rest: list[str] = []
    words = iter(arguments)
    for word in words:
        option, equals, name = word.partition("=")
        if option != _OPTION:
            rest.append(word)
            continue
        name = name if equals else next(words, "")
        if not name:
            raise ValueError(f"{_OPTION}: name a module or a .py file")
        import_module(name)

    return rest


def import_module(name: str) -> ModuleType:
    """The module with this name.

    Args:
        name: a dotted name, looked up in the working folder too, or the path of a .py file.

    Raises:
        ValueError: for a file or module that is missing, or that raises an error.
    """
    if name.endswith(".py"):
        return import_file(Path(name))

    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    if name.startswith(".") or not _is_found(name):
        raise ValueError(
            f"{_OPTION} {name}: no such module; check its name, or give the path of a .py file"
        )
    with errors_of(None, f"{_OPTION} {name}"):
        return importlib.import_module(name)


def _is_found(name: str) -> bool:
    """Whether there is a module of this name; the packages that it is in are imported."""
    package, dot, _ = name.rpartition(".")
    if dot and not _is_found(package):
        return False
    try:
        with errors_of(None, f"{_OPTION} {name}"):
            return name in sys.modules or importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:
        return False


def import_file(path: Path) -> ModuleType:
    """The module in the file `path`; each file is executed once.

    Raises:
        ValueError: for a file that is missing, or that raises an error.
    """
    if not path.is_file():
        raise ValueError(f"{path}: no such file; check the path")
    name = f"allegory_user_{path.resolve().as_posix().replace('/', '_').removesuffix('.py')}"
    if name in sys.modules:
        return sys.modules[name]

    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        with errors_of(path):
            spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


@contextmanager
def errors_of(path: Path | None, name: str = "") -> Iterator[None]:
    """Inside the block, an error in a user's code becomes a ValueError with file and line.

    Args:
        path: the file; None where a module is imported by its name.
        name: what failed, where no line of the user's code is known.
    """
    try:
        yield
    except SyntaxError as error:
        place = str(error.filename or path or name)
        place += "" if error.lineno is None else f", line {error.lineno}"
        raise ValueError(f"{place}: {error.msg}; mend it there") from None
    except (Exception, SystemExit) as error:
        reason = f"{type(error).__name__}: {error}"
        found = _place(error, path)
        if found is not None:
            raise ValueError(f"{found}: {reason}; mend it there") from None
        if path is None and isinstance(error, ModuleNotFoundError):
            raise
        raise ValueError(f"{path or name}: {reason}; mend it there") from None


def _place(error: BaseException, path: Path | None) -> str | None:
    """File and line of the last call in a file, or outside this package and its environment."""
    frames = traceback.extract_tb(error.__traceback__)
    if path is not None:
        own = [frame for frame in frames if Path(frame.filename).resolve() == path.resolve()]
        return f"{path}, line {own[-1].lineno}" if own else None

    ours = str(Path(__file__).parents[1])
    own = [
        frame
        for frame in frames
        if Path(frame.filename).is_file()
        and not frame.filename.startswith((ours, sys.prefix, sys.base_prefix))
    ]
    return f"{own[-1].filename}, line {own[-1].lineno}" if own else None


def recipe_in(text: str) -> tuple[Path, Callable[..., object]] | None:
    """The file and the recipe function of "FILE.py" or "FILE.py:FUNCTION"; None for other text.

    Without a name it is the one function of the file that is annotated to return a `Run`, or the
    only function.

    Args:
        text: RECIPE of the command line.

    Raises:
        ValueError: for a file without such a function, or with several.
    """
    file, colon, name = file_and_function(text)
    if not file:
        return None

    path = Path(file)
    own = _functions(import_file(path))
    public = {key: value for key, value in own.items() if not key.startswith("_")}
    if colon:
        if name not in own:
            names = ", ".join(public) or "none"
            raise ValueError(f"{path}: no function {name!r}; its functions are {names}")
        return path, own[name]

    typed = {key: value for key, value in public.items() if _returns_run(value)}
    candidates = typed or public
    if len(candidates) == 1:
        return path, next(iter(candidates.values()))
    if not candidates:
        raise ValueError(f"{path}: no function in it; define one that returns a Run")
    raise ValueError(f"{path}: functions {', '.join(candidates)}; name one, {path}:FUNCTION")


def _functions(module: ModuleType) -> dict[str, Callable[..., object]]:
    """The functions that a module defines itself, by name."""
    return {
        key: value
        for key, value in vars(module).items()
        if callable(value)
        and not isinstance(value, type)
        and getattr(value, "__module__", None) == module.__name__
    }


def file_and_function(text: str) -> tuple[str, str, str]:
    """File, colon and function of "FILE.py" or "FILE.py:FUNCTION"; three times "" otherwise."""
    found = re.fullmatch(r"(.*[^/]\.py)(?:(:)(.*))?", text)
    return ("", "", "") if found is None else (found[1], found[2] or "", found[3] or "")


def _returns_run(function: Callable[..., object]) -> bool:
    returned = getattr(function, "__annotations__", {}).get("return")
    name = returned if isinstance(returned, str) else getattr(returned, "__name__", "")
    return name.rpartition(".")[2] == "Run"
