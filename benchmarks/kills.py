"""kill -9 and several processes at a run folder: what is left, and whether the run goes on.

    python -m benchmarks kills              20 kills, then the concurrency rows; about ten minutes
    python -m benchmarks.kills --kills 4    fewer
    python -m benchmarks.kills --write      also into benchmarks/results/kills.json

A small run is trained by `python -m allegory train`, in one process, and in two that torchrun has
started. It is killed at a random moment of one kind: in its first ten seconds, before the first
checkpoint; while a checkpoint is written; or at any time of a run with a checkpoint every 50 ms.
Half of the killed runs are killed once more while they go on. Then each is resumed to its end, and
the weights, their average, the moments, the random states, the counters and the lines of
metrics.jsonl (but for times) are compared with those of a run that nothing interrupted, bit for
bit.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

ON_REQUEST = True

RESULTS = Path(__file__).resolve().parent / "results"
STEPS = 300
LONG = 10 * STEPS
"""Steps of a run that still trains when a second process has started."""
ONE = [sys.executable, "-m", "allegory"]
TWO = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2", "-m", "allegory"]
FIELDS = [
    *("--device", "cpu", "--model.network.width", "8", "--model.network.depth", "1"),
    *("--training.batch_size", "16", "--training.log_every", "10"),
    *("--training.validation_every", "25"),
]
OFTEN = "0.0008"
"""Minutes between checkpoints."""
MOMENTS = ("first seconds", "checkpoint", "any time")
_TIMES = ("seconds", "images_per_second")
_PATIENCE = 600.0


@dataclass
class Trial:
    """One run that was killed and resumed.

    Args:
        processes: how many train it.
        moment: the kind of moment at which it was killed.
        killed_after: seconds from its start to each kill.
        left: names in the folder after each kill.
        is_equal: whether it ended as the run that nothing interrupted.
        differs: the first thing that differs.
    """

    processes: int
    moment: str
    killed_after: list[float] = field(default_factory=list)
    left: list[list[str]] = field(default_factory=list)
    is_equal: bool = False
    differs: str = ""


@dataclass(frozen=True)
class Row:
    """One case of several processes at a run folder.

    Args:
        name: what was done.
        right: how many of them ended as they should.
        of: of how many.
        said: the line of one that was refused, without its paths.
    """

    name: str
    right: int
    of: int
    said: str = ""


class Bench:
    """A folder with small data, and commands to train on them.

    Args:
        folder: an empty folder.
        steps: of each run.
    """

    def __init__(self, folder: Path, steps: int = STEPS) -> None:
        self.folder, self.steps = folder, steps
        self.data = folder / "points.npy"
        np.save(self.data, np.random.default_rng(0).normal(size=(400, 2)).astype("float32"))
        self.environment = os.environ | {"OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true"}

    def words(self, run: Path, *more: str) -> list[str]:
        """The words of a start, or with --resume of a continuation."""
        fields = [] if "--resume" in more else [*FIELDS, "--data", str(self.data)]
        return ["train", "toy", "--out", str(run), "--steps", str(self.steps), *fields, *more]

    def start(self, run: Path, *more: str, program: list[str] = ONE) -> subprocess.Popen[str]:
        """A process that trains, in a session of its own."""
        return subprocess.Popen(
            [*program, *self.words(run, *more)],
            env=self.environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def resumed(self, run: Path, program: list[str] = ONE) -> str:
        """Train a run to its end, from where it is; what failed, or ""."""
        more = ["--resume"] if (run / "run.json").exists() else []
        status, said = ended(self.start(run, *more, program=program))
        return "" if status == 0 else f"{more} exit status {status}: {said}"


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    """The exit status of a process that ends by itself, and its last line."""
    said = process.communicate(timeout=_PATIENCE)[1].strip().splitlines()
    ours = [line for line in said if line.startswith("allegory: ")]
    return process.returncode, (ours or said or [""])[-1]


def kill(process: subprocess.Popen[str]) -> bool:
    """kill -9 to a process and all that it has started; whether it was still running."""
    was_running = process.poll() is None
    for pid in [process.pid, *_children(process.pid)]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    process.communicate()
    return was_running


def _children(pid: int) -> list[int]:
    """The processes that a process has started (on Linux)."""
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            parent = status.read_text().rpartition(")")[2].split()[1]
            found += [int(status.parent.name)] if int(parent) == pid else []
    return found


def wait_for(there: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    """Wait for a state of the folder, without a pause, or for the end of the process."""
    deadline = time.monotonic() + _PATIENCE
    while not there() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0)


def killed_once(bench: Bench, trial: Trial, run: Path, chance: random.Random) -> None:
    """Start or continue a run, and kill it at a moment of the trial's kind."""
    program = ONE if trial.processes == 1 else TWO
    more = ["--resume"] if (run / "run.json").exists() else []
    often = [] if trial.moment == MOMENTS[0] else ["--training.checkpoint_minutes", OFTEN]
    started = time.monotonic()
    process = bench.start(run, *more, *often, program=program)

    if trial.moment == MOMENTS[0]:
        if chance.random() < 0.5:
            wait_for((run / "run.json").exists, process)
            time.sleep(chance.uniform(0, 0.5))
        else:
            time.sleep(chance.uniform(0, 10))
    else:
        before = (run / "metrics.jsonl").stat().st_mtime_ns if more else 0
        wait_for(lambda: _is_newer(run / "metrics.jsonl", before), process)
        time.sleep(chance.uniform(0, 3))
    if trial.moment == MOMENTS[1]:
        wait_for((run / "state.new").exists, process)
        time.sleep(chance.uniform(0, 0.02))

    if kill(process):
        trial.killed_after.append(round(time.monotonic() - started, 3))
        trial.left.append(sorted(path.name for path in run.glob("*")))


def _is_newer(path: Path, before: int) -> bool:
    return path.exists() and path.stat().st_mtime_ns > before


def tried(bench: Bench, trial: Trial, whole: Path, chance: random.Random) -> Trial:
    """Kill a run, once or twice, and resume it to its end.

    Args:
        bench: data and commands.
        trial: number of processes, and kind of moment.
        whole: the run that nothing interrupted.
        chance: of moments.

    Returns:
        The trial with its outcome.
    """
    run = Path(tempfile.mkdtemp(dir=bench.folder)) / "run"
    for _ in range(chance.choice((1, 2))):
        killed_once(bench, trial, run, chance)
    failed = bench.resumed(run, ONE if trial.processes == 1 else TWO)
    trial.differs = failed or difference(whole, run)
    trial.is_equal = not trial.differs
    shutil.rmtree(run.parent)
    return trial


def difference(one: Path, two: Path) -> str:
    """The first thing in which two runs differ, but for times; "" where nothing does."""
    names = [f"state/{name}" for name in ("model", "ema", "optimizer", "random")]
    for name in (*names, "model", "ema", "best"):
        files = [run / f"{name}.safetensors" for run in (one, two)]
        if files[0].read_bytes() != files[1].read_bytes():
            return f"{name}.safetensors"

    states = [json.loads((run / "state" / "state.json").read_text()) for run in (one, two)]
    for state in states:
        del state["state"]["counters"]["seconds"]
    if states[0] != states[1]:
        return "state.json"
    return "" if _lines(one) == _lines(two) else "metrics.jsonl"


def _lines(run: Path) -> list[dict[str, float]]:
    lines = [json.loads(text) for text in (run / "metrics.jsonl").read_text().splitlines()]
    return [{key: value for key, value in line.items() if key not in _TIMES} for line in lines]


class Concurrency:
    """Several processes at one folder: who is refused, and whether the other is unharmed.

    Args:
        folder: where they train; it must not exist.
        steps: of each run; so many that the first still trains when the second has started.
    """

    def __init__(self, folder: Path, steps: int = LONG) -> None:
        folder.mkdir()
        self.bench, self.whole = Bench(folder, steps), folder / "whole"
        self.run = folder / "concurrent" / "run"
        failed = self.bench.resumed(self.whole)
        assert not failed, failed

    def rows(self) -> list[Row]:
        """All cases, each in a fresh folder."""
        cases = (
            self.two_starts,
            self.two_resumes,
            self.second_start,
            self.second_resume,
            self.overwritten,
            self.deleted,
            self.renamed,
            self.read,
        )
        rows = []
        for case in cases:
            self.run.parent.mkdir()
            rows.append(case())
            shutil.rmtree(self.run.parent)
        return rows

    def _running(self) -> subprocess.Popen[str]:
        process = self.bench.start(self.run, "--training.checkpoint_minutes", OFTEN)
        wait_for((self.run / "state").exists, process)
        return process

    def _row(self, name: str, both: list[subprocess.Popen[str]]) -> Row:
        """One of two processes ends well, unharmed, and the other is told in one line."""
        found = sorted(ended(each) for each in both)
        right = [found[0][0] == 0 and not difference(self.whole, self.run)]
        right += [status == 2 and said.startswith("allegory: ") for status, said in found[1:]]
        said = found[-1][1].replace(str(self.run), "RUN")
        return Row(name, sum(right), len(found), said)

    def two_starts(self) -> Row:
        """Two starts at the same moment."""
        return self._row("two starts at once", [self.bench.start(self.run) for _ in "ab"])

    def two_resumes(self) -> Row:
        """Two resumes at the same moment, of a run that was killed."""
        kill(self._running())
        both = [self.bench.start(self.run, "--resume") for _ in "ab"]
        return self._row("two resumes at once", both)

    def second_start(self) -> Row:
        """A start in the folder of a run that is training."""
        both = [self._running(), self.bench.start(self.run)]
        return self._row("a start while a run trains", both)

    def second_resume(self) -> Row:
        """A resume of a run that is training."""
        both = [self._running(), self.bench.start(self.run, "--resume")]
        return self._row("a resume while the run trains", both)

    def overwritten(self) -> Row:
        """--overwrite of a run that is training."""
        both = [self._running(), self.bench.start(self.run, "--overwrite")]
        return self._row("--overwrite while a run trains", both)

    def deleted(self) -> Row:
        """The folder is deleted while the run trains."""
        process = self._running()
        while self.run.exists():
            shutil.rmtree(self.run, ignore_errors=True)
        status, said = ended(process)
        right = status == 2 and "deleted or renamed" in said and not self.run.exists()
        return Row("the folder is deleted", int(right), 1, said.replace(str(self.run), "RUN"))

    def renamed(self) -> Row:
        """The folder is renamed while the run trains, which then goes on under the new name."""
        process, new = self._running(), self.run.with_name("elsewhere")
        self.run.rename(new)
        status, said = ended(process)
        right = status == 2 and "deleted or renamed" in said and not self.run.exists()
        right = right and not self.bench.resumed(new) and not difference(self.whole, new)
        return Row("the folder is renamed", int(right), 1, said.replace(str(self.run), "RUN"))

    def read(self) -> Row:
        """Samples and evaluations while the run trains and saves."""
        from allegory.cli import main

        process, right, count = self._running(), 0, 42
        for index in range(count):
            out = str(self.run.parent / f"{index}.npy")
            sample = ["sample", str(self.run), "--count", "4", "--steps", "2", "--out", out]
            evaluate = ["evaluate", str(self.run), "--limit", "2", "--samples", "4"]
            quiet = contextlib.redirect_stderr(io.StringIO())
            with contextlib.redirect_stdout(io.StringIO()), quiet, contextlib.suppress(SystemExit):
                main(evaluate if index % 2 else sample)
                right += 1
            if process.poll() is not None:  # the run has ended: another one
                shutil.rmtree(self.run)
                process = self._running()
        status, _ = ended(process)
        return Row("samples and evaluations while a run trains", right * (status == 0), count)


def measure(kills: int, seed: int) -> tuple[list[Trial], list[Row]]:
    """Kills in one and in two processes, as many of each, and the concurrency rows."""
    chance, trials = random.Random(seed), []
    folder = Path(tempfile.mkdtemp())
    bench = Bench(folder)
    whole = {1: folder / "one", 2: folder / "two"}
    for processes, program in ((1, ONE), (2, TWO)):
        failed = bench.resumed(whole[processes], program)
        assert not failed, failed

    for index in range(kills):
        processes = 1 + index % 2
        trial = Trial(processes, MOMENTS[index // 2 % len(MOMENTS)])
        trials.append(tried(bench, trial, whole[processes], chance))
        print(json.dumps(asdict(trials[-1])), file=sys.stderr, flush=True)
    rows = Concurrency(folder / "long").rows()
    shutil.rmtree(folder)
    return trials, rows


def figures(trials: list[Trial], rows: list[Row]) -> dict[str, dict[str, dict[str, object]]]:
    """Two tables: killed runs by processes and moment, and several processes at one folder."""
    killed: dict[str, dict[str, object]] = {}
    for processes in (1, 2):
        for moment in MOMENTS:
            some = [each for each in trials if (each.processes, each.moment) == (processes, moment)]
            left = Counter("+".join(_states(names)) for trial in some for names in trial.left)
            killed[f"{processes} process{'es' * (processes > 1)}, {moment}"] = {
                "kills": sum(len(trial.killed_after) for trial in some),
                "runs": len(some),
                "bit-equal at the end": sum(trial.is_equal for trial in some),
                "left behind": ", ".join(f"{name} {count}" for name, count in left.items()),
            }

    shared = {row.name: {"right": row.right, "of": row.of, "said": row.said} for row in rows}
    return {"kill -9": killed, "several processes": shared}


def _states(names: list[str]) -> list[str]:
    """What a kill left of a run: its states, or how far its start had come."""
    states = [name for name in names if name.startswith("state")]
    return states or (["run.json"] if "run.json" in names else ["nothing"])


def main() -> None:
    """Print what was measured."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kills", type=int, default=20, help="killed runs (20)")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--write", action="store_true", help="write into benchmarks/results")
    arguments = parser.parse_args()

    found = figures(*measure(arguments.kills, arguments.seed))
    if arguments.write:
        (RESULTS / "kills.json").write_text(json.dumps(found, indent=1) + "\n")
    if arguments.json:
        print(json.dumps(found, indent=1))
        return

    for table in found.values():
        for name, row in table.items():
            print(f"{name}: {', '.join(f'{value} {key}' for key, value in row.items())}")


if __name__ == "__main__":
    main()
