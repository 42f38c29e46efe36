"""What `allegory edit` does with a diffusion model of tokens: missing pixels are filled in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from ..models.base import HasTokens
from ..plots.edits import ShownEdits
from ..recipes import RunFolder
from .conditions import chosen_conditions
from .edit_work import EditResult, missing_pixels
from .input_pictures import read_pictures

if TYPE_CHECKING:
    from .edit import Edit

_TASK = "inpaint"
_NOT_FOR_TOKENS = ("method", "noise", "scaling")


def infilled(options: Edit, folder: RunFolder, model: HasTokens) -> EditResult:
    """Draws of the missing pixels given the others.

    Args:
        options: of the command.
        folder: the run.
        model: its model.

    Raises:
        ValueError: for another task, options that are not for tokens, and pictures, masks or
            conditions that do not fit.
    """
    _check(options)
    spec = folder.spec
    size = spec.shape[-1] if options.resize else None
    pictures = read_pictures("--input", options.input, spec, size).check(spec.shape)
    missing = missing_pixels(options, spec, len(pictures.x))
    assert missing is not None, "the task has a mask"

    count, edits = len(pictures.x), len(options.seed_range)
    known = (~missing).expand(count, *missing.shape[-2:])[:, None].expand(count, *spec.shape)
    rows: Any = None
    if options.condition or options.label is not None:
        chosen = chosen_conditions(folder, spec.given, options.condition, options.label, count)
        rows = chosen.rows

    sampler = options.token_sampler(model, options.guide_text())
    x = model.infill(
        spec.decode(spec.encode(pictures.x)).repeat_interleave(edits, 0),
        known.repeat_interleave(edits, 0),
        [*options.seed_range] * count,
        None if rows is None else rows.repeat_interleave(edits, 0),
        sampler,
    )

    y = torch.where(known, pictures.x, torch.zeros_like(pictures.x))
    shown = ShownEdits(y, x.view(count, edits, *spec.shape), missing, pictures.x)
    choices = {name: value for name, value in sampler.to_dict().items() if value is not None}
    figures = {"task": _TASK, "pictures": count, "edits": edits, **choices}
    return EditResult(shown, pictures.names, options.seed_range, figures)


def _check(options: Edit) -> None:
    """ValueError for another task, and options that are not for tokens."""
    if options.task != _TASK:
        raise ValueError(
            f"--task {options.task}: this run is a diffusion model of tokens, which fills in what "
            f"is missing; give --task {_TASK}"
        )
    for name in _NOT_FOR_TOKENS:
        if getattr(options, name) is not None:
            raise ValueError(f"--{name}: is not for a diffusion model of tokens; leave it out")
