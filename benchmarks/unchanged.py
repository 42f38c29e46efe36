"""Are the numbers of version 0.1.0 unchanged? Samples, bounds, likelihoods, losses, gradients and
compressed files.

    python -m benchmarks unchanged            a table by quantity
    python -m benchmarks unchanged --json     one JSON object

`fixtures/v0.1.0` holds ten small run folders that version 0.1.0 trained, what it computed with them
(`recorded.py` says how), and files that it compressed. The runs are converted when they are opened.
Deviations are relative to the largest number of a quantity; double precision is held to 1e-9,
single precision to 1e-4 (rounding: the recorded numbers of two threads differ by 2e-5). A
compressed file must decode to the same items, and its code words must be the same.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np
import torch

from allegory.likelihood.codec import unpack
from allegory.recipes import RunFolder
from allegory.recipes.compress import compress, decompress
from allegory.recipes.compressed import CodingConfig

from . import recorded

FIXTURES = Path(__file__).parent / "fixtures" / "v0.1.0"
SINGLE, DOUBLE = 1e-4, 1e-9
LEARNED = 1e-5
"""The learned schedule computes its gradients in float32 at any precision of the model."""


def bound(key: str) -> float:
    """The relative deviation that is allowed."""
    if "gradient-norms-schedule" in key:
        return LEARNED
    return DOUBLE if "_f64" in key else SINGLE


def deviation(key: str, now: np.ndarray, then: np.ndarray) -> float:
    """The largest deviation relative to the largest number; gradients of parameters in any
    order.
    """
    if "gradient-norms" in key:
        now, then = np.sort(now), np.sort(then)
    if now.shape != then.shape:
        return float("inf")
    if np.array_equal(now, then, equal_nan=True):
        return 0.0
    finite = np.isfinite(then)
    if not np.array_equal(finite, np.isfinite(now)):
        return float("inf")
    scale = max(np.abs(then[finite]).max(initial=0.0), 1e-30)
    gap = np.abs(now[finite].astype(np.float64) - then[finite].astype(np.float64))
    return float(gap.max(initial=0.0) / scale)


def numbers() -> tuple[dict[str, dict[str, float]], list[str]]:
    """Each quantity: how many arrays, how many equal to the last bit, the largest deviation; and
    what failed.
    """
    recorded_numbers = np.load(FIXTURES / "numbers.npz")
    then = {key: recorded_numbers[key] for key in recorded_numbers.files}
    table: dict[str, dict[str, float]] = defaultdict(
        lambda: {"arrays": 0, "equal": 0, "deviation": 0.0}
    )
    failed, seen = [], set()
    for key, value in recorded.everything(FIXTURES, list(then)):
        if key not in then:
            failed.append(f"{key}: was not recorded")
            continue
        seen.add(key)
        apart = deviation(key, value.detach().numpy(), then[key])
        line = table[key.split("/")[0] if key.startswith(("path", "times")) else key.split("/")[1]]
        line["arrays"] += 1
        line["equal"] += apart == 0.0
        line["deviation"] = max(line["deviation"], apart)
        if not apart <= bound(key):
            failed.append(f"{key}: {apart:.2g}")
    left = [k for k in then if k not in seen and not k.startswith("loss_") and "/input/" not in k]
    return dict(table), failed + [f"{key}: not computed" for key in left]


def files() -> dict[str, dict[str, bool]]:
    """Each compressed file: whether it still decodes, and whether coding anew gives the same
    words.
    """
    found = {}
    for file in sorted(FIXTURES.glob("*.bits")):
        folder, items = RunFolder.open(FIXTURES / file.stem), np.load(f"{file}.npy")
        old = file.read_bytes()
        new = compress(folder, torch.from_numpy(items), CodingConfig()).content
        same = unpack(new, "new").words.tobytes() == unpack(old, file.name).words.tobytes()
        decoded = np.array_equal(decompress(folder, new, "new").numpy(), items)
        found[file.name] = {"decodes": decoded, "same words": same}
    return found


def main() -> None:
    """Compute and compare."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    table, failed = numbers()
    coded = files()
    if arguments.json:
        print(json.dumps({"numbers": table, "files": coded, "failed": failed}, indent=1))
    else:
        print(f"{'quantity':24s}{'arrays':>8s}{'equal':>8s}{'deviation':>12s}")
        for name, line in table.items():
            print(f"{name:24s}{line['arrays']:8.0f}{line['equal']:8.0f}{line['deviation']:12.1e}")
        for name, facts in coded.items():
            print(f"{name}: " + ", ".join(f"{fact}: {yes}" for fact, yes in facts.items()))
        print("\n".join(failed) or "nothing beyond its bound")
    if failed or not all(all(facts.values()) for facts in coded.values()):
        sys.exit("numbers have changed")


if __name__ == "__main__":
    main()
