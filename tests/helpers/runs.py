"""Small runs of models with known weights, for tests of what reads a run folder."""

from pathlib import Path

import allegory as al


def labelled(count: int = 90) -> al.Dataset:
    """Points of the plane around (-1, 0) and (1, 0), labelled by their side."""
    import numpy as np

    random = np.random.default_rng(0)
    labels = np.arange(count) % 2
    x = 0.3 * random.normal(size=(count, 2)) + np.stack([2 * labels - 1, 0 * labels], 1)
    return al.Dataset.from_arrays(x.astype(np.float32), labels)


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
    import torch

    dataset = al.load(data) if isinstance(data, str) else data
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        network = al.MLP(dataset.spec, width=16, depth=1)
        model = al.VDM(al.Denoiser(network, al.Path.vdm(8, -6), target), dataset.spec)
    config = al.TrainingConfig(steps=steps, batch_size=16, validation_every=0, warmup=0)
    al.train(model, dataset, config=config, out=folder)
    return model
