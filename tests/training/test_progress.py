"""What a run tells those who watch it."""

import pytest

from allegory.training import Progress, bar

NOW = Progress(step=7, images=70, loss=1.98768, progress=0.25, seconds=30.0, remaining=90.0)


def test_the_bar_shows_step_loss_and_unit(capsys: pytest.CaptureFixture[str]) -> None:
    with bar("bits/dim", terminal=True) as show:
        show(NOW)
    shown = capsys.readouterr()
    assert shown.out == ""
    for part in ("training", "25%", "loss 1.9877 bits/dim"):
        assert part in shown.err
