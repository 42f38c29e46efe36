"""Inpainting, deblurring and denoising of digits: methods of `allegory.inverse` on networks.

    python -m benchmarks.inverse_mnist --data DIR                        trains both, 40 minutes
    python -m benchmarks.inverse_mnist --data DIR --run RUN --digits RUN    with runs that are there

The digits have 8x8 pixels and 17 levels, those of MNIST 28x28 and 256. The lower half is unknown,
or a Gaussian blur of 0.8 (digits) or 1.5 pixels (MNIST) is to be undone, or noise alone; all with
the noise that is named, as a fraction of half the range. Of each test image 8 draws are judged by
the energy score (lower is better; it is lowest in expectation for draws of the posterior) in units
of half the range, and their mean by its PSNR. "prior" ignores the measurement. Settings and steps
are those of least energy score on validation images. Seconds are of one core, per draw.

`labels` is about the spread of inpainted digits. The reference is the exact posterior of the
empirical distribution of the training images, which gives each of them the weight p(y | image). A
classifier says which digit a draw shows. `same` is the probability that two draws of one image show
the same digit, `match` the mean weight that the reference has on the digit of a draw. Both are the
same number for draws of the reference; less spread gives a higher `same`, wrong digits a lower
`match`. `true` is how often it is the digit of the image. The reference knows no digits but those
of the training images, and a network does. So the methods are also run with the exact denoiser of
the training images in place of the network: there the difference is the error of the method.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from allegory.data import Dataset, Items, load
from allegory.data.splits import subset
from allegory.evaluation import LabelClassifier, energy_score, psnr
from allegory.inverse import Measurement, Posterior, measure
from allegory.inverse.operators import LinearOperator, Mask, operator_named
from allegory.process import Empirical
from allegory.recipes import RunFolder, execute, recipe_named
from allegory.sampling import Sampler

from .judges import fitted, image_network

ON_REQUEST = True

RESULTS = Path(__file__).parent / "results"
DRAWS = 8
_VALIDATION_SEED, _TEST_SEED = 0, 10**6

CHEAP = {
    "replacement": ("replacement",),
    "ddnm_plus": ("ddnm_plus:0.85",),
    "diffpir": ("diffpir:1", "diffpir:5"),
    "daps": ("daps:0.3", "daps:0.6"),
}
"""Methods of one evaluation per step, and their settings."""

WITH_GRADIENTS = {
    "dps": tuple(f"dps:{zeta}:rule=likelihood" for zeta in (0.1, 0.3, 1)),
    "pigdm": ("pigdm:0.5", "pigdm:1"),
    "mmps": ("mmps:0.1:most=10",),
}
"""Methods that take vector-Jacobian products, and their settings."""

PARTICLES = {"tds": ("tds:8:twist=isotropic",)}
"""Methods with weighted particles; each draw is of a population of its own."""


@dataclass(frozen=True, eq=False)
class Problem:
    """What is seen of items.

    Args:
        name: with its noise.
        operator: of raw items.
        noise: standard deviation as a fraction of half the range.
    """

    name: str
    operator: LinearOperator
    noise: float


@dataclass(frozen=True, eq=False)
class Bench:
    """A model, its data, and the sizes of the benchmark.

    Args:
        model: a diffusion model of images.
        dataset: its data.
        counts: of validation and test images.
        steps: of cheap methods, and of those with gradients or particles.
        has_particles: whether methods with particles are run.
    """

    model: Any
    dataset: Dataset
    counts: tuple[int, int]
    steps: tuple[tuple[int, ...], tuple[int, ...]]
    has_particles: bool = False

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
        self, measurement: Measurement, method: str, steps: int, first: int, of: Any = None
    ) -> Tensor:
        """8 raw draws for each measurement, (n, 8, *shape)."""
        count = len(measurement)
        seeds = range(first, first + DRAWS * count)
        shape, sampler = self.dataset.spec.shape, Sampler(steps=steps)
        if method == "prior":
            x = self.model.sample(seeds, None, sampler)
        elif of is None:
            x = Posterior(self.model, measurement.repeat(DRAWS), method, sampler).sample(seeds).x
        else:
            repeated = measurement.repeat(DRAWS).in_model_space(self.dataset.spec)
            found = Posterior(of, repeated, method, sampler).sample(seeds).x
            x = self.dataset.spec.decode(found)
        return x.reshape(count, DRAWS, *shape)

    def scored(self, problem: Problem, part: str, method: str, steps: int) -> dict[str, Any]:
        """Figures of a method."""
        first = _VALIDATION_SEED if part == "validation" else _TEST_SEED
        items = self.items(part)
        measurement = self.measured(problem, items, first)

        started = time.process_time()
        x = self.draws(measurement, method, steps, first).double()
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
            "setting": f"{method}, {steps} steps",
            "seconds": seconds,
        }

    def chosen(
        self, problem: Problem, settings: tuple[str, ...], counts: tuple[int, ...]
    ) -> tuple[str, int]:
        """The setting of least energy score on validation images."""
        known = [(setting, steps) for setting in settings for steps in counts]
        if len(known) == 1:
            return known[0]
        scores = {each: self.scored(problem, "validation", *each)["energy score"] for each in known}
        return min(scores, key=lambda each: scores[each])

    def settings(self, problem: Problem) -> dict[str, tuple[str, int]]:
        """The settings of all methods, by validation images."""
        cheap, dear = self.steps
        groups = [(CHEAP, cheap), (WITH_GRADIENTS, dear)]
        groups += [(PARTICLES, dear[:1])] if self.has_particles else []
        found = {"prior": ("prior", cheap[0])}
        for methods, counts in groups:
            found |= {name: self.chosen(problem, each, counts) for name, each in methods.items()}
        return found

    def compared(self, problem: Problem) -> dict[str, dict[str, Any]]:
        """The figures of all methods on test images."""
        found = {}
        for name, setting in self.settings(problem).items():
            found[name] = self.scored(problem, "test", *setting)
            print(problem.name, name, json.dumps(found[name]), file=sys.stderr, flush=True)
        return found


@dataclass(frozen=True, eq=False)
class Reference:
    """The exact posterior of the empirical distribution of training images.

    Args:
        weights: of each training image, for each measurement, (n, images).
        images: raw.
        labels: their digits.
    """

    weights: Tensor
    images: Tensor
    labels: Tensor

    @classmethod
    def of(cls, measurement: Measurement, items: Items) -> "Reference":
        """The posterior given each measurement, from its definition."""
        clean = measurement.operator(items.x.double()).flatten(1)
        squared = torch.cdist(measurement.y.flatten(1), clean).square()
        assert items.labels is not None
        return cls((-squared / (2 * measurement.variance)).softmax(1), items.x, items.labels)

    @property
    def by_digit(self) -> Tensor:
        """The weight of each digit, (n, 10)."""
        return torch.stack([self.weights[:, self.labels == k].sum(1) for k in range(10)], 1)

    def draws(self) -> Tensor:
        """Exact draws, (n, 8, *shape)."""
        generator = torch.Generator().manual_seed(_TEST_SEED)
        chosen = torch.multinomial(self.weights, DRAWS, replacement=True, generator=generator)
        return self.images[chosen]


def agreement(x: Tensor, by_digit: Tensor, labels: Tensor, digit_of: Any) -> dict[str, float]:
    """`same`, `match` and `true` of draws (n, 8, *shape), as the module says."""
    shown = digit_of(x.flatten(0, 1)).reshape(x.shape[:2])
    votes = torch.stack([(shown == k).sum(1) for k in range(10)], 1).double()
    pairs = (votes * (votes - 1)).sum(1) / (DRAWS * (DRAWS - 1))
    match = by_digit.gather(1, shown).mean(1)
    return {
        "same": pairs.mean().item(),
        "match": match.mean().item(),
        "match error": match.std().item() / len(x) ** 0.5,
        "true": (shown == labels[:, None]).double().mean().item(),
    }


def labels_compared(
    bench: Bench, problem: Problem, digit_of: Callable[[Tensor], Tensor], with_oracle: bool
) -> dict[str, dict[str, Any]]:
    """The spread of labels of inpainted digits, against that of the reference."""
    items = bench.items("test")
    measurement = bench.measured(problem, items, _TEST_SEED)
    reference = Reference.of(measurement, bench.dataset.train)
    exact, true = reference.by_digit, items.labels
    assert true is not None

    def row(x: Tensor) -> dict[str, Any]:
        score = energy_score(x, items.x).mean().item() / bench.half
        return agreement(x, exact, true, digit_of) | {"energy score": score}

    found: dict[str, dict[str, Any]] = {
        "reference, weights": {
            "same": exact.square().sum(1).mean().item(),
            "match": exact.square().sum(1).mean().item(),
            "true": exact.gather(1, true[:, None]).mean().item(),
        },
        "reference, draws": row(reference.draws()),
    }
    path = bench.model.denoiser.path
    oracle = Empirical(bench.dataset.spec.encode(bench.dataset.train.x), path)
    for name, (method, steps) in bench.settings(problem).items():
        found[f"{name}, network"] = row(bench.draws(measurement, method, steps, _TEST_SEED))
        if with_oracle and name != "prior":
            x = bench.draws(measurement, method, steps, _TEST_SEED, oracle)
            found[f"{name}, exact denoiser"] = row(x)
        shown = {key: each for key, each in found.items() if key.startswith(name)}
        print(json.dumps(shown), file=sys.stderr, flush=True)
    return found


def lower_half(spec: Any, noise: float) -> Problem:
    """The lower half is unknown."""
    operator = operator_named("lower_half", spec.shape)
    assert isinstance(operator, Mask)
    return Problem(f"lower half, noise {noise:g}", operator, noise)


def problems(spec: Any, blur: float) -> list[Problem]:
    """The three problems of one kind of images."""
    return [
        lower_half(spec, 0.1),
        Problem(f"blur {blur:g}, noise 0.1", operator_named(f"blur:{blur:g}", spec.shape), 0.1),
        Problem("noise 0.5", operator_named("identity", spec.shape), 0.5),
    ]


def sheet(bench: Bench, problem: Problem, settings: dict[str, str], file: Path) -> None:
    """Input, draws of each method and the image, of eight test images."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    items = bench.items("test").take(torch.arange(8))
    measurement = bench.measured(problem, items, _TEST_SEED)
    figure, axes = plt.subplots(8, 2 + 3 * len(settings), figsize=(16, 6.4), layout="constrained")
    columns = [("input", measurement.y), ("image", items.x)]
    for name, setting in settings.items():
        method, steps = setting.rsplit(", ", 1)
        x = bench.draws(measurement, method, int(steps.split()[0]), _TEST_SEED)
        columns += [(name if k == 1 else "", x[:, k]) for k in range(3)]

    low, high = (float(end) for end in bench.dataset.spec.ends())
    for column, (title, x) in enumerate(columns):
        for row in range(len(items)):
            panel = axes[row, column]
            panel.imshow(x[row, 0], cmap="gray", vmin=low, vmax=high)
            panel.axis("off")
        axes[0, column].set_title(title, fontsize=9)
    figure.savefig(file, dpi=90)
    plt.close(figure)


def opened(run: str | None, recipe: str, data: str | None, minutes: float) -> RunFolder:
    """The run that is given, or a new one."""
    if run is not None:
        return RunFolder.open(Path(run))
    made = recipe_named(recipe, data)
    made = replace(made, training=replace(made.training, minutes=minutes, steps=None))
    return execute(made, Path(tempfile.mkdtemp()) / recipe)[0]


def digits_measured(arguments: argparse.Namespace) -> dict[str, Any]:
    """The figures of the digits."""
    folder = opened(arguments.digits, "digits", None, 4)
    steps = ((50,), (25,))
    bench = Bench(folder.model(), load("digits"), (30, arguments.count), steps, True)
    spec = bench.dataset.spec
    found = {f"digits, {each.name}": bench.compared(each) for each in problems(spec, 0.8)}

    machine, problem = LabelClassifier.fit(bench.dataset.train, spec), lower_half(spec, 0.5)
    labels = labels_compared(bench, problem, machine.predict, with_oracle=True)
    return found | {f"labels, digits, {problem.name}": labels}


def mnist_measured(arguments: argparse.Namespace) -> dict[str, Any]:
    """The figures of MNIST, and the sheet."""
    folder = opened(arguments.run, "mnist", arguments.data, 38)
    counts = (4, -(-arguments.count // 6))
    bench = Bench(folder.model(), load(arguments.data), counts, ((50,), (25,)))
    spec, train = bench.dataset.spec, bench.dataset.train
    found = {f"mnist, {each.name}": bench.compared(each) for each in problems(spec, 1.5)}

    first = lower_half(spec, 0.1)
    rows = found[f"mnist, {first.name}"]
    shown = {name: row["setting"] for name, row in rows.items() if name != "prior"}
    sheet(bench, first, shown, RESULTS / "inverse_mnist.png")

    judge, problem = fitted(image_network(), train.x, train.labels, epochs=1), lower_half(spec, 2.0)
    labels = labels_compared(bench, problem, lambda x: judge.log_probs(x).argmax(1), False)
    return found | {f"labels, mnist, {problem.name}": labels}


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--run", help="a run of MNIST; trained anew if not given")
    parser.add_argument("--digits", help="a run of the digits; trained anew if not given")
    parser.add_argument("--data", default="hub:ylecun/mnist", help="where MNIST is")
    parser.add_argument(
        "--count", type=int, default=60, help="test images of the digits; a sixth of MNIST"
    )
    parser.add_argument(
        "--only", choices=("digits", "mnist"), help="the others are left as they are"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()

    torch.set_num_threads(1)
    file = RESULTS / "inverse_mnist.json"
    found: dict[str, Any] = {}
    for name, work in {"digits": digits_measured, "mnist": mnist_measured}.items():
        if arguments.only in (None, name):
            found |= work(arguments)

    before = json.loads(file.read_text()) if arguments.only and file.exists() else {}
    found = before | found
    file.write_text(json.dumps(found, indent=1) + "\n")
    if arguments.json:
        print(json.dumps(found))


if __name__ == "__main__":
    main()
