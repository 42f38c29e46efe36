"""Files of tuned samplers: one per number of steps and guide, for the run's weights."""

import pytest

from allegory.data import DataSpec
from allegory.process import LinearLogSNR, Path, grid
from allegory.recipes import RunFolder, recipe_named
from allegory.recipes.tuned_files import load_tuned, save_tuned, tuned_file
from allegory.sampling import TunedSampler, Update

PATH = Path(LinearLogSNR(8, -5))
GRID = grid(PATH, 8)
TUNED = TunedSampler(GRID, tuple(Update(to, state=0.5) for to in GRID.levels[1:]), 0.5, 0.25)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "ema.safetensors").write_bytes(b"weights")
    spec = DataSpec((1, 8, 8), 0.0, 16.0, 17, 10)
    return RunFolder.create(tmp_path, recipe_named("digits"), spec)


@pytest.mark.parametrize(
    ("guide", "name"),
    [
        (None, "steps-8.json"),
        ("cfg:2", "steps-8-cfg-2.json"),
        ("cfg:1.5,clamp", "steps-8-cfg-1.5-clamp.json"),
    ],
)
def test_each_guide_has_its_file(folder, guide, name):
    assert save_tuned(folder, TUNED, guide) == tuned_file(folder, 8, guide)
    assert tuned_file(folder, 8, guide).name == name

    found = load_tuned(folder, PATH, 8, guide)
    assert found.to_dict() == TUNED.to_dict()
    assert load_tuned(folder, PATH, 9, guide) is None
    assert load_tuned(folder, PATH, 8, "clamp") is None

    (folder.path / "ema.safetensors").write_bytes(b"trained further")
    assert load_tuned(folder, PATH, 8, guide) is None


def test_a_damaged_file_is_named(folder):
    save_tuned(folder, TUNED).write_text("{")
    with pytest.raises(ValueError, match=r"steps-8\.json is damaged.*delete it, or tune again"):
        load_tuned(folder, PATH, 8)
