"""Models of few steps: progressive distillation by halving, and three methods at equal time.

    python -m benchmarks.distillation --part toys                 two-dimensional data, 25 minutes
    python -m benchmarks.distillation --part digits [--run RUN]   8x8 digits, 30 minutes
    python -m benchmarks.distillation --part mnist --run RUN --data DIR    28x28 digits, 40 minutes
    python -m benchmarks.distillation --table                     the results in Markdown

`toys`: the sliced Wasserstein-1 distance of 4,000 samples from 4,000 items that no model saw, in
units of the data, after 1, 2 and 4 evaluations, and "floor", that of two such sets. The weight, the
spacing and the numbers of steps were chosen on `moons`; the others are reported.

`digits`, `mnist`: the Fréchet distance of pixels of 2,000 samples (labels in turn) from all real
images that were held out or trained on, and the share that shows its label to a classifier. Beside
each halving stand the teacher with `auto` and, where it is cheap, with a tuned sampler at the same
number of evaluations. Seeds of the samples differ from those of tuning.

Minutes are of training, of one core. Each result is saved at once, and a run computes those that
are missing.
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import torch
from allegory.recipes.distill import DistillConfig, distill
from torch import Tensor

from allegory.data import Dataset, load
from allegory.evaluation import LabelClassifier, sliced_wasserstein
from allegory.evaluation.distances import frechet
from allegory.models import VDM, Denoiser
from allegory.networks import MLPConfig
from allegory.process import Path as ForwardProcess
from allegory.recipes import RunFolder, execute, recipe_named, train
from allegory.sampling import Sampler
from allegory.training import TrainingConfig

from .few_steps import fitted as tuned
from .judges import fitted, image_network
from .rows import Row, Rows

ON_REQUEST = True

ROWS = Rows(Path(__file__).parent / "results" / "distillation.json")
FIRST_SEED = 10**6
TOYS = ("moons", "checkerboard", "eight_gaussians", "rings", "pinwheel", "swiss_roll")
"""The first is the one of the choices."""
METHODS = {
    "progressive": DistillConfig("progressive", 1),
    "flowmap, semigroup": DistillConfig("flowmap", 2),
    "flowmap, lagrangian": DistillConfig("flowmap", 2, identity="lagrangian"),
    "flowmap, eulerian": DistillConfig("flowmap", 2, identity="eulerian"),
    "consistency": DistillConfig("consistency", 2),
}


@dataclass(frozen=True)
class Toy:
    """Two-dimensional data and a teacher of them.

    Args:
        name: of the data.
        minutes: of the training of the teacher, and of each student.
        place: a folder for the runs.
    """

    name: str
    minutes: float
    place: Path
    count: int = 4000

    @cached_property
    def dataset(self) -> Dataset:
        """The data."""
        return load(self.name)

    def unseen(self, number: int) -> Tensor:
        """Another set of items, of other seeds than those of the data."""
        from allegory.data.toys import toy_dataset

        other = toy_dataset(self.name, seed=1000 + number)
        return other.train.x[: self.count].double()

    @cached_property
    def teacher(self) -> Path:
        """The run folder of the teacher."""
        spec, out = self.dataset.spec, self.place / self.name
        std = float(f"{spec.encode(self.dataset.train.x).std().item():.4g}")
        network = MLPConfig(width=128, depth=3).build(spec.shape, spec.given)
        model = VDM(Denoiser(network, ForwardProcess.vdm(10, -7), "edm", std), spec, "edm")
        train(model, self.dataset, config=self.training, out=out)
        return out

    @property
    def training(self) -> TrainingConfig:
        """Of the teacher; students take half the learning rate."""
        return TrainingConfig(
            minutes=self.minutes, batch_size=512, learning_rate=2e-3, ema=0.999, validation_every=0
        )

    def distances(self, model: Any, samplers: Sequence[Sampler]) -> Row:
        """The distance of samples by each sampler, by its steps."""
        real, seeds = self.unseen(0), range(FIRST_SEED, FIRST_SEED + self.count)
        found = {}
        for each in samplers:
            x = model.sample(seeds, None, each, batch=self.count).double()
            found[f"{each.steps}"] = sliced_wasserstein(x, real, 0, 300, order=1)
        return found

    def floor(self) -> Row:
        """The distance of real items."""
        found = sliced_wasserstein(self.unseen(1), self.unseen(0), 0, 300, order=1)
        return dict.fromkeys(("1", "2", "4"), found)

    def student(self, name: str) -> Row:
        """The distances of a student."""
        training = replace(self.training, learning_rate=1e-3)
        out = self.place / f"{self.name}-{name.replace(', ', '-')}"
        folder, _ = distill(self.teacher, out, METHODS[name], training=training)
        if name == "progressive":
            rows: Row = {}
            for steps, run in halvings(out, folder):
                rows |= self.distances(run.model(), [run.model().sampler]) if steps <= 4 else {}
            return dict(sorted(rows.items()))
        model = folder.model()
        return self.distances(model, [replace(model.sampler, steps=n) for n in (1, 2, 4)])

    def measured(self) -> None:
        """Fill the rows of these data."""
        section = f"toys, {self.name}, sliced Wasserstein by evaluations"
        ROWS.fill(section, "floor", self.floor)

        def of_teacher() -> Row:
            model = RunFolder.open(self.teacher).model()
            return self.distances(model, [Sampler("auto", steps) for steps in (1, 2, 4, 50)])

        ROWS.fill(section, "teacher, auto", of_teacher)
        for name in METHODS:
            ROWS.fill(section, name, partial(self.student, name))


def halvings(out: Path, last: RunFolder) -> list[tuple[int, RunFolder]]:
    """The students of progressive distillation, by their steps, from many to few."""
    places = sorted((out / "halvings").iterdir(), key=lambda place: -int(place.name))
    found = [(int(place.name), RunFolder.open(place)) for place in places]
    return [*found, (last.model().sampler.steps, last)]


@dataclass(frozen=True)
class Images:
    """A teacher of images with labels.

    Args:
        kind: "digits" or "mnist".
        run: its run folder.
        dataset: its data.
        shows: the digit that each image shows.
        training: of the students, with their budget.
        place: a folder for the runs.
        count: of samples.
    """

    kind: str
    run: Path
    dataset: Dataset
    shows: Callable[[Tensor], Tensor]
    training: TrainingConfig
    place: Path
    count: int = 2000

    @cached_property
    def real(self) -> Tensor:
        """All images, in model space."""
        parts = (self.dataset.train, self.dataset.validation, self.dataset.test)
        return self.dataset.spec.encode(torch.cat([part.x for part in parts]))

    def judged(self, model: Any, sampler: Sampler) -> Row:
        """Fréchet distance and accuracy of samples."""
        labels = torch.arange(self.count) % 10
        seeds = range(FIRST_SEED, FIRST_SEED + self.count)
        x = model.sample(seeds, labels, sampler)
        right = (self.shows(x) == labels).double().mean().item()
        distance = frechet(self.dataset.spec.encode(x), self.real)
        return {"steps": sampler.steps, "Fréchet": distance, "label accuracy": right}

    def of_teacher(self, steps: int, is_tuned: bool) -> Row:
        """The teacher with so many evaluations."""
        model = RunFolder.open(self.run).model()
        sampler = Sampler(tuned(model, steps)) if is_tuned else Sampler("auto", steps)
        return self.judged(model, sampler)

    def student(self, config: DistillConfig, name: str) -> tuple[RunFolder, float]:
        """A student, and the seconds of its training; one that is there is opened."""
        out = self.place / f"{self.kind}-{name}"
        began = time.process_time()
        there = (out / "run.json").exists()
        folder, _ = distill(self.run, out, config, training=self.training, resume=there)
        return folder, time.process_time() - began

    def measured(self) -> None:
        """Fill the rows of these images."""
        section = f"{self.kind}, halving"
        for steps in (50, 32, 16, 8, 4, 2, 1):
            ROWS.fill(section, f"teacher, auto, {steps}", partial(self.of_teacher, steps, False))
        for steps in (8, 4, 2) if self.kind == "digits" else ():
            ROWS.fill(section, f"teacher, tuned, {steps}", partial(self.of_teacher, steps, True))

        names = [f"progressive, {steps}" for steps in (16, 8, 4, 2, 1)]
        if any(name not in ROWS.read().get(section, {}) for name in names):
            folder, _ = self.student(METHODS["progressive"], "progressive")
            for steps, run in halvings(self.place / f"{self.kind}-progressive", folder):
                model = run.model()
                row = partial(self.judged, model, model.sampler)
                ROWS.fill(section, f"progressive, {steps}", row)

        if self.kind == "digits":
            self.compared()

    def compared(self) -> None:
        """Fill the rows of the methods at equal time."""
        section = f"{self.kind}, equal time"
        for name, config in METHODS.items():
            names = {steps: f"{name}, {steps}" for steps in (1, 2, 4)}
            if all(each in ROWS.read().get(section, {}) for each in names.values()):
                continue
            used = replace(config, steps=4) if name == "progressive" else config
            folder, seconds = self.student(used, name.replace(", ", "-"))
            model = folder.model()
            for steps, each in names.items():
                if name == "progressive" and steps != 4:
                    continue
                sampler = replace(model.sampler, steps=steps)

                def row(sampler: Sampler = sampler, seconds: float = seconds) -> Row:
                    return self.judged(model, sampler) | {"seconds of training": seconds}

                ROWS.fill(section, each, row)


def digits(run: Path | None, place: Path, minutes: float) -> Images:
    """The 8x8 digits."""
    if run is None:
        execute(recipe_named("digits"), place / "digits")
        run = place / "digits"
    folder = RunFolder.open(run)
    dataset = load("digits")
    judge = LabelClassifier.fit(dataset.train, dataset.spec)
    training = replace(
        folder.run.training, minutes=minutes, steps=None, learning_rate=1e-3, ema=0.995
    )
    return Images("digits", run, dataset, judge.predict, training, place)


def mnist(run: Path, data: str, place: Path, minutes: float) -> Images:
    """The 28x28 digits."""
    folder, dataset = RunFolder.open(run), load(data)
    train_items = dataset.train
    assert train_items.labels is not None
    judge = fitted(image_network(), train_items.x, train_items.labels, epochs=1)
    training = replace(
        folder.run.training, minutes=minutes, steps=None, learning_rate=1e-3, ema=0.99
    )

    def shows(x: Tensor) -> Tensor:
        return torch.cat([judge.log_probs(part).argmax(1) for part in x.split(500)])

    return Images("mnist", run, dataset, shows, training, place)


def main() -> None:
    """Measure what is missing, or print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--part", choices=("toys", "digits", "mnist"), default="toys")
    parser.add_argument("--run", type=Path, help="the teacher; digits are trained anew without")
    parser.add_argument("--data", default="hub:ylecun/mnist", help="where MNIST is")
    parser.add_argument("--place", type=Path, help="a folder for the runs; a new one if not given")
    parser.add_argument("--minutes", type=float, help="of each training")
    parser.add_argument("--toys", nargs="*", default=list(TOYS), choices=TOYS)
    parser.add_argument("--table", action="store_true", help="print the results in Markdown")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    torch.set_num_threads(1)

    if arguments.table or arguments.json:
        print(ROWS.table() if arguments.table else ROWS.read())
        return
    place = arguments.place or Path(tempfile.mkdtemp())
    if arguments.part == "toys":
        for name in arguments.toys:
            Toy(name, arguments.minutes or 1.0, place).measured()
    elif arguments.part == "digits":
        digits(arguments.run, place, arguments.minutes or 6.0).measured()
    else:
        mnist(arguments.run, arguments.data, place, arguments.minutes or 25.0).measured()


if __name__ == "__main__":
    main()
