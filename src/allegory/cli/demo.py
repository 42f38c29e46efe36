"""`allegory demo`: the main job on bundled data."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Demo:
    """Train on bundled handwritten digits, sample, evaluate, report. About four minutes on two cores."""

    out: str = "runs/demo"
    """Run folder."""
    minutes: float = 2.4
    """Minutes of training."""
    resume: bool = False
    """Go on with the run in --out."""
    overwrite: bool = False
    """Replace the run in --out."""
    json: bool = False
    """Print the figures as JSON."""

    def run(self) -> None:
        """Train, evaluate, write the report, and print the figures."""
        from ..data import load
        from ..evaluation import evaluate
        from ..recipes import execute, recipe_named
        from ..training import bar
        from . import tables
        from .files import write_report
        from .train import with_budget

        run = with_budget(recipe_named("digits"), self.minutes, None)
        begin = f"training on 1,397 handwritten digits for {self.minutes:g} minutes"
        tables.note(self.json, begin)
        with bar(run.unit) as show:
            folder, _ = execute(
                run,
                Path(self.out),
                resume=self.resume,
                overwrite=self.overwrite,
                callbacks=[show],
            )

        dataset = load(run.source)
        model = folder.model()
        found = evaluate(model, dataset, draws=64, guidance=2.0)
        tables.evaluation(self.json, found, write_report(folder, model, dataset, found))
