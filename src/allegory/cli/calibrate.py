"""`allegory calibrate`: whether a method draws from the posterior of a run."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import arg

from .options import RunOptions, check_solver, optional, show_registries

if TYPE_CHECKING:
    from ..evaluation.calibration import Calibration, CalibrationConfig
    from ..inverse import Operator
    from ..models.base import HasTrajectory
    from ..recipes import RunFolder

TASKS = {
    "inpaint": "lower_half",
    "superres": "downsample:2",
    "deblur": "blur:1",
    "colorize": "grey",
    "denoise": "identity",
}
"""Operators by the names of tasks."""


@dataclass(frozen=True, kw_only=True)
class Calibrate(RunOptions):
    """Test whether a method draws from the posterior: ranks, coverage, a verdict, report.html.

    Items of the run's own ancestral chain are measured, and the method draws several items given
    each measurement. If it draws from the posterior, the item and its draws have the same
    distribution, whatever the model learned. A verdict says which tests reject it.

    Fewer --items and --draws are faster and find less. The time is that of so many times so many
    samples of the method.
    """

    task: Annotated[str, arg(metavar="NAME")] = "inpaint"
    """What is measured: inpaint, superres, deblur, colorize, denoise, or an operator of the list
    below, such as downsample:4.
    """
    method: Annotated[str, arg(metavar="NAME")] = "mmps"
    """How items are drawn given their measurements, one of the list below."""
    noise: float = 0.1
    """Standard deviation of the noise of a measurement in model units: pictures are in [-1, 1],
    so that 0.1 is a twentieth of their range, and each column of a table has deviation 1/2.
    """
    items: int = 300
    """Items that are measured."""
    draws: int = 15
    """Draws given each measurement."""
    steps: int = 50
    """Steps of the chain and of the method."""
    solver: Annotated[str | None, optional("NAME")] = None
    """Solver of methods that are guides, ddpm by default; the chain is ddpm."""
    level: float = 0.01
    """Probability of rejecting an exact method, over all tests."""
    score: bool = False
    """Compute the kernel Stein discrepancy as well, from the score of the model."""
    batch: int = 250
    """Draws that are computed at once; halve it when memory is short."""
    seed: int = 0
    """Seed; two seeds have no random number in common."""
    json: bool = False
    """Print the figures as JSON."""

    def run(self) -> None:
        """Calibrate, write the report, and print the figures."""
        from ..evaluation.calibration import calibrate
        from ..models.base import HasTrajectory, refuse_rows, refuse_tokens
        from ..progress import progress

        config = self._config()
        folder, model = self.open()
        refuse_rows(folder.spec, "calibrate", "compare its samples by `allegory evaluate RUN`")
        instead = "give a run of such a model, e.g. of the recipe digits"
        refuse_tokens(model, "calibrate", instead)
        if not isinstance(model, HasTrajectory):
            raise ValueError(
                f"RUN {self.folder!r}: no diffusion model; a calibration needs one that has a chain"
            )
        operator = self._operator(model)

        with progress() as on_progress:
            found = calibrate(model, operator, self.noise, config, on_progress=on_progress)
            report, refusal = _report(folder, found)
        self._print(found, report, refusal)

    def _config(self) -> CalibrationConfig:
        """The choices. ValueError, with the option's name, for one that means nothing."""
        from ..evaluation.calibration import CalibrationConfig
        from ..evaluation.calibration.config import FEWEST_ITEMS
        from ..inverse import posterior_method
        from ..lookup import check_count
        from ..process.grid import MAX_STEPS
        from ..sampling import Sampler

        if not 0 < self.noise < float("inf"):
            raise ValueError(f"--noise {self.noise}; give a standard deviation above 0, e.g. 0.1")
        posterior_method(self.method)
        check_solver(self.solver, self.method)
        check_count("--items", self.items, FEWEST_ITEMS, 10**7)
        check_count("--draws", self.draws, 3, 10_000)
        check_count("--batch", self.batch, 1, 10**7)
        check_count("--steps", self.steps, 1, MAX_STEPS)
        check_count("--seed", self.seed, 0, 2**30)
        return CalibrationConfig(
            method=self.method,
            items=self.items,
            draws=self.draws,
            sampler=Sampler(self.solver or "ddpm", self.steps),
            seed=self.seed,
            level=self.level,
            score=self.score,
            batch=self.batch,
            task=f"{self.task}, noise {self.noise:g}",
        )

    def _operator(self, model: HasTrajectory) -> Operator:
        """The operator of the task."""
        from ..inverse.operators import operator_named

        name = TASKS.get(self.task, self.task)
        try:
            return operator_named(name, tuple(model.spec.shape))
        except ValueError as error:
            raise ValueError(f"--task {self.task}: {error}") from None

    def _print(self, found: Calibration, report: Path | None, refusal: str) -> None:
        from . import tables

        if refusal:
            tables.remark(refusal)
        if self.json:
            written = {} if report is None else {"report": str(report)}
            print(json.dumps(found.to_dict() | written, indent=2))
            return
        tables.calibration(found)
        if report is not None:
            tables.note(False, f"report: {report}")

    @staticmethod
    def epilog() -> None:
        """Print the operators and methods by name, as they are registered, below the help."""
        from ..inverse import POSTERIOR_METHODS
        from ..inverse.operators import OPERATORS

        show_registries({"tasks": OPERATORS, "methods": POSTERIOR_METHODS})


def _report(folder: RunFolder, found: Calibration) -> tuple[Path | None, str]:
    """Write the card into report.html; its path, or None and why it could not be written."""
    from ..lookup import printable
    from .files import write_calibration

    try:
        return write_calibration(folder, found), ""
    except OSError as error:  # a run folder may be there to be read only
        why = printable(error.strerror or str(error))
        return None, f"no report, {folder.path}: {why}; copy the folder to have one"
