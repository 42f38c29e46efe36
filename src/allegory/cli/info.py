"""The command `allegory info`: the description of a run, or of data."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from tyro.conf import arg

if TYPE_CHECKING:
    from ..data import DataSpec
    from ..recipes import RunFolder

_DATA = (".txt", ".csv", ".npy", ".npz", ".parquet")
"""Ends of names that are data, whether they are there or not."""


@dataclass(frozen=True)
class Info:
    """Say what a run is: recipe, data, model, parameters, steps, versions, figures; or what data
    are: items, classes, columns, vocabulary.
    """

    folder: Annotated[str, arg(metavar="RUN")]
    """Run folder; or data, as `allegory train --data` takes them. A folder without options is a
    run.
    """
    json: bool = False
    """Print as JSON."""

    def run(self) -> None:
        """Print the description."""
        from ..lookup import printable
        from ..recipes import RunFolder
        from . import tables

        if _is_data(self.folder):
            about = describe_data(self.folder)
        else:
            about = describe(RunFolder.open(Path(self.folder)))
        if self.json:
            print(json.dumps(about, indent=2))
            return

        flat: dict[str, object] = {}
        for name, value in about.items():
            shown = ", ".join(map(printable, value)) if isinstance(value, list) else value
            if name == "table":  # its names are columns, which may have any name
                flat |= {f"table.{column}": summary for column, summary in value.items()}
            else:
                flat |= _flat(name, shown)
        tables.show(False, flat)


def describe(folder: RunFolder) -> dict[str, Any]:
    """The description of the run in `folder`, as JSON values by name."""
    from ..plain_json import read_json
    from ..recipes.serialize import to_json

    content = read_json(folder.path / "run.json")
    lines = folder.metrics()
    last = lines[-1] if lines else {}
    model = folder.untrained()

    return {
        "run": str(folder.path),
        "recipe": folder.run.recipe,
        "data": folder.run.source,
        "items": str(folder.spec),
        **_vocabulary(folder.spec),
        **_table(folder.spec),
        **_names(folder.spec),
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "steps": last.get("step", 0),
        "seconds": last.get("seconds", 0.0),
        "loss": last.get("loss"),
        "unit": folder.run.unit,
        "versions": content.get("versions", {}),
        "model": to_json(folder.run.model),
        "training": to_json(folder.run.training),
    }


def describe_data(source: str) -> dict[str, Any]:
    """The description of data, as JSON values by name.

    Args:
        source: a name or path with options, as `load` takes it.

    Raises:
        ValueError: for data that cannot be read.
    """
    from ..data import load

    data = load(source)
    return {
        "data": data.source,
        "items": str(data.spec),
        **_vocabulary(data.spec),
        **_table(data.spec),
        **_names(data.spec),
        "training items": len(data.train),
        "validation items": len(data.validation),
        "test items": len(data.test),
        "fingerprint": data.fingerprint,
        "notes": list(data.notes),
    }


def _is_data(place: str) -> bool:
    """Whether it is data and no run: a file, the name of a source, or a place with options."""
    from ..data import SOURCES
    from ..data.places import parted

    path, mark, _ = parted(place)
    if Path(place).is_dir():
        return False
    file = Path(path).expanduser()
    is_file = file.is_file() or (not file.exists() and file.suffix.lower() in _DATA)
    return bool(mark) or is_file or path.partition(":")[0] in SOURCES


def _names(spec: DataSpec) -> dict[str, list[str | int | bool]]:
    """All classes and columns by name, where the data have names."""
    names = {"classes": spec.class_names, "columns": spec.columns}
    return {name: list(values) for name, values in names.items() if values is not None}


def _vocabulary(spec: DataSpec) -> dict[str, str]:
    """What the levels stand for, where the data have a vocabulary."""
    return {} if spec.vocabulary is None else {"vocabulary": str(spec.vocabulary)}


def _table(spec: DataSpec) -> dict[str, Any]:
    """What each column of a table was taken for, and notes on it."""
    if spec.table is None:
        return {}
    about = {column.name: column.summary for column in spec.table.columns}
    return {"table": about, **({"table notes": list(spec.table.notes)} if spec.table.notes else {})}


def _flat(prefix: str, value: Any) -> dict[str, object]:
    """A tree of fields as dotted names."""
    if not isinstance(value, dict):
        return {prefix: value}

    flat: dict[str, object] = {}
    for name, part in value.items():
        flat |= {prefix: part} if name == "kind" else _flat(f"{prefix}.{name}", part)
    return flat
