"""Models of few steps of digits."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from allegory.data import Dataset, load
from allegory.evaluation import LabelClassifier
from allegory.evaluation.distances import frechet
from allegory.recipes import RunFolder, execute, recipe_named
from allegory.recipes.distill import DistillConfig, distill
from allegory.sampling import Sampler
from allegory.training import TrainingConfig

from .distilled import FIRST_SEED, METHODS, ROWS, halvings
from .few_steps import fitted as tuned
from .judges import fitted, image_network
from .rows import Row


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
            used = DistillConfig("progressive", 4) if name == "progressive" else config
            folder, seconds = self.student(used, "equal-" + name.replace(", ", "-"))
            model = folder.model()
            for steps, each in names.items():
                if name == "progressive" and steps != 4:
                    continue
                sampler = replace(model.sampler, steps=steps)

                row = partial(self._timed, model, sampler, seconds)
                ROWS.fill(section, each, row)

    def _timed(self, model: Any, sampler: Sampler, seconds: float) -> Row:
        """Its figures, with the seconds of its training."""
        return self.judged(model, sampler) | {"seconds of training": seconds}


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
