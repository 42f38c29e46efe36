"""What `allegory edit` does with its options: pictures in, edits and figures out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Bool
from torch import Tensor

from ..conditions import Combined, Condition, Labels, hidden_like
from ..conditions.base import HIDDEN
from ..data import DataSpec
from ..evaluation import psnr
from ..inverse import Measurement, measure, takes_solver
from ..lookup import printable
from ..models.base import is_conditional
from ..plots.edits import ShownEdits
from ..process.guide_items import condition_kind
from ..recipes import RunFolder
from ..recipes.edit import (
    EditConfig,
    Edits,
    edit,
    edit_by_inversion,
    interpolations,
    variations,
)
from ..recipes.edit_tasks import MEASURED_TASKS, Degradation, blocks_between
from ..recipes.masks import MASKS
from .conditions import condition_rows, in_turn, read_condition
from .input_pictures import InputPictures, read_mask, read_pictures

if TYPE_CHECKING:
    from .edit import Edit

_FACTORS = (4, 2)
"""By which pictures are made smaller where none is given ..."""
_LEAST_SIDE = 4
"""... if so many pixels are left."""


@dataclass(frozen=True, eq=False)
class EditResult:
    """What was found.

    Args:
        shown: inputs, edits and what goes with them.
        inputs: the name of each input.
        edits: a number for each edit: its seed, or its place.
        figures: to print.
    """

    shown: ShownEdits
    inputs: tuple[str, ...]
    edits: Sequence[int]
    figures: Mapping[str, object]


def edited(options: Edit, folder: RunFolder, model: Any, config: EditConfig) -> EditResult:
    """The edits of the options.

    Args:
        options: of the command.
        folder: the run.
        model: its model.
        config: how pictures are edited.

    Raises:
        ValueError: for pictures, masks or conditions that do not fit.
    """
    spec = folder.spec
    size = spec.shape[-1] if options.resize else None
    if size is not None and spec.shape[-2:] != (size, size):
        raise ValueError("--resize: the pictures of this run are no squares; leave it out")
    pictures = read_pictures("--input", options.input, spec, size)
    kind = condition_kind(config.sampler.guides, spec.given if is_conditional(model) else None)

    task = _Task(options, folder, model, config, kind)
    if options.task in MEASURED_TASKS:
        found = task.measured(pictures)
    else:
        whole = pictures.check(spec.shape)
        work = {
            "variations": task.varied,
            "invert": task.inverted,
            "interpolate": task.interpolated,
        }
        found = work[str(options.task)](whole)

    sampler = {name: value for name, value in config.sampler.to_dict().items() if value is not None}
    if options.task in MEASURED_TASKS and not takes_solver(config.method_for(model)):
        sampler.pop("solver", None)
    first = {"task": options.task, "pictures": len(pictures.x), "edits": found.shown.x.shape[1]}
    return replace(found, figures={**first, **sampler, **found.figures})


@dataclass(frozen=True, eq=False)
class _Task:
    """A task with all that it needs but the pictures."""

    options: Edit
    folder: RunFolder
    model: Any
    config: EditConfig
    kind: Condition | None

    @property
    def spec(self) -> DataSpec:
        return self.folder.spec

    def measured(self, pictures: InputPictures) -> EditResult:
        """Samples of p(picture | input)."""
        options, spec = self.options, self.spec
        low, high = (float(end) for end in spec.ends())
        task = MEASURED_TASKS[str(options.task)]
        noise = task.noise * (high - low) if options.noise is None else options.noise
        missing = missing_pixels(options, spec, len(pictures.x))
        given = Degradation(missing, self._factor(pictures))
        if options.blur is not None:
            given = replace(given, blur=options.blur)

        operator = task.operator(tuple(spec.shape), given)
        truth = None
        if options.degrade:
            truth = pictures.check(spec.shape).x
            measurement = measure(operator, truth, noise, [0] * len(truth))
        else:
            is_whole = tuple(operator.measured_shape) == tuple(spec.shape)
            whole = "" if is_whole else ", or --degrade with the whole picture"
            y = pictures.check(operator.measured_shape, whole).x
            measurement = Measurement(operator, y if missing is None else operator(y), noise)

        rows = self._rows(len(pictures.x))
        found = edit(self.model, measurement, options.seed_range, rows, self.config)
        shown = ShownEdits(measurement.y, found.x, missing, truth)
        figures: dict[str, object] = {
            "method": str(self.config.method_for(self.model)),
            "noise": float(noise),
        }
        figures |= _agreement(measurement, found, truth, high - low)
        return EditResult(shown, pictures.names, options.seed_range, figures)

    def varied(self, pictures: InputPictures) -> EditResult:
        """SDEdit."""
        seeds, rows = self.options.seed_range, self._rows(len(pictures.x))
        found = variations(self.model, pictures.x, seeds, rows, self.config)
        figures = {"strength": self.config.partial(0.5).strength, "std": _mean(found.std)}
        return EditResult(ShownEdits(pictures.x, found.x), pictures.names, seeds, figures)

    def inverted(self, pictures: InputPictures) -> EditResult:
        """Edits by DDIM inversion."""
        if self.kind is None:
            raise ValueError(
                "--task invert: this run learned no condition, so the edit is the picture itself; "
                "take --task variations or interpolate"
            )
        wanted = self._wanted(self.kind)
        given = self.options.source
        before = None if not given else self._chosen(given, None, len(pictures.x))

        found = edit_by_inversion(self.model, pictures.x, wanted, before, self.config)
        texts = ("none",) if wanted is None else tuple(self.kind.texts(wanted))
        shown = ShownEdits(pictures.x, found.x, names=texts, summary=False)
        figures = {"strength": self.config.partial(1.0).strength, "conditions": ", ".join(texts)}
        return EditResult(shown, pictures.names, range(found.x.shape[1]), figures)

    def interpolated(self, pictures: InputPictures) -> EditResult:
        """Pictures between neighbours."""
        x, names = pictures.x, pictures.names
        if len(x) < 2:
            raise ValueError("--input: one picture; give two or more, between which to interpolate")
        count = self.options.edits
        if count < 2:
            raise ValueError(f"--count {count}: give 2 points or more, both ends among them")

        rows = self._rows(len(x))
        found = interpolations(self.model, x, count, rows, self.config)
        weights = tuple(f"{k / (count - 1):.2g}" for k in range(count))
        shown = ShownEdits(x[:-1], found.x, names=weights, summary=False)
        pairs = tuple(f"{a}-{b}" for a, b in pairwise(names))
        figures = {"strength": self.config.partial(1.0).strength}
        return EditResult(shown, pairs, range(count), figures)

    def _factor(self, pictures: InputPictures) -> int | None:
        """The factor of superres."""
        if self.options.task != "superres" or self.options.factor is not None:
            return self.options.factor
        space = tuple(self.spec.shape[1:])
        if self.options.degrade:
            fits = [n for n in _FACTORS if all(side % n == 0 for side in space)]
            return next((n for n in fits if min(space) // n >= _LEAST_SIDE), None)

        shape = tuple(pictures.x.shape[1:])
        factor = blocks_between((1, *shape[1:]), (1, *space))
        if factor is None or factor == 1:
            whole = [n for n in range(2, min(space) + 1) if not any(side % n for side in space)]
            sizes = ", ".join(f"{space[0] // n}x{space[1] // n}" for n in whole[:4]) or "none"
            raise ValueError(
                f"{pictures.option}: {shape[1]}x{shape[2]} pixels, and the model has "
                f"{space[0]}x{space[1]}; give a picture of {sizes}, or --degrade with a whole one"
            )
        return factor

    def _rows(self, count: int) -> Tensor | None:
        """The rows of --condition or --label, of `count` pictures; None where there are none."""
        return self._chosen(self.options.condition, self.options.label, count)

    def _chosen(self, given: Sequence[str], label: str | None, count: int) -> Tensor | None:
        return condition_rows(self.folder, self.kind, given, label, count)

    def _wanted(self, kind: Condition) -> Tensor | None:
        """The rows of the edits by inversion: those that were given, or all classes in turn."""
        options = self.options
        if not options.condition and options.label is None:
            classes = kind.classes if isinstance(kind, Labels) else options.edits
            count = classes if options.count is None else options.count
            return in_turn(self.folder, count, "--condition")[0]
        if options.label is not None or isinstance(kind, Combined):
            return self._rows(1)

        parts = []
        for text in options.condition:
            rows = _rows_of(kind, text)
            parts.append(rows if rows.ndim > len(kind.row_shape) else rows[None])
        return torch.cat(parts)


def missing_pixels(options: Edit, spec: DataSpec, count: int) -> Bool[Tensor, "*n h w"] | None:
    """The missing pixels of some pictures; None for a task without.

    Args:
        options: of the command.
        spec: what the pictures are.
        count: how many there are.

    Raises:
        ValueError: for no mask, and masks that do not fit.
    """
    text = options.mask
    if options.task != "inpaint":
        return None
    if text is None:
        raise ValueError(
            f"--mask: none; give a picture in which missing pixels are white, or one of "
            f"{', '.join(MASKS)}"
        )
    if text.partition(":")[0] in MASKS:
        return MASKS.named(text)(*spec.shape[1:])

    missing = read_mask("--mask", text)
    if len(missing) == 1:
        return missing[0]
    if len(missing) != count:
        raise ValueError(
            f"--mask {text}: {len(missing)} masks for {count} pictures; give one, or one each"
        )
    return missing


def _rows_of(kind: Condition, text: str) -> Tensor:
    """The row of a value of --condition, or the rows of @FILE."""
    if text == HIDDEN:
        return hidden_like(torch.empty(kind.row_shape, dtype=kind.dtype))
    try:
        return read_condition(kind, text)
    except ValueError as error:
        said = str(error).removeprefix("condition: ")
        raise ValueError(f"--condition {printable(text)[:60]}: {said}") from None


def _agreement(
    measurement: Measurement, found: Edits, truth: Tensor | None, width: float
) -> dict[str, object]:
    """How far the edits are from the measurement, from one another, and from the truth."""
    edits = found.x.shape[1]
    residual = measurement.repeat(edits).residual(found.x.flatten(0, 1).double())
    seen = measurement.observed
    fraction = 1.0 if seen is None else seen.double().mean().item()
    figures: dict[str, object] = {}
    if fraction > 0:
        figures["residual"] = (residual.square().mean().item() / fraction) ** 0.5
    figures["std"] = _mean(found.std)
    if truth is not None:
        figures["psnr of the mean"] = _mean(psnr(found.mean, truth, width))

    return figures


def _mean(x: Tensor) -> float:
    return float(x.double().mean())
