"""kill -9, and several processes at one folder, as `python -m benchmarks kills` tries them."""

import os
import random

import pytest
from benchmarks.kills import (
    MOMENTS,
    ONE,
    TWO,
    Bench,
    Concurrency,
    Trial,
    difference,
    kill,
    tried,
    wait_for,
)

from allegory.cli import main

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals as POSIX has them")


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    return Bench(tmp_path_factory.mktemp("kills"), steps=150)


@pytest.fixture(scope="module")
def whole(bench):
    """The run that nothing interrupts."""
    main(bench.words(bench.folder / "whole"))
    return bench.folder / "whole"


@pytest.mark.slow
@pytest.mark.thorough
def test_a_run_that_is_killed_twice_ends_as_if_it_had_not_been(bench, whole):
    run = bench.folder / "killed"
    process = bench.start(run)
    wait_for((run / "run.json").exists, process)
    assert kill(process) and not (run / "state").exists()

    process = bench.start(run, "--resume", "--training.checkpoint_minutes", "1e-6")
    wait_for((run / "state.new").exists, process)
    assert kill(process)

    main(bench.words(run, "--resume"))
    assert difference(whole, run) == ""


@pytest.mark.slow
@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("processes", [1, 2])
def test_a_killed_run_goes_on(bench, moment, processes):
    alone = bench.folder / f"whole-{processes}"
    if not alone.exists():
        assert not bench.resumed(alone, ONE if processes == 1 else TWO)
    chance = random.Random(MOMENTS.index(moment))
    assert tried(bench, Trial(processes, moment), alone, chance).differs == ""


@pytest.mark.slow
def test_several_processes_at_one_folder(bench):
    for row in Concurrency(bench.folder / "long").rows():
        assert row.right == row.of, row
