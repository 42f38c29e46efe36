"""Distillation of a run: a model of few steps from one that needs many.

The student begins with the weights of its teacher, so that its jumps are DDIM steps, and is trained
on the teacher's data in one or more phases (`phases`), each a run folder of its own. A run that is
resumed keeps the phases that have had their budget.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from ..data import Dataset
from ..distillation.config import DistillConfig
from ..lookup import check_type
from ..training import Callback, Processes, Result, TrainingConfig, bar
from ..training.counters import Counters
from .config import Run
from .destination import Destination, clear_run
from .differences import check_same_model
from .execute import train_in
from .few_step import FewStepConfig
from .lock import locked
from .phase_budget import counters_of, is_finished, over_all, scaled_budget, total
from .phases import PHASE_FOLDERS, Phase, PhaseRun, phases
from .run_folder import RunFolder
from .teacher import Teacher

__all__ = ["DistillConfig", "Distillation", "distill"]


def distill(
    run: str | Path,
    out: str | Path,
    config: DistillConfig | None = None,
    *,
    training: TrainingConfig | None = None,
    data: Dataset | str | None = None,
    resume: bool = False,
    overwrite: bool = False,
    callbacks: Sequence[Callback] = (),
) -> tuple[RunFolder, Result]:
    """A model of few steps from a trained one, in a run folder that `open` and the command line
    read.

    Args:
        run: the run folder of the teacher.
        out: the run folder of the student.
        config: method, steps and sampler; None for `DistillConfig()`: progressive, 4 steps.
        training: batch size, learning rate and so on; its budget is divided evenly over the phases.
            None for those of the teacher's training, with half its learning rate.
        data: what the student sees; None for the data of the teacher.
        resume: continue the distillation in `out`, with the same choices.
        overwrite: replace what is in `out`.
        callbacks: called at each report, besides the progress bar; their numbers count all phases.

    Returns:
        The student's run folder, and the result of the last phase.

    Raises:
        ValueError: for a teacher that is no denoiser of x0 and eps, choices that do not fit it, or
            a folder that cannot be used.
        TrainingError: at the first loss that is not finite.
    """
    for name, value in {"run": run, "out": out}.items():
        check_type(name, value, (str, os.PathLike), "the path of a run folder")
    if training is not None:
        check_type("training", training, TrainingConfig, "a TrainingConfig, or None")

    check_type("config", config or DistillConfig(), DistillConfig, "a DistillConfig, or None")

    teacher = Teacher.of(RunFolder.open(Path(run)))
    model = teacher.student(config or DistillConfig())
    whole = Distillation(teacher, Path(out), model, resume, overwrite)
    return whole.run(training or whole.training(), data, callbacks)


@dataclass(frozen=True)
class Distillation:
    """A distillation into a folder.

    Args:
        teacher: what the first student learns from.
        out: the folder of the last student.
        model: the last student.
        resume: continue what is in the folder.
        overwrite: replace what is in the folder.

    Raises:
        ValueError: for steps that halving does not lead to, and a folder that cannot be used.
    """

    teacher: Teacher
    out: Path
    model: FewStepConfig
    resume: bool = False
    overwrite: bool = False

    def __post_init__(self) -> None:
        self.teacher.check_out(self.out)

        begun = [each for each in self.phases if self._begun(each)]
        goes_on = self.resume and (not begun or (self.out / "run.json").is_file())
        Destination(self.out, goes_on, self.overwrite, PHASE_FOLDERS).check()
        if begun and not (self.resume or self.overwrite):
            raise ValueError(
                f"--out {str(self.out)!r}: holds a distillation; give --resume to go on, "
                "--overwrite (in Python resume=True, overwrite=True), or another folder"
            )

        if self.resume:
            self._check_begun(begun)

    @property
    def phases(self) -> tuple[Phase, ...]:
        """The phases, in order."""
        return phases(self.model)

    def training(self) -> TrainingConfig:
        """That of the teacher, with half its learning rate; of a distillation that is resumed, its
        own.
        """
        begun = [each for each in self.phases if self._begun(each)]
        if self.resume and begun:
            part = RunFolder.open(self._folder(begun[0])).run.training
            return scaled_budget(part, lambda value: value * len(self.phases))
        own = self.teacher.folder.run.training
        return replace(own, learning_rate=own.learning_rate / 2)

    def run(
        self,
        training: TrainingConfig,
        data: Dataset | str | None = None,
        callbacks: Sequence[Callback] = (),
    ) -> tuple[RunFolder, Result]:
        """Train every phase that is not finished.

        Args:
            training: its budget is divided evenly over the phases.
            data: what the student sees; None for the data of the teacher.
            callbacks: called at each report; their numbers count all phases.

        Returns:
            The last phase's run folder, and its result.
        """
        part = self._part(training)
        with bar(self.model.unit) as show:
            dataset = self._dataset(data)
            if self.overwrite:
                self._clear()
            predict = self.teacher.predict(self.model.distillation.guide)
            teacher, before = self.teacher, Counters()

            for number, phase in enumerate(self.phases):
                place = (number, len(self.phases))
                shown = [over_all(each, place, before) for each in (show, *callbacks)]
                run = Run("distill", dataset.source, phase.model, part)
                folder, result = self._train(PhaseRun(phase, run, dataset, teacher, predict), shown)
                before = total(before, self._counters(phase))
                if phase.place:
                    teacher = Teacher.of(folder)
                    predict = teacher.predict(None)

        assert result is not None  # the last phase is never left out
        return folder, result

    def _part(self, training: TrainingConfig) -> TrainingConfig:
        """The training of each phase. ValueError for fewer steps than phases."""
        count = len(self.phases)
        if training.steps is not None and training.steps < count:
            raise ValueError(
                f"steps={training.steps}: of training, for {count} phases; give {count} or more"
            )

        part = scaled_budget(training, lambda value: value / count)
        if self.model.distillation.method == "progressive":
            return part
        # The loss compares a student with itself, and its lowest is not the best student.
        return replace(part, validation_every=0)

    def _train(
        self, step: PhaseRun, callbacks: Sequence[Callback]
    ) -> tuple[RunFolder, Result | None]:
        """One phase; where it has had its budget, its folder and no result, but for the last."""
        path = self._folder(step.phase)
        is_begun = self.resume and self._begun(step.phase)
        if is_begun and step.phase.place and self._finished(step.phase):
            return RunFolder.open(path), None

        processes = Processes(step.run.training.device)
        overwrite = self.overwrite and not step.phase.place
        out = Destination(path, is_begun, overwrite, () if step.phase.place else PHASE_FOLDERS)
        with out.opened(processes, step.teacher.folder.path) as opened:
            built = processes.every(partial(step.built, opened, processes.device))
            result = train_in(opened, built, processes, callbacks)

        spec, print_ = built.dataset.spec, built.dataset.fingerprint
        return RunFolder(path, built.run, spec, fingerprint=print_), result

    def _dataset(self, data: Dataset | str | None) -> Dataset:
        """The data, under the teacher's description of them."""
        if isinstance(data, Dataset):
            return data.as_spec(self.teacher.folder.spec)
        return self.teacher.folder.dataset(data)

    def _folder(self, phase: Phase) -> Path:
        """The run folder of a phase."""
        return self.out / phase.place

    def _begun(self, phase: Phase) -> bool:
        """Whether there is a run of this phase."""
        return (self._folder(phase) / "run.json").is_file()

    def _counters(self, phase: Phase) -> Counters:
        """The numbers of the last checkpoint of a phase."""
        return counters_of(self._folder(phase))

    def _finished(self, phase: Phase) -> bool:
        """Whether a phase has had the budget that it began with."""
        return is_finished(self._folder(phase))

    def _check_begun(self, begun: Sequence[Phase]) -> None:
        """ValueError where the phases to continue began with other choices, or another teacher."""
        folders = [RunFolder.open(self._folder(each)) for each in begun]
        for phase, folder in zip(begun, folders, strict=True):
            check_same_model(replace(folder.run, model=phase.model), folder.run, folder.path)

        began, given = folders[0].initial, self.teacher.folder.path
        if began is not None and Path(began).is_dir() and not os.path.samefile(began, given):
            raise ValueError(
                f"--resume: {self.out} was begun with the teacher {began}; give that, or another "
                "folder"
            )

    def _clear(self) -> None:
        """Remove the distillation in the folder, and nothing else."""
        for place in PHASE_FOLDERS:
            for each in (self.out / place).glob("*"):
                if not (each / "run.json").is_file():
                    raise ValueError(f"--overwrite: {each} is no run; move it elsewhere")

        if not self.out.is_dir():
            return
        with locked(self.out):
            clear_run(self.out)
            (self.out / "run.json").unlink(missing_ok=True)
            for place in PHASE_FOLDERS:
                shutil.rmtree(self.out / place, ignore_errors=True)
