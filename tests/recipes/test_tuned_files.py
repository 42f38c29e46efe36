"""Files of tuned samplers: one per number of steps and guide, for the run's weights."""

import json
import os

import pytest

from allegory.data import DataSpec
from allegory.process import LinearLogSNR, Path, RectifiedFlow, grid
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


def damaged(folder, change):
    """Write a tuned sampler with a change in its content."""
    file = save_tuned(folder, TUNED)
    content = json.loads(file.read_text())
    change(content)
    file.write_text(json.dumps(content))


CHANGES = {
    "fewer nodes": lambda c: c["nodes"].pop(3),
    "fewer evaluations": lambda c: c["asked"].pop(3),
    "fewer updates": lambda c: c["moves"].pop(3),
    "fewer steps": lambda c: [c[name].pop(3) for name in ("nodes", "asked", "moves")],
    "no steps": lambda c: c.update(nodes=[1.0], asked=[], moves=[]),
    "many nodes": lambda c: c.update(nodes=[0.5] * 20_000),
    "strings": lambda c: c.update(nodes=["a"] * 9),
    "null": lambda c: c.update(nodes=[None] * 9),
    "no list": lambda c: c.update(nodes=3),
    "order": lambda c: c.update(nodes=c["nodes"][::-1]),
    "beyond": lambda c: c.update(asked=[2.0] * 8),
    "read before stored": lambda c: c["moves"][0].update(kept=[1.0]),
    "stores much": lambda c: c["moves"][0].update(keep=[[1.0, 1.0]] * 1000),
    "pairs": lambda c: c["moves"][0].update(keep=[[1.0]]),
    "state": lambda c: c["moves"][0].update(state=None),
    "truth": lambda c: c.update(before=True),
    "missing": lambda c: c.pop("after"),
    "unknown": lambda c: c.update(more=1),
    "other ends": lambda c: c.update(ends=[1.0, 2.0]),
    "no weights": lambda c: c.update(weights=None),
    "huge": lambda c: c.update(before=10**400),
}


@pytest.mark.parametrize("change", CHANGES)
def test_lists_of_other_lengths_and_kinds_are_refused(folder, change):
    damaged(folder, CHANGES[change])
    with pytest.raises(ValueError, match=r"steps-8\.json is damaged.*tune again") as error:
        load_tuned(folder, PATH, 8)
    assert "\n" not in str(error.value) and len(str(error.value)) < 400


@pytest.mark.parametrize("text", ["[" * 200_000, "null", "[]", "1", ""])
def test_other_json_is_refused(folder, text):
    save_tuned(folder, TUNED).write_text(text)
    with pytest.raises(ValueError, match="is damaged"):
        load_tuned(folder, PATH, 8)


def test_a_fifo_is_refused_and_a_linked_folder_is_not_written_to(folder, tmp_path):
    file = save_tuned(folder, TUNED)
    file.unlink()
    os.mkfifo(file)
    with pytest.raises(ValueError, match="is a FIFO"):
        load_tuned(folder, PATH, 8)

    file.unlink()
    (tmp_path / "tuned").rmdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "tuned").symlink_to("elsewhere")
    with pytest.raises(ValueError, match="tuned is a link"):
        save_tuned(folder, TUNED)
    assert not list((tmp_path / "elsewhere").iterdir())


def test_a_path_with_infinite_ends_is_written_and_read(folder):
    path = Path(RectifiedFlow(), "flow")
    levels = grid(path, 4)
    tuned = TunedSampler(levels, tuple(Update(to, state=0.5) for to in levels.levels[1:]), 0.5, 0.2)
    save_tuned(folder, tuned)
    assert load_tuned(folder, path, 4).to_dict() == tuned.to_dict()
