"""The conditions of samples: --condition and --label, or all classes or test items in turn.

--condition is a value of the run's kind: a class, `smiling,young`, `age=30,dose=0.5`, text; for
several conditions `NAME=VALUE`, repeated. `none` hides it. `@FILE` has one per sample: a line of a
text file each, an array in .npy, pictures, or a folder of them; a single one is for all samples.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..conditions import Combined, Condition, Labels, Picture, hidden_like
from ..conditions.base import HIDDEN, parsed_row
from ..data import Items
from ..data.array_files import read_arrays
from ..data.encoded import Encoded
from ..data.folders import files_below
from ..data.pixels import decode_images
from ..data.splits import conditions_in_turn
from ..files import open_regular
from ..lookup import pick, printable
from ..recipes import RunFolder

_ARRAYS = (".npy", ".npz")
_LINES = (".txt", ".csv")
_MOST_TEXT = 2**26  # bytes


@dataclass(frozen=True, eq=False)
class SampleConditions:
    """The conditions of samples.

    Args:
        rows: one per sample; None hides all of them, or there is none.
        labels: classes of the samples as indices, where the condition is the class.
        said: which were taken, in words; "" where they were asked for.
    """

    rows: Tensor | None
    labels: Tensor | None = None
    said: str = ""


def chosen_conditions(
    folder: RunFolder, kind: Condition | None, given: Sequence[str], label: str | None, count: int
) -> SampleConditions:
    """The conditions of `count` samples.

    Args:
        folder: the run; its test items are read where nothing is chosen.
        kind: of the condition of the model; None for a model without one.
        given: the values of --condition.
        label: the value of --label.
        count: the number of samples.

    Raises:
        ValueError: for what is no condition of the model, another number of them than samples, and
            test items that cannot be read.
    """
    if kind is None:
        _refuse(given, label)
        return SampleConditions(None)
    if label is not None:
        given = _with_label(kind, given, label)
    if given:
        rows = _rows(kind, given, count)
        is_class = _by_class(folder) and rows is not None and bool((rows >= 0).all())
        return SampleConditions(rows, rows if is_class else None)
    if folder.spec.given is None and isinstance(kind, Labels):  # that of a classifier
        return SampleConditions(torch.arange(count) % kind.classes)

    rows, labels, said = in_turn(folder, count, "--condition, or --condition none")
    return SampleConditions(rows, labels if _by_class(folder) else None, said)


def condition_rows(
    folder: RunFolder, kind: Condition | None, given: Sequence[str], label: str | None, count: int
) -> Tensor | None:
    """The rows of `count` items; None where no condition is given.

    Args:
        folder: the run.
        kind: of the condition of the model; None for a model without one.
        given: the values of --condition.
        label: the value of --label.
        count: the number of items.
    """
    if not given and label is None:
        return None
    return chosen_conditions(folder, kind, given, label, count).rows


def in_turn(folder: RunFolder, count: int, remedy: str) -> tuple[Tensor | None, Tensor | None, str]:
    """All classes in turn, or the conditions of the run's test items in turn.

    Args:
        folder: the run.
        count: the number of samples.
        remedy: what to give where the data are not there.

    Returns:
        The rows, the labels, and which items they are of, in words.

    Raises:
        ValueError: for test items that cannot be read.
    """
    spec = folder.spec
    if spec.condition is None:
        return (*conditions_in_turn(spec, None, count), "")
    try:
        dataset = folder.dataset()
    except ValueError as error:
        raise ValueError(
            f"the conditions of the run's test items cannot be read ({error}); give {remedy}"
        ) from None

    rows, labels = conditions_in_turn(spec, dataset.test, count)
    what = f"of the {len(dataset.test):,} test items of {dataset.source or dataset.name} in turn"
    return rows, labels, f"conditions {what}"


def _by_class(folder: RunFolder) -> bool:
    """Whether the condition of the model is the class of its items."""
    return isinstance(folder.spec.given, Labels) and folder.spec.condition is None


def _refuse(given: Sequence[str], label: str | None) -> None:
    if label is not None:
        raise ValueError(f"--label {label}: this run has no classes; leave it out")
    if given:
        raise ValueError(
            f"--condition {printable(given[0])}: this run learned no condition; leave it out"
        )


def _with_label(kind: Condition, given: Sequence[str], label: str) -> Sequence[str]:
    """The values with the class, alone or as the only class of several conditions."""
    if isinstance(kind, Labels):
        if given:
            raise ValueError("--label and --condition: both are the class; give one")
        try:
            kind.encode(label)
        except ValueError as error:
            text = str(error).removeprefix("condition: ")
            raise ValueError(f"--label: {text}") from None
        return (label,)

    parts = (
        [
            name
            for name, part in zip(kind.names, kind.parts, strict=True)
            if isinstance(part, Labels)
        ]
        if isinstance(kind, Combined)
        else []
    )
    if len(parts) != 1:
        raise ValueError(f"--label {label}: the condition of this run is {kind}; give --condition")
    return (*given, f"{parts[0]}={label}")


def _rows(kind: Condition, given: Sequence[str], count: int) -> Tensor | None:
    """The rows of `count` samples by the values of --condition."""
    if [*given] == [HIDDEN]:
        return None
    try:
        if not isinstance(kind, Combined):
            if len(given) > 1:
                raise ValueError(f"given {len(given)} times; give one, or @FILE with one a line")
            return _expanded(read_condition(kind, given[0]), kind, count)

        parts: dict[str, Tensor] = {}
        table = dict(zip(kind.names, kind.parts, strict=True))
        for text in given:
            name, equals, value = text.partition("=")
            if not equals:
                raise ValueError(f"give NAME=VALUE, with a name of {', '.join(kind.names)}")

            part = pick("condition", name, table)
            if name in parts:
                raise ValueError(f"{name} is given twice; give it once, or NAME=@FILE")
            _check_one_part(value, table)
            parts[name] = _expanded(read_condition(part, value), part, count)

        return kind.join(parts, (count,))
    except ValueError as error:
        text = str(error).removeprefix("condition: ")
        raise ValueError(f"--condition {printable(' '.join(given))[:60]}: {text}") from None


def _check_one_part(value: str, table: Mapping[str, Condition]) -> None:
    """ValueError for a value that holds that of another part as well, as ",NAME=VALUE"."""
    for name in table:
        if f",{name}=" in value.replace(", ", ","):
            raise ValueError(f"give --condition again for {name}={value.rpartition('=')[2]}")


def _expanded(rows: Tensor, kind: Condition, count: int) -> Tensor:
    """One row per sample, by one for all or one each. ValueError for another number of rows."""
    if rows.ndim == len(kind.row_shape):
        return rows.expand(count, *rows.shape)
    if len(rows) == 1:
        return rows.expand(count, *kind.row_shape)
    if len(rows) != count:
        raise ValueError(f"{len(rows)} conditions for {count} samples; give --count {len(rows)}")
    return rows


def read_condition(kind: Condition, text: str) -> Tensor:
    """The row of a value, or the rows of @FILE, which are of this `kind`; from its `text`."""
    if not text.startswith("@"):
        return parsed_row(kind, text)

    path = Path(text[1:]).expanduser()
    if not path.exists():
        raise ValueError(f"{path}: no such file; check the path")

    if path.suffix in _ARRAYS:
        arrays = read_arrays(path)
        if "x" not in arrays:
            raise ValueError(f"{path}: arrays {', '.join(sorted(arrays))}; name the one to take x")
        return kind.encode(arrays["x"])

    if path.suffix in _LINES:
        return _of_lines(kind, path)
    if isinstance(kind, Picture):
        return kind.encode(_pictures(kind, path))
    raise ValueError(f"{path}: not a kind that is read; give {', '.join((*_LINES, *_ARRAYS))}")


def _of_lines(kind: Condition, path: Path) -> Tensor:
    """The rows of the lines of a text file; names of numbers may be in the first."""
    with open_regular(path) as file:
        content = file.read(_MOST_TEXT + 1)
    if len(content) > _MOST_TEXT:
        raise ValueError(f"{path}: more than {_MOST_TEXT:,} bytes; give fewer lines")
    try:
        lines = content.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise ValueError(f"{path}: not text in UTF-8; save it as such") from None
    lines = [line.strip() for line in lines if line.strip()]

    names = [name.strip() for name in lines[0].split(",")] if lines else []
    if names and {*names} <= {*(getattr(kind, "names", None) or ())} and path.suffix == ".csv":
        lines = [_named(names, line) for line in lines[1:]]
    if not lines:
        raise ValueError(f"{path}: no lines; give one condition a line")

    values = [None if line == HIDDEN else kind.parse(line) for line in lines]
    shown = [value for value in values if value is not None]
    rows = hidden_like(torch.empty((len(lines), *kind.row_shape), dtype=kind.dtype))
    if shown:
        places = torch.tensor([value is not None for value in values])
        rows[places] = _encoded(kind, shown)
    return rows


def _named(names: Sequence[str], line: str) -> str:
    """A line of numbers as NAME=VALUE, without the empty ones."""
    pairs = zip(names, line.split(","), strict=False)
    return ",".join(f"{name}={value.strip()}" for name, value in pairs if value.strip())


def _encoded(kind: Condition, values: list[Any]) -> Tensor:
    if any(isinstance(value, dict) for value in values):
        return torch.stack([kind.encode(value) for value in values])
    return kind.encode(values)


def _pictures(kind: Picture, path: Path) -> Any:
    """A picture, or those of a folder in order of name, with 0 to 255 as the range of the kind."""
    files = [*files_below(path).files] if path.is_dir() else [path]
    if not files:
        raise ValueError(f"{path}: no pictures; give a folder that holds some")
    if len(kind.shape) != 3:
        raise ValueError(f"{path}: pictures are no {kind}; give {' or '.join(_ARRAYS)}")
    pixels = decode_images([Encoded(str(file), file) for file in files]).x
    if pixels.shape[1] == 1 and kind.shape[0] == 3:
        pixels = pixels.expand(-1, 3, -1, -1)
    low, high = kind.ends(pixels.double())
    scaled = low + pixels.double() / 255 * (high - low)
    return (scaled if path.is_dir() else scaled[0]).numpy()


def samples_with(x: Tensor, chosen: SampleConditions, kind: Condition | None) -> Items:
    """Samples with their labels or conditions.

    Args:
        x: the samples.
        chosen: their conditions.
        kind: of the data, apart from a class.
    """
    return Items(x, chosen.labels, condition=None if kind is None else chosen.rows)
