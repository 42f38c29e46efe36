"""The command `allegory distill`: a model of few steps from a run that needs many."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from tyro.conf import UseAppendAction, arg

from .options import SamplerOptions, optional, show_registries
from .train_report import device_line, printed_once, validation_figures

if TYPE_CHECKING:
    from ..recipes.distill import Distillation, DistillConfig
    from ..training import TrainingConfig


@dataclass(frozen=True, kw_only=True)
class Distill:
    """Train a model of few steps that does in one evaluation what a run does in many.

    The student begins with the weights of RUN and sees the same data. progressive halves the steps
    of its teacher again and again, each student in DIR/halvings/STEPS and the last in DIR; flowmap
    learns jumps between any two levels; consistency learns jumps to clean data, tuned on the data,
    with a gap that is halved again and again, each student in DIR/gaps/GAP and the last in DIR.
    The halvings, or the gaps, share the budget evenly; the figures are those of the last.
    `allegory sample DIR` draws samples in so many steps. The student has no likelihood; ask RUN
    for it. Methods compared: docs/few_steps.md.
    """

    folder: Annotated[str, arg(metavar="RUN")]
    """Run folder of the teacher: a diffusion model; for progressive a student too."""
    out: Annotated[str | None, optional("DIR")] = None
    """Run folder of the student (RUN-4-steps if not given, for 4 steps)."""
    steps: int = 4
    """Steps in which the student makes a sample, one evaluation of the network each."""
    method: str = "progressive"
    """progressive, flowmap or consistency; see the list below."""
    teacher_steps: Annotated[int | None, optional("INT")] = None
    """Steps of the first teacher of progressive, two evaluations each, --steps times a power of 2;
    16 by default, those of RUN where that is a student.
    """
    identity: Annotated[str | None, optional("NAME")] = None
    """How flowmap learns its jumps: semigroup (the default), lagrangian or eulerian."""
    gap: float = 1 / 64
    """The last gap of consistency between two levels, as a part of the angle; 1/2 is halved down to
    it.
    """
    solver: Annotated[str | None, optional("NAME")] = None
    """How the student is sampled: flow_map, or flow_map:GAMMA, where gamma = 1 draws noise anew at
    each level, as consistency does.
    """
    spacing: Annotated[str | None, optional("NAME")] = None
    """Where the steps of the student lie, such as log_snr, angle or karras; by default as suits the
    solver.
    """
    guide: Annotated[UseAppendAction[tuple[str, ...]], arg(metavar="NAME:W[:KEY=VALUE]")] = ()
    """A guide of the teacher, such as cfg:2 (1 is unguided), which the student learns: its samples
    are guided and take one evaluation per step. Repeat it for several, the innermost first. Not
    for consistency, which learns from the data.
    """
    largest_scale: Annotated[float | None, optional("FLOAT")] = None
    """Learn classifier-free guidance of every scale from 1 to this one, such as 4, as an input:
    `sample --guide cfg:W` then takes one evaluation per step for any of them. Not for
    consistency.
    """
    minutes: Annotated[float | None, optional("FLOAT")] = None
    """Train for so many minutes in all; by default as long as RUN was trained."""
    train_steps: Annotated[int | None, optional("INT")] = None
    """Train for so many steps of the optimizer in all. With --minutes too, what is spent first ends
    each halving or gap.
    """
    batch_size: Annotated[int | None, optional("INT")] = None
    """Items per batch; by default as in the training of RUN."""
    learning_rate: Annotated[float | None, optional("FLOAT")] = None
    """The largest learning rate; by default half of that of RUN."""
    seed: Annotated[int | None, optional("INT")] = None
    """Seed of data order and noise; by default that of RUN."""
    device: str = "auto"
    """auto (a GPU if there is one), cpu, cuda, cuda:1, ..."""
    data: Annotated[str | None, optional("DATA")] = None
    """Data of the same kind instead of those of RUN."""
    weights: Annotated[str | None, optional("NAME")] = None
    """Weights of the teacher: best, ema or last, as in `sample`."""
    checkpoint_minutes: Annotated[float | None, optional("FLOAT")] = None
    """Minutes between checkpoints; by default as in the training of RUN."""
    resume: bool = False
    """Go on with the distillation in --out, with the same options; halvings that are finished are
    kept.
    """
    overwrite: bool = False
    """Replace the distillation in --out."""
    json: bool = False
    """Print the figures as JSON."""

    def run(self) -> None:
        """Distill, and print the figures."""
        from ..recipes import RunFolder
        from ..recipes.distill import Distillation
        from ..recipes.teacher import Teacher
        from . import tables

        config = self._config()
        teacher = Teacher.of(RunFolder.open(Path(self.folder), self.weights))
        model = teacher.student(config)
        out = Path(self.out or f"{teacher.folder.path}-{self.steps}-steps")
        whole = Distillation(teacher, out, model, self.resume, self.overwrite)

        training = self._training(whole)
        shown = [printed_once(device_line(training))]
        folder, result = whole.run(training, self.data, shown)

        figures: dict[str, object] = {
            "run": str(folder.path),
            "method": config.method,
            "sampler": model.sampler.describe(),
            "steps": result.step,
            "items": result.images,
            "seconds": result.seconds,
            "loss": result.loss,
            "unit": model.unit,
        }
        tables.show(self.json, figures | validation_figures(result))
        tables.note(self.json, f"next: allegory sample {folder.path}")

    def _config(self) -> DistillConfig:
        """The choices of the distillation."""
        from ..recipes.distill import DistillConfig

        guide = SamplerOptions(guide=self.guide).guide_text()
        return DistillConfig(
            self.method,
            self.steps,
            self.teacher_steps,
            self.identity,
            self.gap,
            self.solver,
            self.spacing,
            guide,
            self.largest_scale,
        )

    def _training(self, whole: Distillation) -> TrainingConfig:
        """The training, with the options that are given."""
        given = {
            "batch_size": self.batch_size,
            "learning_rate": self.learning_rate,
            "seed": self.seed,
            "device": self.device,
            "checkpoint_minutes": self.checkpoint_minutes,
        }
        changes: dict[str, Any] = {
            name: value for name, value in given.items() if value is not None
        }

        if self.minutes is not None or self.train_steps is not None:
            changes |= {"minutes": self.minutes, "steps": self.train_steps}
        return replace(whole.training(), **changes)

    @staticmethod
    def epilog() -> None:
        """Print the methods by name, as they are registered, below the help."""
        from ..distillation.config import DISTILLATION_METHODS

        show_registries({"methods": DISTILLATION_METHODS})
