"""The command `allegory info`: the description of a run."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from tyro.conf import arg

if TYPE_CHECKING:
    from ..data import DataSpec
    from ..recipes import RunFolder


@dataclass(frozen=True)
class Info:
    """Say what a run is: recipe, data, model, parameters, steps, versions, figures."""

    folder: Annotated[str, arg(metavar="RUN")]
    """Run folder."""
    json: bool = False
    """Print as JSON."""

    def run(self) -> None:
        """Print the description."""
        from ..lookup import printable
        from ..recipes import RunFolder
        from . import tables

        about = describe(RunFolder.open(Path(self.folder)))
        if self.json:
            print(json.dumps(about, indent=2))
            return

        flat: dict[str, object] = {}
        for name, value in about.items():
            shown = ", ".join(map(printable, value)) if isinstance(value, list) else value
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


def _names(spec: DataSpec) -> dict[str, list[str | int | bool]]:
    """All classes and columns by name, where the data have names."""
    names = {"classes": spec.class_names, "columns": spec.columns}
    return {name: list(values) for name, values in names.items() if values is not None}


def _vocabulary(spec: DataSpec) -> dict[str, str]:
    """What the levels stand for, where the data have a vocabulary."""
    return {} if spec.vocabulary is None else {"vocabulary": str(spec.vocabulary)}


def _flat(prefix: str, value: Any) -> dict[str, object]:
    """A tree of fields as dotted names."""
    if not isinstance(value, dict):
        return {prefix: value}

    flat: dict[str, object] = {}
    for name, part in value.items():
        flat |= {prefix: part} if name == "kind" else _flat(f"{prefix}.{name}", part)
    return flat
