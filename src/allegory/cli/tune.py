"""`allegory tune`: optimise a sampler for a run and a number of steps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from tyro.conf import UseAppendAction, arg

from .options import RunOptions, SamplerOptions
from .tuning_items import FIRST_SEED

if TYPE_CHECKING:
    from pathlib import Path

    from ..models.base import HasTokens, HasTrajectory
    from ..recipes import RunFolder
    from ..sampling import TunedSampler, TuningConfig


@dataclass(frozen=True, kw_only=True)
class Tune(RunOptions):
    """Optimise the times and the multistep weights of a sampler for a number of steps.

    The reference is the run's own sampler with 100 steps; about a minute. The result is kept as
    RUN/tuned/steps-N.json, and `allegory sample RUN --steps N` uses it from then on. Of a diffusion
    model of tokens it is how many tokens each step reveals, from --items of the validation items.
    """

    steps: int = 8
    """Number of steps, each one evaluation of the network."""
    guide: Annotated[UseAppendAction[tuple[str, ...]], arg(metavar="NAME:W[:KEY=VALUE]")] = ()
    """A guide that the sampler is for, such as cfg:2; 1 is unguided. Repeat it for several, the
    innermost first.
    """
    pilot: bool = False
    """Choose among five samplers by eight items and 10 N evaluations of each, in seconds, instead
    of the optimisation, which is slower and better.
    """
    iterations: int = 300
    """Steps of the optimisation."""
    batch: int = 16
    """Items per step of the optimisation; halve it when memory is short."""
    items: int = 256
    """Items to fit to; a quarter as many again are held out to judge by."""
    seed: int = 0
    """Seed of the items."""
    json: bool = False
    """Print the figures as JSON."""

    def run(self) -> None:
        """Fit, write, and print the errors before and after."""
        from ..lookup import check_count
        from ..models.base import HasTokens, HasTrajectory, refuse_jumps, refuse_rows
        from ..recipes.tuned_files import save_tuned
        from ..sampling import TuningConfig

        check_count("--items", self.items, 1, 1_000_000)
        check_count("--seed", self.seed, 0, 2**62)
        held_out = max(self.items // 4, 1)
        first = FIRST_SEED + self.seed
        config = TuningConfig(self.steps, self.iterations, self.batch, held_out, seed=first)
        folder, model = self.open()
        refuse_rows(folder.spec, "tune", "give `allegory sample` the --steps that you want")
        if isinstance(model, HasTokens):
            if self.pilot:
                raise ValueError("--pilot: is not for a diffusion model of tokens; leave it out")
            self._tune_tokens(folder, model)
            return
        if not isinstance(model, HasTrajectory):
            raise ValueError(
                f"RUN {self.folder!r}: no diffusion model, it has no steps; nothing to tune"
            )
        refuse_jumps(model, "tune")
        guide = SamplerOptions(guide=self.guide).guide_text()
        tuned = self._fit(folder, model, guide, config)
        file = save_tuned(folder, tuned, guide)

        of_items = "geometric mean" if self.pilot else "median"
        figures = {f"{of_items} error before": tuned.before, "after": tuned.after}
        if self.pilot:
            figures |= {"evaluations of 8 items, at most": 10 * self.steps}
        self._show(folder, figures, file)

    def _tune_tokens(self, folder: RunFolder, model: HasTokens) -> None:
        """Choose the times of a model of tokens, write them and print their cost."""
        from ..recipes.tuned_files import save_tuned_tokens

        if self.guide:
            raise ValueError(
                f"--guide {' '.join(self.guide)}: times of tokens are chosen without a guide; leave"
                " it out, and give it to `allegory sample`"
            )
        dataset = folder.dataset(None)
        x = (dataset.validation or dataset.train).x[: self.items]
        tuned = model.tuned(x, self.steps)
        file = save_tuned_tokens(folder, tuned)

        self._show(folder, {"nats per item, cosine": tuned.before, "tuned": tuned.after}, file)

    def _show(self, folder: RunFolder, costs: dict[str, float], file: Path) -> None:
        """Print what was reached, and the file it was saved in."""
        from . import tables

        tables.show(self.json, {"steps": self.steps, **costs, "file": str(file)})
        tables.note(self.json, f"next: allegory sample {folder.path} --steps {self.steps}")

    def _fit(
        self, folder: RunFolder, model: HasTrajectory, guide: str | None, config: TuningConfig
    ) -> TunedSampler:
        """The sampler, fitted to items whose seeds begin at that of the `config`."""
        from ..progress import progress
        from ..sampling import tune
        from .tuning_items import TuningItems, piloted

        if self.pilot:
            return piloted(folder, model, guide, config.steps, config.seed)

        seeds = range(config.seed, config.seed + self.items + config.held_out)
        items = TuningItems.of(folder, model, guide, seeds)
        with progress() as on_progress:
            return tune(
                items.predict,
                items.x_T,
                config,
                condition=items.condition,
                on_step=lambda done, total: on_progress("tuning", done, total),
            )
