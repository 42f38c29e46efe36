"""The help of the options, each as one paragraph that fits any terminal."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import textwrap
from contextlib import suppress
from itertools import pairwise
from typing import Annotated, Any, TypeVar, get_type_hints

from tyro.conf import arg

T = TypeVar("T")


def with_paragraphs(kind: type[T]) -> type[T]:
    """A dataclass of options with the same fields, each of whose texts is one paragraph.

    tyro keeps the line breaks of the strings below the fields, which are wrapped for the source.

    Args:
        kind: a frozen dataclass of options.
    """
    texts = _texts(kind)
    hints = get_type_hints(kind, include_extras=True)
    annotated: Any = Annotated
    fields: list[Any] = []
    for one in dataclasses.fields(kind):  # type: ignore[arg-type]
        if one.name in texts:
            described: Any = (hints[one.name], arg(help=texts[one.name]))
            default = dataclasses.field(default=one.default, kw_only=one.kw_only)
            fields.append((one.name, annotated[described], default))

    made: type[T] = dataclasses.make_dataclass(kind.__name__, fields, bases=(kind,), frozen=True)
    made.__doc__ = kind.__doc__
    return made


def _texts(kind: type) -> dict[str, str]:
    """The string below each field of a dataclass and of its bases, without line breaks."""
    texts = {}
    for base in reversed(kind.__mro__[:-1]):
        # A class that was made while the program runs has no source.
        with suppress(OSError, TypeError):
            (tree,) = ast.parse(textwrap.dedent(inspect.getsource(base))).body
            for line, after in pairwise(getattr(tree, "body", ())):
                texts.update(_text(line, after))
    return texts


def _text(line: ast.stmt, after: ast.stmt) -> dict[str, str]:
    """The name of the field of a line with the string on the one after it; empty for others."""
    match line, after:
        case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
            return {name: " ".join(text.split())}
    return {}
