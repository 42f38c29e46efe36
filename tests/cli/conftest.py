"""What tests of the command line share."""

import pytest

from allegory.cli import main


@pytest.fixture
def fails(capsys, monkeypatch):
    """Run a command that must fail with status 2 and one line; return that line.

    On a busy machine a line of progress may come before it; here the first one comes too late.
    """
    monkeypatch.setattr("allegory.progress._FIRST_LINE_SECONDS", 600.0)
    monkeypatch.setattr("allegory.progress._LINE_SECONDS", 600.0)

    def run(*arguments):
        capsys.readouterr()
        with pytest.raises(SystemExit) as stop:
            main([str(argument) for argument in arguments])
        said = capsys.readouterr().err
        assert stop.value.code == 2
        *progress, line = said.splitlines()  # of what takes more than a second
        assert all(text.startswith("loading data: ") for text in progress), said
        assert line.startswith("allegory: ")
        return line

    return run
