"""Several processes against one: the weights that they learn, and what common noise costs.

    python -m benchmarks processes           two tables
    python -m benchmarks processes --json    one JSON object

Each row trains 50 steps by the command line, once in one process and once in two, of one thread
each, which share every batch and communicate by gloo. `difference` is the largest difference
between the two of a weight, of the last step or averaged; rounding alone makes one, because sums
over a batch are taken in another order. `items` are counted over all processes.

The second table is the processor time in which one process draws the noise of its 128 pictures of
3 x 32 x 32 where 1, 2, 4 or 8 processes share a batch: it draws for the whole batch and takes its
own part. The forward and backward pass of a small U-Net (0.4 million weights) on such pictures is
there to compare with.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file

from allegory.data import load
from allegory.networks import UNetConfig
from allegory.numerics.generators import BatchGenerator
from allegory.objectives import normal_like

STEPS = 50
EXACT = 1e-6
"""The largest difference that is allowed in single precision, by AdamW."""
_LAUNCHER = ("-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2")
_PICTURES = (128, 3, 32, 32)

_ADAMW, _MUON = "--training.optimizer adamw", "--training.optimizer muon"
_FLOAT32, _BFLOAT16 = "--training.precision fp32", "--training.precision bf16"

ROWS = {
    "points, AdamW, float32": f"toy {_ADAMW} {_FLOAT32}",
    "points, AdamW, float32, 2 batches per step": (
        f"toy {_ADAMW} {_FLOAT32} --training.accumulate 2"
    ),
    "energy of points, AdamW, float32": f"toy_energy {_ADAMW} {_FLOAT32}",
    "digits (labels, dropout), AdamW, float32": f"digits {_ADAMW} {_FLOAT32}",
    "digits, VAE, AdamW, float32": f"mnist_vae --data {{digits}} {_ADAMW} {_FLOAT32}",
    "digits, ladder, AdamW, float32": f"mnist_hierarchy --data {{digits}} {_ADAMW} {_FLOAT32}",
    "digits (labels, dropout), Muon, float32": f"digits {_MUON} {_FLOAT32}",
    "digits, ladder, Muon, bfloat16": f"mnist_hierarchy --data {{digits}} {_MUON} {_BFLOAT16}",
    "points, AdamW, bfloat16": f"toy {_ADAMW} {_BFLOAT16}",
    "digits (labels, dropout), AdamW, bfloat16": f"digits {_ADAMW} {_BFLOAT16}",
}
"""The options of the command line by what is trained."""


def train(words: list[str], out: Path, processes: int) -> float:
    """Train by the command line; the seconds of the whole command."""
    launcher = _LAUNCHER if processes > 1 else ()
    command = [sys.executable, *launcher, "-m", "allegory", "train", *words]
    command += ["--steps", str(STEPS), "--out", str(out)]

    started = time.perf_counter()
    done = subprocess.run(
        command, env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True
    )
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}\n{done.stderr}")
    return time.perf_counter() - started


def difference(run: Path, other: Path) -> float:
    """The largest difference between the weights of two runs."""
    apart = []
    for name in ("model", "ema"):
        mine, theirs = (load_file(each / f"{name}.safetensors") for each in (run, other))
        apart += [(mine[key].double() - theirs[key].double()).abs().max() for key in mine]
    return float(torch.stack(apart).max())


def items(run: Path) -> int:
    """The number of items that a run has seen."""
    lines = (run / "metrics.jsonl").read_text().splitlines()
    return max(json.loads(line).get("images", 0) for line in lines)


def compared(folder: Path) -> dict[str, dict[str, float]]:
    """Each row, by one process and by two."""
    digits = folder / "digits.npy"
    np.save(digits, (load("digits").train.x * 15).numpy().astype(np.uint8))

    table = {}
    for place, (name, words) in enumerate(ROWS.items()):
        runs = [folder / f"{place}-{count}" for count in (1, 2)]
        arguments = words.format(digits=digits).split()
        seconds = [train(arguments, run, count) for count, run in enumerate(runs, 1)]
        table[name] = {
            "difference": difference(*runs),
            **{f"items of {count}": items(run) for count, run in enumerate(runs, 1)},
            **{f"seconds of {count}": took for count, took in enumerate(seconds, 1)},
        }
    return table


def draws() -> dict[str, float]:
    """Milliseconds of one draw by the number of processes, and of a training step."""
    x = torch.zeros(_PICTURES)
    table = {}
    for world in (1, 2, 4, 8):
        generator = BatchGenerator(torch.device("cpu"), 0, 0, world)
        table[f"noise, {world} processes"] = milliseconds(lambda g=generator: normal_like(x, g))

    network = UNetConfig(channels=32, multipliers=(1, 2), blocks=1, attention=()).build(x.shape[1:])

    def step() -> None:
        network(x, torch.zeros(len(x))).square().mean().backward()

    table["forward and backward pass"] = milliseconds(step)
    return table


def milliseconds(function: object, times: int = 5) -> float:
    """The shortest processor time of a call."""
    assert callable(function)
    function()
    found = []
    for _ in range(times):
        started = time.process_time()
        function()
        found.append(1000 * (time.process_time() - started))
    return min(found)


def main() -> None:
    """Train and compare."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    torch.set_num_threads(1)

    with tempfile.TemporaryDirectory() as folder:
        table = compared(Path(folder))
    costs = draws()

    if arguments.json:
        print(json.dumps({"runs": table, "milliseconds": costs}, indent=1))
    else:
        print(
            f"{'recipe':44s}{'difference':>11s}{'items of 1, of 2':>18s}{'seconds of 1, of 2':>20s}"
        )
        for name, row in table.items():
            counts = f"{row['items of 1']:.0f} {row['items of 2']:.0f}"
            seconds = f"{row['seconds of 1']:.1f} {row['seconds of 2']:.1f}"
            print(f"{name:44s}{row['difference']:11.1e}{counts:>18s}{seconds:>20s}")
        for name, cost in costs.items():
            print(f"{name:44s}{cost:9.2f} ms")

    failed = [
        name
        for name, row in table.items()
        if row["items of 1"] != row["items of 2"]
        or ("AdamW, float32" in name and not row["difference"] <= EXACT)
    ]
    if failed:
        sys.exit(f"two processes are not one: {'; '.join(failed)}")


if __name__ == "__main__":
    main()
