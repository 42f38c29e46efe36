"""The run folder of a density: written without a pickle, read again to the last bit."""

from __future__ import annotations

from pathlib import Path

from ..models.table import TableDiffusion
from ..recipes.config import Run
from ..recipes.run_folder import RunFolder
from ..recipes.table_diffusion import TableDiffusionConfig
from ..training.checkpoint import BEST, write_weights
from ..training.weights import item_metadata


def save_folder(path: Path, model: TableDiffusion, run: Run, fingerprint: str | None) -> Path:
    """Write a run folder.

    Args:
        path: where; it must be new or empty.
        model: the model, in float64.
        run: its choices.
        fingerprint: of its data.

    Returns:
        The path.

    Raises:
        ValueError: for a folder that holds something.
    """
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise ValueError(f"folder={str(path)!r}: exists already; give a new one")

    RunFolder.create(path, run, model.spec, fingerprint)
    like = run.model.build(model.spec).state_dict()
    weights = {name: weight.to(like[name].dtype) for name, weight in model.state_dict().items()}
    write_weights(path / BEST, weights, item_metadata(model.spec))
    return path


def open_folder(path: Path) -> tuple[TableDiffusion, Run, str | None]:
    """The model in a run folder in float64, its choices, and the fingerprint of its data.

    Args:
        path: the folder.

    Raises:
        ValueError: for a folder that holds no model of a table.
    """
    folder = RunFolder.open(path)
    choice = folder.run.model
    if folder.spec.table is None or not isinstance(choice, TableDiffusionConfig):
        raise ValueError(
            f"folder={str(path)!r}: holds a {type(choice).__name__}, and no density of a table; "
            "allegory.open(folder) reads it"
        )

    model: TableDiffusion = folder.model().double()
    return model, folder.run, folder.fingerprint
