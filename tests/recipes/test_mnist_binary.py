"""The recipes of binarized digits: which data, how many latents, and a run folder that gives the
model back.
"""

from dataclasses import replace

import numpy as np
import pytest
import torch

from allegory.data import DataSpec
from allegory.models import Hierarchy, Ladder, LatentVariableModel
from allegory.recipes import RunFolder, execute, recipe_named

BINARY = DataSpec((1, 28, 28), 0, 1, 2, 10)


@pytest.fixture
def pictures(tmp_path):
    x = np.random.default_rng(0).integers(0, 256, (60, 28, 28), dtype=np.uint8)
    np.save(tmp_path / "grey.npy", x)
    return str(tmp_path / "grey.npy")


def test_the_data_are_binarized_anew_unless_the_source_says_how():
    for name in ("mnist_vae", "mnist_hierarchy"):
        assert recipe_named(name, "folder").source == "folder?binarize=dynamic"
        assert recipe_named(name, "folder?size=28").source == "folder?size=28&binarize=dynamic"
        assert recipe_named(name, "folder?binarize=static").source == "folder?binarize=static"
        with pytest.raises(ValueError, match="give --data"):
            recipe_named(name)


@pytest.mark.parametrize(("name", "levels"), [("", 3), (":1", 1), (":3", 3), (":6", 6)])
def test_the_number_of_latents_stands_in_the_name(name, levels):
    run = recipe_named(f"mnist_hierarchy{name}", "folder")
    model = run.model.build(BINARY)
    assert isinstance(model, Ladder) and model.levels == levels == len(model.shapes)
    assert recipe_named(run.recipe, "folder") == run


def test_the_vae_has_one_latent():
    model = recipe_named("mnist_vae", "folder").model.build(BINARY)
    assert isinstance(model, Hierarchy) and model.levels == 1


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("mnist_hierarchy:2", "the number of latents, one of 1, 3, 6"),
        ("mnist_hierarchy:three", "the number of latents, one of 1, 3, 6"),
        ("mnist_vae:3", "no number follows 'mnist_vae'"),
        ("mnist_hierarchie:3", "did you mean 'mnist_hierarchy'"),
    ],
)
def test_other_levels_are_refused(name, says):
    with pytest.raises(ValueError, match=says):
        recipe_named(name, "folder")


def test_a_run_folder_gives_the_model_back(pictures, tmp_path):
    run = recipe_named("mnist_vae", pictures)
    run = replace(run, training=replace(run.training, minutes=None, steps=2, batch_size=8))
    folder, result = execute(run, tmp_path / "run")
    model = RunFolder.open(folder.path).model()
    assert isinstance(model, LatentVariableModel) and model.spec.levels == 2
    raw = torch.randint(2, (2, 1, 28, 28), dtype=torch.uint8)
    assert torch.equal(model.bound(raw).total, result.ema.bound(raw).total)
    assert run.unit == "bits/dim"
