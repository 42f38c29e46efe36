"""The recipes by name.

A recipe from outside the package is a function of the data that returns a Run, with the decorator
`recipe`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TypeVar

from ..lookup import Registry
from .config import Run

Recipe = Callable[..., Run]
"""(data) -> Run. The parameter has a default where the recipe has data of its own."""

_R = TypeVar("_R", bound=Recipe)

RECIPES: Registry[Recipe] = Registry("recipe")
"""Functions that return a Run, by name."""


def recipe(function: _R) -> _R:
    """Register a recipe by the name of its function; its docstring's first line is the help."""
    RECIPES.register(function.__name__, function, first_line(function))
    return function


def first_line(function: Recipe) -> str:
    """The first line of the function's docstring, empty without one."""
    return (inspect.getdoc(function) or "").partition("\n")[0]


def needs_data(function: Callable[..., object]) -> bool:
    """Whether the first parameter of a recipe, its data, has no default."""
    parameters = list(inspect.signature(function).parameters.values())
    return bool(parameters) and parameters[0].default is inspect.Parameter.empty


def recipe_named(name: str, data: str | None = None) -> Run:
    """The Run of a recipe.

    Args:
        name: of the recipe; a number may follow where the recipe has one, as in
            "mnist_hierarchy:6".
        data: the data, as `allegory.data.load` reads them; None takes the recipe's own.

    Raises:
        ValueError: for an unknown name, a number that does not fit, or a recipe without data of its
            own.
    """
    function = RECIPES.named(name)
    if data is not None:
        return function(data)
    if needs_data(function):
        raise ValueError(
            f"recipe {name!r} has no data of its own; give --data FILE or --data FOLDER (in Python "
            "the argument data)"
        )

    return function()
