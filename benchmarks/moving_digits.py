"""Clips of moving digits: does each frame show the digit of the condition, in the whole clip?

    python -m benchmarks moving_digits                    trains the recipe, 20 minutes
    python -m benchmarks moving_digits --run RUN          draws from a run that is there
    python -m benchmarks moving_digits --table

A classifier of single frames, fitted on clips of the training digits, judges all frames of 200
clips: how many are of the class of the condition, and in how many clips all 8 frames are of one
class. It does so for 1,000 real test clips too. The scale w of `cfg` is chosen by
the sum of both figures with validation labels and other seeds.

Each row is saved at once, and a run computes those that are missing.
"""

import argparse
import json
import tempfile
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from allegory.data.moving_digits import clips
from allegory.models import VDM
from allegory.recipes import RunFolder, execute, recipe_named
from allegory.sampling import Sampler

from .judges import Judge, fitted
from .rows import Row, Rows

ON_REQUEST = True

ROWS = Rows(Path(__file__).parent / "results" / "moving_digits.json")
SCALES = (1.0, 2.0, 3.0)
_FITTED = 8_000  # clips, one frame of each
_EPOCHS = 12
_REAL = 1_000
_VALIDATION_SEED, _TEST_SEED = 0, 10**6


def frame_network() -> nn.Module:
    """Three convolutions and a hidden layer, for 16x16 pixels."""
    return nn.Sequential(
        nn.Conv2d(1, 32, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(64, 64, 3, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Dropout(0.3),
        nn.Linear(64 * 16, 128),
        nn.ReLU(),
        nn.Linear(128, 10),
    )


@dataclass(frozen=True)
class ClipJudge:
    """Which digit each frame of a clip shows.

    Args:
        judge: of single frames.
    """

    judge: Judge

    @classmethod
    def fit(cls, epochs: int = _EPOCHS) -> "ClipJudge":
        """One that was fitted on frames of training clips."""
        x, labels = clips("train", _FITTED)
        frames = x[torch.arange(_FITTED), torch.arange(_FITTED) % x.shape[1]]
        torch.manual_seed(0)
        return cls(fitted(frame_network(), _bright(frames), labels, epochs))

    def digits(self, x: Tensor) -> Tensor:
        """The digit of each frame, (n, frames)."""
        found = self.judge.log_probs(_bright(x.flatten(0, 1))).argmax(1)
        return found.unflatten(0, x.shape[:2])

    def row(self, x: Tensor, labels: Tensor) -> Row:
        """The figures of clips that should show these digits."""
        digits = self.digits(x)
        right = (digits == labels[:, None]).double()
        same = (digits == digits[:, :1]).all(1).double()
        return {
            "frames": right.mean().item(),
            "its standard error": _error(right.mean(1)),
            "clips of one digit": same.mean().item(),
            "standard error": _error(same),
        }


def _bright(frames: Tensor) -> Tensor:
    """Levels 0 to 16 as 0 to 255."""
    return frames.float() * (255 / 16)


def _error(each: Tensor) -> float:
    return (each.std() / len(each) ** 0.5).item()


def drawn(model: VDM, judge: ClipJudge, part: str, sampler: Sampler, count: int) -> Row:
    """The figures of clips for the labels of a part."""
    _, labels = clips(part, count)
    first = _VALIDATION_SEED if part == "validation" else _TEST_SEED
    x = model.sample(range(first, first + count), labels, sampler)
    return judge.row(x, labels)


def trained(folder: str | None, minutes: float) -> RunFolder:
    """The run that is given, or a new one."""
    if folder is not None:
        return RunFolder.open(Path(folder))
    run = recipe_named("moving_digits")
    run = replace(run, training=replace(run.training, minutes=minutes))
    return execute(run, Path(tempfile.mkdtemp()) / "moving_digits")[0]


def measured(arguments: argparse.Namespace) -> None:
    """Fill the rows."""
    model, judge = trained(arguments.run, arguments.minutes).model(), ClipJudge.fit()
    sampler = Sampler(arguments.solver, arguments.steps)
    count, section = arguments.count, arguments.name
    real = ROWS.fill(section, "real test clips", lambda: judge.row(*clips("test", _REAL)))

    found = {}
    for w in arguments.scales:
        guided = replace(sampler, guide=f"cfg:{w:g}")
        name = f"validation, {guided.describe()}"
        row = ROWS.fill(section, name, partial(drawn, model, judge, "validation", guided, count))
        found[w] = row["frames"] + row["clips of one digit"]

    chosen = replace(sampler, guide=f"cfg:{max(found, key=found.__getitem__):g}")

    def row() -> Row:
        own = drawn(model, judge, "test", chosen, count)
        keys = ("frames", "clips of one digit")
        return own | {f"{key} / real": own[key] / real[key] for key in keys}

    ROWS.fill(section, f"test, {chosen.describe()}", row)


def main() -> None:
    """Measure what is missing, or print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--run", help="a run folder; trained anew if not given")
    parser.add_argument("--name", default="moving_digits", help="of the run, for the results")
    parser.add_argument("--minutes", type=float, default=20.0, help="of training")
    parser.add_argument("--count", type=int, default=200, help="clips")
    parser.add_argument("--solver", default="ddpm", help="of the samples")
    parser.add_argument("--steps", type=int, default=30, help="of the solver")
    parser.add_argument("--scales", type=float, nargs="*", default=SCALES, help="w of cfg")
    parser.add_argument("--table", action="store_true", help="print the results in Markdown")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    torch.set_num_threads(1)

    if not (arguments.table or arguments.json):
        measured(arguments)
    print(json.dumps(ROWS.read()) if arguments.json else ROWS.table())


if __name__ == "__main__":
    main()
