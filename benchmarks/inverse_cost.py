"""What each method for inverse problems costs on a U-Net: the lower half of digits completed.

    python -m benchmarks.inverse_cost [--run RUN]          a table in Markdown
    python -m benchmarks.inverse_cost [--run RUN] --json   one JSON object

RUN is a run of the digits recipe, trained for `--minutes` if it is not given. Per sample:
evaluations of the network, vector-Jacobian products and seconds of processor time, one thread, and
the peak memory that a method adds, each in a process of its own. A method with particles gives one
sample per population. 10 steps each, 16 measurements at once, two calls before the one that counts.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from allegory.inverse import Mask, Posterior, measure
from allegory.models import VDM
from allegory.recipes import Destination, RunFolder, execute, recipe_named
from allegory.sampling import Sampler

ON_REQUEST = True
STEPS, ITEMS, NOISE = 10, 16, 0.1
METHODS = (
    "replacement",
    "repaint:5",
    "ddnm",
    "ddnm_plus",
    "ddrm",
    "diffpir",
    "daps",
    "daps_chain",
    "split_gibbs",
    "dps",
    "pigdm",
    "mmps",
    "daps_tweedie",
    "daps_importance:8",
    "tds:16",
    "fk:16",
)


class Counter:
    """Counts the rows that a denoiser evaluates, and those whose x0 is differentiated."""

    def __init__(self, model: VDM) -> None:
        self.evaluations = self.products = 0
        model.denoiser.network.register_forward_hook(self._forward)

    def _forward(self, module: object, inputs: object, output: Tensor) -> None:
        self.evaluations += len(output)
        if output.requires_grad:
            output.register_hook(self._backward)

    def _backward(self, slope: Tensor) -> None:
        self.products += len(slope)


def cost(run: Path, method: str) -> dict[str, float]:
    """The costs of a method, per sample; memory is that of the whole batch, in MiB."""
    torch.set_num_threads(1)
    folder = RunFolder.open(run)
    model = folder.model().eval().requires_grad_(False)
    assert isinstance(model, VDM)
    raw = folder.dataset().test.x[:ITEMS].float()
    known = torch.ones(raw.shape[1:], dtype=torch.bool)
    known[:, raw.shape[2] // 2 :] = False

    half = 0.5 * float(raw.max() - raw.min())
    measurement = measure(Mask(known), raw, NOISE * half)
    posterior = Posterior(model, measurement, method, Sampler("ddpm", STEPS))
    small = replace(posterior, measurement=measurement.rows(slice(0, 1)))
    for _ in range(2):
        small.sample([0])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    counter, began = Counter(model), time.process_time()
    posterior.sample(range(ITEMS))
    seconds = time.process_time() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "evaluations": counter.evaluations / ITEMS,
        "products": counter.products / ITEMS,
        "milliseconds": 1000 * seconds / ITEMS,
        "memory": (peak - before) / 1024,
    }


def costs(run: Path) -> dict[str, dict[str, float]]:
    """Those of every method, each in a process of its own."""
    found = {}
    for method in METHODS:
        command = [sys.executable, "-m", "benchmarks.inverse_cost", "--run", str(run)]
        done = subprocess.run([*command, "--one", method], text=True, capture_output=True)
        if done.returncode:
            print(method, done.stderr.strip().splitlines()[-1], file=sys.stderr)
            continue
        found[method] = json.loads(done.stdout)
    return found


def table(found: dict[str, dict[str, float]]) -> str:
    """The costs in Markdown."""
    lines = ["| method | evaluations | products | ms a sample | MiB |", "|---|---|---|---|---|"]
    for method, row in found.items():
        cells = (f"{row[key]:.0f}" for key in ("evaluations", "products"))
        more = (f"{row[key]:.3g}" for key in ("milliseconds", "memory"))
        lines.append(f"| {method} | {' | '.join(cells)} | {' | '.join(more)} |")
    return "\n".join(lines)


def trained(minutes: float, folder: Path) -> Path:
    """A run of the digits recipe."""
    run = recipe_named("digits")
    run = replace(run, training=replace(run.training, minutes=minutes, steps=None))
    return execute(run, Destination(folder))[0].path


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="What methods for inverse problems cost.")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--run", type=Path, help="a run folder; trained if it is not given")
    parser.add_argument("--minutes", type=float, default=0.2, help="of training, if it is trained")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    arguments = parser.parse_args()

    with tempfile.TemporaryDirectory() as new:
        run = arguments.run or trained(arguments.minutes, Path(new) / "run")
        found: dict[str, Any] = cost(run, arguments.one) if arguments.one else costs(run)
    print(json.dumps(found, indent=1) if arguments.json or arguments.one else table(found))


if __name__ == "__main__":
    main()
