"""What tests of the command line share."""

import numpy as np
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


@pytest.fixture(scope="session")
def small_run(tmp_path_factory):
    """A run of three steps on small images of two classes, and its data: (run, file)."""
    folder = tmp_path_factory.mktemp("small")
    random = np.random.default_rng(0)
    labels = np.arange(60) % 2
    x = random.integers(0, 128, (60, 1, 4, 4)) + 120 * labels[:, None, None, None]
    np.savez(folder / "data.npz", x=x.astype(np.uint8), labels=labels)

    words = ["--steps", "3", "--model.network.channels", "8", "--training.batch_size", "8"]
    data = ["--data", str(folder / "data.npz")]
    main(["train", "images", *data, "--out", str(folder / "run"), *words])
    return folder / "run", folder / "data.npz"
