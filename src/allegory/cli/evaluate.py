"""`allegory evaluate`: likelihood and sample quality of a run on its test data."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any

from .options import DEFAULT_SOLVER, RunOptions, SamplerOptions, optional

if TYPE_CHECKING:
    from ..data import Dataset
    from ..recipes import RunFolder
    from ..sampling import Sampler

DEFAULT_GUIDE = "cfg:2"
"""The guide of samples where there are labels."""
_DENSITY = (
    "These data are continuous: their bits/dim, and nats, are of a density in the data's own unit."
    " They change with the unit and may be negative; a code needs levels."
)


@dataclass(frozen=True, kw_only=True)
class Evaluate(SamplerOptions, RunOptions):
    """Evaluate a run on its test data: bits/dim by term, sample quality, report.html.

    What a model has is evaluated: a bound, importance weights, the flow's likelihood, samples.
    Samples are drawn by dpmpp2m, and where there are labels with the guide cfg:2; --guide none
    leaves it out.
    """

    data: Annotated[str | None, optional("DATA")] = None
    """Data instead of the run's own, of the same kind."""
    draws: int = 64
    """Noise levels per test item in the bound; the standard error and the time fall with it."""
    samples: int = 500
    """Samples to judge."""
    limit: int = 10_000
    """At most so many test items."""
    compared: int = 200
    """The likelihood of the first so many test items is evaluated in every way (VLB at T = 10, 100,
    1000 and infinity, IWAE, ODE); 0 leaves this out, which saves most of the time.
    """
    importance: Annotated[int | None, optional("INT")] = None
    """Importance weights per item (IWAE). By default 50, none for diffusion, where a weight takes
    100 steps.
    """
    seed: int = 0
    """Seed of noise levels, noise and samples."""
    json: bool = False
    """Print the figures as JSON."""

    def run(self) -> None:
        """Evaluate, write the report, and print the figures."""
        import torch

        from ..evaluation import EvaluationConfig
        from ..progress import progress

        if self.limit < 2:
            raise ValueError(f"--limit {self.limit}: give at least 2 test items")
        folder, model = self.open()
        config = EvaluationConfig(
            seed=self.seed,
            draws=self.draws,
            samples=self.samples,
            compared=self.compared,
            importance=self.importance,
            sampler=self._sampler(model),
        )
        with progress() as on_progress:
            on_progress("loading data", 0, 1)
            dataset = folder.dataset(self.data)
        some = dataset.test.take(torch.arange(min(self.limit, len(dataset.test))))
        report_on(folder, model, replace(dataset, test=some), config, as_json=self.json)

    def _sampler(self, model: Any) -> Sampler | None:
        """How a diffusion model is sampled; None for other models."""
        from ..models.base import HasTrajectory, is_conditional

        if not isinstance(model, HasTrajectory):
            self.refuse()
            return None
        guide = self.guide_text(DEFAULT_GUIDE if is_conditional(model) else None)
        return self.sampler(self.solver or DEFAULT_SOLVER, guide)


def report_on(
    folder: RunFolder, model: Any, dataset: Dataset, config: Any, *, as_json: bool
) -> None:
    """Evaluate a model, write report.html, and print the figures.

    Args:
        folder: the run.
        model: its model.
        dataset: the data, whose test set figures are computed on.
        config: an `EvaluationConfig`.
        as_json: print JSON in place of tables.
    """
    from ..evaluation import evaluate
    from ..progress import progress
    from . import tables
    from .files import write_report

    with progress() as on_progress:
        found = evaluate(model, dataset, config, on_progress=on_progress)
        on_progress("report", 0, 1)
        page = write_report(folder, model, dataset, found)
        on_progress("report", 1, 1)

    tables.evaluation(as_json, found, page)
    if folder.spec.levels is None:
        tables.note(as_json, _DENSITY)
