"""`allegory evaluate`: likelihood and sample quality of a run on its test data."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from .options import DEFAULT_SOLVER, RunOptions, SamplerOptions, optional

if TYPE_CHECKING:
    from ..data import Dataset
    from ..evaluation import (
        Classification,
        Evaluation,
        EvaluationConfig,
        Figures,
        TableEvaluation,
    )
    from ..progress import OnProgress
    from ..recipes import RunFolder
    from ..sampling import Sampler
    from ..sampling.rows import RowSampler
    from ..sampling.tokens import TokenSampler

DEFAULT_GUIDE = "cfg:2"
"""The guide of samples where there are labels or another condition than first frames."""
_BOUNDS = (
    "bits/dim, bits/byte, nats and VLB are upper bounds of -log p(x) on these items: lower is"
    " better."
)
_DENSITY = (
    "These data are continuous: their bits/dim, and nats, are of a density in the data's own unit."
    " They change with the unit and may be negative; a code needs levels."
)

_NATS = (
    "nats are of a density in the unit of the column for numbers, and of a probability for whole"
    " numbers, dates, categories and missing values: lower is better."
)
_MEMORISED = (
    "memorised: samples are far nearer to training rows than test rows are; train for fewer steps,"
    " or on more rows"
)
_LEARNED = (
    "the run learned from most of these items; leave --data out to measure those that it did not"
)


@dataclass(frozen=True, kw_only=True)
class Evaluate(SamplerOptions, RunOptions):
    """Evaluate a run on its test data: bits/dim by term, sample quality, report.html.

    What a model has is evaluated: a bound, importance weights, the flow's likelihood, samples; of a
    classifier its accuracy by noise level; of a table each column, and the nearest training rows.
    Bits/dim, bits/byte and nats are upper bounds of -log p(x): lower is better.
    Samples are drawn by dpmpp2m, where there are labels or another condition with the guide cfg:2
    (--guide none leaves it out), and of a model of few steps by its own jumps; for all classes in
    turn, or the conditions of test items in turn. What follows given first frames, and tokens, are
    drawn without a guide.
    """

    data: Annotated[str | None, optional("DATA")] = None
    """Data instead of the test set of the run, of the same kind: all items of a file or folder, or
    its test set where it has one (a folder `test`, an array `x_test`). Options such as ?label=kind
    are given anew.
    """
    draws: int = 64
    """Noise levels per test item in the bound; more take longer and lower the standard error."""
    samples: int = 500
    """Samples to judge."""
    limit: Annotated[int | None, optional("INT")] = None
    """At most so many items, chosen at random but always the same; all if not given."""
    compared: int = 200
    """The likelihood of so many of these items, chosen likewise, is evaluated in every way (VLB at
    T = 10, 100, 1000 and infinity, IWAE, ODE); 0 leaves this out, which saves most of the time.
    """
    importance: Annotated[int | None, optional("INT")] = None
    """Importance weights per item (IWAE). By default 50, none for diffusion, where a weight takes
    100 steps.
    """
    seed: int = 0
    """Seed of noise levels, noise and samples."""
    per_item: Annotated[str | None, optional("FILE")] = None
    """A .csv file to write: for each measured item its place in the file, its label and condition,
    its nats and bits/dim, and the terms of its bound.
    """
    overwrite: bool = False
    """Replace the file of --per-item if it exists."""
    json: bool = False
    """Print the figures as JSON."""

    def run(self) -> None:
        """Evaluate, write the report, and print the figures."""
        from ..evaluation import EvaluationConfig
        from ..models.base import has_bound
        from ..progress import progress
        from . import tables

        config = EvaluationConfig(
            seed=self.seed,
            draws=self.draws,
            samples=self.samples,
            compared=self.compared,
            importance=self.importance,
            limit=self.limit,
        )
        scores = self._scores()
        folder, model = self.open()
        if scores is not None and not has_bound(model):
            raise ValueError(f"--per-item {self.per_item}: this model has no bound; leave it out")

        config = replace(config, sampler=self._sampler(model))
        with progress() as on_progress:
            on_progress("loading data", 0, 1)
            dataset = folder.dataset(self.data)
        if model.spec.condition is not None and dataset.test.condition is None:
            config = replace(config, sampler=self._sampler(model, None))
        if self.data is not None and not dataset.has_own_test:
            dataset, config = dataset.all_as_test(), replace(config, reference=False)
            if dataset.source == folder.run.source:
                tables.remark(f"--data {self.data}: {_LEARNED}")
        report_on(folder, model, dataset, config, EvaluationOutput(self.json, scores))

    def _scores(self) -> Path | None:
        """The file for the scores of the items. ValueError for one that cannot be written."""
        from .files import free_file

        if self.per_item is None:
            return None
        if not self.per_item.endswith(".csv"):
            raise ValueError(f"--per-item {self.per_item!r}: give a name that ends in .csv")
        return free_file(self.per_item, self.overwrite, "--per-item")

    def _sampler(
        self, model: Any, guide: str | None = DEFAULT_GUIDE
    ) -> Sampler | TokenSampler | RowSampler | None:
        """How a diffusion model is sampled; None for other models.

        Args:
            model: the model.
            guide: of a model of conditions, where none is chosen. A model that is given first
                frames is sampled without one: its samples are draws of p(rest | first frames).
        """
        from ..data.first_frames import continues
        from ..models.base import HasJumps, HasRows, HasTokens, HasTrajectory, is_conditional
        from .sample_rows import refuse_options, row_sampler

        if isinstance(model, HasRows):
            refuse_options(self)
            return row_sampler(model, self.steps)
        if isinstance(model, HasTokens):
            return self.token_sampler(model, self.guide_text())
        if isinstance(model, HasJumps):
            return self.sampler_of(model, self.guide_text())
        if not isinstance(model, HasTrajectory):
            self.refuse()
            return None
        guided = is_conditional(model) and not continues(model.spec)
        chosen = self.guide_text(guide if guided else None)
        return self.sampler(self.solver or DEFAULT_SOLVER, chosen)


@dataclass(frozen=True)
class EvaluationOutput:
    """What an evaluation prints and writes, besides the report.

    Args:
        json: print JSON in place of a table.
        scores: a file for the likelihood of each item; None writes none.
    """

    json: bool = False
    scores: Path | None = None


def report_on(
    folder: RunFolder,
    model: Any,
    dataset: Dataset,
    config: EvaluationConfig,
    output: EvaluationOutput,
) -> None:
    """Evaluate a model, write report.html, and print the figures.

    Args:
        folder: the run.
        model: its model.
        dataset: the data, whose test set figures are computed on.
        config: the figures and how they are computed.
        output: what is printed and written.
    """
    from ..evaluation import Evaluation, TableEvaluation
    from ..evaluation.evaluate import measured
    from ..files import write_whole
    from ..lookup import printable
    from ..progress import progress
    from . import tables
    from .files import write_report

    with progress() as on_progress:
        found = _found(model, dataset, config, on_progress)
        scores = getattr(found, "scores", None)
        if output.scores is not None and scores is not None:
            write_whole(output.scores, scores.csv())
        on_progress("report", 0, 1)
        files, refusal = {}, None
        try:
            files["report"] = write_report(folder, model, measured(dataset, config), found)
        except OSError as error:  # a run folder may be there to be read only
            refusal = error.strerror or str(error)
        on_progress("report", 1, 1)

    if refusal is not None:
        tables.remark(
            f"no report, {folder.path}: {printable(refusal)}; copy the folder to have one"
        )
    files |= {} if output.scores is None else {"per item": output.scores}
    tables.evaluation(output.json, found, _measured(found, dataset), files)
    if isinstance(found, Evaluation):
        if found.likelihood is not None:
            tables.note(output.json, _BOUNDS)
            if folder.spec.levels is None:
                tables.note(output.json, _DENSITY)
        tables.note(output.json, _how_sampled(found))
    if isinstance(found, TableEvaluation):
        tables.note(output.json, _NATS)
        tables.note(output.json, _how_sampled(found))
        if found.nearness is not None and found.nearness.is_memorised:
            tables.remark(_MEMORISED)


def _found(
    model: Any, dataset: Dataset, config: EvaluationConfig, on_progress: OnProgress
) -> Evaluation | Classification | TableEvaluation:
    """What a model is measured by: its samples and likelihood, or the classes that it finds."""
    from ..evaluation import evaluate, evaluate_classifier, evaluate_table
    from ..models.base import CanClassify, HasRows

    if isinstance(model, CanClassify):
        return evaluate_classifier(model, dataset, config, on_progress=on_progress)
    if isinstance(model, HasRows):
        return evaluate_table(model, dataset, config, on_progress=on_progress)
    return evaluate(model, dataset, config, on_progress=on_progress)


def _how_sampled(found: Evaluation | TableEvaluation) -> str:
    """How many samples were drawn, and how, in words."""
    sampler = found.config.sampler
    how = "one draw per sample" if sampler is None else sampler.describe()
    return f"samples: {len(found.generated):,}, {how}, seeds from {found.config.seed}"


def _measured(found: Figures, dataset: Dataset) -> str:
    """Which items were measured, in words."""
    whole, count = found.measured == found.available, f"{found.available:,}"
    some = f"all {count}" if whole else f"{found.measured:,} of the {count}"
    chosen = "" if whole else ", chosen at random"
    items = "test items" if found.config.reference else "items"
    return f"{some} {items} of {dataset.source or dataset.name}{chosen}"
