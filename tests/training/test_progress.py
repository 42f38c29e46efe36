"""What a watcher sees."""

import pytest

from allegory.training import Progress, bar
from allegory.training.progress import clock


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.2, "0:00"), (61.6, "1:02"), (3599.4, "59:59"), (7325.0, "2:02:05")]
)
def test_clock(seconds: float, text: str) -> None:
    assert clock(seconds) == text


def test_the_bar_shows_step_loss_unit_and_time_left(capsys: pytest.CaptureFixture[str]) -> None:
    with bar("bits/dim") as show:
        show(Progress(step=7, images=70, loss=1.98768, progress=0.25, seconds=30.0, remaining=90.0))
    shown = capsys.readouterr()
    assert shown.out == ""
    for part in ("step 7", "25%", "loss 1.9877 bits/dim", "1:30 left"):
        assert part in shown.err
