"""From text to data: `name`, `name:argument` or a path, with options after a question mark.

A name is looked up in `SOURCES`. Anything else is a path:

- `file.npy`, `file.npz`: uint8 images, or floats of any shape (`npy.py`)
- `file.parquet`, or a folder with `train*.parquet`: tables of images or numbers (`parquet.py`)
- `file.txt`, or a folder of such files: text (`text.py`); `text:PATH` for one of another name
- `table:FILE`: a .csv, .parquet or .jsonl table with mixed columns (`table_dataset.py`)
- a folder of images: one class per subfolder (`images.py`)

Options are the keyword-only parameters of the source, as in `folder?size=32` (crop each image to
its centred square and resize it to 32x32) or `moons?seed=3`. Three are for images of any source:
`?binarize=dynamic` and `?binarize=static` make black and white images of 256 levels
(`binarize.py`), `?flip=horizontal`, `?flip=vertical` and `?flip=both` mirror training images at
random (`flips.py`). With `?lowres=4` the condition of each image is its own means over 4x4 pixels
(`low_resolution.py`). With `?given=2` the condition of each series or video of any source is its
own first 2 frames, and the item is the rest (`first_frames.py`). Several are joined:
`folder?size=32&binarize=dynamic`. An option of the source itself takes precedence, such as
`table:people.csv?given=age`.

A source from outside the package is a function that returns a Dataset:

    def spirals(*, count: int = 1000, seed: int = 0) -> Dataset: ...

    SOURCES.register("spirals", spirals, "two interleaved spirals in the plane")
    load("spirals?count=200")
"""

from __future__ import annotations

import functools
import inspect
import math
import os
import typing
import warnings
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

from ..lookup import Note, Registry, check_type, pick, printable
from .binarize import MODES, binarize
from .bundled import handwritten_digits
from .captions import captioned_digits
from .dataset import Dataset
from .first_frames import first_frames
from .flips import FLIPS, flip
from .low_resolution import low_resolution
from .moving_digits import moving_digit_clips
from .parquet import hub
from .path_sources import path_source
from .places import MissingData, absolute, parted, with_absolute_options
from .sequences import heartbeat_bits
from .series import rotation_series
from .table_dataset import table_file
from .text_files import text_file
from .toys import TOYS, toy_dataset

Source = Callable[..., Dataset]
"""A function that returns a Dataset.

A positional parameter takes what follows the colon of `name:argument`; keyword-only parameters of
type int, float, bool or str are options."""

SOURCES: Registry[Source] = Registry("data source or path")

SOURCES.register(
    "digits",
    handwritten_digits,
    "1,797 handwritten digits, 8x8, 17 levels (bundled with scikit-learn)",
)
SOURCES.register(
    "captions",
    captioned_digits,
    "24x24 pictures of coloured, placed and scaled digits, with captions (made from digits)",
)
SOURCES.register(
    "moving_digits",
    moving_digit_clips,
    "clips of 8 frames, 16x16, of digits that move and bounce, 17 levels (made from digits)",
)
SOURCES.register(
    "series",
    rotation_series,
    "series of 32 times and 2 channels: damped rotations with noise, of three angles",
)
for _name, _points in TOYS.items():
    SOURCES.register(
        _name,
        functools.partial(toy_dataset, _name),
        f"points in the plane: {(_points.__doc__ or '').splitlines()[0]}",
    )
SOURCES.register("text", text_file, "text:PATH, a file of text or a folder of .txt files")
SOURCES.register(
    "heartbeat",
    heartbeat_bits,
    "sequences of 20 bits, every fifth of them 1 (Sohl-Dickstein et al. 2015)",
)
SOURCES.register(
    "table",
    table_file,
    "table:FILE, rows of a .csv, .parquet or .jsonl table with mixed columns and missing values",
)
SOURCES.register("hub", hub, "hub:owner/name, a data set of the Hugging Face hub")


_OF_PATHS = ("text", "table")
"""Sources whose argument is a path."""

_FOR_ITEMS: dict[str, tuple[Callable[[Dataset, str], Dataset], tuple[str, ...] | None]] = {
    "binarize": (binarize, MODES),
    "flip": (flip, FLIPS),
    "lowres": (low_resolution, None),
    "given": (first_frames, None),
}
"""Options for items of any source, in the order in which they are applied, with their values; None
where the option reads them itself."""


def load(source: str | os.PathLike[str], seed: int = 0) -> Dataset:
    """The data set of this name or path, with its options (see the head of the module).

    Args:
        source: e.g. "digits", "moons?seed=3", "folder/of/images?size=32", "measurements.npy",
            "hub:owner/name".
        seed: for sources that draw their items, such as the toys; an option of that name takes
            precedence.

    Returns:
        The data set. What was skipped is in its notes, each of which is warned of.

    Raises:
        ValueError: for an unknown source or option, a missing library, or data that cannot be read.
    """
    remedy = "a name or path, such as 'digits'; arrays become data by Dataset.from_arrays"
    check_type("source", source, (str, os.PathLike), remedy)
    source = with_absolute_options(os.fspath(source))
    place, options = _options(source)
    own = _option_types(_source_at(place)[0])
    steps = [
        (change, value)
        for name, (change, values) in _FOR_ITEMS.items()
        if name not in own
        and (value := _choice(source, name, options.pop(name, None), values)) is not None
    ]

    try:
        dataset = _read(source, place, options, seed)
        for change, value in steps:
            dataset = change(dataset, value)
    except ModuleNotFoundError as error:
        raise ValueError(
            f"data source {source!r} needs {error.name}; pip install 'allegory[all]'"
        ) from None

    warn_of(dataset.name, dataset.notes)
    source = source if seed == 0 else _with_seed(source, seed)
    return replace(dataset, source=_absolute(source))


def warn_of(name: str, notes: Iterable[str]) -> None:
    """Warn of each of the notes on a data set.

    Args:
        name: of the data set.
        notes: what was skipped or left out.
    """
    for note in notes:
        warnings.warn(f"{printable(name)}: {note}", Note, stacklevel=3)


def _with_seed(source: str, seed: int) -> str:
    """The source with the seed as an option, where it has one and none is given."""
    place, options = _options(source)
    if "seed" in options or "seed" not in _option_types(_source_at(place)[0]):
        return source
    return f"{source}{'&' if options else '?'}seed={seed}"


def _options(source: str) -> tuple[str, dict[str, str]]:
    """The place, and the options of `place?size=32&binarize=dynamic` by name."""
    place, mark, text = parted(source)

    options = {}
    for option in text.split("&") if mark else ():
        name, equals, value = option.partition("=")
        if not equals:
            raise ValueError(
                f"data source {source!r}: unknown option {option!r}; write it as ?name=value"
            )
        options[name] = value

    return place, options


def _choice(
    source: str, name: str, value: str | None, values: tuple[str, ...] | None
) -> str | None:
    """The value of an option, None where it is absent. ValueError for one that is not known."""
    if value is not None and values is not None and value not in values:
        known = [f"?{name}={each}" for each in values]
        raise ValueError(
            f"data source {source!r}: unknown option '{name}={printable(value)}'; there are "
            f"{', '.join(known[:-1])} and {known[-1]}"
        )
    return value


def _read(source: str, place: str, options: dict[str, str], seed: int) -> Dataset:
    read, arguments = _source_at(place)
    types = _option_types(read)

    values: dict[str, Any] = {"seed": seed} if "seed" in types else {}
    for name, text in options.items():
        if name not in types:
            known = ", ".join(f"?{each}=" for each in (*types, *_FOR_ITEMS))
            raise ValueError(
                f"data source {source!r}: unknown option '{name}={text}'; "
                f"leave ?{name} out, or choose from {known}"
            )
        values[name] = _value(source, name, text, types[name])

    return read(*arguments, **_grouped(read, values))


def _is_named(place: str) -> bool:
    """Whether a place is in `SOURCES`, and no path."""
    return place.partition(":")[0] in SOURCES


def _absolute(source: str) -> str:
    """The source with an absolute path, where it has one."""
    name, colon, argument = source.partition(":")
    if name in _OF_PATHS and colon:
        return f"{name}:{absolute(argument)}"
    return source if _is_named(parted(source)[0]) else absolute(source)


def _source_at(place: str) -> tuple[Source, tuple[Any, ...]]:
    """The function that reads a place, and its positional arguments."""
    name, _, argument = place.partition(":")
    if name not in SOURCES:
        return _path_source(place)

    source = SOURCES[name]
    takes_argument = any(
        parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)
        for parameter in inspect.signature(source).parameters.values()
    )
    if takes_argument != bool(argument):
        form = f"{name}:NAME" if takes_argument else name
        raise ValueError(f"data source {place!r}: write it as {form!r}")

    return source, (argument,) if argument else ()


def _path_source(place: str) -> tuple[Source, tuple[Path]]:
    path = Path(place).expanduser()
    if not place or not path.exists():
        if path.suffix or len(path.parts) > 1:
            raise MissingData(f"data source {place!r}: no such file or folder; check the path")
        pick(SOURCES.kind, place, SOURCES)

    return path_source(path), (path,)


def _option_types(source: Source) -> dict[str, type]:
    """The options of a source with their types."""
    types: dict[str, type] = {}
    for name, kind in _keywords(source).items():
        if is_dataclass(kind):
            hints = typing.get_type_hints(kind)
            types |= {field.name: _plain_type(hints[field.name]) for field in fields(kind)}
        else:
            types[name] = _plain_type(kind)
    return types


def _grouped(source: Source, values: dict[str, Any]) -> dict[str, Any]:
    """The values of options as arguments: those of a dataclass become one of its instances."""
    arguments = dict(values)
    for name, kind in _keywords(source).items():
        if is_dataclass(kind):
            own = {field.name for field in fields(kind)} & {*arguments}
            arguments[name] = typing.cast(type, kind)(**{each: arguments.pop(each) for each in own})
    return arguments


def _keywords(source: Source) -> dict[str, Any]:
    """The keyword-only parameters of a source with their types."""
    function = source.func if isinstance(source, functools.partial) else source
    hints = typing.get_type_hints(function)
    return {
        name: hints.get(name, str)
        for name, parameter in inspect.signature(source).parameters.items()
        if parameter.kind == parameter.KEYWORD_ONLY
    }


def _plain_type(hint: Any) -> type:
    """int for `int | None`, and so on; str for what is none of int, float, bool."""
    for kind in (bool, int, float):
        if hint is kind or kind in typing.get_args(hint):
            return kind
    return str


def _value(source: str, name: str, text: str, kind: type) -> Any:
    """The text as a value of this type. ValueError that names the option otherwise."""
    if kind is bool and text in ("true", "false"):
        return text == "true"

    with suppress(ValueError):
        value = kind(text)
        if kind is not bool and not (isinstance(value, float) and not math.isfinite(value)):
            return value

    wanted = {int: "a whole number", float: "a number", bool: "true or false"}[kind]
    raise ValueError(f"data source {source!r}: option ?{name}={printable(text)}; give {wanted}")
