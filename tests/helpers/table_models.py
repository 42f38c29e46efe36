"""Diffusion models of small tables, whose mixture is set by hand."""

import math

import numpy as np
import torch

from allegory.data import table_dataset
from allegory.networks import MLPConfig
from allegory.process.rows import RowMixture
from allegory.recipes.table_diffusion import TableDiffusionConfig


def dataset_of(columns, given=(), split=(0.8, 0.2, 0.0)):
    """A data set of the columns of a dict; the one named count has whole numbers."""
    import pandas as pd

    kinds = {name: "whole" for name in columns if name == "count"}
    return table_dataset(pd.DataFrame(columns), kinds=kinds, given=given, split=split)


def fitted_model(dataset, components=None, start=None, known_fraction=0.25, width=16):
    """A model with its fitted mixture and a new network, which adds nothing."""
    torch.manual_seed(0)
    config = TableDiffusionConfig(
        MLPConfig(width, 1),
        components,
        start=start,
        known_fraction=known_fraction,
        seconds=math.inf,
        most_components=8,
    ).resolved(dataset)
    model = config.build(dataset.spec)
    config.fit(model, dataset)
    return model.double().eval()


def mixed_columns(count=400, seed=0):
    """A category, a number whose mean depends on it, a whole number, and one with missing values.

    The number has missing values where the category is "b" more often.
    """
    generator = np.random.default_rng(seed)
    side = generator.random(count) < 0.4
    number = np.where(side, 2.0, -1.0) + 0.5 * generator.standard_normal(count)
    gone = generator.random(count) < np.where(side, 0.5, 0.1)
    return {
        "kind": np.where(side, "b", "a"),
        "size": number,
        "count": generator.poisson(3.0, count),
        "weight": np.where(gone, np.nan, number + generator.standard_normal(count)),
    }


def disturbed(model, scale=0.3, seed=3):
    """The model with weights of its network that are not zero anywhere."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in model.denoise.network.parameters():
            weight += scale * torch.randn(weight.shape, generator=generator).to(weight)
    return model


def set_mixture(model, mixture: RowMixture):
    """The model with another mixture of the same sizes."""
    model.denoise.mixture.load_state_dict(mixture.state_dict())
    return model
