"""Files that commands write: pictures, arrays, the report."""

from __future__ import annotations

from io import BytesIO
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor

from ..data import Dataset, DataSpec
from ..evaluation import Evaluation
from ..models.base import HasTrajectory, Model
from ..plots import report, sample_grid, sections
from ..recipes import RunFolder
from ..recipes.run_folder import write_whole

if TYPE_CHECKING:
    from matplotlib.figure import Figure

KINDS = (".png", ".npz", ".npy")


def check_kind(out: Path) -> None:
    """ValueError for a file that samples cannot be written to."""
    if out.suffix not in KINDS:
        raise ValueError(
            f"--out {str(out)!r}: give a name that ends in .png (a picture), .npz or .npy (arrays)"
        )


def free_name(folder: Path) -> Path:
    """The first of samples-1.png, samples-2.png, ... that is not there yet."""
    return next(file for i in count(1) if not (file := folder / f"samples-{i}.png").exists())


def save_samples(out: Path, raw: Tensor, labels: Tensor | None, spec: DataSpec) -> None:
    """Samples as a picture, or as arrays (`x` and `labels` in an .npz)."""
    out.parent.mkdir(parents=True, exist_ok=True)
    file = BytesIO()
    if out.suffix == ".png":
        _write_png(file, sample_grid(raw, labels, spec))
    elif out.suffix == ".npy":
        np.save(file, raw.numpy())
    elif labels is None:
        np.savez(file, x=raw.numpy())
    else:
        np.savez(file, x=raw.numpy(), labels=labels.numpy())
    write_whole(out, file.getvalue())


def _write_png(file: BytesIO, figure: Figure) -> None:
    figure.savefig(file, format="png", dpi=200)


def free_file(name: str, overwrite: bool) -> Path:
    """The file OUT of a command.

    Args:
        name: its name, as given.
        overwrite: whether it may replace a file.

    Raises:
        ValueError: where it cannot be written, before anything is computed.
    """
    out = Path(name)
    if out.exists() and (out.is_dir() or not overwrite):
        raise ValueError(f"OUT {name!r}: exists already; give --overwrite or another file")
    if not out.parent.is_dir():
        raise ValueError(f"OUT {name!r}: no such folder; make it, or give another file")
    return out


def write_report(folder: RunFolder, model: Model, dataset: Dataset, found: Evaluation) -> Path:
    """report.html in the run folder: the figures, every picture, and how each was made."""
    kind = "diffusion model" if isinstance(model, HasTrajectory) else "model"
    title = f"allegory: {folder.run.recipe}, a {kind} of {dataset.name}"
    page = folder.path / "report.html"
    write_whole(
        page, report(title, found.rows(), sections(model, dataset, found, folder.metrics()))
    )
    return page
