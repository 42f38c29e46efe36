"""Seeded mistakes: one sign of a library function is turned for the length of a test."""

import inspect
import sys
import textwrap
import types
from functools import cached_property


def _plain(target):
    """The function that runs, under properties and type checks."""
    if isinstance(target, cached_property):
        target = target.func
    if isinstance(target, property):
        target = target.fget
    return inspect.unwrap(target)


def mutate(monkeypatch, target, old, new):
    """Replace `old`, which must occur once, by `new` in a function, wherever it is used."""
    function = _plain(target)
    source = textwrap.dedent(inspect.getsource(function))
    assert source.count(old) == 1, (
        f"{old!r} is {source.count(old)} times in {function.__qualname__}; mend mistakes.py"
    )
    source = source[source.index("def ") :].replace(old, new)
    space = dict(vars(sys.modules[function.__module__]))
    if function.__closure__:  # super() in a method
        free = function.__code__.co_freevars
        inner = textwrap.indent(source, "    ")
        body = f"def outer({', '.join(free)}):\n{inner}\n    return {function.__name__}"
        source = body
    exec(compile("from __future__ import annotations\n" + source, "<mutated>", "exec"), space)
    changed = (
        space["outer"](*(None for _ in function.__closure__))
        if function.__closure__
        else space[function.__name__]
    )
    assert isinstance(changed, types.FunctionType)
    monkeypatch.setattr(function, "__code__", changed.__code__)
