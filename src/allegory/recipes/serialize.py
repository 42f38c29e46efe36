"""Frozen dataclasses to JSON and back: the written form of a choice.

Each value carries the name of its class, and only the classes listed here are ever built: a file cannot name another.
"""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from typing import Any

from ..lookup import pick
from ..models import LadderConfig, VAEConfig
from ..networks import DiTConfig, MLPConfig, PotentialConfig, UNetConfig
from ..training import TrainingConfig
from .config import DiffusionConfig, PathConfig, Run

KINDS: dict[str, type] = {
    kind.__name__: kind
    for kind in (
        Run,
        DiffusionConfig,
        PathConfig,
        VAEConfig,
        LadderConfig,
        TrainingConfig,
        UNetConfig,
        DiTConfig,
        MLPConfig,
        PotentialConfig,
    )
}


def to_json(value: Any) -> Any:
    """The value as dicts, lists, strings and numbers."""
    if is_dataclass(value) and not isinstance(value, type):
        return {"kind": type(value).__name__} | {
            f.name: to_json(getattr(value, f.name)) for f in fields(value)
        }
    return [to_json(item) for item in value] if isinstance(value, (tuple, list)) else value


def from_json(value: Any) -> Any:
    """The value that `to_json` wrote; lists come back as tuples. ValueError for a kind or field that is unknown."""
    if isinstance(value, list):
        return tuple(from_json(item) for item in value)
    if not isinstance(value, dict):
        return value
    kind = pick("kind", str(value.get("kind")), KINDS)
    given = {name: from_json(item) for name, item in value.items() if name != "kind"}
    known = {f.name for f in fields(kind)}
    if set(given) != known:
        odd = sorted(set(given) ^ known)
        raise ValueError(
            f"{kind.__name__}: fields {odd} are unknown or missing; use the version that wrote it"
        )
    return kind(**given)
