"""Configs to JSON and back.

Each config is written with the name of its class, and only registered classes are ever built, so a
file cannot name
another: those of `NETWORKS` and `MODELS`, the parts of a `Run`, and what is in `CONFIGS`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from ..lookup import Registry
from ..networks import NETWORKS
from ..training import TrainingConfig
from ..typed import fields_of, typed
from .config import MODELS, PathConfig, Run

CONFIGS: Registry[type] = Registry("kind")
"""Further dataclasses that may stand in a config, such as a part of a registered model."""

CONFIGS.register("Run", Run, "a run")
CONFIGS.register("PathConfig", PathConfig, "a schedule and a scaling")
CONFIGS.register("TrainingConfig", TrainingConfig, "budget, optimizer, moving average")


class NotRegistered(ValueError):
    """A file names a class that no module registered so far."""


def config_kinds() -> dict[str, type]:
    """All classes that may be built from JSON, by name.

    Raises:
        ValueError: where two of them have the same name.
    """
    kinds: dict[str, type] = {}
    for registry in (CONFIGS, NETWORKS, MODELS):
        for entry in registry.values():
            kind = entry if isinstance(entry, type) else type(entry)
            if kinds.setdefault(kind.__name__, kind) is not kind:
                raise ValueError(f"two classes {kind.__name__} are registered; rename one of them")
    return kinds


def to_json(value: Any) -> Any:
    """The value as dicts, lists, strings and numbers."""
    if is_dataclass(value) and not isinstance(value, type):
        content = {field.name: to_json(getattr(value, field.name)) for field in fields(value)}
        return {"kind": type(value).__name__} | content
    if isinstance(value, dict):
        return {name: to_json(item) for name, item in value.items()}
    return [to_json(item) for item in value] if isinstance(value, (tuple, list)) else value


def from_json(value: Any, hint: Any = Any, place: str = "run") -> Any:
    """The value that `to_json` wrote; lists come back as tuples.

    Args:
        value: the JSON values.
        hint: the type that the value has.
        place: where it stands, for messages.

    Returns:
        The value, each field of it of the kind that the dataclass says.

    Raises:
        NotRegistered: for a class that is not registered.
        ValueError: for fields that are unknown, missing, or of another kind.
    """
    return typed(value, hint, place, _made)


def _made(value: Mapping[str, Any], place: str) -> Any:
    """The config of an object that says its kind."""
    kinds = config_kinds()
    name = str(value["kind"])[:80]
    if name not in kinds:
        raise NotRegistered(
            f"kind {name!r} is not registered; import the module that registers it, "
            "e.g. allegory --import MODULE sample RUN"
        )

    given = {field: item for field, item in value.items() if field != "kind"}
    return fields_of(kinds[name], given, place, _made)
