"""For every test: one thread, a seeded global generator, repeatable hypothesis examples, and no
summary of the notes on data, which tests look at one by one.
"""

from pathlib import Path

import pytest
import torch
from hypothesis import settings

settings.register_profile("repeatable", deadline=None, derandomize=True, database=None)
settings.load_profile("repeatable")
torch.set_num_threads(1)


def pytest_configure(config: pytest.Config) -> None:
    """Leave the notes out; in pyproject.toml the filter would import the package too early."""
    config.addinivalue_line("filterwarnings", "ignore::allegory.lookup.Note")


@pytest.fixture(autouse=True)
def seeded() -> None:
    """Start every test from the same global random state, whatever ran before it."""
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Return the folder of real data sets beside the repository; skip where there is none."""
    folder = Path(__file__).resolve().parents[1].parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"no real data sets: {folder} is absent")
    return folder
