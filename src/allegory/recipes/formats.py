"""The formats of `run.json`, and the conversion of earlier ones.

1: version 0.1.0, which wrote no number. It has other names for the same choices.
2: version 0.2.0. The range of continuous data was that of all items; here it is a scaling.
3: class names, columns and bounds of the data, and their fingerprint.
4: the present one: what a model is conditioned on besides the class.
"""

from __future__ import annotations

from typing import Any

RUN_FORMAT = 4

_KINDS = {
    "ModelChoice": "DiffusionConfig",
    "PathChoice": "PathConfig",
    "Training": "TrainingConfig",
    "ScalarConfig": "PotentialConfig",
}
_FIELDS = {
    "Run": {"data": "source"},
    "ModelChoice": {"row": "target", "weight": "objective"},
    "PathChoice": {"split": "scaling"},
}
_ADDED: dict[str, dict[str, Any]] = {
    "PathChoice": {"arguments": {}},
    "Training": {"validation_every": None, "device": "auto"},
}
_ADDED_TO_DATA: dict[str, Any] = {"class_names": None, "columns": None, "bounded": False}


_LATER: dict[str, dict[str, Any]] = {
    "LatentDiffusionConfig": {"draws": 1, "trained_autoencoder": None},
    "PictureAutoencoderConfig": {"components": 5},
    "TableDiffusionConfig": {"location": 0},
    "TrainingConfig": {"patience": None},
}
"""Fields that the first runs of format 4 did not write."""


class UnknownFormat(ValueError):
    """A file of a format that this version does not read."""


def current_format(content: dict[str, Any]) -> dict[str, Any]:
    """The content of a `run.json` in the present format.

    Args:
        content: what the file holds; it is converted where an earlier version wrote it.

    Raises:
        UnknownFormat: for a later format; the message names the version that wrote it.
    """
    number = content.get("format", 1)
    if isinstance(number, bool):
        raise ValueError(f"format {number} is no number")
    if number == RUN_FORMAT:
        return _with_later_fields(content)
    if number not in (1, 2, 3):
        versions = content.get("versions")
        named = versions.get("allegory") if isinstance(versions, dict) else None
        wrote = named or "another version"
        raise UnknownFormat(
            f"format {number} was written by allegory {wrote}, and this version reads up to "
            f"{RUN_FORMAT}; install that version"
        )

    run = _from_format_1(content["run"]) if number == 1 else content["run"]
    added = _ADDED_TO_DATA if number < 3 else {}
    found = {
        **content,
        "run": _condition_dropout(run),
        "data": {**content["data"], **added, "condition": None},
        "fingerprint": content.get("fingerprint"),
        "format": RUN_FORMAT,
    }
    return _with_later_fields(found)


def _with_later_fields(content: dict[str, Any]) -> dict[str, Any]:
    """The content with the fields of its configs that came later."""
    run = content.get("run")
    return {**content, "run": _completed(run)} if isinstance(run, dict) else content


def _completed(model: dict[str, Any]) -> dict[str, Any]:
    """A config with the fields that came later, and those of the configs in it."""
    parts = {
        name: _completed(value) if isinstance(value, dict) else value
        for name, value in model.items()
    }
    return _LATER.get(str(model.get("kind")), {}) | parts


def _condition_dropout(run: Any) -> Any:
    """The run with the field `label_dropout` of format 3 under its present name."""
    model = run.get("model") if isinstance(run, dict) else None
    if not isinstance(model, dict) or "label_dropout" not in model:
        return run
    model = {name.replace("label_dropout", "condition_dropout"): model[name] for name in model}
    return {**run, "model": model}


def _from_format_1(value: Any) -> Any:
    """The same choices under the names of format 2."""
    if isinstance(value, list):
        return [_from_format_1(item) for item in value]
    if not isinstance(value, dict):
        return value

    kind = value.get("kind", "")
    names = _FIELDS.get(kind, {})
    converted = {names.get(name, name): _from_format_1(item) for name, item in value.items()}
    converted["kind"] = _KINDS.get(kind, kind)
    return converted | _ADDED.get(kind, {})
