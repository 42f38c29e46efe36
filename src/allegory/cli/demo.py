"""The command `allegory demo`: training, samples and evaluation on bundled data."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

from . import tables
from .options import optional


@dataclass(frozen=True)
class Demo:
    """Train on bundled handwritten digits, sample, evaluate, report.

    About four minutes on two cores.
    """

    out: str = "runs/demo"
    """Run folder."""
    minutes: Annotated[float | None, optional("FLOAT")] = None
    """At most so many minutes of training; by default those of the recipe, whose steps end first on
    an idle machine.
    """
    device: str = "auto"
    """auto (a GPU if there is one), cpu, cuda, cuda:1, ..."""
    resume: bool = False
    """Go on with the run in --out."""
    overwrite: bool = False
    """Replace the run in --out."""
    json: bool = False
    """Print the figures as JSON."""

    def run(self) -> None:
        """Train, evaluate, write the report, and print the figures."""
        from ..evaluation import EvaluationConfig
        from ..recipes import Destination, execute, recipe_named
        from ..sampling import Sampler
        from ..training import bar
        from ..training.device import torch_device
        from .evaluate import DEFAULT_GUIDE, EvaluationOutput, report_on
        from .train_report import device_line, printed_once, remarks

        run = recipe_named("digits")
        expected = run.training
        minutes = self.minutes or expected.minutes
        run = replace(run, training=replace(expected, minutes=minutes, device=self.device))
        begin = f"{device_line(run.training)} on 1,397 handwritten digits"
        with bar(run.unit) as show:
            folder, result = execute(
                run,
                Destination(Path(self.out), self.resume, self.overwrite),
                callbacks=[printed_once(begin), show],
            )
        for line in remarks(run, expected, result, f"allegory train digits --out {folder.path}"):
            tables.remark(line)

        model = folder.model().to(torch_device(self.device))
        config = EvaluationConfig(draws=64, sampler=Sampler(guide=DEFAULT_GUIDE))
        report_on(folder, model, folder.dataset(), config, EvaluationOutput(self.json))
