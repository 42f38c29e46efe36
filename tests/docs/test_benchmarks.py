"""`python -m benchmarks` hands the options of one benchmark on to it."""

import json
import subprocess
import sys

import pytest
from benchmarks import __main__ as benchmarks


@pytest.fixture
def commands(monkeypatch):
    """The commands that are run, after the interpreter; each prints an empty object."""
    called = []

    def run(command, **_):
        called.append(command[1:])
        return subprocess.CompletedProcess(command, 0, stdout="{}")

    monkeypatch.setattr(subprocess, "run", run)
    return called


def call(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["benchmarks", *arguments])
    benchmarks.main()


def test_options_of_one_benchmark_reach_it_in_order(monkeypatch, commands):
    call(monkeypatch, "codec", "--steps", "5", "20", "--run", "runs/digits")
    assert commands == [["-m", "benchmarks.codec", "--steps", "5", "20", "--run", "runs/digits"]]


def test_json_goes_with_options(monkeypatch, commands, capsys):
    call(monkeypatch, "codec", "--limit", "9", "--json")
    assert commands == [["-m", "benchmarks.codec", "--limit", "9", "--json"]]
    assert json.loads(capsys.readouterr().out) == {"codec": {}}


@pytest.mark.parametrize("names", [[], ["driver", "solvers"]])
def test_options_without_one_name_are_refused(monkeypatch, commands, capsys, names):
    with pytest.raises(SystemExit):
        call(monkeypatch, *names, "--minutes=2")

    assert "--minutes=2 is of one benchmark: write its name first" in capsys.readouterr().err
    assert commands == []
