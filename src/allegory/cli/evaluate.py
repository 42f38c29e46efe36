"""`allegory evaluate`: likelihood and sample quality of a run on its test data."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import arg

if TYPE_CHECKING:
    from ..sampling import Sampler

_STEPS = 25
_SOLVER = "dpmpp2m"
_DENSITY = (
    "These data are continuous: their bits/dim, and nats, are of a density in the data's own unit."
    " They change with the unit and may be negative; a code needs levels."
)


@dataclass(frozen=True)
class Evaluate:
    """Evaluate a run on its test data: bits/dim by term, sample quality, and a report.html with pictures."""

    folder: Annotated[str, arg(metavar="RUN")]
    """Run folder."""
    data: str | None = None
    """Data instead of the run's own, of the same kind."""
    draws: int = 64
    """Noise levels per test item in the bound; the standard error falls with it."""
    samples: int = 500
    """Samples to judge."""
    steps: int | None = None
    """Steps of the sampler, 25 by default; diffusion models only, as the next two."""
    solver: str | None = None
    """Solver of the sampler, dpmpp2m by default."""
    guidance: float | None = None
    """Guidance scale w in uncond + w (cond - uncond): 1 is unguided. By default 2 where there are labels."""
    limit: int = 10_000
    """At most so many test items."""
    compared: int = 200
    """The likelihood of the first so many test items is evaluated in every way (VLB at T = 10, 100, 1000 and infinity,
    IWAE, ODE); 0 leaves this out, which saves most of the time."""
    importance: int | None = None
    """Importance weights per item (IWAE). By default 50, none for diffusion, where a weight takes 100 steps."""
    seed: int = 0
    """Seed of noise levels, noise and samples."""
    json: bool = False
    """Print the figures as JSON."""

    def run(self) -> None:
        """Evaluate, write the report, and print the figures."""
        import torch

        from ..data import load
        from ..evaluation import EvaluationConfig, evaluate
        from ..models.base import HasTrajectory
        from ..progress import progress
        from ..recipes import RunFolder
        from . import tables
        from .files import write_report
        from .options import refuse_diffusion

        if self.limit < 2:
            raise ValueError(f"--limit {self.limit}: give at least 2 test items")
        folder = RunFolder.open(Path(self.folder))
        dataset = load(self.data or folder.run.source)
        model = folder.model()
        if not isinstance(model, HasTrajectory):
            refuse_diffusion(self)
        if dataset.spec != folder.spec:
            raise ValueError(
                f"--data: {dataset.spec} is not what the run was trained on, {folder.spec}; "
                "give data of that kind"
            )

        some = dataset.test.take(torch.arange(min(self.limit, len(dataset.test))))
        config = EvaluationConfig(
            seed=self.seed,
            draws=self.draws,
            samples=self.samples,
            compared=self.compared,
            importance=self.importance,
            sampler=self._sampler(folder.spec.classes)
            if isinstance(model, HasTrajectory)
            else None,
        )
        with progress() as on_progress:
            found = evaluate(model, replace(dataset, test=some), config, on_progress=on_progress)
        page = write_report(folder, model, dataset, found)
        tables.evaluation(self.json, found, page)
        if folder.spec.levels is None:
            tables.note(self.json, _DENSITY)

    def _sampler(self, classes: int | None) -> Sampler:
        """How a diffusion model is sampled."""
        from ..guidance import ClassifierFree
        from ..sampling import Sampler

        scale = default_guidance(self.guidance, classes)
        return Sampler(
            self.solver or _SOLVER,
            _STEPS if self.steps is None else self.steps,
            guide=None if scale == 1 else ClassifierFree(scale),
        )


def default_guidance(asked: float | None, classes: int | None) -> float:
    """The guidance scale that was asked for; else 2 where there are classes, 1 (unguided) where not."""
    if asked is not None:
        return asked
    return 1.0 if classes is None else 2.0
