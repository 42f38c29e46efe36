"""Recipes: functions that return a frozen Run, by the names that the command line knows."""

from __future__ import annotations

import inspect
from collections.abc import Callable

from ..names import pick
from .choices import ModelChoice, PathChoice, Run
from .digits import digits
from .execute import execute
from .folder import RunFolder
from .images import images
from .mnist import mnist
from .plane import arrays, toy

RECIPES: dict[str, Callable[..., Run]] = {
    "digits": digits,
    "toy": toy,
    "images": images,
    "mnist": mnist,
    "arrays": arrays,
}


def recipe_named(name: str, data: str | None = None) -> Run:
    """The Run of a recipe, on the given data or its own. ValueError for an unknown name or missing data."""
    recipe = pick("recipe", name, RECIPES)
    if data is not None:
        return recipe(data)
    if inspect.signature(recipe).parameters["data"].default is inspect.Parameter.empty:
        raise ValueError(f"recipe {name!r} has no data of its own; give --data, e.g. --data folder/of/images")
    return recipe()


__all__ = ["RECIPES", "ModelChoice", "PathChoice", "Run", "RunFolder", "execute", "recipe_named"]
