"""Super-resolution of MNIST, 7x7 to 28x28: agreement with the input, and recognised digits.

    python -m benchmarks.superres --data DIR              trains `mnist_superres`, 25 minutes
    python -m benchmarks.superres --data DIR --run RUN    enlarges with a run that is there

Test images are reduced to their means over 4x4 pixels and enlarged again, one sample each. A sample
of p(image | means) shows the class of the real image as often as p(class | means) says, on average.
So the share of samples in which a classifier of images (`benchmarks.judges`) finds the true class
is compared with the mean probability of the true class by a classifier of the 7x7 means, whose
temperature is fitted on validation images. The first has errors of its own: with accuracy a on real
images, and errors spread over nine classes, a share s stands for a true share

    q = (s - e) / (a - e),   e = (1 - a) / 9.

Solver, steps and guide are those whose share is closest to the expected one on validation images.
"""

import argparse
import json
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from allegory.data import Dataset, Items, load
from allegory.data.places import with_option
from allegory.data.splits import subset
from allegory.models import VDM
from allegory.numerics.blocks import block_means
from allegory.recipes import RunFolder, execute, recipe_named
from allegory.sampling import Sampler
from allegory.sampling.driver import last_state

from .judges import Judge, calibration, fitted, image_network, input_network

ON_REQUEST = True

RESULTS = Path(__file__).parent / "results"
SETTINGS = (
    Sampler("dpmpp2m", 25),
    Sampler("dpmpp2m", 25, guide="agree"),
    Sampler("ddpm", 50),
    Sampler("ddpm", 50, guide="agree"),
)
_VALIDATION_SEED, _TEST_SEED = 0, 10**6


@dataclass(frozen=True, eq=False)
class Judges:
    """Classifiers of MNIST.

    Args:
        images: of 28x28 pixels.
        means: of the 7x7 means, calibrated on validation images.
    """

    images: Judge
    means: Judge

    @classmethod
    def fit(cls, dataset: Dataset) -> "Judges":
        """Both, in two or three minutes of one core."""
        train, validation = dataset.train, dataset.validation
        torch.manual_seed(0)
        images = fitted(image_network(), train.x, train.labels, epochs=4)
        means = fitted(input_network(), low(train), train.labels, epochs=12)
        return cls(images, means.calibrated(low(validation), validation.labels))

    def compared(self, x: Tensor, items: Items) -> dict[str, float]:
        """The share of samples that show the class of the item, and the expected one.

        Args:
            x: a sample for each item.
            items: whose means it was given.
        """
        labels = items.labels
        right = (self.images.log_probs(x).argmax(1) == labels).double()
        expected = self.means.log_probs(low(items)).exp().gather(1, labels[:, None])[:, 0].double()
        accuracy = self.images.accuracy(items.x, labels)
        error = (1 - accuracy) / 9
        share = right.mean().item()
        root = len(items) ** 0.5
        corrected = (share - error) / (accuracy - error)

        return {
            "share": share,
            "share_error": right.std().item() / root,
            "expected": expected.mean().item(),
            "expected_error": expected.std().item() / root,
            "difference": share - expected.mean().item(),
            "difference_error": (right - expected).std().item() / root,
            "judge": accuracy,
            "corrected": corrected,
            "corrected_difference": corrected - expected.mean().item(),
        }


def low(items: Items) -> Tensor:
    """The 7x7 means of items, in 0 to 255."""
    return block_means(items.x, 4).float()


def agreement(model: VDM, x: Tensor, items: Items, sampler: Sampler) -> dict[str, float]:
    """Differences of block means from the input, in units of the range, after the last step and (of
    100 samples) before it.
    """
    gap = (block_means(x, 4) - low(items)).abs() / 255
    some = items.condition[:100]
    state = last_state(model.trajectory(range(100), some, sampler))
    before = (block_means(state.x / 2 + 0.5, 4) - low(items)[:100] / 255).abs()
    return {
        "largest": gap.max().item(),
        "mean": gap.mean().item(),
        "largest_before": before.max().item(),
        "mean_before": before.mean().item(),
    }


def chosen(model: VDM, judges: Judges, items: Items) -> tuple[Sampler, list[dict[str, object]]]:
    """The setting of least difference to the expected share, and the figures of all."""
    rows: list[dict[str, object]] = []
    for sampler in SETTINGS:
        started = time.perf_counter()
        x = enlarged(model, items, sampler, _VALIDATION_SEED)
        seconds = time.perf_counter() - started
        rows.append(
            {"sampler": sampler.describe(), "seconds": seconds, **judges.compared(x, items)}
        )
    best = min(range(len(rows)), key=lambda index: abs(float(str(rows[index]["difference"]))))
    return SETTINGS[best], rows


def enlarged(model: VDM, items: Items, sampler: Sampler, first: int) -> Tensor:
    """One sample for each item, the seeds counted from the first."""
    return model.sample(range(first, first + len(items)), items.condition, sampler)


def sheet(model: VDM, items: Items, sampler: Sampler, file: Path) -> None:
    """Input, four samples and real image of two items of each class, a row each two."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    places = torch.cat([(items.labels == digit).nonzero()[:2, 0] for digit in range(10)])
    shown = items.take(places)
    samples = [enlarged(model, shown, sampler, 100 * draw) for draw in range(4)]
    titles = ("input", "samples", "", "", "", "real")

    figure, axes = plt.subplots(10, 12, figsize=(10, 9), layout="constrained")
    for place, panels in enumerate(axes.reshape(20, 6)[: len(shown)]):
        row = [low(shown)[place], *(x[place] for x in samples), shown.x[place]]
        for title, picture, panel in zip(titles, row, panels, strict=True):
            panel.imshow(picture[0], cmap="gray", vmin=0, vmax=255)
            panel.axis("off")
            if place < 2:
                panel.set_title(title, fontsize=9)
    figure.savefig(file, dpi=90)
    plt.close(figure)


def trained(arguments: argparse.Namespace) -> RunFolder:
    """The run that is given, or a new one."""
    if arguments.run is not None:
        return RunFolder.open(Path(arguments.run))
    run = recipe_named("mnist_superres", arguments.data)
    run = replace(run, training=replace(run.training, minutes=arguments.minutes))
    return execute(run, Path(tempfile.mkdtemp()) / "superres")[0]


def measured(arguments: argparse.Namespace) -> dict[str, object]:
    """All figures, and the sheet."""
    folder = trained(arguments)
    model = folder.model()
    dataset = load(with_option(arguments.data, "lowres", "4"))
    judges = Judges.fit(dataset)

    validation = subset(dataset.validation, arguments.count // 2)
    test = subset(dataset.test, arguments.count)

    sampler, rows = chosen(model, judges, validation)
    x = enlarged(model, test, sampler, _TEST_SEED)
    sheet(model, test, sampler, RESULTS / "superres.png")

    log_probs = judges.means.log_probs(low(dataset.test))
    return {
        "count": len(test),
        "sampler": sampler.describe(),
        "agreement": agreement(model, x, test, sampler),
        "recognised": judges.compared(x, test),
        "classifier of images": judges.images.accuracy(dataset.test.x, dataset.test.labels),
        "classifier of means": {
            "temperature": judges.means.temperature,
            **calibration(log_probs, dataset.test.labels),
        },
        "validation": rows,
    }


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--run", help="a run folder; trained anew if not given")
    parser.add_argument("--data", default="hub:ylecun/mnist", help="where MNIST is")
    parser.add_argument("--minutes", type=float, default=25.0, help="of training")
    parser.add_argument(
        "--count", type=int, default=2000, help="test images, and half as many of validation"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()

    found = measured(arguments)
    (RESULTS / "superres.json").write_text(json.dumps(found, indent=1) + "\n")
    if arguments.json:
        print(json.dumps(found))
        return

    for row in found["validation"]:
        print("validation  {sampler:28} {share:.4f} expected {expected:.4f}".format(**row))
    agreed, shares = found["agreement"], found["recognised"]
    print(f"test        {found['sampler']:28} {found['count']} images")
    print("agreement   largest {largest:.2g}, mean {mean:.2g} of the range".format(**agreed))
    print(
        "            before the last step {largest_before:.2g}, {mean_before:.2g}".format(**agreed)
    )
    print("recognised  {share:.4f} +- {share_error:.4f}".format(**shares))
    print("expected    {expected:.4f} +- {expected_error:.4f}".format(**shares))
    print("difference  {difference:+.4f} +- {difference_error:.4f}".format(**shares))
    print("corrected   {corrected:.4f}, {corrected_difference:+.4f}".format(**shares))


if __name__ == "__main__":
    main()
