"""A `DataSpec` as JSON values, as `run.json` keeps it, and back."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, Any

from ..conditions import CONDITIONS, Condition
from ..lookup import pick
from ..typed import fields_of, typed
from .table_schema import TableSchema
from .vocabularies import VOCABULARIES, Vocabulary

if TYPE_CHECKING:
    from .spec import DataSpec

_TUPLES = ("shape", "low", "high", "class_names", "columns")


def plain_values(spec: DataSpec) -> dict[str, Any]:
    """The fields of a spec as JSON values; tuples are lists, objects say their kind."""
    return {field.name: _plain(getattr(spec, field.name)) for field in fields(spec)}


def hash_of(condition: Condition) -> str:
    """A hash (BLAKE2b, 64 bits) of a condition with all its fields."""
    content = json.dumps(_plain(condition), sort_keys=True)
    return hashlib.blake2b(content.encode(), digest_size=8).hexdigest()


def values_of(kind: type[DataSpec], values: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a spec from JSON values.

    Args:
        kind: DataSpec.
        values: what `plain_values` returned.

    Raises:
        ValueError: where fields are missing or unknown.
    """
    names = {field.name for field in fields(kind)}
    if isinstance(values, Mapping):
        values = {"vocabulary": None, "table": None, **values}  # absent in runs of earlier versions
    if not isinstance(values, Mapping) or set(values) != names:
        raise ValueError(
            f"fields {sorted(values) if isinstance(values, Mapping) else values}: expected "
            f"{sorted(names)}; write them with DataSpec.to_dict"
        )
    if not isinstance(values["shape"], list | tuple):
        raise ValueError(f"shape={values['shape']}: give a list of whole numbers")
    made = {
        name: tuple(value) if name in _TUPLES and isinstance(value, list) else value
        for name, value in values.items()
    }
    if values["condition"] is not None:
        made["condition"] = typed(values["condition"], Condition, "condition", _condition)
    if values["vocabulary"] is not None:
        made["vocabulary"] = typed(values["vocabulary"], Vocabulary, "vocabulary", _vocabulary)
    if values["table"] is not None:
        made["table"] = TableSchema.from_dict(values["table"])

    return made


def _plain(value: Any) -> Any:
    if isinstance(value, TableSchema):
        return value.to_dict()
    if isinstance(value, Condition | Vocabulary) and is_dataclass(value):
        content = {each.name: _plain(getattr(value, each.name)) for each in fields(value)}
        return {"kind": type(value).__name__} | content
    return [_plain(each) for each in value] if isinstance(value, tuple) else value


def _condition(value: Mapping[str, Any], place: str) -> Condition:
    """The condition of an object that says its kind."""
    kind = pick("kind of condition", str(value["kind"])[:80], CONDITIONS)
    return fields_of(kind, _without_kind(value), place, _condition)


def _vocabulary(value: Mapping[str, Any], place: str) -> Vocabulary:
    """The vocabulary of an object that says its kind."""
    kind = pick("kind of vocabulary", str(value["kind"])[:80], VOCABULARIES)
    return fields_of(kind, _without_kind(value), place, _vocabulary)


def _without_kind(value: Mapping[str, Any]) -> dict[str, Any]:
    return {name: each for name, each in value.items() if name != "kind"}
