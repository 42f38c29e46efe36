"""Files of edits: one picture or text, arrays, or a folder of files for each input."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from ..data import DataSpec, Items
from ..files import make_folder, write_whole
from ..plots.edits import edit_figure
from ..progress import OnProgress
from ..recipes.edit import Edits
from .edit_texts import edited_text
from .edit_work import EditResult
from .files import png_bytes
from .pictures import folder_name, is_folder, save_each


def save_edits(out: Path, found: EditResult, spec: DataSpec, on_progress: OnProgress) -> None:
    """Write edits; the suffix of the file decides how.

    Args:
        out: a .png, with inputs and edits side by side; a .txt, with the edits; an .npz with `x`
            (inputs, edits, *shape), `mean`, `std`, `input` and, where there are some, `missing` and
            `original`; an .npy with x; or a folder.
        found: what is written, in the data's own unit.
        spec: what an item is.
        on_progress: called as on_progress(stage, done, total).
    """
    if is_folder(str(out)):
        _save_folders(out, found, spec, on_progress)
        return

    out.parent.mkdir(parents=True, exist_ok=True)
    x = found.shown.x.numpy()
    file = BytesIO()
    if out.suffix == ".png":
        file.write(png_bytes(edit_figure(found.shown, spec, _title(found))))
    elif out.suffix == ".txt":
        file.write(edited_text(found, spec).encode())
    elif out.suffix == ".npy":
        np.save(file, x)
    else:
        np.savez(file, **_arrays(found))
    write_whole(out, file.getvalue())


def _arrays(found: EditResult) -> dict[str, Any]:
    shown, edits = found.shown, Edits(found.shown.x)
    arrays = {"x": shown.x, "input": shown.given}
    if shown.summary:
        arrays |= {"mean": edits.mean, "std": edits.std}
    if shown.missing is not None:
        arrays["missing"] = shown.missing
    if shown.truth is not None:
        arrays["original"] = shown.truth

    return {name: array.numpy() for name, array in arrays.items()}


def _title(found: EditResult) -> str:
    """What is seen, in words."""
    named = ("method", "noise", "strength")
    parts = [str(found.figures["task"])]
    for name in named:
        if name in found.figures:
            value = found.figures[name]
            parts.append(f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}")
    return ", ".join(parts)


def _save_folders(out: Path, found: EditResult, spec: DataSpec, on_progress: OnProgress) -> None:
    """A folder for each input, with a file per edit that is named by its number."""
    for name, x in zip(_unique(found.inputs), found.shown.x, strict=True):
        place = out / name
        make_folder(out)
        make_folder(place)
        save_each(place, Items(x), found.edits, spec, on_progress)


def _unique(names: Sequence[str]) -> list[str]:
    """Names of folders, with a number where one occurs several times."""
    counts = Counter(names)
    return [
        folder_name(name if counts[name] == 1 else f"{name}-{i:04}") for i, name in enumerate(names)
    ]
