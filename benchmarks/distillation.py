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
import json
import tempfile
from pathlib import Path

import torch

from .distilled import ROWS
from .distilled_images import digits, mnist
from .distilled_toys import TOYS, Toy

ON_REQUEST = True


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
        print(ROWS.table() if arguments.table else json.dumps(ROWS.read()))
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
