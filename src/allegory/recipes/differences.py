"""Where two runs differ: their models by the name of a field, their data by content."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..data import Dataset, DataSpec
from .config import ModelConfig, Run
from .run_folder import FIRST_STAGE, RunFolder
from .serialize import to_json

_LONGEST = 80
"""Characters of a list of classes or columns in a message."""


def with_model_of(run: Run, path: Path) -> Run:
    """The run with the model of another one, whose weights it will start from.

    Args:
        run: its model may leave fields open, as None.
        path: folder of the other run.

    Raises:
        ValueError: where the models differ; it names the first field that does.
    """
    other = RunFolder.open(path).run
    for name, value, wanted in _differences(run, other):
        if value is not None:
            raise ValueError(
                f"--from {path}: its {name} is {wanted} and here it is {value}; "
                "weights fit the same model only"
            )

    return replace(run, model=other.model)


def check_same_kind(spec: DataSpec, path: Path) -> None:
    """Refuse data whose classes, columns or levels are not those that weights were trained on.

    Args:
        spec: of the data.
        path: folder of the run whose weights training will start from.

    Raises:
        ValueError: where they differ; weights would be taken by position, and mean another class.
    """
    began = RunFolder.open(path).spec
    kinds = {
        "items": (spec.shape, began.shape),
        "levels": (spec.levels, began.levels),
        "classes": (_classes(spec), _classes(began)),
        "columns": (spec.columns or began.columns, began.columns or spec.columns),
    }
    for name, (mine, theirs) in kinds.items():
        if mine != theirs:
            raise ValueError(
                f"--from {path}: its {name} are {_text(theirs)} and those of the data "
                f"{_text(mine)}; give data of the same {name}, or train without --from"
            )
    if spec.condition != began.condition:
        mine, theirs = map(_text, (spec.condition, began.condition))
        more = " of other words, names or ranges" if mine == theirs else ""
        raise ValueError(
            f"--from {path}: its condition is {theirs} and that of the data {mine}{more}; give "
            "data of the same condition, or train without --from"
        )


def check_same_model(run: Run, begun: Run, path: Path) -> None:
    """ValueError where a run to be continued has another model now.

    Args:
        run: the run as it is now.
        begun: the run as it began.
        path: its folder.
    """
    for name, value, wanted in _differences(run, begun):
        raise ValueError(
            f"--resume: {path} was begun with {name}={wanted} and here it is {value}; "
            "give the same model, or another folder"
        )


def check_first_stage(run: Run, begun: RunFolder) -> None:
    """ValueError where the first stage in the folder of a run has another model.

    Args:
        run: the first stage as it is now.
        begun: that in the folder.
    """
    for name, value, wanted in _differences(run, begun.run):
        raise ValueError(
            f"--out {str(begun.path.parent)!r}: its first stage {begun.path.name} was begun with "
            f"{name}={wanted} and here it is {value}; give the same, --overwrite (in Python "
            "overwrite=True), or another folder"
        )


def check_trained(model: ModelConfig, spec: DataSpec, path: Path, option: str) -> None:
    """Refuse a run that is given as the trained first stage of another one, and does not fit it.

    Args:
        model: the choice of the first stage.
        spec: what the data are.
        path: folder of the run that is given.
        option: that gave it, for messages.

    Raises:
        ValueError: for a run with another model, without weights, or of items of another shape,
            other levels or another range. Its classes and condition are of no account.
    """
    try:
        given = RunFolder.open(path)
        given.weights  # noqa: B018
    except ValueError as error:
        raise ValueError(f"{option} {path}: {error}") from None

    own, theirs = type(model).__name__, type(given.run.model).__name__
    if own != theirs:
        inner = path / FIRST_STAGE
        more = f", such as {inner}" if (inner / "run.json").is_file() else ""
        raise ValueError(f"{option} {path}: is a run of {theirs}; give one of {own}{more}")
    for name, value, wanted in _differences(replace(given.run, model=model), given.run):
        field = name.replace("model", f"model.{FIRST_STAGE}", 1)
        raise ValueError(
            f"{option} {path}: was trained with {field}={wanted} and here it is {value}; give "
            f"--{field} {_words(wanted)}, or another run"
        )

    for name, (mine, has) in _kinds_of_numbers(spec, given.spec).items():
        if mine != has:
            raise ValueError(
                f"{option} {path}: its items have the {name} {has} and those of the data {mine}; "
                f"give data of the same {name}, or another run"
            )


def _words(value: Any) -> str:
    """A value as words of the command line."""
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)


def _kinds_of_numbers(spec: DataSpec, other: DataSpec) -> dict[str, tuple[Any, Any]]:
    """What says how the numbers of an item are encoded, of two kinds of data."""
    return {
        "shape": (spec.shape, other.shape),
        "levels": (_text(spec.levels), _text(other.levels)),
        "range": ((spec.low, spec.high), (other.low, other.high)),
    }


def data_to_continue(dataset: Dataset, begun: RunFolder) -> Dataset:
    """The data of a run to be continued, under the description that the run began with.

    Args:
        dataset: the data as they are now.
        begun: the run.

    Raises:
        ValueError: for other data than the run began with.
    """
    now, then = dataset.fingerprint, begun.fingerprint
    if then not in (None, now):
        counts = [(text or "").partition(" ")[0] for text in (now, then)]
        is_count = counts[0] != counts[1]
        differs = f"{counts[0]} items, not {counts[1]}" if is_count else "other content"
        raise ValueError(
            f"--data {dataset.source or dataset.name}: other data than {begun.path} began with "
            f"({differs}); give the same data, or another folder"
        )

    return dataset.as_spec(begun.spec)


def _classes(spec: DataSpec) -> str | None:
    """The values of the classes as text, each in its place; None without classes."""
    if spec.classes is None:
        return None
    return str([str(name) for name in spec.class_names or range(spec.classes)])


def _text(value: object) -> str:
    return "none" if value is None else str(value)[:_LONGEST]


def _differences(run: Run, other: Run) -> Iterator[tuple[str, Any, Any]]:
    """The fields in which the models of two runs differ: name, value of one, value of the other."""
    mine, theirs = (_flat("model", to_json(each.model)) for each in (run, other))
    for name in {**theirs, **mine}:
        value, wanted = (each.get(name, "absent") for each in (mine, theirs))
        if value != wanted:
            yield name, value, wanted


def _flat(prefix: str, value: Any) -> dict[str, Any]:
    """A tree of fields as dotted names."""
    if not isinstance(value, dict):
        return {prefix: value}
    flat: dict[str, Any] = {}
    for name, part in value.items():
        flat |= _flat(f"{prefix}.{name}", part)
    return flat
