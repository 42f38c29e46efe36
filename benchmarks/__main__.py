"""Run every benchmark, or those that are named: each module of this package that has a `main`.

    python -m benchmarks                  all, one after another
    python -m benchmarks driver           one
    python -m benchmarks driver --json    its figures as {"driver": {...}}
    python -m benchmarks latent --minutes 2    with options of its own, where one is named

Each runs in a process of its own, so that none finds the allocator warm or the thread count changed
by another. One that fails (no network for its data, say) does not keep the others from running; the
exit status is 1 then.
"""

import argparse
import importlib
import json
import pkgutil
import subprocess
import sys
from pathlib import Path


def names() -> list[str]:
    """The modules of this package that have a `main`."""
    found = (module.name for module in pkgutil.iter_modules([str(Path(__file__).parent)]))
    return [
        name
        for name in found
        if name != "__main__" and hasattr(importlib.import_module(f"benchmarks.{name}"), "main")
    ]


def on_request(name: str) -> bool:
    """Whether it runs only when it is named."""
    return getattr(importlib.import_module(f"benchmarks.{name}"), "ON_REQUEST", False)


def run(name: str, as_json: bool, options: list[str]) -> tuple[bool, object]:
    """Run one benchmark with its own options: whether it ended well, its figures with as_json."""
    command = [sys.executable, "-m", f"benchmarks.{name}", *options]
    command += ["--json"] if as_json else []
    done = subprocess.run(command, text=True, stdout=subprocess.PIPE if as_json else None)
    well = done.returncode == 0
    return well, json.loads(done.stdout) if as_json and well else None


def main() -> None:
    """Run them."""
    known = names()
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description="What things cost.", allow_abbrev=False
    )
    parser.add_argument(
        "names",
        nargs="*",
        metavar="NAME",
        help=f"one or more of {', '.join(known)}; all by default",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments, options = parser.parse_known_args()
    for name in arguments.names:
        if name not in known:
            parser.error(f"no benchmark {name!r}; choose from {', '.join(known)}")
    if options and len(arguments.names) != 1:
        parser.error(
            f"{options[0]} is of one benchmark: write its name first, as in `NAME {options[0]}`"
        )

    figures, failed = {}, []
    for name in arguments.names or [name for name in known if not on_request(name)]:
        if not arguments.json:
            print(f"== {name}", flush=True)
        well, figures[name] = run(name, arguments.json, options)
        failed += [] if well else [name]
    if arguments.json:
        print(json.dumps(figures, indent=1))
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
