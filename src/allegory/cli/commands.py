"""What each command does, once its words are values."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from ..data import load
from ..models import VDM, LatentVariableModel
from ..recipes import Run, RunFolder, execute, recipe_named
from ..recipes.tuned_files import load_tuned
from ..sampling import TunedSampler
from ..training import Callback, Result, bar
from . import tables

if TYPE_CHECKING:
    from .arguments import Demo, Evaluate, Sample, Train


STEPS, SOLVER = 25, "dpmpp2m"
MOST_SAMPLES = 1_000_000
DENSITY = (
    "These data are continuous: their bits/dim, and nats, are of a density in the data's own unit. They change with the"
    " unit and may be negative; a code needs levels."
)
AT_ONCE = 250


def train(options: Train) -> None:
    """`allegory train`."""
    out = Path(options.out or f"runs/{options.recipe.replace(':', '-')}")
    run = _begun(options, out) if options.resume else recipe_named(options.recipe, options.data)
    run = _with_budget(run, options.minutes, options.steps)
    if options.seed is not None:
        run = replace(run, training=replace(run.training, seed=options.seed))
    folder, result = _execute(run, out, options.resume, options.overwrite)
    figures = {
        "run": str(folder.path),
        "steps": result.step,
        "images": result.images,
        "seconds": result.seconds,
    }
    tables.show(options.json, figures | {"loss": result.loss, "unit": run.unit})
    tables.note(options.json, f"next: allegory evaluate {folder.path}")


def _begun(options: Train, out: Path) -> Run:
    """The run in the folder. ValueError when the words ask for another one."""
    run = RunFolder.open(out).run
    data = None if options.data is None else recipe_named(run.recipe, options.data).source
    asked = {"RECIPE": options.recipe, "--data": data, "--seed": options.seed}
    began = {"RECIPE": run.recipe, "--data": run.source, "--seed": run.training.seed}
    for name, value in asked.items():
        if value is not None and value != began[name]:
            raise ValueError(
                f"{name} {value}: {out} was begun with {began[name]}; give that, or another --out"
            )
    return run


def sample(options: Sample) -> None:
    """`allegory sample`."""
    from ..evaluation import draw
    from .pictures import check_kind, free_name, save_samples

    if options.count < 1:
        raise ValueError(f"--count {options.count}: give at least 1")
    folder = RunFolder.open(Path(options.folder))
    seeds = _seeds(options.seeds, options.count)
    out = Path(options.out) if options.out else free_name(folder.path / "samples")
    check_kind(out)
    if out.exists() and not options.overwrite:
        raise ValueError(f"--out {options.out!r}: exists already; give --overwrite or another file")
    model = folder.model()
    if isinstance(model, LatentVariableModel):
        _refuse_diffusion(options)
        save_samples(out, _latent_samples(model, seeds), None, folder.spec)
        tables.show(options.json, {"samples": len(seeds), "file": str(out)})
        return
    labels = _labels(options.label, len(seeds), folder.spec.classes)
    steps = STEPS if options.steps is None else options.steps
    guidance = 1.0 if options.guidance is None else options.guidance
    solver = _sampler(
        folder, model, options.solver or (SOLVER if options.scaling else None), steps, guidance
    )
    raw = draw(
        model,
        len(seeds),
        seeds=seeds,
        labels=labels,
        solver=solver,
        steps=steps,
        guidance=guidance,
        scaling=options.scaling,
    )
    save_samples(out, raw, labels, folder.spec)
    name = solver if isinstance(solver, str) else "tuned"
    tables.show(
        options.json, {"samples": len(raw), "solver": name, "steps": steps, "file": str(out)}
    )


def _sampler(
    folder: RunFolder, model: VDM, asked: str | None, steps: int, guidance: float
) -> str | TunedSampler:
    """The solver that was asked for; else the one tuned for so many steps, if there is one."""
    if asked not in (None, "tuned"):
        return asked
    tuned = load_tuned(folder, model.denoiser.path, steps, guidance)
    if tuned is None and asked is not None:
        raise ValueError(
            f"--solver tuned: none for {steps} steps with guidance {guidance:g} and these weights; "
            f"make it with `allegory tune {folder.path} --steps {steps}`"
        )
    return tuned or SOLVER


def _latent_samples(model: LatentVariableModel, seeds: range) -> torch.Tensor:
    """Some at a time, each its own."""
    return torch.cat([model.sample(seeds[i : i + AT_ONCE]) for i in range(0, len(seeds), AT_ONCE)])


def _refuse_diffusion(options: Sample | Evaluate) -> None:
    """ValueError for an option that says how diffusion is run backwards."""
    for name in ("steps", "solver", "guidance", "label", "scaling"):
        value = getattr(options, name, None)
        if value is not None:
            raise ValueError(
                f"--{name} {value}: this run is no diffusion model, it draws its latents once; leave it out"
            )


def evaluate(options: Evaluate) -> None:
    """`allegory evaluate`."""
    folder = RunFolder.open(Path(options.folder))
    _measure(folder, options)


def demo(options: Demo) -> None:
    """`allegory demo`."""
    from .arguments import Evaluate

    run = _with_budget(recipe_named("digits"), options.minutes, None)
    tables.note(
        options.json, f"training on 1,397 handwritten digits for {options.minutes:g} minutes"
    )
    folder, _ = _execute(run, Path(options.out), options.resume, options.overwrite)
    _measure(folder, Evaluate(str(folder.path), json=options.json))


def _measure(folder: RunFolder, options: Evaluate) -> None:
    """Figures, pictures and report of a trained run."""
    from ..evaluation import evaluate as measure
    from .pictures import write_report

    if options.limit < 2:
        raise ValueError(f"--limit {options.limit}: give at least 2 test items")
    dataset = load(options.data or folder.run.source)
    model = folder.model()
    if isinstance(model, LatentVariableModel):
        _refuse_diffusion(options)
    if dataset.spec != folder.spec:
        raise ValueError(
            f"--data: {dataset.spec} is not what the run learned, {folder.spec}; give data of that kind"
        )
    found = measure(
        model,
        replace(
            dataset, test=dataset.test.take(torch.arange(min(options.limit, len(dataset.test))))
        ),
        seed=options.seed,
        draws=options.draws,
        samples=options.samples,
        steps=STEPS if options.steps is None else options.steps,
        solver=options.solver or SOLVER,
        guidance=_guidance(options.guidance, folder.spec.classes),
        compared=options.compared,
        importance=options.importance,
    )
    page = write_report(folder, model, dataset, found)
    tables.evaluation(options.json, found, page)
    if folder.spec.levels is None:
        tables.note(options.json, DENSITY)


def _execute(run: Run, out: Path, resume: bool, overwrite: bool) -> tuple[RunFolder, Result]:
    if sys.stderr.isatty():
        with bar(run.unit) as show:
            return execute(run, out, resume=resume, overwrite=overwrite, callbacks=[show])
    return execute(
        run, out, resume=resume, overwrite=overwrite, callbacks=[_line_a_minute(run.unit)]
    )


def _line_a_minute(unit: str) -> Callback:
    """Progress for a log file, where a bar would be noise."""
    from ..training import Progress

    due = 0.0

    def tell(now: Progress) -> None:
        nonlocal due
        if now.seconds >= due:
            due = now.seconds + 60
            print(
                f"step {now.step}  {now.loss:.3f} {unit}  {now.remaining:.0f} s left",
                file=sys.stderr,
                flush=True,
            )

    return tell


def _with_budget(run: Run, minutes: float | None, steps: int | None) -> Run:
    if minutes is not None and steps is not None:
        raise ValueError(f"--minutes {minutes:g} and --steps {steps}: give one of them")
    if minutes is None and steps is None:
        return run
    return replace(run, training=replace(run.training, minutes=minutes, steps=steps))


def _guidance(asked: float | None, classes: int | None) -> float:
    if asked is not None:
        return asked
    return 1.0 if classes is None else 2.0


def _seeds(text: str | None, count: int) -> range:
    """A:B, or 0:count."""
    if text is None:
        return range(count)
    first, colon, last = text.partition(":")
    try:
        seeds = range(int(first), int(last)) if colon else range(int(first), int(first) + count)
    except ValueError:
        raise ValueError(f"--seeds {text!r}: give A:B, two whole numbers, e.g. 0:64") from None
    if seeds.stop - seeds.start > MOST_SAMPLES:
        raise ValueError(
            f"--seeds {text!r}: more than {MOST_SAMPLES:,} samples; give a shorter range"
        )
    if not seeds:
        raise ValueError(f"--seeds {text!r}: holds no seed; give A:B with A below B")
    return seeds


def _labels(label: int | None, count: int, classes: int | None) -> torch.Tensor | None:
    """This class for all, or all classes in turn; none where the data have none."""
    if classes is None:
        if label is not None:
            raise ValueError(f"--label {label}: this run has no classes; leave it out")
        return None
    if label is None:
        return torch.arange(count) % classes
    if not 0 <= label < classes:
        raise ValueError(f"--label {label}: give 0 to {classes - 1}")
    return torch.full((count,), label)
