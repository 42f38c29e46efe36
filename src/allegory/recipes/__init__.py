"""Recipes: functions that return a frozen Run, by the names that the command line knows."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable

from ..lookup import pick
from .config import DiffusionConfig, PathConfig, Run
from .digits import digits
from .execute import execute
from .images import images
from .mnist import mnist
from .mnist_binary import mnist_hierarchy, mnist_vae
from .plane import arrays, toy
from .run_folder import RunFolder
from .scores import digits_ncsn, digits_sde, toy_energy, toy_score

RECIPES: dict[str, Callable[..., Run]] = {
    "digits": digits,
    "toy": toy,
    "toy_score": toy_score,
    "toy_energy": toy_energy,
    "digits_ncsn": digits_ncsn,
    "digits_sde": digits_sde,
    "images": images,
    "mnist": mnist,
    "mnist_vae": mnist_vae,
    "mnist_hierarchy": mnist_hierarchy,
    "arrays": arrays,
}


def recipe_named(name: str, data: str | None = None) -> Run:
    """The Run of a recipe, on the given data or its own; `mnist_hierarchy:6` is the recipe with 6 levels.

    ValueError for an unknown name, a number of levels that it does not have, or missing data.
    """
    plain, colon, levels = name.partition(":")
    recipe = pick("recipe", plain, RECIPES)
    if colon:
        recipe = _with_levels(recipe, name, levels)
    if data is not None:
        return recipe(data)
    if inspect.signature(recipe).parameters["data"].default is inspect.Parameter.empty:
        raise ValueError(
            f"recipe {name!r} has no data of its own; give --data, e.g. --data folder/of/images"
        )
    return recipe()


def _with_levels(recipe: Callable[..., Run], name: str, levels: str) -> Callable[..., Run]:
    if "levels" not in inspect.signature(recipe).parameters:
        raise ValueError(
            f"recipe {name!r}: has no levels to choose; give {name.partition(':')[0]!r}"
        )
    if not levels.isdecimal():
        raise ValueError(f"recipe {name!r}: give a whole number of levels, as in mnist_hierarchy:6")
    return functools.partial(recipe, levels=int(levels))


__all__ = [
    "RECIPES",
    "DiffusionConfig",
    "PathConfig",
    "Run",
    "RunFolder",
    "execute",
    "recipe_named",
]
