"""The methods of distillation that are compared, and the file of their results."""

from pathlib import Path

from allegory.recipes import RunFolder
from allegory.recipes.distill import DistillConfig

from .rows import Rows

ROWS = Rows(Path(__file__).parent / "results" / "distillation.json")
FIRST_SEED = 10**6
"""Of the samples that are judged."""

METHODS = {
    "progressive": DistillConfig("progressive", 1, teacher_steps=32),
    "flowmap, semigroup": DistillConfig("flowmap", 2),
    "flowmap, lagrangian": DistillConfig("flowmap", 2, identity="lagrangian"),
    "flowmap, eulerian": DistillConfig("flowmap", 2, identity="eulerian"),
    "consistency": DistillConfig("consistency", 2),
}


def halvings(out: Path, last: RunFolder) -> list[tuple[int, RunFolder]]:
    """The students of progressive distillation, by their steps, from many to few."""
    places = sorted((out / "halvings").iterdir(), key=lambda place: -int(place.name))
    found = [(int(place.name), RunFolder.open(place)) for place in places]
    return [*found, (last.model().sampler.steps, last)]
