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


def people(count=120):
    """Rows of a small table with numbers, whole numbers, categories, dates and missing values."""
    random = np.random.default_rng(0)
    kind = random.integers(0, 3, count)
    height = np.round(random.normal(1.5 + 0.1 * kind, 0.05), 4)
    weight = random.poisson(40 + 15 * kind)
    days = np.datetime64("2024-01-01") + random.integers(0, 900, count)
    lines = ["kind,height,weight,born,married,note"]
    for i in range(count):
        tall = "" if i % 9 == 4 else height[i]
        wed = "" if i % 11 == 3 else ("true", "false")[int(random.random() < 0.5)]
        lines.append(f"{'abc'[kind[i]]},{tall},{weight[i]},{days[i]},{wed},same")
    return "\n".join(lines) + "\n"


@pytest.fixture(scope="session")
def table_run(tmp_path_factory):
    """A run of twenty steps on a small table, and the table: (run, file)."""
    folder = tmp_path_factory.mktemp("people")
    (folder / "people.csv").write_text(people())
    main(["fit", str(folder / "people.csv"), "--out", str(folder / "run"), "--steps", "20"])
    return folder / "run", folder / "people.csv"


@pytest.fixture(scope="session")
def given_run(tmp_path_factory):
    """A run of five steps on two numbers given a category and a number, and the table."""
    folder = tmp_path_factory.mktemp("given")
    random = np.random.default_rng(1)
    side, dose = random.integers(0, 2, 90), random.normal(size=90)
    y = random.normal(size=(90, 2)) + side[:, None] + dose[:, None]
    given = zip(side, dose, y, strict=True)
    rows = "".join(f"{'lr'[k]},{d:.5f},{a:.5f},{b:.5f}\n" for k, d, (a, b) in given)
    (folder / "doses.csv").write_text("side,dose,a,b\n" + rows)
    words = ("--given", "side,dose", "--steps", "5", "--out", str(folder / "run"))
    main(["fit", str(folder / "doses.csv"), *words])
    return folder / "run", folder / "doses.csv"


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
