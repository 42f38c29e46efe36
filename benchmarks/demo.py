"""The demo as a measurement.

How long it takes, bits/dim of the test digits, how many samples show their label.

    python -m benchmarks.demo            a table
    python -m benchmarks.demo --json     one JSON object

It runs `allegory demo --json` in a process of its own, from start to report, and `allegory --help`
five times.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from typing import Any

COMMAND = [sys.executable, "-m", "allegory"]


def timed(*arguments: str) -> tuple[float, str]:
    """Wall seconds and standard output of a command."""
    start = time.perf_counter()
    done = subprocess.run([*COMMAND, *arguments], check=True, stdout=subprocess.PIPE, text=True)
    return time.perf_counter() - start, done.stdout


def measure() -> dict[str, Any]:
    """The figures, by name."""
    with tempfile.TemporaryDirectory() as folder:
        out = os.path.join(folder, "demo")
        seconds, said = timed("demo", "--out", out, "--json")
        with open(os.path.join(out, "metrics.jsonl")) as file:
            last = json.loads(file.read().splitlines()[-1])
    found = json.loads(said)
    bits = {
        name: (part["total"]["mean"], part["total"]["error"])
        for name, part in _bounds(found).items()
    }
    return {
        "demo, s": seconds,
        "of which training, s": last["seconds"],
        "images seen": last["images"],
        **{f"bits/dim, {name}": list(value) for name, value in bits.items()},
        "label cost, bits/dim": found["label_cost"],
        "histogram, bits/dim": [found["histogram"]["mean"], found["histogram"]["error"]],
        "samples that show their label, %": 100 * found["accuracy"]["total"]["mean"],
        "the judge on real digits, %": 100 * found["accuracy"]["real"],
        "allegory --help, s": statistics.median(timed("--help")[0] for _ in range(5)),
    }


def _bounds(found: dict[str, Any]) -> dict[str, Any]:
    return {"p(x)": found["likelihood"], "p(x | label)": found["conditional"]}


def main() -> None:
    """Measure and print."""
    figures = measure()
    if "--json" in sys.argv:
        print(json.dumps(figures))
        return
    for name, value in figures.items():
        number = f"{value[0]:.4f} ± {value[1]:.4f}" if isinstance(value, list) else f"{value:.6g}"
        print(f"{name:<34}{number}")


if __name__ == "__main__":
    main()
