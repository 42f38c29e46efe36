"""Small models whose answers are known, for the tests of evaluation and plots."""

import torch
from torch import nn

from allegory.conditions import Labels
from allegory.data import Dataset, DataSpec, Items
from allegory.models import VDM, Denoiser
from allegory.networks import MLPConfig
from allegory.process import LinearLogSNR, Path


def untrained(spec: DataSpec, conditional: bool = False) -> VDM:
    """A network with random weights: it says different things of different items and labels."""
    torch.manual_seed(1)
    network = MLPConfig(16, 1).build(spec.shape, Labels(spec.classes) if conditional else None)
    for weight in network.parameters():
        nn.init.normal_(weight, std=0.2)
    return VDM(Denoiser(network, Path(LinearLogSNR(6, -5))), spec)


def toy_digits(classes: int | None = 2) -> Dataset:
    """Images 1x2x2 of 5 levels; label 0 is dark, label 1 is bright."""
    spec = DataSpec((1, 2, 2), 0.0, 4.0, 5, classes)
    generator = torch.Generator().manual_seed(0)

    def part(n: int) -> Items:
        labels = torch.randint(2, (n,), generator=generator)
        x = torch.randint(0, 2, (n, 1, 2, 2), generator=generator) + 3 * labels[:, None, None, None]
        return Items(x.to(torch.uint8), labels if classes else None)

    return Dataset("toy digits", spec, part(60), part(5), part(40))
