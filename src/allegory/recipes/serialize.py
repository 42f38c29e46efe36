"""Configs to JSON and back.

Each config is written with the name of its class, and only registered classes are ever built, so a
file cannot name
another: those of `NETWORKS` and `MODELS`, the parts of a `Run`, and what is in `CONFIGS`.
"""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from typing import Any

from ..lookup import Registry
from ..networks import NETWORKS
from ..training import TrainingConfig
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


def from_json(value: Any) -> Any:
    """The value that `to_json` wrote; lists come back as tuples.

    Raises:
        NotRegistered: for a class that is not registered.
        ValueError: for fields that are unknown or missing.
    """
    if isinstance(value, list):
        return tuple(from_json(item) for item in value)
    if not isinstance(value, dict):
        return value

    given = {name: from_json(item) for name, item in value.items() if name != "kind"}
    if "kind" not in value:
        return given

    kinds = config_kinds()
    name = str(value["kind"])
    if name not in kinds:
        raise NotRegistered(
            f"kind {name!r} is not registered; import the module that registers it, "
            "e.g. allegory --import MODULE sample RUN"
        )

    kind = kinds[name]
    odd = sorted(set(given) ^ {field.name for field in fields(kind)})
    if odd:
        raise ValueError(
            f"{name}: fields {odd} are unknown or missing; use the version that wrote it"
        )

    return kind(**given)
