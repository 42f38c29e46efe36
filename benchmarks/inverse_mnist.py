"""Inpainting, deblurring and denoising of digits: methods of `allegory.inverse` on networks.

    python -m benchmarks.inverse_mnist --data DIR                        trains both, 40 minutes
    python -m benchmarks.inverse_mnist --data DIR --run RUN --digits RUN    with runs that are there
    python -m benchmarks.inverse_mnist --table                           the results in Markdown

The digits have 8x8 pixels and 17 levels, those of MNIST 28x28 and 256. The lower half is unknown,
or a Gaussian blur of 0.8 (digits) or 1.5 pixels (MNIST) is to be undone, or noise alone; all with
the noise that is named, as a fraction of half the range. Of each test image 8 draws are judged by
the energy score (lower is better; it is lowest in expectation for draws of the posterior) in units
of half the range, and their mean by its PSNR. "prior" ignores the measurement. Settings are those
of least energy score on validation images. Seconds are of one core, per draw.

`labels` is about the spread of inpainted digits. The reference is the exact posterior of the
empirical distribution of the training images, which gives each of them the weight p(y | image). A
classifier says which digit a draw shows. `same` is the probability that two draws of one image show
the same digit, `match` the mean weight that the reference has on the digit of a draw. Both are the
same number for draws of the reference; less spread gives a higher `same`, wrong digits a lower
`match`. `true` is how often it is the digit of the image. The reference knows no digits but those
of the training images, and a network does. So the methods are also run on the 8x8 digits with the
exact denoiser of the training images in place of the network: there the difference is the error of
the method.

Each result is saved at once, and a run computes those that are missing: delete the file to begin
anew.
"""

import argparse
import json
import tempfile
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from allegory.data import load
from allegory.evaluation import LabelClassifier
from allegory.recipes import RunFolder, execute, recipe_named

from .image_labels import Labels
from .image_problems import METHODS, TEST_SEED, Bench, Problem, lower_half, problems
from .judges import fitted, image_network
from .rows import Row, Rows

ON_REQUEST = True

RESULTS = Path(__file__).parent / "results" / "inverse_mnist.json"
ROWS = Rows(RESULTS)


def judged(bench: Bench, problem: Problem, kind: str) -> None:
    """The figures of each method on the test images."""

    def row(name: str) -> Row:
        return bench.scored(problem, "test", name, bench.setting(problem, name))

    for name in METHODS:
        ROWS.fill(f"{kind}, {problem.name}", name, partial(row, name))


def labels_judged(labels: Labels, problem: Problem, kind: str, with_exact: bool) -> None:
    """The spread of labels of each method."""

    def row(name: str) -> Row:
        return labels.of_method(name, labels.bench.setting(problem, name))

    section = f"labels, {kind}, {problem.name}"
    ROWS.fill(section, "reference, weights", labels.expected)
    ROWS.fill(section, "reference, draws", lambda: labels.of_draws(labels.reference.draws()))
    for name in METHODS:
        setting = ROWS.fill(section, f"{name}, network", partial(row, name))["setting"]
        if with_exact and name != "prior":
            exact = partial(labels.of_method, name, setting, exact=True)
            ROWS.fill(section, f"{name}, exact denoiser", exact)


def sheet(bench: Bench, problem: Problem, settings: dict[str, str], file: Path) -> None:
    """Input, draws of each method and the image, of eight test images."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    items = bench.items("test").take(torch.arange(8))
    measurement = bench.measured(problem, items, TEST_SEED)
    columns: list[tuple[str, Tensor]] = [("input", measurement.y), ("image", items.x)]
    for name, setting in settings.items():
        x = bench.draws(measurement, name, setting, TEST_SEED)
        columns += [(name if k == 1 else "", x[:, k]) for k in range(3)]

    figure, axes = plt.subplots(8, len(columns), figsize=(16, 6.4), layout="constrained")
    low, high = (float(end) for end in bench.dataset.spec.ends())
    for column, (title, x) in enumerate(columns):
        for row in range(len(items)):
            axes[row, column].imshow(x[row, 0], cmap="gray", vmin=low, vmax=high)
            axes[row, column].axis("off")
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


def digits(arguments: argparse.Namespace) -> None:
    """The figures of the digits."""
    folder = opened(arguments.digits, "digits", None, 4)
    bench = Bench(folder.model(), load("digits"), (30, arguments.count))
    spec = bench.dataset.spec
    for problem in problems(spec, 0.8):
        judged(bench, problem, "digits")

    machine, problem = LabelClassifier.fit(bench.dataset.train, spec), lower_half(spec, 0.5)
    labels_judged(Labels.of(bench, problem, machine.predict), problem, "digits", True)


def mnist(arguments: argparse.Namespace) -> None:
    """The figures of MNIST, and the sheet."""
    folder = opened(arguments.run, "mnist", arguments.data, 38)
    bench = Bench(folder.model(), load(arguments.data), (8, arguments.count // 2))
    fewer = replace(bench, counts=(8, arguments.count // 4))
    spec, train = bench.dataset.spec, bench.dataset.train
    first, *others = problems(spec, 1.5)
    judged(bench, first, "mnist")
    for problem in others:
        judged(fewer, problem, "mnist")

    file = RESULTS.with_suffix(".png")
    if not file.exists():
        rows = ROWS.read()[f"mnist, {first.name}"]
        shown = {name: row["setting"] for name, row in rows.items() if name != "prior"}
        sheet(bench, first, shown, file)

    assert train.labels is not None
    judge, problem = fitted(image_network(), train.x, train.labels, epochs=1), lower_half(spec, 2.0)
    labels = Labels.of(bench, problem, lambda x: judge.log_probs(x).argmax(1))
    labels_judged(labels, problem, "mnist", False)


def main() -> None:
    """Measure what is missing, or print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--run", help="a run of MNIST; trained anew if not given")
    parser.add_argument("--digits", help="a run of the digits; trained anew if not given")
    parser.add_argument("--data", default="hub:ylecun/mnist", help="where MNIST is")
    parser.add_argument(
        "--count",
        type=int,
        default=60,
        help="test images of the digits; of MNIST half of them, a fourth for blur and noise",
    )
    parser.add_argument("--only", choices=("digits", "mnist"), help="which of the two")
    parser.add_argument("--table", action="store_true", help="print the results in Markdown")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()

    torch.set_num_threads(1)
    for work in (digits, mnist):
        if not arguments.table and arguments.only in (None, work.__name__):
            work(arguments)
    if arguments.table or arguments.json:
        print(ROWS.table(("steps",)) if arguments.table else json.dumps(ROWS.read()))


if __name__ == "__main__":
    main()
