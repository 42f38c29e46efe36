"""The command `allegory edit`: pictures that are completed, restored or varied by a run; text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from tyro.conf import UseAppendAction, arg

from .options import (
    DEFAULT_SOLVER,
    MOST_SAMPLES,
    RunOptions,
    SamplerOptions,
    check_solver,
    optional,
    seed_range,
    show_registries,
)

if TYPE_CHECKING:
    from ..recipes.edit import EditConfig
    from ..sampling import Sampler

_COUNT = 8
_INSTEAD = (
    "fill in missing values by `allegory impute RUN TABLE`, and draw rows with some columns fixed "
    "by `allegory sample RUN --given NAME=VALUE`"
)

_ONLY: dict[str, tuple[str, ...]] = {
    "mask": ("inpaint",),
    "factor": ("superres",),
    "blur": ("deblur",),
    "strength": ("variations", "invert", "interpolate"),
    "source": ("invert",),
    "noise": ("inpaint", "superres", "colorize", "deblur", "denoise"),
    "method": ("inpaint", "superres", "colorize", "deblur", "denoise"),
    "degrade": ("inpaint", "superres", "colorize", "deblur", "denoise"),
    "seeds": ("inpaint", "superres", "colorize", "deblur", "denoise", "variations"),
}
"""Options that are for some tasks."""


@dataclass(frozen=True, kw_only=True)
class Edit(SamplerOptions, RunOptions):
    """Complete, restore or vary pictures: several edits of each, their mean and their deviation.

    Of a picture with missing pixels, a small, grey, blurred or noisy one (--task inpaint, superres,
    colorize, deblur, denoise) samples of p(picture | input) are drawn by --method; the other tasks
    are variations, invert and interpolate. The output shows input and edits side by side; an .npz
    has all numbers. A diffusion model of tokens has --task inpaint, of pictures or of text.
    """

    task: Annotated[str | None, optional("NAME")] = None
    """What to do, one of the list of tasks below."""
    input: Annotated[UseAppendAction[tuple[str, ...]], arg(metavar="FILE")] = ()
    """A picture, a folder of them, or an .npy or .npz file in the unit of the data; repeat it for
    several. For a run of text, a text file of as many characters as its items have.
    """
    mask: Annotated[str | None, optional("NAME|FILE")] = None
    """The missing pixels of --task inpaint: a name of the list of masks below, or a picture of the
    same size in which they are white (a folder or an array: one for each input). In text, the
    sign that stands for each missing character, such as _.
    """
    factor: Annotated[int | None, optional("INT")] = None
    """How many times larger the picture of --task superres becomes; by default as the size of the
    input says, with --degrade 4 or 2, so that 4 pixels or more are left.
    """
    blur: Annotated[float | None, optional("PIXELS")] = None
    """Standard deviation of the Gaussian blur of --task deblur; 1 by default."""
    noise: Annotated[float | None, optional("STD")] = None
    """Standard deviation of the noise of the input, in the unit of the data (25 is a tenth of 0 to
    255). By default 1/5 of the range for denoise, 1/40 elsewhere.
    """
    method: Annotated[str | None, optional("NAME")] = None
    """How samples are made to agree with the input, one of the list of methods below; mmps by
    default, and dps for a model of latents.
    """
    degrade: bool = False
    """The input is the whole picture, from which the measured one is made first: to try it out."""
    strength: Annotated[float | None, optional("0..1")] = None
    """How much noise the picture gets: s is the level sigma/alpha = tan(pi s/2), 0 is the picture
    and 1 noise. By default 0.5 for variations, and 1 for invert and interpolate.
    """
    source: Annotated[UseAppendAction[tuple[str, ...]], arg(metavar="VALUE")] = ()
    """The condition of the input as it is, for --task invert; none by default."""
    condition: Annotated[UseAppendAction[tuple[str, ...]], arg(metavar="VALUE")] = ()
    """The condition of the edits, as for `allegory sample`; @FILE has one per input. None by
    default. For --task invert one per edit, repeated, or in @FILE; by default all classes in turn.
    """
    label: Annotated[str | None, optional("CLASS")] = None
    """The same for a class, by its name or number in the data."""
    count: Annotated[int | None, optional("INT")] = None
    """Edits of each picture, 8 by default; for --task interpolate the points of a way, with both
    ends.
    """
    seeds: Annotated[str | None, optional("A:B")] = None
    """A to B - 1, one seed per edit, the same for each picture; 0:COUNT by default."""
    resize: bool = False
    """Crop each file to its centred square and resize it to the size of the model."""
    out: Annotated[str | None, optional("FILE")] = None
    """File to write (RUN/samples/edits-1.png, -2, ... if not given): .png, .npz or .npy, for
    text .txt; or a folder, with a folder for each input and a file per edit.
    """
    batch: int = 250
    """Edits that are computed at once; halve it when memory is short."""
    overwrite: bool = False
    """Replace --out if it exists; in a folder, the pictures of the same names."""
    json: bool = False
    """Print the figures as JSON."""

    def run(self) -> None:
        """Edit the pictures and write the edits."""
        from ..models.base import HasTokens, HasTrajectory, refuse_rows
        from ..progress import progress
        from . import tables
        from .edit_files import save_edits
        from .edit_tokens import infilled
        from .edit_work import edited
        from .files import kinds_of, output

        self._check()
        folder, model = self.open()
        refuse_rows(folder.spec, "edit", _INSTEAD)
        if not isinstance(model, HasTrajectory | HasTokens):
            raise ValueError(
                f"RUN {self.folder!r}: is no diffusion model, and edits need one; train one, e.g. "
                "with `allegory train images`"
            )
        out = output(folder, self.out, self.overwrite, "edits", kinds_of(folder.spec))

        with progress() as on_progress:
            if isinstance(model, HasTokens):
                found = infilled(self, folder, model)
            else:
                config = self._config(lambda done, total: on_progress("editing", done, total))
                found = edited(self, folder, model, config)
            save_edits(out, found, folder.spec, on_progress)
        tables.show(self.json, {**found.figures, "file": str(out)})

    @property
    def edits(self) -> int:
        """How many edits there are of each picture."""
        return len(self.seed_range)

    @property
    def seed_range(self) -> range:
        """A seed per edit."""
        return seed_range(self.seeds, _COUNT if self.count is None else self.count)

    def _check(self) -> None:
        """ValueError for an unknown task or method, and options that are not for the task."""
        from ..inverse import posterior_method
        from ..lookup import check_count, pick
        from ..recipes.edit_tasks import FREE_TASKS, MEASURED_TASKS

        known = {**MEASURED_TASKS, **FREE_TASKS}
        if self.task is None:
            raise ValueError(f"--task: none; give one of {', '.join(known)}")
        pick("task", self.task, known)
        if not self.input:
            raise ValueError("--input: none; give a picture, a folder of them, or an array")
        for name, tasks in _ONLY.items():
            if getattr(self, name) not in (None, False, ()) and self.task not in tasks:
                raise ValueError(
                    f"--{name}: is for --task {' or '.join(tasks)}, not for {self.task}; leave it "
                    "out"
                )

        check_count("--batch", self.batch, 1, MOST_SAMPLES)
        if self.count is not None:
            check_count("--count", self.count, 1, MOST_SAMPLES)
        if self.method is not None:
            posterior_method(self.method)
            check_solver(self.solver, self.method)

    def _config(self, on_step: Any) -> EditConfig:
        """How the pictures are edited."""
        from ..recipes.edit import EditConfig

        return EditConfig(self._sampler(), self.strength, self.method, self.batch, on_step)

    def _sampler(self) -> Sampler:
        return self.sampler(self.solver or DEFAULT_SOLVER, self.guide_text())

    @staticmethod
    def epilog() -> None:
        """Print tasks, masks, methods, solvers and guides by name, below the help."""
        from ..inverse import POSTERIOR_METHODS
        from ..process.guide import GUIDES
        from ..recipes.edit_tasks import FREE_TASKS, MEASURED_TASKS
        from ..recipes.masks import MASKS
        from ..sampling import SOLVERS

        show_registries(
            {
                "tasks that are inverse problems": MEASURED_TASKS,
                "other tasks": FREE_TASKS,
                "masks": MASKS,
                "methods": POSTERIOR_METHODS,
                "solvers": SOLVERS,
                "guides": GUIDES,
            }
        )
