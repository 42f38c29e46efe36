"""The command line. Text becomes objects here, once; everything heavy is imported when a command runs.

A mistake is one line on standard error that names the value and the remedy, and exit status 2. Ctrl-C in training writes
a checkpoint first and exits with 130.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Sequence
from contextlib import redirect_stderr
from dataclasses import dataclass
from typing import Annotated, Union

from .. import __version__


@dataclass(frozen=True)
class Train:
    """Train a recipe into a run folder.

    Recipes: digits (8x8 handwritten digits, bundled), toy (points on the plane), images (a folder, an array, a parquet
    table or hub:owner/name), arrays (float arrays of any shape).
    """

    recipe: str
    """Name of the recipe."""
    data: str | None = None
    """Data instead of the recipe's own: a folder of images, .npy, .npz, .parquet, hub:owner/name, digits, moons, ..."""
    out: str | None = None
    """Run folder (runs/RECIPE if not given)."""
    minutes: float | None = None
    """Train for so many minutes."""
    steps: int | None = None
    """Train for so many steps instead; such a run is reproducible bit for bit."""
    seed: int | None = None
    """Seed of weights, data order and noise."""
    resume: bool = False
    """Go on with the run in --out."""
    overwrite: bool = False
    """Replace the run in --out."""
    json: bool = False
    """Print the figures as JSON."""

    def run(self) -> None:
        """Carry it out."""
        from .commands import train

        train(self)


@dataclass(frozen=True)
class Sample:
    """Draw samples from a run: a picture (.png), or arrays (.npz, .npy)."""

    folder: str
    """Run folder."""
    count: int = 100
    """Number of samples."""
    steps: int = 25
    """Steps; each costs one evaluation of the network (heun: two)."""
    solver: str = "dpmpp2m"
    """ddim, ddim:ETA, ddpm, euler, heun or dpmpp2m."""
    label: int | None = None
    """Draw this class only; by default all classes in turn."""
    guidance: float = 1.0
    """Guidance scale w in uncond + w (cond - uncond): 1 is unguided, 2 is a common choice."""
    seeds: str | None = None
    """A:B, one seed per sample; sample i depends on seed i alone."""
    out: str | None = None
    """File to write (RUN/samples/samples.png if not given)."""
    overwrite: bool = False
    """Replace --out if it exists."""
    json: bool = False
    """Print the figures as JSON."""

    def run(self) -> None:
        """Carry it out."""
        from .commands import sample

        sample(self)


@dataclass(frozen=True)
class Evaluate:
    """Measure a run on its test data: bits/dim by term, sample quality, and a report.html with pictures."""

    folder: str
    """Run folder."""
    data: str | None = None
    """Data instead of the run's own, of the same kind."""
    draws: int = 64
    """Noise levels per test item in the bound; the standard error falls with it."""
    samples: int = 500
    """Samples to judge."""
    steps: int = 25
    """Steps of the sampler."""
    solver: str = "dpmpp2m"
    """Solver of the sampler."""
    guidance: float | None = None
    """Guidance scale w in uncond + w (cond - uncond): 1 is unguided. By default 2 where there are labels."""
    limit: int = 10_000
    """At most so many test items."""
    seed: int = 0
    """Seed of noise levels, noise and samples."""
    json: bool = False
    """Print the figures as JSON."""

    def run(self) -> None:
        """Carry it out."""
        from .commands import evaluate

        evaluate(self)


@dataclass(frozen=True)
class Demo:
    """The main job on bundled data: train on digits, sample, measure, report. About four minutes on two cores."""

    out: str = "runs/demo"
    """Run folder."""
    minutes: float = 2.4
    """Minutes of training."""
    overwrite: bool = False
    """Replace the run in --out."""
    json: bool = False
    """Print the figures as JSON."""

    def run(self) -> None:
        """Carry it out."""
        from .commands import demo

        demo(self)


def _parse(arguments: Sequence[str]) -> Train | Sample | Evaluate | Demo:
    import tyro
    from tyro.conf import FlagCreatePairsOff, OmitSubcommandPrefixes, PositionalRequiredArgs, subcommand

    command = Union[  # noqa: UP007 - tyro reads the annotations of a Union
        Annotated[Demo, subcommand("demo")],
        Annotated[Train, subcommand("train")],
        Annotated[Sample, subcommand("sample")],
        Annotated[Evaluate, subcommand("evaluate")],
    ]
    complaint = io.StringIO()
    try:
        with redirect_stderr(complaint):
            chosen: Train | Sample | Evaluate | Demo = tyro.cli(
                command,
                prog="allegory",
                description=f"Diffusion models from one set of equations. Version {__version__}.",
                args=list(arguments),
                config=(OmitSubcommandPrefixes, FlagCreatePairsOff, PositionalRequiredArgs),
            )
    except SystemExit as stop:
        if stop.code not in (0, None):
            raise ValueError(_one_line(complaint.getvalue())) from None
        raise
    return chosen


def _one_line(box: str) -> str:
    """The first sentence of tyro's boxed complaint."""
    lines = [line.strip("│╭╮╰╯─ ").strip() for line in box.splitlines()[1:]]
    said: list[str] = []
    for line in lines:
        if not line:
            break
        said.append(line)
    return f"{' '.join(said).rstrip('.')}; see allegory --help"


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point of the `allegory` command."""
    try:
        _parse(sys.argv[1:] if arguments is None else arguments).run()
    except KeyboardInterrupt as stop:
        _fail(str(stop) or "interrupted", 130)
    except (ValueError, RuntimeError, OSError, ModuleNotFoundError) as error:
        _fail(_plain(error), 2)


def _plain(error: Exception) -> str:
    """One line for an error a user can mend; anything unforeseen keeps its traceback."""
    if isinstance(error, ModuleNotFoundError):
        return f"{error.name} is not installed; pip install 'allegory[all]'"
    if isinstance(error, OSError):
        return (
            f"{error.filename or 'disk'}: {error.strerror or error}; make room, or choose a folder that can be written"
        )
    from ..training import TrainingError

    if isinstance(error, RuntimeError) and not isinstance(error, TrainingError):
        raise error
    return " ".join(str(error).split())


def _fail(message: str, status: int) -> None:
    print(f"allegory: {message}", file=sys.stderr)
    raise SystemExit(status)


if __name__ == "__main__":
    main()
