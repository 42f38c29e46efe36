"""Processor time of the tests by file and by function: `pytest -p tests.helpers.processor_time`.

Child processes count too. Unlike `--durations`, what else the machine does hardly matters.
"""

import os
from collections import Counter

import pytest

SHOWN = 40
"""Lines of each table."""

_seconds: Counter[str] = Counter()
_last = [0.0]


def _used():
    """Seconds that this process and its finished children have computed."""
    return sum(os.times()[:4])


def pytest_runtest_logstart():
    _last[0] = _used()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """After set-up, call and tear-down: what each took goes with its report, from a worker too."""
    outcome = yield
    now = _used()
    outcome.get_result().processor_seconds = now - _last[0]
    _last[0] = now


def pytest_runtest_logreport(report):
    _seconds[report.nodeid.split("[")[0]] += report.processor_seconds


def pytest_terminal_summary(terminalreporter):
    files: Counter[str] = Counter()
    for name, seconds in _seconds.items():
        files[name.split("::")[0]] += seconds
    terminalreporter.section(f"processor time: {sum(files.values()):.0f} s")
    for table in (files, _seconds):
        for name, seconds in table.most_common(SHOWN):
            terminalreporter.write_line(f"{seconds:8.2f} s  {name}")
        terminalreporter.write_line("")
