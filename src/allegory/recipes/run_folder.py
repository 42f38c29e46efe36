"""The run folder: the choices of a run, and what training, sampling and evaluation write.

run.json            the resolved Run, what the data are, and the versions that wrote it
*.safetensors       weights, and state/ and metrics.jsonl with them (see `training.checkpoint`)
samples/            from `allegory sample`
tuned/              from `allegory tune`
report.html         from `allegory evaluate`
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
from ..data.places import MissingData
from ..data.sources import warn_of
from ..files import write_whole
from ..lookup import pick
from ..plain_json import read_json
from ..training import load_weights
from ..training.checkpoint import BEST
from ..training.metrics import read_reports, read_validation
from .build import WrongSize, build_like, check_items
from .config import ModelConfig, Run
from .formats import RUN_FORMAT, UnknownFormat, current_format
from .serialize import NotRegistered, from_json, to_json

FIRST_STAGE = "autoencoder"
"""The folder of the first stage of a run in that of the second (`stages`)."""
WEIGHT_FILES = {"best": BEST, "ema": "ema.safetensors", "last": "model.safetensors"}
"""Files of weights: their moving average at the lowest validation loss and at the last step, and
the weights themselves at the last step."""

DAMAGE = (ArithmeticError, AttributeError, LookupError, MemoryError, RuntimeError, TypeError)
"""What else than a ValueError a config raises whose fields have values that nobody has checked."""

_UNFINISHED = (
    "no weights yet; finish it with `allegory train ... --resume` (in Python with resume=True)"
)
_NOT_VALIDATED = "no best weights, it was not validated; take the weights ema or last"

_MOVED = "; if the data have moved, give --data with the new path (in Python the argument source)"


@dataclass(frozen=True)
class RunFolder:
    """A run that has been started.

    Args:
        path: where it is.
        run: its choices.
        spec: what its data are.
        which: the weights that `model` takes: "best", "ema" or "last"; None is the best by
            validation where the run was validated, else "ema".
        fingerprint: of its data (`Dataset.fingerprint`); None where it was not written.
        initial: folder of the run whose weights it began with; None: random weights.
    """

    path: Path
    run: Run
    spec: DataSpec
    which: str | None = None
    fingerprint: str | None = None
    initial: str | None = None

    @classmethod
    def create(
        cls,
        path: Path,
        run: Run,
        spec: DataSpec,
        fingerprint: str | None = None,
        initial: str | None = None,
    ) -> RunFolder:
        """Make the folder and write run.json.

        Args:
            path: the folder.
            run: its choices, with nothing left open.
            spec: what its data are.
            fingerprint: of its data (`Dataset.fingerprint`); None leaves it out.
            initial: folder of the run whose weights it begins with; None: random weights.

        Raises:
            OSError: when the disk refuses.
        """
        path.mkdir(parents=True, exist_ok=True)

        versions = {
            "allegory": __version__,
            "torch": torch.__version__,
            "python": platform.python_version(),
            "threads": torch.get_num_threads(),
        }
        content = {
            "format": RUN_FORMAT,
            "run": to_json(run),
            "data": spec.to_dict(),
            "fingerprint": fingerprint,
            "initial": initial,
            "versions": versions,
        }

        write_whole(path / "run.json", json.dumps(content, indent=2) + "\n")
        return cls(path, run, spec, fingerprint=fingerprint, initial=initial)

    @classmethod
    def open(cls, path: Path, which: str | None = None) -> RunFolder:
        """Read run.json.

        Args:
            path: the folder.
            which: the weights to take; see `RunFolder`.

        Raises:
            ValueError: when the folder is missing, is no run, or is half-written, or the weights
                have another name.
        """
        if which is not None:
            pick("weights", which, WEIGHT_FILES)

        if not path.is_dir():
            raise ValueError(
                f"RUN {str(path)!r}: no such folder; "
                f"make one with `allegory train RECIPE --out {path}`"
            )

        file = path / "run.json"
        if is_in_first_stage(path):
            raise ValueError(
                f"RUN {str(path)!r}: only its first stage has begun, in {FIRST_STAGE}; give the "
                "command that began it again, which goes on with it"
            )
        if not os.path.lexists(file):
            raise ValueError(
                f"RUN {str(path)!r}: holds no run.json; give the folder that `allegory train` wrote"
            )

        try:
            content = current_format(read_json(file))
            run = from_json(content["run"], Run)
            spec = DataSpec.from_dict(content["data"])
            texts = {"fingerprint": content["fingerprint"], "initial": content.get("initial")}
            for name, text in texts.items():
                if not isinstance(text, str | None):
                    raise ValueError(f"{name} {text} is no text")
            return cls(path, run, spec, which, texts["fingerprint"], texts["initial"])
        except (NotRegistered, UnknownFormat) as error:
            raise ValueError(f"{file}: {error}") from None
        except (ValueError, *DAMAGE) as error:
            raise _damaged(path, error) from None

    @property
    def weights(self) -> Path:
        """The file of the weights that `model` takes. ValueError where there is none yet."""
        best = self.path / WEIGHT_FILES["best"]
        which = self.which or ("best" if best.exists() else "ema")
        file = self.path / WEIGHT_FILES[which]
        if not file.exists():
            name = _NOT_VALIDATED if which == "best" else _UNFINISHED
            raise ValueError(f"RUN {str(self.path)!r}: {name}")
        return file

    def model(self) -> Any:
        """The trained model, ready to evaluate, with the moving average of its weights at its best.

        Raises:
            ValueError: for a folder without weights, or a damaged one.
        """
        weights = self.weights
        model = self.untrained()
        load_weights(model, weights)
        return model.eval()

    def untrained(self) -> Any:
        """A new model of this run, of the size of its weights where there are some.

        Raises:
            ValueError: for a run.json that is damaged, or was changed to ask for another size.
        """
        files = [self.path / name for name in WEIGHT_FILES.values()]
        present = [file for file in files if os.path.lexists(file)]
        return self.build(self.run.model, self.spec, present[0] if present else None)

    def build(self, model: ModelConfig, spec: DataSpec, weights: Path | None) -> Any:
        """A new model that can take weights of this run.

        Args:
            model: its config, that of the run.
            spec: what its data are.
            weights: the file of the weights; None where there is none yet.

        Raises:
            ValueError: for a run.json that is damaged, or was changed to ask for another size.
        """
        try:
            if weights is not None:
                check_items(self.spec, weights)
            return build_like(model, spec, weights)
        except (WrongSize, *DAMAGE) as error:
            raise _damaged(self.path, error) from None

    def dataset(self, source: str | None = None) -> Dataset:
        """The run's data, or others of the same kind, under the run's description of them.

        Labels are mapped by the values of the classes, columns by their names.

        Args:
            source: other data, as `allegory.data.load` reads them; None means those of the run.

        Raises:
            ValueError: for data of another kind, other columns or classes that the run has not
                learned, and for a run that learned data in memory.
        """
        dataset = self.load(source)
        try:
            found = dataset.as_spec(self.spec)
        except ValueError as error:
            raise ValueError(f"--data {dataset.source!r}: {error}") from None

        warn_of(found.name, found.notes[len(dataset.notes) :])
        return found

    def load(self, source: str | None = None) -> Dataset:
        """The run's data, or others, with the description that they have by themselves.

        Args:
            source: other data, as `allegory.data.load` reads them; None means those of the run.

        Raises:
            ValueError: for data that cannot be read, or a run that learned data in memory.
        """
        if source is None and not self.run.source:
            raise ValueError(
                f"RUN {str(self.path)!r}: learned data in memory; give --data (in Python the "
                "argument source)"
            )

        try:
            return load(source or self.run.source)
        except MissingData as error:
            remedy = "" if source else _MOVED
            raise ValueError(f"{error}{remedy}") from None

    def metrics(self) -> list[dict[str, float]]:
        """The reports in metrics.jsonl."""
        return read_reports(self.path / "metrics.jsonl")

    def validation(self) -> list[dict[str, float]]:
        """The validations in metrics.jsonl: step, validation (the loss), best_step and best."""
        return read_validation(self.path / "metrics.jsonl")


def is_in_first_stage(path: Path) -> bool:
    """Whether a folder holds the first stage of a run, and nothing of the second.

    Args:
        path: the folder.
    """
    return not os.path.lexists(path / "run.json") and (path / FIRST_STAGE / "run.json").is_file()


def _damaged(path: Path, error: Exception) -> ValueError:
    reason = " ".join(str(error).split())[:300] or type(error).__name__
    return ValueError(f"{path / 'run.json'} is damaged ({reason}); restore it or train again")
