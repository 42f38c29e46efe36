"""Small runs of models with known weights, for tests of what reads a run folder."""

from pathlib import Path

import numpy as np
import torch

import allegory as al
from allegory.networks import MLPConfig
from allegory.recipes import DiffusionConfig, PathConfig


def labelled(count: int = 90) -> al.Dataset:
    """Points of the plane around (-1, 0) and (1, 0), labelled by their side."""
    random = np.random.default_rng(0)
    labels = np.arange(count) % 2
    x = 0.3 * random.normal(size=(count, 2)) + np.stack([2 * labels - 1, 0 * labels], 1)
    return al.Dataset.from_arrays(x.astype(np.float32), labels)


def small_images() -> al.Dataset:
    """Images 1x2x2 of 5 levels."""
    random = np.random.default_rng(0)
    return al.Dataset.from_arrays(random.integers(0, 5, (60, 1, 2, 2)).astype(np.uint8))


def small_teacher(
    folder: Path, data: al.Dataset | str = "rings", target: str = "edm", steps: int = 2
) -> al.VDM:
    """A run of a small perceptron, trained for a few steps.

    Args:
        folder: the run folder.
        data: what it learns.
        target: what it predicts.
        steps: of its training.
    """
    dataset = al.load(data) if isinstance(data, str) else data
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        config = DiffusionConfig(
            MLPConfig(16, 1), PathConfig("linear", 8.0, -6.0), target, 1.0, condition_dropout=0.2
        )
        model = config.build(dataset.spec)
    config = al.TrainingConfig(steps=steps, batch_size=16, validation_every=0, warmup=0)
    al.train(model, dataset, config=config, out=folder)
    return model
