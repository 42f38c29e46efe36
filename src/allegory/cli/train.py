"""The command `allegory train`: a recipe with every field as an option, and a run folder."""

from __future__ import annotations

import inspect
from dataclasses import dataclass, field, make_dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from tyro.conf import arg

from ..launch import missing_processes
from . import tables
from .imports import errors_of, file_and_function, recipe_in
from .options import optional
from .train_report import (
    device_line,
    printed_once,
    remark_memory,
    remarks,
    validation_figures,
)

if TYPE_CHECKING:
    from ..recipes import Run
    from ..training import TrainingConfig

_FIELDS = ("model", "training")


@dataclass(frozen=True)
class Train:
    """Train a recipe into a run folder.

    RECIPE is a name that `allegory recipes` lists, or FILE.py or FILE.py:FUNCTION, a function of
    your own that returns a Run. `allegory train RECIPE --help` lists the fields of that recipe,
    each of which is an option, e.g. --model.network.channels 96 --training.batch_size 256.
    """

    recipe: Annotated[str, arg(metavar="RECIPE")]
    """Name of the recipe, or a file of your own. It comes first."""
    data: Annotated[str | None, optional("DATA")] = None
    """Data instead of the recipe's own: a folder of images, .npy, .npz, .parquet, hub:owner/name,
    .csv, .txt, digits, moons, ... Options may follow, as in 'folder?size=32&flip=horizontal',
    'people.parquet?columns=income,age&label=kind', 'a.npy?low=0&high=1', 'pictures.npy?levels=4',
    'series.npy?given=8' (forecasts) and 'book.txt?unit=characters'; the page "Own images and
    tables" of the documentation lists them, and `allegory info DATA` says how data are read.
    """
    out: Annotated[str | None, optional("RUN")] = None
    """Run folder (runs/RECIPE if not given)."""
    minutes: Annotated[float | None, optional("FLOAT")] = None
    """Train for so many minutes, instead of the recipe's own budget."""
    steps: Annotated[int | None, optional("INT")] = None
    """Train for so many steps; with the same number of threads such a run is reproducible bit for
    bit. With --minutes too, what is spent first ends it.
    """
    seed: Annotated[int | None, optional("INT")] = None
    """Seed of weights, data order and noise."""
    device: Annotated[str | None, optional("NAME")] = None
    """auto (a GPU if there is one; the default), cpu, cuda, cuda:1, ..."""
    checkpoint_minutes: Annotated[float | None, optional("FLOAT")] = None
    """Minutes between checkpoints, 5 by default; the first comes within a minute."""
    from_run: Annotated[str | None, optional("RUN", name="from")] = None
    """Start from the weights of another run of the same model (fine-tuning)."""
    autoencoder: Annotated[str | None, optional("RUN")] = None
    """A run of the autoencoder of a latent diffusion model, trained already, instead of a first
    stage that trains one. It has the same fields --model.autoencoder, and items of the same kind.
    """
    resume: bool = False
    """Go on with the run in --out from its last checkpoint, from step 0 where there is none yet."""
    overwrite: bool = False
    """Replace the run in --out."""
    json: bool = False
    """Print the figures as JSON."""

    @property
    def folder(self) -> Path:
        """The run folder."""
        file, _, _ = file_and_function(self.recipe)
        plain = Path(file).stem if file else self.recipe
        return Path(self.out or f"runs/{plain.replace(':', '-')}")

    @property
    def is_resumed(self) -> bool:
        """Whether the fields are those of the run in the folder: not in its first stage, where the
        command is given again as a whole.
        """
        from ..recipes.run_folder import is_in_first_stage

        return self.resume and not is_in_first_stage(self.folder)

    def run(self) -> None:
        """Train with the recipe's own fields."""
        prepared = prepare(self)
        prepared.completed(prepared.options_type()(**vars(self))).run()


@dataclass(frozen=True)
class Prepared:
    """The common options, and the run whose fields are the further options.

    Args:
        options: the options that every recipe has.
        begun: the recipe's run, or with --resume the one in the folder.
        description: docstring of the recipe, for the help.
    """

    options: Train
    begun: Run
    description: str

    def options_type(self) -> type[Train]:
        """`Train` with the fields of this run as further options."""
        fields: list[Any] = []
        for name in _FIELDS:
            value = getattr(self.begun, name)
            fields.append((name, type(value), field(default=value)))
        kind: type[Train] = make_dataclass("TrainRecipe", fields, bases=(Train,), frozen=True)
        return kind

    def completed(self, options: Train) -> Training:
        """The run with `options` applied.

        Args:
            options: an instance of `options_type()`.

        Raises:
            ValueError: for options that change the model of a resumed run.
        """
        changed = {name: getattr(options, name) for name in _FIELDS}
        if options.autoencoder is not None:
            changed["model"] = _with_autoencoder(changed["model"], options)
        if options.is_resumed and changed["model"] != self.begun.model:
            raise ValueError(
                f"--model: {options.folder} was begun with {self.begun.model}; leave its "
                "fields out, or give another --out"
            )

        run = replace(self.begun, **changed)
        _check_budget(options, run, self.begun)
        if not options.is_resumed and run.model == self.begun.model:
            run = _fitted_within(run, options.minutes, options.steps)
        run = with_budget(run, options.minutes, options.steps)
        given = {
            "seed": options.seed,
            "device": options.device,
            "checkpoint_minutes": options.checkpoint_minutes,
        }
        changes: dict[str, Any] = {
            name: value for name, value in given.items() if value is not None
        }
        training = replace(run.training, **changes)
        return Training(options, replace(run, training=training), self.begun.training)


def prepare(options: Train, *, only_help: bool = False) -> Prepared:
    """The run of the recipe, or with --resume the run in the folder.

    Args:
        options: which recipe, and on what data.
        only_help: the fields are wanted, not a run; a recipe that needs data does without.

    Raises:
        ValueError: for an unknown recipe, or options of another run than the one to resume.
    """
    from ..recipes import Destination, RunFolder

    if not options.is_resumed:
        run, description = _recipe(options.recipe, options.data, only_help)
        return Prepared(options, run, description)

    Destination(options.folder, options.resume, options.overwrite).check()
    begun = RunFolder.open(options.folder).run
    if begun.recipe == "python":
        raise ValueError(
            f"--resume: {options.folder} was begun in Python; go on there, with "
            "allegory.train(model, data, out=..., resume=True)"
        )
    own, description = _recipe(options.recipe, options.data or begun.source)
    choices: dict[str, tuple[object, object, object]] = {
        "RECIPE": (options.recipe, own.recipe, begun.recipe),
        "--seed": (options.seed, options.seed, begun.training.seed),
    }

    for name, (given, meant, began) in choices.items():
        if given is not None and meant != began:
            raise ValueError(
                f"{name} {given}: {options.folder} was begun with {began}; give that, or another "
                "--out"
            )
    if options.data is not None:
        begun = replace(begun, source=own.source)
    return Prepared(options, begun, description)


def _recipe(name: str, data: str | None, only_help: bool = False) -> tuple[Run, str]:
    """The run of a recipe, by its name or from a user's file, and the docstring of the recipe."""
    from ..recipes import RECIPES, Run, recipe_named
    from ..recipes.registry import needs_data

    own = recipe_in(name)
    if only_help and data is None and needs_data(RECIPES.named(name) if own is None else own[1]):
        data = "DATA"
    if own is None:
        run = recipe_named(name, data)
        return run, inspect.getdoc(RECIPES[name.partition(":")[0]]) or ""

    path, function = own
    with errors_of(path):
        made = function() if data is None else function(data)
    if not isinstance(made, Run):
        raise ValueError(f"{name}: returned {type(made).__name__}; return a Run")
    return made, inspect.getdoc(function) or ""


def _with_autoencoder(model: Any, options: Train) -> Any:
    """The config of a latent diffusion model whose autoencoder is that of --autoencoder.

    Raises:
        ValueError: for a model that has none.
    """
    if not hasattr(model, "trained_autoencoder"):
        raise ValueError(
            f"--autoencoder {options.autoencoder}: the model of {options.recipe} has none; leave "
            "it out, or give a recipe of latents, such as mnist_latent"
        )
    return replace(model, trained_autoencoder=options.autoencoder)


def _check_budget(options: Train, run: Run, begun: Run) -> None:
    """ValueError for a budget that is given by both kinds of options."""
    fields = ("minutes", "steps")
    short = any(getattr(options, name) is not None for name in fields)
    long = [n for n in fields if getattr(run.training, n) != getattr(begun.training, n)]
    if short and long:
        raise ValueError(
            f"--training.{long[0]}: --minutes or --steps is given too, and replaces both parts of "
            f"the budget; give --{long[0]} instead"
        )


def _fitted_within(run: Run, minutes: float | None, steps: int | None) -> Run:
    """The run with a model whose parts are fitted in a time that suits another budget."""
    if (minutes is None and steps is None) or not hasattr(run.model, "within"):
        return run
    return replace(run, model=run.model.within(minutes))


def with_budget(run: Run, minutes: float | None, steps: int | None) -> Run:
    """A run with another budget.

    Args:
        run: the run.
        minutes: budget in minutes; None: no limit.
        steps: budget in optimizer steps; None: no limit. With both None the budget is unchanged,
            else it replaces both.

    Returns:
        The run.
    """
    if minutes is None and steps is None:
        return run

    return replace(run, training=replace(run.training, minutes=minutes, steps=steps))


@dataclass(frozen=True)
class Training:
    """A run to execute, with its folder.

    Args:
        options: folder, and format of the output.
        settings: the run.
        expected: the recipe's own training configuration, with its expected pace.
    """

    options: Train
    settings: Run
    expected: TrainingConfig

    def run(self) -> None:
        """Train, and print the figures."""
        from ..recipes import Destination, execute
        from ..training import bar

        options = self.options
        if alone := missing_processes():
            tables.remark(alone)
        with bar(self.settings.unit) as show:
            folder, result = execute(
                self.settings,
                Destination(options.folder, options.resume, options.overwrite),
                initial=None if options.from_run is None else Path(options.from_run),
                callbacks=[printed_once(device_line(self.settings.training)), show],
                on_built=remark_memory,
            )

        figures: dict[str, object] = {
            "run": str(folder.path),
            "steps": result.step,
            "items": result.images,
            "seconds": result.seconds,
            "loss": result.loss,
            "unit": self.settings.unit,
        }
        tables.show(options.json, figures | validation_figures(result))
        command = f"allegory train {options.recipe} --out {folder.path}"
        for line in remarks(self.settings, self.expected, result, command):
            tables.remark(line)
        tables.note(options.json, f"next: allegory evaluate {folder.path}")
