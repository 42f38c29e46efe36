"""Problems of inpainting, deblurring and denoising, and how a method is judged on one."""

import time
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from allegory.data import Dataset, Items
from allegory.data.splits import subset
from allegory.evaluation import energy_score, psnr
from allegory.inverse import Measurement, Posterior, measure
from allegory.inverse.operators import Operator, operator_named
from allegory.sampling import Sampler

DRAWS = 8
VALIDATION_SEED, TEST_SEED = 0, 10**6

METHODS = {
    "prior": (("prior",), 50),
    "replacement": (("replacement",), 50),
    "ddnm_plus": (("ddnm_plus:0.85",), 50),
    "diffpir": (("diffpir:1", "diffpir:5"), 50),
    "daps": (("daps:0.3", "daps:0.6"), 50),
    "dps": (tuple(f"dps:{zeta}:rule=likelihood" for zeta in (0.1, 0.3, 1)), 25),
    "pigdm": (("pigdm:0.5", "pigdm:1"), 25),
    "mmps": (("mmps:0.1:most=10",), 25),
    "tds": (("tds:8:twist=isotropic",), 25),
}
"""The settings of each method, and its steps; one with derivatives costs two others or more. Each
draw of tds is of a population of its own."""


@dataclass(frozen=True, eq=False)
class Problem:
    """What is seen of items.

    Args:
        name: with its noise.
        operator: of raw items.
        noise: standard deviation as a fraction of half the range.
    """

    name: str
    operator: Operator
    noise: float


@dataclass(frozen=True, eq=False)
class Bench:
    """A model, its data, and the sizes of the benchmark.

    Args:
        model: a diffusion model of images.
        dataset: its data.
        counts: of validation and test images.
    """

    model: Any
    dataset: Dataset
    counts: tuple[int, int]

    @property
    def half(self) -> float:
        """Half the range of the data."""
        low, high = self.dataset.spec.ends()
        return float(high - low) / 2

    def items(self, part: str) -> Items:
        """The validation or test images, chosen at random but always the same."""
        validation, test = self.counts
        if part == "validation":
            return subset(self.dataset.validation, validation)
        return subset(self.dataset.test, test)

    def measured(self, problem: Problem, items: Items, first: int) -> Measurement:
        """A measurement of each item."""
        seeds = range(first, first + len(items))
        return measure(problem.operator, items.x.double(), problem.noise * self.half, seeds)

    def draws(
        self, measurement: Measurement, name: str, setting: str, first: int, of: Any = None
    ) -> Tensor:
        """8 raw draws for each measurement, (n, 8, *shape); of the model, or of a Predict."""
        count = len(measurement)
        seeds = range(first, first + DRAWS * count)
        shape, sampler = self.dataset.spec.shape, Sampler(steps=METHODS[name][1])
        x: Tensor
        if name == "prior":
            x = self.model.sample(seeds, None, sampler)
        elif of is None:
            x = Posterior(self.model, measurement.repeat(DRAWS), setting, sampler).sample(seeds).x
        else:
            repeated = measurement.repeat(DRAWS).in_model_space(self.dataset.spec)
            found = Posterior(of, repeated, setting, sampler).sample(seeds).x
            x = self.dataset.spec.decode(found)
        return x.reshape(count, DRAWS, *shape)

    def scored(self, problem: Problem, part: str, name: str, setting: str) -> dict[str, Any]:
        """Figures of a method, with a setting, on validation or test images."""
        first = VALIDATION_SEED if part == "validation" else TEST_SEED
        items = self.items(part)
        measurement = self.measured(problem, items, first)

        started = time.process_time()
        x = self.draws(measurement, name, setting, first).double()
        seconds = (time.process_time() - started) / (DRAWS * len(items))
        score = energy_score(x, items.x) / self.half
        residual = measurement.repeat(DRAWS).residual(x.flatten(0, 1))
        seen = 1.0 if measurement.observed is None else measurement.observed.double().mean().item()

        return {
            "energy score": score.mean().item(),
            "error": score.std().item() / len(items) ** 0.5,
            "PSNR of the mean": psnr(x.mean(1), items.x, 2 * self.half).mean().item(),
            "residual / noise": (residual.square().mean().item() / seen) ** 0.5
            / (problem.noise * self.half),
            "setting": setting,
            "steps": METHODS[name][1],
            "seconds": seconds,
        }

    def setting(self, problem: Problem, name: str) -> str:
        """The setting of a method that has the least energy score on validation images."""
        known = METHODS[name][0]
        if len(known) == 1:
            return known[0]
        scores = {each: self.scored(problem, "validation", name, each) for each in known}
        return min(known, key=lambda each: scores[each]["energy score"])


def lower_half(spec: Any, noise: float) -> Problem:
    """The lower half is unknown."""
    return Problem(f"lower half, noise {noise:g}", operator_named("lower_half", spec.shape), noise)


def problems(spec: Any, blur: float) -> list[Problem]:
    """The three problems of one kind of images."""
    return [
        lower_half(spec, 0.1),
        Problem(f"blur {blur:g}, noise 0.1", operator_named(f"blur:{blur:g}", spec.shape), 0.1),
        Problem("noise 0.5", operator_named("identity", spec.shape), 0.5),
    ]
