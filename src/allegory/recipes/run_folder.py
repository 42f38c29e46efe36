"""The run folder as a whole: `run.json` beside what training writes.

run.json        the resolved Run, what the data are, and the versions it was made with
model.safetensors, ema.safetensors, state/, metrics.jsonl        (see `training.checkpoint`)
samples/        what `sample` makes
report.html     what `evaluate` makes
"""

from __future__ import annotations

import json
import os
import platform
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from .. import __version__
from ..data import Dataset, DataSpec, load
from ..training import load_weights
from ..training.metrics import read
from .config import Run
from .formats import FORMAT, UnknownFormat, current_format
from .serialize import NotRegistered, from_json, to_json


@dataclass(frozen=True)
class RunFolder:
    """A run that has been started: where it is, its choices, and what its data are."""

    path: Path
    run: Run
    spec: DataSpec

    @classmethod
    def create(cls, path: Path, run: Run, spec: DataSpec) -> RunFolder:
        """Make the folder and write run.json. OSError when the disk refuses."""
        path.mkdir(parents=True, exist_ok=True)
        versions = {
            "allegory": __version__,
            "torch": torch.__version__,
            "python": platform.python_version(),
        }
        content = {
            "format": FORMAT,
            "run": to_json(run),
            "data": spec.to_dict(),
            "versions": versions,
        }
        write_whole(path / "run.json", json.dumps(content, indent=2) + "\n")
        return cls(path, run, spec)

    @classmethod
    def open(cls, path: Path) -> RunFolder:
        """Read run.json. ValueError when the folder is missing, is no run, or is half-written."""
        if not path.is_dir():
            raise ValueError(
                f"RUN {str(path)!r}: no such folder; make one with `allegory train RECIPE --out {path}`"
            )
        try:
            content = current_format(json.loads((path / "run.json").read_text()))
            return cls(path, from_json(content["run"]), DataSpec.from_dict(content["data"]))
        except (NotRegistered, UnknownFormat) as error:
            raise ValueError(f"{path / 'run.json'}: {error}") from None
        except FileNotFoundError:
            raise ValueError(
                f"RUN {str(path)!r}: holds no run.json; give the folder that `allegory train` wrote"
            ) from None
        except (json.JSONDecodeError, KeyError, TypeError, UnicodeDecodeError, ValueError) as error:
            raise ValueError(
                f"{path / 'run.json'} is damaged ({error}); restore it or train again"
            ) from None

    @property
    def weights(self) -> Path:
        """The file of the averaged weights. ValueError where training has written none yet."""
        file = self.path / "ema.safetensors"
        if not file.exists():
            raise ValueError(f"RUN {str(self.path)!r}: no weights yet; finish it with `--resume`")
        return file

    def model(self) -> Any:
        """The trained model, with the moving average of its weights, ready to evaluate.

        Raises:
            ValueError: for a folder without weights, or a damaged one.
        """
        weights = self.weights
        try:
            model = self.run.model.build(self.spec)
        except TypeError as error:
            raise ValueError(
                f"{self.path / 'run.json'} is damaged ({error}); restore it or train again"
            ) from None
        load_weights(model, weights)
        return model.eval()

    def dataset(self, source: str | None = None) -> Dataset:
        """The run's data, or others of the same kind.

        Args:
            source: other data, as `allegory.data.load` reads them; None means those of the run.

        Raises:
            ValueError: for data of another kind, or a run that learned data in memory.
        """
        if source is None and not self.run.source:
            raise ValueError(f"RUN {str(self.path)!r}: learned data in memory; give --data")
        dataset = load(source or self.run.source)
        if dataset.spec != self.spec:
            raise ValueError(
                f"--data: {dataset.spec} is not what the run learned, {self.spec}; "
                "give data of that kind"
            )
        return dataset

    def metrics(self) -> list[dict[str, float]]:
        """The lines of metrics.jsonl."""
        return read(self.path / "metrics.jsonl")


def write_whole(path: Path, content: str | bytes) -> None:
    """Write a file all at once: under another name first, then renamed, so a cut leaves the old one."""
    data = content.encode() if isinstance(content, str) else content
    new = path.with_name(path.name + ".new")
    try:
        new.write_bytes(data)
        os.replace(new, path)
    except OSError:
        new.unlink(missing_ok=True)
        raise
