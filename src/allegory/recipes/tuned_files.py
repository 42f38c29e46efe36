"""Tuned samplers in a run folder: RUN/tuned/steps-8.json, one per number of steps and guide."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from ..files import make_folder, open_regular, write_whole
from ..models.base import TunedTimes
from ..models.discrete.tuned import TunedTokens
from ..plain_json import read_json
from ..process.path import Path as Process
from ..sampling import TunedSampler
from .run_folder import RunFolder

T = TypeVar("T")


def tuned_file(folder: RunFolder, steps: int, guide: str | None = None) -> Path:
    """The file of a tuned sampler.

    Args:
        folder: the run.
        steps: the number of steps that it is for.
        guide: the guide that it is for, such as "cfg:2"; None for none.
    """
    ending = "" if guide is None else "-" + re.sub(r"[^\w.]+", "-", guide)
    return folder.path / "tuned" / f"steps-{steps}{ending}.json"


def save_tuned(folder: RunFolder, tuned: TunedSampler, guide: str | None = None) -> Path:
    """Write a tuned sampler with a fingerprint of the weights that it was fitted to.

    Args:
        folder: the run.
        tuned: the sampler.
        guide: the guide that it is for; None for none.

    Returns:
        The file.
    """
    return _save(folder, tuned_file(folder, tuned.grid.steps, guide), tuned.to_dict())


def save_tuned_tokens(folder: RunFolder, tuned: TunedTimes) -> Path:
    """Write the tuned times of a model of tokens, as `save_tuned` does."""
    return _save(folder, tuned_file(folder, tuned.sampler.steps), tuned.to_dict())


def load_tuned(
    folder: RunFolder, path: Process, steps: int, guide: str | None = None
) -> TunedSampler | None:
    """A tuned sampler of the run, if it is for the present weights.

    Args:
        folder: the run.
        path: the path of its model.
        steps: the number of steps.
        guide: the guide; None for none.

    Returns:
        The sampler; None without a file, or where the run was trained further since.

    Raises:
        ValueError: for a damaged file.
    """

    def read(content: dict[str, Any]) -> tuple[TunedSampler, int]:
        tuned = TunedSampler.from_dict(path, content)
        return tuned, tuned.grid.steps

    return _load(folder, tuned_file(folder, steps, guide), steps, read)


def load_tuned_tokens(folder: RunFolder, steps: int) -> TunedTokens | None:
    """The tuned times of a model of tokens, as `load_tuned` does."""

    def read(content: dict[str, Any]) -> tuple[TunedTokens, int]:
        tuned = TunedTokens.from_dict(content)
        return tuned, tuned.steps

    return _load(folder, tuned_file(folder, steps), steps, read)


def _save(folder: RunFolder, file: Path, content: dict[str, Any]) -> Path:
    """Write what was tuned, with the fingerprint of the present weights."""
    make_folder(file.parent)
    write_whole(file, json.dumps({"weights": _fingerprint(folder)} | content, indent=1) + "\n")
    return file


def _load(
    folder: RunFolder, file: Path, steps: int, read: Callable[[dict[str, Any]], tuple[T, int]]
) -> T | None:
    """What was tuned for the present weights, if the file is there."""
    if not os.path.lexists(file):
        return None

    present = _fingerprint(folder)
    try:
        content = read_json(file)
        if not isinstance(content, dict) or not isinstance(content.get("weights"), str):
            raise ValueError("it does not say for which weights it is")
        if content.pop("weights") != present:
            return None

        tuned, found = read(content)
        if found != steps:
            raise ValueError(f"it has {found} steps")
        return tuned
    except ValueError as error:
        raise ValueError(f"{file} is damaged ({error}); delete it, or tune again") from None


def _fingerprint(folder: RunFolder) -> str:
    with open_regular(folder.weights) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
