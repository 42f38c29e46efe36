"""Models of few steps of two-dimensional data."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from torch import Tensor

from allegory.data import Dataset, load
from allegory.data.toys import toy_dataset
from allegory.evaluation import sliced_wasserstein
from allegory.models import VDM, Denoiser
from allegory.networks import MLPConfig
from allegory.process import Path as ForwardProcess
from allegory.recipes import RunFolder
from allegory.recipes.distill import distill
from allegory.recipes.front import train
from allegory.sampling import Sampler
from allegory.training import TrainingConfig

from .distilled import FIRST_SEED, METHODS, ROWS, halvings
from .rows import Row

TOYS = ("moons", "checkerboard", "eight_gaussians", "rings", "pinwheel", "swiss_roll")
"""The first is the one of the choices."""


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
