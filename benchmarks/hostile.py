"""Damaged and hostile files before every command that reads them.

    python -m benchmarks hostile                           5,000 tries, about 20 minutes on one core
    python -m benchmarks.hostile --tries 200 --seed 1      others, and fewer
    python -m benchmarks.hostile --only run.json           one kind of file
    python -m benchmarks.hostile --processes 2             two at once
    python -m benchmarks.hostile --json FILE               the table, also as JSON

hypothesis draws the damage: every field of run.json, state.json, tuned samplers, metrics.jsonl and
the header of a compressed file, headers and tensors of weights, headers of .npy, .npz, parquet and
PNG, flipped and missing bytes of each, and FIFOs, links, folders and devices in the place of files.
Each try is a command in a child that was forked after all imports. It must end with status 0 or 2;
with 2 by one line that begins "allegory:"; within 2 seconds and 500 MB more than the good file
takes; without control characters in what it says; with nothing changed outside of its folder, no
unfinished file left, and, where it was refused, a run folder as it was before.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import stat
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from . import hostile_damage as damage
from .hostile_runs import Outcome, faults, import_all, run

ON_REQUEST = True

_TINY = {
    "points": "train toy --data {good}/points.npz --model.network.width 8 --model.network.depth 1",
    "pictures": (
        "train images --data {good}/pictures.npz --model.network.channels 4 "
        "--model.network.multipliers 1 --model.network.blocks 1 --model.network.attention "
        "--model.network.heads 1"
    ),
    "vae": (
        "train mnist_vae --data {good}/pictures.npz --model.latents 2 --model.width 8 "
        "--model.channels None"
    ),
    "conditions": (
        "train toy --data {good}/conditions.npz --model.network.width 8 --model.network.depth 1"
    ),
}
_TRAINING = (
    "--steps 2 --training.batch_size 8 --training.validation_every 1 --training.precision fp32 "
    "--out {good}/{name}"
)
_COMMANDS = {
    "info": "info {run}",
    "sample": "sample {run} --count 2 --steps 2 --out {here}/new.npy",
    "draw": "sample {run} --count 2 --out {here}/new.npz",
    "tuned": "sample {run} --count 2 --steps 2 --solver tuned --out {here}/new.npy",
    "resume points": "train toy --resume --steps 3 --out {run}",
    "resume pictures": "train images --resume --steps 3 --out {run}",
    "resume vae": "train mnist_vae --resume --steps 3 --out {run}",
    "resume conditions": "train toy --resume --steps 3 --out {run}",
    "decompress": "decompress {run} {here}/x.bits {here}/new.npy",
    "evaluate": "evaluate {run} --samples 8 --limit 4 --draws 1",
    "compress": "compress {good}/pictures {file} {here}/new.bits --steps 2 --limit 2 --no-check",
    "learn points": (
        "train toy --data {file} --model.network.width 8 --model.network.depth 1 --steps 1 "
        "--training.batch_size 8 --training.precision fp32 --out {here}/new"
    ),
    "learn described": (
        "train images --data {file}?condition=age,text --model.network.channels 4 "
        "--model.network.multipliers 1 --model.network.blocks 1 --model.network.attention "
        "--model.network.heads 1 --steps 1 --training.batch_size 8 --training.precision fp32 "
        "--out {here}/new"
    ),
    "learn pictures": (
        "train images --data {file} --model.network.channels 4 --model.network.multipliers 1 "
        "--model.network.blocks 1 --model.network.attention --model.network.heads 1 --steps 1 "
        "--training.batch_size 8 --training.precision fp32 --out {here}/new"
    ),
}
_LONG = 300.0
"""Seconds after which making a good file is given up."""
_LARGE = 2**26
_OTHERS = (".jpg", ".tif", ".bmp", ".webp")
_RESUMES = {name: f"resume {name}" for name in _TINY}


@dataclass(frozen=True)
class Case:
    """A file and the commands that read it.

    Args:
        kind: the row of the table.
        place: the file within the copy of `source`; "" where that is the file.
        source: a run folder, a folder of pictures, or a file, in the folder of good files.
        commands: names of commands.
        content: draws the damaged content from the good one.
        share: how many of 100 tries.
    """

    kind: str
    place: str
    source: str
    commands: tuple[str, ...]
    content: Callable[[bytes], st.SearchStrategy[bytes]]
    share: float


@dataclass
class Row:
    """What became of one kind of file."""

    tries: int = 0
    ended: Counter[int] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    seconds: float = 0.0
    megabytes: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        return {
            "tries": self.tries,
            "exit 0": self.ended[0],
            "exit 2": self.ended[2],
            "faults": len(self.faults),
            "most seconds more": round(self.seconds, 2),
            "most MB more": round(self.megabytes),
        }


class Bench:
    """The good files, and tries with damaged ones.

    Args:
        folder: an empty folder.
        quick: without the pictures, the tuned sampler and all that takes more than a second.
    """

    def __init__(self, folder: Path, quick: bool = False) -> None:
        self.folder = folder
        self.quick = quick
        self.good = folder / "good"
        self.good.mkdir(parents=True)
        self.outside = folder / "outside"
        self.outside.mkdir()
        (self.outside / "precious").write_text("precious")
        self.rows: dict[str, Row] = {}
        self._good: dict[tuple[str, str], Outcome] = {}
        self._make()
        self.known = list(self._known())

    def _make(self) -> None:
        """Data, runs, a tuned sampler and compressed files; all modules are imported by then."""
        draw = np.random.default_rng(0)
        labels = np.arange(40) % 3
        np.savez_compressed(self.good / "points.npz", x=draw.normal(size=(40, 2)), y=labels)
        values = {
            "who": labels,
            "age": draw.normal(size=(40, 2)),
            "text": np.array(["a b", "c"] * 20),
        }
        parts = {f"condition_{name}": value for name, value in values.items()}
        np.savez_compressed(self.good / "conditions.npz", x=draw.normal(size=(40, 2)), **parts)
        np.save(self.good / "points.npy", draw.normal(size=(40, 2)).astype(np.float32))
        pictures = draw.integers(0, 256, (40, 4, 4), dtype=np.uint8)
        np.savez_compressed(self.good / "pictures.npz", x=pictures, y=labels)
        np.save(self.good / "pictures.npy", pictures)

        modules = self.folder / "modules"
        names: list[str] = []
        for line in self._steps():
            words = line.format(good=self.good, name="{name}").split()
            done = run(words, self.folder, modules=modules, hangs=_LONG)
            if done.status != 0:
                raise SystemExit(f"{line}: {done.err}")
            new = [name for name in modules.read_text().split() if name not in names]
            import_all(new)
            names += new
        self._pictures(pictures)

    def _steps(self) -> Iterator[str]:
        for name, line in _TINY.items():
            if not (self.quick and name == "pictures"):
                yield f"{line} {_TRAINING}".replace("{name}", name)
        yield "compress {good}/vae {good}/pictures.npz?binarize=static {good}/vae.bits"
        yield "info {good}/vae"
        if not self.quick:
            yield "tune {good}/points --steps 2"
            yield "compress {good}/pictures {good}/pictures.npz {good}/pictures.bits --steps 2"
            yield "sample {good}/pictures --count 2 --steps 2 --out {good}/new.png"

    def _pictures(self, pictures: np.ndarray) -> None:
        """A folder of pictures, and a table of them."""
        from PIL import Image

        for i, picture in enumerate(pictures[:12]):
            file = self.good / "folder" / "abc"[i % 3] / f"{i}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(picture).save(file)
            other = self.good / "other" / f"{i}{_OTHERS[i % len(_OTHERS)]}"
            other.parent.mkdir(exist_ok=True)
            Image.fromarray(picture).save(other)
            described = self.good / "described" / f"{i}.png"
            described.parent.mkdir(exist_ok=True)
            Image.fromarray(picture).save(described)
            with open(described.parent / "metadata.jsonl", "a") as lines:
                said = {"file_name": described.name, "age": i, "text": "a b"}
                lines.write(json.dumps(said) + "\n")
        self.picture = (self.good / "folder" / "a" / "0.png").read_bytes()
        cells = [{"bytes": self.picture, "path": None}] * 12
        columns = {"image": cells, "label": [i % 3 for i in range(12)]}
        (self.good / "train.parquet").write_bytes(damage.table(columns, json.dumps(damage.HF)))

    def _known(self) -> Iterator[Any]:
        """Parts of the good JSON files, which may stand in each other's places."""
        for name in filter(lambda name: (self.good / name).is_dir(), _TINY):
            content = json.loads((self.good / name / "run.json").read_text())
            for place in damage.paths(content):
                part = content
                for key in place:
                    part = part[key]
                yield part

    def cases(self) -> list[Case]:
        """The files that are there, with the commands that read them."""
        slow = ("evaluate", "compress", "learn pictures") if self.quick else ()
        found = []
        for case in self._every_case():
            commands = tuple(name for name in case.commands if name not in slow)
            if commands and (self.good / case.source / case.place).exists():
                found.append(replace(case, commands=commands))
        return found

    def _every_case(self) -> list[Case]:
        """Every kind of file, with the commands that read it."""
        known = self.known

        def as_json(content: bytes) -> st.SearchStrategy[bytes]:
            return damage.json_file(content, known)

        def as_lines(content: bytes) -> st.SearchStrategy[bytes]:
            return damage.json_lines(content, known)

        def as_weights(content: bytes) -> st.SearchStrategy[bytes]:
            return damage.safetensors_file(content, known)

        def as_bits(content: bytes) -> st.SearchStrategy[bytes]:
            return damage.bits_file(content, known)

        def as_table(content: bytes) -> st.SearchStrategy[bytes]:
            return damage.parquet_file(content, self.picture, known)

        def as_bytes(content: bytes) -> st.SearchStrategy[bytes]:
            return damage.damaged_bytes(content)

        def of_run(kind: str, place: str, content: Any, share: float, *commands: str) -> list[Case]:
            runs = {"points": 0.4, "pictures": 0.25, "vae": 0.15, "conditions": 0.2}
            return [
                Case(
                    kind, place, name, tuple(c.replace("resume", _RESUMES[name]) for c in commands),
                    content, share * part,
                )
                for name, part in runs.items()
            ]  # fmt: skip

        tensors = ("model", "ema", "optimizer", "random")
        return [
            *of_run("run.json", "run.json", as_json, 22, "info", "draw", "resume", "resume"),
            *of_run("run.json", "run.json", as_json, 0.4, "evaluate"),
            *of_run("state.json", "state/state.json", as_json, 9, "resume"),
            *[
                case
                for name in tensors
                for case in of_run(
                    f"state/{name}", f"state/{name}.safetensors", as_weights, 4, "resume"
                )
            ],
            *of_run("weights", "best.safetensors", as_weights, 6, "draw", "info"),
            *of_run("weights", "best.safetensors", as_weights, 0.2, "evaluate"),
            *of_run("metrics.jsonl", "metrics.jsonl", as_lines, 4, "resume", "info"),
            *of_run("metrics.jsonl", "metrics.jsonl", as_lines, 0.2, "evaluate"),
            Case("tuned", "tuned/steps-2.json", "points", ("tuned", "sample"), as_json, 6),
            Case("bits", "", "pictures.bits", ("decompress",), as_bits, 7),
            Case("bits", "", "vae.bits", ("decompress",), as_bits, 5),
            Case("npy", "", "points.npy", ("learn points",), damage.npy_file, 3),
            Case("npy", "", "pictures.npy", ("learn pictures", "compress"), damage.npy_file, 3),
            Case("npz", "", "points.npz", ("learn points",), damage.npz_file, 3),
            Case("npz", "", "pictures.npz", ("learn pictures", "compress"), damage.npz_file, 3),
            Case("npz", "", "conditions.npz", ("learn points",), damage.npz_file, 2),
            Case("metadata", "metadata.jsonl", "described", ("learn described",), as_lines, 3),
            Case("parquet", "", "train.parquet", ("learn pictures",), as_table, 5),
            Case("png", "b/1.png", "folder", ("learn pictures",), damage.png_file, 6),
            *[
                Case("other pictures", f"{i}{ending}", "other", ("learn pictures",), as_bytes, 0.6)
                for i, ending in enumerate(_OTHERS)
            ],
        ]

    def lay(self, case: Case) -> Path:
        """A new folder with a copy of the case's source; its path."""
        here = self.folder / "try"
        shutil.rmtree(here, ignore_errors=True)
        here.mkdir()
        source = self.good / case.source
        name = f"x{source.suffix}" if source.is_file() else "x"
        (shutil.copytree if source.is_dir() else shutil.copy)(source, here / name)
        return here / name

    def words(self, command: str, case: Case, copy: Path) -> list[str]:
        """The arguments of a command with the case's copy."""
        run = self.good / case.source.removesuffix(".bits") if copy.suffix == ".bits" else copy
        line = _COMMANDS[command]
        return line.format(run=run, here=copy.parent, file=copy, good=self.good).split()

    def attempt(self, case: Case, command: str, spoil: Callable[[Path], None], note: str) -> None:
        """One try.

        Args:
            case: the file.
            command: name of the command.
            spoil: damages the file at a path.
            note: what is written beside a fault.
        """
        good = self.good_outcome(case, command)
        copy = self.lay(case)
        spoil(copy / case.place if case.place else copy)
        before = _listing(copy)
        found = run(self.words(command, case, copy), copy.parent)
        wrong = faults(found, good) + self._traces(copy, before, found)

        row = self.rows.setdefault(case.kind, Row())
        row.tries += 1
        row.ended[found.status] += 1
        row.seconds = max(row.seconds, found.processor_seconds - good.processor_seconds)
        row.megabytes = max(row.megabytes, (found.peak - good.peak) / 1e6)
        if wrong:
            self._keep(case, command, copy, found, f"{', '.join(wrong)} ({note})", row)

    def good_outcome(self, case: Case, command: str) -> Outcome:
        """How the command ends with the good file: the longest and largest of two runs."""
        key = (case.source, command)
        if key not in self._good:
            found = []
            for _ in range(1 if self.quick else 2):
                copy = self.lay(case)
                words = self.words(command, case, copy)
                found.append(run(words, copy.parent, hangs=_LONG))
                if found[-1].status != 0:
                    raise SystemExit(f"{command}, {case.source}: {found[-1].err}")
            self._good[key] = max(found, key=lambda outcome: outcome.processor_seconds)
        return self._good[key]

    def _traces(self, copy: Path, before: dict[str, Any], found: Outcome) -> list[str]:
        """What the command changed that it may not."""
        wrong = []
        inside = [path.name for path in self.outside.iterdir()]
        if inside != ["precious"] or (self.outside / "precious").read_text() != "precious":
            wrong.append("changed a file outside")
            shutil.rmtree(self.outside)
            self.outside.mkdir()
            (self.outside / "precious").write_text("precious")
        new = [path for path in copy.parent.rglob("*") if str(path) not in before]
        left = [path.name for path in new if path.name.endswith((".new", ".tmp"))]
        if left:
            wrong.append(f"left {left[0]}")
        after = _listing(copy)
        changed = [name for name, content in before.items() if after.get(name) != content]
        began = "training in " in found.err or "checkpoint is untouched" in found.err
        if found.status == 2 and changed and not began:
            wrong.append(f"refused, and changed {changed[0]}")
        return wrong

    def _keep(
        self, case: Case, command: str, copy: Path, found: Outcome, wrong: str, row: Row
    ) -> None:
        """Keep the files of a fault, with the command and what it said."""
        count = sum(len(each.faults) for each in self.rows.values())
        kept = self.folder / "faults" / f"{count:04}"
        kept.parent.mkdir(exist_ok=True)
        shutil.copytree(copy.parent, kept, symlinks=True, ignore=_uncopied)
        words = [
            word.replace(str(copy.parent), str(kept)) for word in self.words(command, case, copy)
        ]
        said = found.err.strip().splitlines() or [""]
        text = f"{case.kind}: {wrong}\nallegory {' '.join(words)}\n{said[-1][:300]}\n"
        (kept / "what.txt").write_text(text + found.err)
        row.faults.append(text)
        print(f"{kept}\n{text}", file=sys.stderr, flush=True)

    def special(self, tries: int, number: int) -> None:
        """FIFOs, links, folders and devices in the place of files."""
        cases = [*self.cases(), *self._written()]

        @_drawn(tries, number)
        @given(st.data())
        def one(data: st.DataObject) -> None:
            case = data.draw(st.sampled_from(cases))
            command = data.draw(st.sampled_from(case.commands))
            how = data.draw(st.sampled_from(sorted(_SPECIAL)))
            case = replace(case, kind="special files")
            self.attempt(
                case,
                command,
                lambda path: _SPECIAL[how](path, self.outside),
                f"{how} at {case.place}",
            )

        one()

    def _written(self) -> list[Case]:
        """Places in a run folder that commands write to."""
        places = {
            "run.json.new": "resume",
            "metrics.new": "resume",
            ".lock": "resume",
            "state.new": "resume",
            "state.old": "resume",
            "state": "resume",
            "model.safetensors": "resume",
            "model.safetensors.new": "resume",
            "ema.safetensors": "resume",
            "report.html": "evaluate",
            "samples": "draw",
            "tuned": "sample",
        }
        return [
            Case(
                "special files", place, "points",
                (command.replace("resume", _RESUMES["points"]),), st.just, 0,
            )
            for place, command in places.items()
            if not (self.quick and command == "evaluate")
        ]  # fmt: skip

    def damaged(self, case: Case, tries: int, number: int) -> None:
        """Damaged contents of one file."""
        source = self.good / case.source
        content = (source / case.place if case.place else source).read_bytes()

        @_drawn(tries, number)
        @given(case.content(content), st.sampled_from(case.commands))
        def one(new: bytes, command: str) -> None:
            self.attempt(case, command, lambda path: path.write_bytes(new) and None, case.place)

        one()


def _drawn(tries: int, number: int) -> Callable[[Any], Any]:
    """So many examples from this seed, without a database."""

    def decorated(function: Any) -> Any:
        chosen = settings(
            max_examples=tries, database=None, deadline=None, derandomize=False,
            phases=[Phase.generate], suppress_health_check=list(HealthCheck),
        )  # fmt: skip
        return seed(number)(chosen(function))

    return decorated


def _listing(copy: Path) -> dict[str, Any]:
    """The content of the files of a folder, and the kind of everything else, by name."""
    found: dict[str, Any] = {}
    for path in [copy, *copy.rglob("*")] if copy.is_dir() else [copy]:
        if not os.path.lexists(path):
            continue
        status = path.lstat()
        small = stat.S_ISREG(status.st_mode) and status.st_size < _LARGE
        kind = (stat.S_IFMT(status.st_mode), status.st_size)
        found[str(path)] = path.read_bytes() if small else kind
    return found


def _uncopied(folder: str, names: list[str]) -> list[str]:
    """The names of what is no file, folder or link, and of files with holes."""
    found = []
    for name in names:
        status = os.lstat(os.path.join(folder, name))
        is_kind = [
            is_kind(status.st_mode) for is_kind in (stat.S_ISREG, stat.S_ISDIR, stat.S_ISLNK)
        ]
        if not any(is_kind) or status.st_size > _LARGE:
            found.append(name)
    return found


def _away(path: Path) -> None:
    """Delete what is at a path."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
    path.parent.mkdir(parents=True, exist_ok=True)


def _link(path: Path, target: Path) -> None:
    _away(path)
    path.symlink_to(target)


def _fifo(path: Path, outside: Path) -> None:
    _away(path)
    os.mkfifo(path)


def _folder(path: Path, outside: Path) -> None:
    _away(path)
    path.mkdir()


def _device(path: Path, outside: Path) -> None:
    """A device of our own that gives zeros for ever; a FIFO without the right to make one."""
    _away(path)
    try:
        os.mknod(path, 0o600 | stat.S_IFCHR, os.makedev(1, 5))
    except PermissionError:
        os.mkfifo(path)


def _sparse(path: Path, outside: Path) -> None:
    """The file, followed by a hole of a terabyte."""
    if path.is_file():
        os.truncate(path, 2**40)


_SPECIAL: dict[str, Callable[[Path, Path], None]] = {
    "FIFO": _fifo,
    "folder": _folder,
    "device": _device,
    "nothing": lambda path, outside: _away(path),
    "link to a file": lambda path, outside: _link(path, outside / "precious"),
    "link to a folder": lambda path, outside: _link(path, outside),
    "link to nothing": lambda path, outside: _link(path, outside / "new"),
    "link to itself": lambda path, outside: _link(path, path),
    "hole": _sparse,
}


def measure(
    folder: Path, tries: int, number: int, only: Sequence[str] = (), quick: bool = False
) -> Bench:
    """Make the good files, and try damaged ones.

    Args:
        folder: an empty folder.
        tries: how many.
        number: the seed.
        only: kinds of files; all by default.
        quick: see `Bench`.
    """
    bench = Bench(folder, quick)
    special = "special files"
    cases = [case for case in bench.cases() if not only or case.kind in only]
    whole = sum(case.share for case in cases) + 8 * (not only or special in only)
    for i, case in enumerate(cases):
        count = max(1, round(tries * case.share / whole))
        bench.damaged(case, count, 1000 * number + i)
        row = bench.rows[case.kind]
        print(
            f"{case.kind}, {case.source}: {row.tries} tries, {len(row.faults)} faults",
            file=sys.stderr,
        )
    if not only or special in only:
        done = sum(row.tries for row in bench.rows.values())
        bench.special(max(1, tries - done), 1000 * number + 999)
    return bench


def side_by_side(folder: Path, options: argparse.Namespace) -> list[dict[str, Any]]:
    """The rows of several processes, each with its own seed and folder."""
    base = [
        sys.executable,
        "-m",
        "benchmarks.hostile",
        "--tries",
        str(options.tries // options.processes),
    ]
    only = ["--only", *options.only] if options.only else []
    quick = ["--quick"] if options.quick else []
    folder.mkdir(parents=True, exist_ok=True)
    started = []
    for i in range(options.processes):
        own = ["--seed", str(100 * options.seed + i), "--keep", str(folder / str(i))]
        found = folder / f"{i}.json"
        started.append(
            (subprocess.Popen([*base, *own, *only, *quick, "--json", str(found)]), found)
        )

    rows = []
    for process, found in started:
        process.wait()
        rows.append(json.loads(found.read_text())["rows"])
    return rows


def together(tables: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Rows of several processes as one table, with a last row for all."""
    parts: dict[str, list[dict[str, Any]]] = {}
    for rows in tables:
        for kind, row in rows.items():
            parts.setdefault(kind, []).append(row)
    parts.setdefault("all", [row for rows in parts.values() for row in rows])
    parts["all"] = parts.pop("all")
    return {
        kind: {
            name: (max if name.startswith("most") else sum)(row[name] for row in found)
            for name in found[0]
        }
        for kind, found in parts.items()
    }


def table(rows: dict[str, dict[str, Any]]) -> str:
    """The rows as text."""
    names = list(next(iter(rows.values())))
    lines = [f"{'file':<18}" + "".join(f"{name:>20}" for name in names)]
    for kind, row in rows.items():
        lines.append(f"{kind:<18}" + "".join(f"{row[name]:>20}" for name in names))
    return "\n".join(lines)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Damaged files before every command.")
    parser.add_argument("--tries", type=int, default=5000, help="how many in all")
    parser.add_argument("--seed", type=int, default=0, help="of the damage")
    parser.add_argument("--only", nargs="+", default=[], metavar="KIND", help="kinds of files")
    parser.add_argument("--processes", type=int, default=1, help="how many at once")
    parser.add_argument("--quick", action="store_true", help="nothing that takes over a second")
    parser.add_argument("--keep", help="folder for the files of faults; it must be absent")
    parser.add_argument("--json", nargs="?", const="", help="print JSON, or write it to a file")
    return parser.parse_args()


def main() -> None:
    """Try, and print."""
    options = _options()
    os.environ |= {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}
    start = time.perf_counter()
    folder = Path(options.keep or tempfile.mkdtemp(prefix="hostile-")).resolve()
    if options.processes > 1:
        rows = together(side_by_side(folder, options))
    else:
        bench = measure(folder, options.tries, options.seed, options.only, options.quick)
        rows = together([{kind: row.to_dict() for kind, row in bench.rows.items()}])

    found = {"seed": options.seed, "seconds": round(time.perf_counter() - start), "rows": rows}
    if options.json == "":
        print(json.dumps(found, indent=1))
    else:
        print(table(rows))
    if options.json:
        Path(options.json).write_text(json.dumps(found, indent=1) + "\n")
    if rows["all"]["faults"]:
        sys.exit(f"{rows['all']['faults']} faults: {folder}")
    if not options.keep:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
