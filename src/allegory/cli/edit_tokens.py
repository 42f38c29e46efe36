"""What `allegory edit` does with a diffusion model of tokens: what is missing is filled in."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from jaxtyping import Bool, Shaped
from torch import Tensor

from ..data import DataSpec
from ..data.vocabularies import TextVocabulary
from ..models.base import HasTokens
from ..plots.edits import ShownEdits
from ..recipes import RunFolder
from .conditions import condition_rows
from .edit_texts import incomplete_texts
from .edit_work import EditResult, missing_pixels
from .input_pictures import read_pictures

if TYPE_CHECKING:
    from .edit import Edit

_TASK = "inpaint"
_NOT_FOR_TOKENS = ("method", "noise", "scaling")
_PICTURES = 3
"""Axes of a picture."""


def infilled(options: Edit, folder: RunFolder, model: HasTokens) -> EditResult:
    """Draws of the missing pixels, or characters, given the others.

    Args:
        options: of the command.
        folder: the run.
        model: its model.

    Raises:
        ValueError: for another task, options that are not for tokens, items that are neither
            pictures nor text, and pictures, texts, masks or conditions that do not fit.
    """
    spec = folder.spec
    _check(options, spec)
    x, known, missing, names = _inputs(options, spec)

    count, edits = len(x), len(options.seed_range)
    rows = condition_rows(folder, spec.given, options.condition, options.label, count)
    sampler = options.token_sampler(model, options.guide_text())
    drawn = model.infill(
        spec.decode(spec.encode(x)).repeat_interleave(edits, 0),
        known.repeat_interleave(edits, 0),
        [*options.seed_range] * count,
        None if rows is None else rows.repeat_interleave(edits, 0),
        sampler,
    )

    y = torch.where(known, x, torch.zeros_like(x))
    truth = x if len(spec.shape) == _PICTURES else None
    shown = ShownEdits(y, drawn.view(count, edits, *spec.shape), missing, truth)
    choices = {name: value for name, value in sampler.to_dict().items() if value is not None}
    what = "texts" if isinstance(spec.vocabulary, TextVocabulary) else "pictures"
    figures = {"task": _TASK, what: count, "edits": edits, **choices}
    return EditResult(shown, names, options.seed_range, figures)


def _inputs(
    options: Edit, spec: DataSpec
) -> tuple[
    Shaped[Tensor, "n *shape"], Bool[Tensor, "n *shape"], Bool[Tensor, "..."], tuple[str, ...]
]:
    """Raw items, which numbers of them are known, where they are missing, and their names."""
    if isinstance(spec.vocabulary, TextVocabulary):
        texts = incomplete_texts(options, spec)
        return texts.tokens, texts.known, ~texts.known, texts.names

    size = spec.shape[-1] if options.resize else None
    pictures = read_pictures("--input", options.input, spec, size).check(spec.shape)
    missing = missing_pixels(options, spec, len(pictures.x))
    assert missing is not None, "the task has a mask"

    count = len(pictures.x)
    known = (~missing).expand(count, *missing.shape[-2:])[:, None].expand(count, *spec.shape)
    return pictures.x, known, missing, pictures.names


def _check(options: Edit, spec: DataSpec) -> None:
    """ValueError for another task, options that are not for tokens, and other items."""
    if options.task != _TASK:
        raise ValueError(
            f"--task {options.task}: this run is a diffusion model of tokens, which fills in what "
            f"is missing; give --task {_TASK}"
        )
    for name in _NOT_FOR_TOKENS:
        if getattr(options, name) is not None:
            raise ValueError(f"--{name}: is not for a diffusion model of tokens; leave it out")

    is_text = isinstance(spec.vocabulary, TextVocabulary)
    if not is_text and len(spec.shape) != _PICTURES:
        raise ValueError(
            f"RUN {options.folder!r}: its items, {spec}, are neither pictures nor text; in Python, "
            "model.infill(x, known) fills in any items"
        )
    for name in ("resize", "degrade"):
        if is_text and getattr(options, name):
            raise ValueError(f"--{name}: is for pictures, and this run learned text; leave it out")
