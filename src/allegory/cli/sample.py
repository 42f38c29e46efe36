"""The command `allegory sample`: samples of a run, as a picture, arrays or text."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any

from tyro.conf import UseAppendAction, arg

from .options import (
    DEFAULT_SOLVER,
    MOST_SAMPLES,
    RunOptions,
    SamplerOptions,
    optional,
    seed_range,
)

if TYPE_CHECKING:
    from ..models.base import HasTokens, HasTrajectory
    from ..recipes import RunFolder
    from ..sampling import Sampler
    from ..sampling.tokens import TokenSampler


@dataclass(frozen=True, kw_only=True)
class Sample(SamplerOptions, RunOptions):
    """Draw samples from a run, into one picture, a file of arrays, or a folder of pictures; text
    and tables of categories into .txt and .csv, rows of a table into .csv, .parquet and .jsonl.

    Without --solver a diffusion model takes the sampler that `allegory tune` made for so many steps
    and the same guide, else dpmpp2m; a model of few steps takes its own jumps. A VAE or a hierarchy
    draws its latents once and has no options of a sampler.
    """

    count: int = 100
    """Number of samples."""
    label: Annotated[str | None, optional("CLASS")] = None
    """Draw this class only, by its name or number in the data, e.g. cat or 7; by default all
    classes in turn.
    """
    condition: Annotated[UseAppendAction[tuple[str, ...]], arg(metavar="VALUE")] = ()
    """The condition, as the data have it: cat; smiling,young; age=30,dose=0.5; "a red
    seven"; NAME=VALUE, repeated, for several; none. @FILE has one per sample, or a single one for
    all: lines of .txt or .csv, an array in .npy (first frames: (count, frames, ...)), pictures,
    or a folder of them. By default those of the test items in turn.
    """
    given: Annotated[UseAppendAction[tuple[str, ...]], arg(metavar="NAME=VALUE,...")] = ()
    """Values of columns that all rows have, for a run of a table: species=Gentoo,island=Biscoe. For
    columns of fit --given they are required. A date is written 2026-01-31, a missing value NAME=.
    """
    seeds: Annotated[str | None, optional("A:B")] = None
    """A to B - 1, one seed per sample; 0:COUNT by default. Sample i depends on seed i alone."""
    out: Annotated[str | None, optional("FILE")] = None
    """File to write (RUN/samples/samples-1.png, -2, ... if not given; .txt for text, .csv for a
    table, of which .parquet and .jsonl keep the types); or a folder, for a file per sample that is
    named by its seed, in a subfolder for each class.
    """
    batch: int = 250
    """Samples that are computed at once; halve it when memory is short."""
    overwrite: bool = False
    """Replace --out if it exists; in a folder, the pictures of the same seeds."""
    json: bool = False
    """Print the figures as JSON."""

    def run(self) -> None:
        """Draw the samples and write them."""
        from ..lookup import check_count
        from ..models.base import HasRows, check_generative, check_samples, is_conditional
        from ..process.guide_items import condition_kind
        from ..progress import progress
        from . import tables
        from .conditions import chosen_conditions, samples_with
        from .files import kinds_of, output, save_samples
        from .pictures import is_folder, save_each
        from .sample_rows import write_samples

        check_count("--count", self.count, 1, MOST_SAMPLES)
        check_count("--batch", self.batch, 1, MOST_SAMPLES)
        folder, model = self.open()
        check_generative(model)
        if isinstance(model, HasRows):
            write_samples(self, folder, model)
            return
        if self.given:
            raise ValueError(
                f"--given {' '.join(self.given)}: this run learned no table; give --condition or "
                "--label"
            )
        seeds = seed_range(self.seeds, self.count)
        out = output(folder, self.out, self.overwrite, kinds=kinds_of(folder.spec))

        sampler = self._sampler(folder, model)
        choices = {} if sampler is None else sampler.to_dict()
        figures: dict[str, object] = {"samples": len(seeds)}
        figures |= {key: value for key, value in choices.items() if value is not None}

        own = folder.spec.given if is_conditional(model) else None
        kind = condition_kind(() if sampler is None else sampler.guides, own)
        chosen = chosen_conditions(folder, kind, self.condition, self.label, len(seeds))
        if chosen.said:
            tables.remark(chosen.said)
        with progress() as on_progress:
            raw = model.sample(
                seeds,
                chosen.rows,
                sampler,
                batch=self.batch,
                on_step=lambda done, total: on_progress("sampling", done, total),
            )
            found = check_samples(raw, "this run").cpu()
            samples = samples_with(found, chosen, folder.spec.condition)
            if is_folder(str(self.out or out)):
                save_each(out, samples, seeds, folder.spec, on_progress)
            else:
                save_samples(out, samples, folder.spec)
        tables.show(self.json, figures | {"file": str(out)})

    def _sampler(self, folder: RunFolder, model: Any) -> Sampler | TokenSampler | None:
        """The sampler of the options; None for a model without steps."""
        from ..models.base import HasJumps, HasTokens, HasTrajectory

        guide = self.guide_text()
        if isinstance(model, HasTokens):
            return self._of_tokens(folder, model, guide)
        if isinstance(model, HasJumps):
            return self.sampler_of(model, guide)
        if isinstance(model, HasTrajectory):
            return self._solver_of(folder, model, guide)

        self.refuse()
        return None

    def _of_tokens(self, folder: RunFolder, model: HasTokens, guide: str | None) -> TokenSampler:
        """The sampler of a model of tokens; without a solver, one tuned for the steps if there is
        one.
        """
        from ..recipes.tuned_files import load_tuned_tokens

        plain = replace(self, solver=None).token_sampler(model, guide)
        is_open = self.solver is None and self.spacing is None
        if not is_open and self.solver != "tuned":
            return self.token_sampler(model, guide)

        tuned = load_tuned_tokens(folder, plain.steps)
        if tuned is not None:
            return replace(tuned.sampler, guide=guide)
        if self.solver == "tuned":
            raise ValueError(
                f"--solver tuned: none for {plain.steps} steps with these weights; make it with "
                f"`allegory tune {folder.path} --steps {plain.steps}`"
            )
        return plain

    def _solver_of(self, folder: RunFolder, model: HasTrajectory, guide: str | None) -> Sampler:
        """The sampler of a diffusion model; without a solver, one tuned for the steps if there is
        one.
        """
        from ..recipes.tuned_files import load_tuned
        from ..sampling.pilot import PILOT
        from .tuning_items import piloted

        plain = self.sampler(DEFAULT_SOLVER, guide)
        is_open = self.solver is None and self.spacing is None and self.scaling is None
        if self.solver == PILOT:
            return self.sampler(piloted(folder, model, guide, plain.steps), guide)
        if not is_open and self.solver != "tuned":
            return self.sampler(self.solver or DEFAULT_SOLVER, guide)

        tuned = load_tuned(folder, model.denoiser.path, plain.steps, guide)
        if tuned is not None:
            return self.sampler(tuned, guide)
        if self.solver == "tuned":
            more = "" if guide is None else f" --guide {guide}"
            raise ValueError(
                f"--solver tuned: none for {plain.steps} steps with these weights and guides; "
                f"make it with `allegory tune {folder.path} --steps {plain.steps}{more}`"
            )
        return plain
