"""What a diffusion model makes of test items as a file, beside other lossless codes.

    python -m benchmarks.codec                                      digits, trained for 2.4 minutes
    python -m benchmarks.codec --json                                  the same as one JSON object
    python -m benchmarks.codec --run RUN --data SOURCE --limit 1000    a run that is there

Bytes and bits/dim: net is what the items cost, gross what the stack holds, file with header. The
bound is that of the chain of so many steps, by its own latents; VLB is that of the model in
continuous time. Each file is decoded again, and compared. Seconds are of one thread, with whatever
else the machine does.
"""

import argparse
import json
import tempfile
from dataclasses import replace
from pathlib import Path

import torch

from allegory.data import load
from allegory.evaluation.reference_codecs import other_codecs
from allegory.models import VDM
from allegory.process import bits_per_dim
from allegory.recipes import RunFolder, execute, recipe_named
from allegory.recipes.compress import compress, decompress
from allegory.recipes.compressed import CodingConfig

Table = dict[str, dict[str, float]]


def measure(folder: RunFolder, raw: torch.Tensor, steps: tuple[int, ...]) -> Table:
    """A row for each number of steps, then one for each other code."""
    model, table = folder.model(), Table()
    if isinstance(model, VDM):
        bound = torch.cat(
            [
                model.bound(x, seeds=range(100 * i, 100 * i + len(x)), draws=32).total
                for i, x in enumerate(raw.split(100))
            ]
        )
        table["VLB, continuous time"] = {
            "bits/dim": bits_per_dim(-bound, folder.spec).mean().item()
        }
    for count in steps:
        done = compress(folder, raw, CodingConfig(steps=count, check=False))
        assert torch.equal(decompress(folder, done.content, "file"), raw), "bit-exact"
        table[f"allegory, {count} steps"] = {
            "bits/dim": done.net_bits / done.numbers, "bound": done.bound_bits / done.numbers,
            "net bytes": done.net_bits / 8, "gross bytes": done.gross_bits / 8,
            "file bytes": len(done.content),
            "s/item": done.encode_seconds / done.items,
        }  # fmt: skip
    for name, size in other_codecs(folder.spec.index(raw).to(torch.uint8)).items():
        table[name] = {"bits/dim": 8 * size / raw.numel(), "file bytes": size}
    return table


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description="Items as a file, by a diffusion model and by other codes."
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--run", help="a run folder; digits are trained if not given")
    parser.add_argument("--data", help="data instead of the run's own")
    parser.add_argument("--limit", type=int, default=300, help="at most so many test items")
    parser.add_argument(
        "--steps", type=int, nargs="+", default=[5, 20, 100], help="steps of the chain"
    )
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as temporary:
        if arguments.run:
            folder = RunFolder.open(Path(arguments.run))
        else:
            run = recipe_named("digits")
            folder, _ = execute(
                replace(run, training=replace(run.training, minutes=2.4)), Path(temporary) / "run"
            )
        raw = load(arguments.data or folder.run.source).test.x[: arguments.limit]
        table = measure(folder, raw, tuple(arguments.steps))
    if arguments.json:
        print(json.dumps(table))
        return
    for name, figures in table.items():
        print(
            f"{name:<24}" + "  ".join(f"{words} {value:,.4g}" for words, value in figures.items())
        )


if __name__ == "__main__":
    main()
