"""Whether a release holds: wheel and sdist, a fresh environment, the fast tests, the lower bounds.

    python -m benchmarks release               builds, installs, runs `make quick` from the sdist
    python -m benchmarks.release --bounds      the same with the lowest version of each dependency
    python -m benchmarks.release --write       and writes benchmarks/results/release.json
    python -m benchmarks.release --folder DIR  works in DIR and leaves it, with the built files

A run installs a whole environment (some minutes, and gigabytes for `--bounds`), so `python -m
benchmarks` without names leaves it out. The lowest versions are read from pyproject.toml:
`torch>=2.4` is tried as `torch==2.4.*`.
"""

import argparse
import json
import os
import platform
import re
import subprocess
import sys
import tarfile
import tempfile
import time
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
EXTRAS = ("train", "report", "codec", "test")
ON_REQUEST = True
"""`python -m benchmarks` runs this only when it is named."""


def call(*command: str | Path, cwd: Path = ROOT, **environment: str) -> None:
    """Run a command, its output to standard error. CalledProcessError when it fails."""
    kept = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    print("$", *command, file=sys.stderr, flush=True)
    subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=kept | environment,
        check=True,
        stdout=sys.stderr,
    )


def build(folder: Path) -> tuple[Path, Path]:
    """The sdist, and the wheel that is made from the unpacked sdist.

    Its path, and that of the sources.
    """
    hook = (
        "import sys; from setuptools import build_meta as b; getattr(b, sys.argv[1])(sys.argv[2])"
    )
    call(sys.executable, "-c", hook, "build_sdist", folder)
    sdist = next(folder.glob("*.tar.gz"))
    with tarfile.open(sdist) as file:
        file.extractall(folder, filter="data")

    source = folder / sdist.name.removesuffix(".tar.gz")
    call(sys.executable, "-c", hook, "build_wheel", folder, cwd=source)
    return next(folder.glob("*.whl")), source


def requirements(names: tuple[str, ...]) -> list[str]:
    """The requirements of the package and of these extras, as written in pyproject.toml."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    return [*project["dependencies"], *(each for name in names for each in extras[name])]


def lowest(requirement: str) -> str:
    """`name>=1.2` as `name==1.2.*`."""
    name, _, version = re.split(r"(>=)", requirement.partition(";")[0])
    parts = version.strip().split(".")
    return f"{name.strip()}=={'.'.join(parts)}" + (".*" if len(parts) < 3 else "")


def environment(folder: Path, wheel: Path, bounds: bool) -> Path:
    """A new environment with the wheel and what the tests need: its folder of programs."""
    call(sys.executable, "-m", "venv", folder / "venv")
    programs = folder / "venv" / "bin"
    pip = [programs / "python", "-m", "pip", "install", "--disable-pip-version-check", "-q"]
    target = f"{wheel}[{','.join(EXTRAS)}]"
    if bounds:
        call(*pip, target, *map(lowest, requirements(EXTRAS)))
    else:
        call(*pip, "-c", ROOT / "constraints.txt", target)
    (programs.parent / "installed").touch()
    return programs


def versions(programs: Path) -> dict[str, str]:
    """What is installed of the requirements."""
    listed = subprocess.run(
        [programs / "python", "-m", "pip", "list", "--format", "json"],
        check=True,
        capture_output=True,
        text=True,
    )
    found = {part["name"].lower(): part["version"] for part in json.loads(listed.stdout)}
    names = [re.split(r"[>=;]", each)[0].strip().lower() for each in requirements(EXTRAS)]
    return {name: found[name] for name in names if name in found}


def measure(folder: Path, bounds: bool) -> dict[str, Any]:
    """Build, install, run the command and the fast tests of the sdist on the installed wheel."""
    start = time.perf_counter()
    wheel, source = build(folder)
    programs = environment(folder, wheel, bounds)
    call(programs / "allegory", "--help", cwd=folder)
    stamp = programs.parent / "installed"
    # `pythonpath` without src: the tests see the installed package.
    call(
        "make", "quick", f"BIN={programs}", f"STAMP={stamp}", cwd=source,
        PYTEST_ADDOPTS="-o pythonpath=.",
    )  # fmt: skip
    return {
        "python": platform.python_version(),
        "wheel, kB": wheel.stat().st_size // 1000,
        "sdist, kB": next(folder.glob("*.tar.gz")).stat().st_size // 1000,
        "seconds": round(time.perf_counter() - start),
        **versions(programs),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Whether a release holds.")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--bounds", action="store_true", help="install the lowest versions")
    parser.add_argument("--write", action="store_true", help="write into benchmarks/results")
    parser.add_argument("--folder", type=Path, help="work here, and leave it; temporary by default")
    arguments = parser.parse_args()
    kind = "lower bounds" if arguments.bounds else "pinned"
    with tempfile.TemporaryDirectory() as temporary:
        folder = (arguments.folder or Path(temporary)).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        found = {kind: measure(folder, arguments.bounds)}
    if arguments.write:
        path = RESULTS / "release.json"
        known = json.loads(path.read_text()) if path.exists() else {}
        path.write_text(json.dumps(known | found, indent=1) + "\n")
    if arguments.json:
        print(json.dumps(found))
        return
    for name, value in found[kind].items():
        print(f"{name:<16}{value}")


if __name__ == "__main__":
    main()
