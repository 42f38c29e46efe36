"""Output files of the commands: pictures, arrays, the report."""

from __future__ import annotations

from io import BytesIO
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..data import Dataset, DataSpec, Items
from ..data.condition_files import condition_arrays
from ..data.text_output import csv_of_items, text_of_items
from ..data.vocabularies import Categories, TextVocabulary
from ..evaluation import Classification, Evaluation, TableEvaluation
from ..evaluation.calibration import Calibration
from ..files import check_replaceable, make_folder, write_whole
from ..models.base import HasJumps, HasTokens, HasTrajectory, Model
from ..plots import (
    calibration_sections,
    classifier_sections,
    grid_of,
    report,
    sections,
    table_sections,
)
from ..plots.report_parts import keep_parts, part_html, with_part
from ..recipes import RunFolder

if TYPE_CHECKING:
    from matplotlib.figure import Figure

KINDS = (".png", ".npz", ".npy")
"""What the names of files of samples end in: pictures and arrays."""

ALL_KINDS = (*KINDS, ".txt", ".csv")
"""The same, with those of items that have a vocabulary."""

_TEXT = {".txt": text_of_items, ".csv": csv_of_items}
_WORDS = {".png": "a picture", ".txt": "text", ".csv": "a table"}


def kinds_of(spec: DataSpec) -> tuple[str, ...]:
    """What the name of a file of samples may end in, the best kind first.

    Args:
        spec: what the samples are: text, a table of categories, or numbers.
    """
    if isinstance(spec.vocabulary, TextVocabulary):
        return (".txt", *KINDS[1:])
    return (".csv", *KINDS[1:]) if isinstance(spec.vocabulary, Categories) else KINDS


def check_kind(out: Path, kinds: tuple[str, ...] = KINDS) -> None:
    """Refuse a file with a suffix that samples cannot be written with.

    Args:
        out: the file.
        kinds: the suffixes, the best one first.

    Raises:
        ValueError: for another suffix.
    """
    if out.suffix not in kinds:
        best = kinds[0]
        folder = {".png": "picture", ".txt": "text file"}.get(best)
        more = "" if folder is None else f", or a folder, FOLDER/ (a {folder} per sample)"
        raise ValueError(
            f"--out {str(out)!r}: give a name that ends in {best} ({_WORDS[best]}), .npz or .npy "
            f"(arrays){more}"
        )


def free_name(folder: Path, stem: str = "samples", suffix: str = ".png") -> Path:
    """The first of STEM-1.png, STEM-2.png, ... that is absent.

    Args:
        folder: where it is to be.
        stem: before the number.
        suffix: after it.
    """
    return next(file for i in count(1) if not (file := folder / f"{stem}-{i}{suffix}").exists())


def output(
    folder: RunFolder,
    out: str | None,
    overwrite: bool,
    stem: str = "samples",
    kinds: tuple[str, ...] = KINDS,
) -> Path:
    """The file, or the folder of files, that a command writes.

    Args:
        folder: the run.
        out: the value of --out; None for a new file in RUN/samples.
        overwrite: whether what exists is replaced.
        stem: what a new file is called.
        kinds: what its name may end in; a new file has the first.

    Raises:
        ValueError: if it exists, for its suffix, and for a folder that cannot be written to.
    """
    from .pictures import check_folder, is_folder

    if out and is_folder(out):
        check_folder(Path(out), folder.spec, overwrite)
        return Path(out)

    if not out:
        _make_samples(folder)
    file = Path(out) if out else free_name(folder.path / "samples", stem, kinds[0])
    check_kind(file, kinds)
    check_replaceable(file)
    if file.exists() and not overwrite:
        raise ValueError(f"--out {out!r}: exists already; give --overwrite or another file")
    return file


def _make_samples(folder: RunFolder) -> None:
    """Make RUN/samples. ValueError where the run folder cannot be written to."""
    try:
        make_folder(folder.path / "samples")
    except OSError as error:
        raise ValueError(
            f"{folder.path / 'samples'}: {error.strerror or error}; give --out FILE elsewhere"
        ) from None


def save_samples(out: Path, samples: Items, spec: DataSpec) -> None:
    """Write samples as a picture, as arrays (`x`, `labels` and `condition` in an .npz), as text or
    as a table of categories.

    Labels and conditions are written as the data have them, so that the file can be read as data.

    Args:
        out: the file; its suffix decides. Its folder is made if it is absent.
        samples: in the data's own unit, with their labels or conditions where there are some.
        spec: what the items are.
    """
    out.parent.mkdir(parents=True, exist_ok=True)

    file = BytesIO()
    if out.suffix == ".png":
        file.write(png_bytes(grid_of(samples, spec)))
    elif out.suffix in _TEXT:
        file.write(_TEXT[out.suffix](samples, spec).encode())
    elif out.suffix == ".npy":
        np.save(file, samples.x.numpy())
    else:
        arrays: dict[str, Any] = {"x": samples.x.numpy()}
        if samples.labels is not None:
            arrays["labels"] = spec.class_values(samples.labels)
        if samples.condition is not None and spec.condition is not None:
            arrays |= condition_arrays(spec.condition, samples.condition)
        np.savez(file, **arrays)

    write_whole(out, file.getvalue())


def png_bytes(figure: Figure) -> bytes:
    """The `figure` as a PNG file."""
    from ..plots.style import boxed_signs

    file = BytesIO()
    with boxed_signs():
        figure.savefig(file, format="png", dpi=200)
    return file.getvalue()


def free_file(name: str, overwrite: bool, argument: str = "OUT") -> Path:
    """The path of a file that a command writes.

    Args:
        name: the value of the argument.
        overwrite: whether an existing file is replaced.
        argument: the argument, for errors.

    Raises:
        ValueError: for a folder, a link or a device, an existing file without `overwrite`, or a
            folder that is absent.
    """
    out = Path(name)
    check_replaceable(out)
    if out.exists() and not overwrite:
        raise ValueError(f"{argument} {name!r}: exists already; give --overwrite or another file")
    if not out.parent.is_dir():
        raise ValueError(f"{argument} {name!r}: no such folder; make it, or give another file")
    return out


def write_report(
    folder: RunFolder,
    model: Model,
    dataset: Dataset,
    found: Evaluation | Classification | TableEvaluation,
) -> Path:
    """Write report.html in the run folder: the figures of the evaluation, and the pictures.

    Args:
        folder: the run.
        model: its model.
        dataset: the data of the evaluation.
        found: the evaluation.

    Returns:
        The path of the report.
    """
    metrics = folder.metrics()
    if isinstance(found, Classification):
        kind, pictures = "classifier", classifier_sections(found, metrics, model.unit)
    elif isinstance(found, TableEvaluation):
        kind, pictures = "diffusion model", table_sections(dataset, found, metrics, model.unit)
    else:
        kind = "diffusion model" if isinstance(model, HasTrajectory | HasTokens) else "model"
        kind = "model of few steps" if isinstance(model, HasJumps) else kind
        pictures = sections(model, dataset, found, metrics)
    title = f"allegory: {folder.run.recipe}, a {kind} of {dataset.name}"

    page = folder.path / "report.html"
    write_whole(page, keep_parts(report(title, found.rows(), pictures), _read(page)))
    return page


def write_calibration(folder: RunFolder, found: Calibration) -> Path:
    """Write the figures and pictures of a calibration into report.html, in place of those of the
    same task and method.

    Args:
        folder: the run.
        found: the calibration.

    Returns:
        The path of the report.
    """
    heading = f"Calibration of {found.method}: {found.task}: {found.verdict}"
    part = part_html(heading, found.rows(), calibration_sections(found))
    page = folder.path / "report.html"

    title = f"allegory: {folder.run.recipe}, a diffusion model of {folder.run.source}"
    key = f"calibration {found.task} {found.method}"
    write_whole(page, with_part(_read(page), key, part, title))
    return page


def _read(page: Path) -> str | None:
    """A report that is there; None for none, and for what is no text."""
    try:
        return page.read_text(encoding="utf-8") if page.is_file() else None
    except UnicodeDecodeError:
        return None
