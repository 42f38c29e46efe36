"""Progress of long computations, as a terminal and as a log file show it."""

import time

import pytest

from allegory.progress import Lines, clock, progress


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.2, "0:00"), (61.6, "1:02"), (3599.4, "59:59"), (7325.0, "2:02:05")]
)
def test_clock(seconds, text):
    assert clock(seconds) == text


def test_a_line_says_what_is_done_of_how_much_and_the_time_left():
    now = 100.0
    lines = Lines(lambda: now)
    assert lines.line() == ""
    lines("loading", 0, 3)
    assert lines.line() == "loading: 0 of 3"
    lines("training", 10, 40, "loss 2")  # resumed at 10
    now = 105.0
    lines("training", 20, 40, "loss 1")
    assert lines.line() == "training: 20 of 40, loss 1, 0:10 left"


def test_a_stage_of_one_part_has_its_name_alone():
    lines = Lines()
    lines("loading data", 0, 1)
    assert lines.line() == "loading data ..."


def test_lines_come_while_a_stage_is_busy(capsys):
    with Lines().every(0.02) as _:
        pass
    lines = Lines()
    with lines.every(0.02):
        lines("sampling", 1, 4)
        time.sleep(0.3)
    said = capsys.readouterr().err.splitlines()
    assert len(said) >= 2
    assert set(said) == {"sampling: 1 of 4"}


def test_what_is_quick_leaves_no_line_in_a_log(capsys):
    with progress(terminal=False) as on_progress:
        on_progress("quick", 1, 1)
    assert capsys.readouterr().err == ""


def test_a_terminal_has_a_bar_for_each_stage(capsys):
    with progress(terminal=True) as on_progress:
        on_progress("bits/dim", 1, 2, "so far 1.9")
        on_progress("samples", 1, 4)
    said = capsys.readouterr()
    assert said.out == ""
    for part in ("bits/dim", "50%", "so far 1.9", "samples", "25%"):
        assert part in said.err
