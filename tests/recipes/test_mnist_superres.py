"""The recipe of super-resolution: its data, and a run folder that gives the model back."""

from dataclasses import replace

import numpy as np
import torch

from allegory.conditions import Picture
from allegory.data.low_resolution import NOISE
from allegory.numerics.blocks import block_means
from allegory.recipes import RunFolder, execute, recipe_named
from allegory.sampling import Sampler


def test_images_are_given_their_means_unless_the_source_says_how():
    sources = [recipe_named("mnist_superres", f"folder{each}").source for each in ("", "?size=28")]
    assert sources == ["folder?lowres=4", "folder?size=28&lowres=4"]
    assert recipe_named("mnist_superres", "folder?lowres=2:0").source == "folder?lowres=2:0"


def test_a_run_folder_gives_the_model_back(tmp_path):
    x = np.random.default_rng(0).integers(0, 256, (40, 28, 28), dtype=np.uint8)
    np.save(tmp_path / "grey.npy", x)
    run = recipe_named("mnist_superres", str(tmp_path / "grey.npy"))
    network = replace(run.model.network, channels=8)
    training = replace(run.training, minutes=None, steps=1, batch_size=4)
    small = replace(run, model=replace(run.model, network=network), training=training)

    model = RunFolder.open(execute(small, tmp_path / "run")[0].path).model()
    kind = Picture((1, 7, 7), 0.0, 255.0, noise=NOISE, blocks=4, bounded=True)
    assert model.spec.condition == kind
    low = block_means(torch.from_numpy(x[:2, None]), 4)
    large = model.sample(range(2), low.numpy(), Sampler("ddim", 2))
    assert torch.equal(block_means(large, 4), low)
