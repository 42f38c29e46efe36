"""Sections of a report on the latents of a latent diffusion model."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from ..data.dataset import Dataset
from ..data.splits import subset
from ..models.base import InLatentSpace, device_of
from ..sampling.interpolate import slerp
from .items import is_image
from .report import Section
from .trajectories import film_rows

_COLUMNS = 8
_ITEMS = 3
_NEAREST = 7
_SEARCHED = 5_000
_MOST_STDS = 2.5


def latent_sections(model: InLatentSpace, dataset: Dataset, seeds: Sequence[int]) -> list[Section]:
    """Reconstruction and interpolation, traversals, neighbours and a trajectory, all as items.

    Args:
        model: a latent diffusion model.
        dataset: its data.
        seeds: of samples.
    """
    if not is_image(dataset.spec.shape) or len(dataset.test) < 2 * _ITEMS:
        return []
    return [
        _trajectory(model, dataset, seeds),
        _interpolation(model, dataset),
        _traversal(model, dataset),
        _neighbours(model, dataset),
    ]


def _shown(model: InLatentSpace, u: Float[Tensor, "n *latent"]) -> Float[Tensor, "n *item"]:
    """The items of latents, in model space; all columns have the same noise of the output."""
    return model.spec.encode(model.raw_items(u, None, range(len(u))))


def _trajectory(model: InLatentSpace, dataset: Dataset, seeds: Sequence[int]) -> Section:
    rows = None if dataset.test.given is None else dataset.test.given[:_ITEMS]
    states = list(model.trajectory(seeds[:_ITEMS], rows))
    places = torch.linspace(0, len(states) - 1, _COLUMNS).round().long().unique().tolist()
    predictions = [states[i].prediction for i in places]
    names = [f"log-SNR\n{float(each.level.log_snr):.1f}" for each in predictions]
    films = [[_shown(model, each.x0) for each in predictions]]

    return Section(
        "How a sample comes about",
        film_rows("From noise to samples: what the model predicts", films, names, [""]),
        "The prediction of the clean latent at some steps of a trajectory, each decoded to an "
        "item. Noise, states and steps are in the space of the latents (Rombach et al. 2022).",
        "Rows of images that become sharp from left to right.",
        f"seeds from {seeds[0]}, conditions of test items",
    )


def _interpolation(model: InLatentSpace, dataset: Dataset) -> Section:
    u = model.mean_latents(dataset.test.x[: 2 * _ITEMS].to(device_of(model)))
    weights = torch.linspace(0, 1, _COLUMNS).tolist()
    between = [_shown(model, slerp(u[:_ITEMS], u[_ITEMS:], weight)) for weight in weights]
    ends = [model.spec.encode(dataset.test.x[part]) for part in (slice(_ITEMS), _second())]
    names = ["item", *(f"{weight:.2f}" for weight in weights), "item"]

    return Section(
        "Between two items",
        film_rows("Latents between two items", [[ends[0], *between, ends[1]]], names, [""]),
        "On the left and on the right test items; beside them the decoded latents of both, and "
        "between these the latents on the arc between the two.",
        "Rows of images that change from one test item into another.",
        f"{dataset.name}, test set",
    )


def _second() -> slice:
    return slice(_ITEMS, 2 * _ITEMS)


def _traversal(model: InLatentSpace, dataset: Dataset) -> Section:
    """Along the axes of largest variance of the latents of test items."""
    some = subset(dataset.test, 1000).x.to(device_of(model))
    u = model.mean_latents(some)
    flat = u.flatten(1)
    centred = flat - flat.mean(0)

    _, singular, axes = torch.linalg.svd(centred, full_matrices=False)
    stds = singular / len(flat) ** 0.5

    steps = torch.linspace(-_MOST_STDS, _MOST_STDS, _COLUMNS)
    moved = [
        (flat[:1] + step * stds[:_ITEMS, None] * axes[:_ITEMS]).view(-1, *u.shape[1:])
        for step in steps.tolist()
    ]
    films = [[_shown(model, each) for each in moved]]
    names = [f"{step:+.1f} sd" for step in steps.tolist()]

    return Section(
        "Traversals",
        film_rows("One latent moved along three axes", films, names, [""]),
        "The latent of one test item, moved along the three axes along which the latents of "
        f"{len(u):,} test items vary most, by multiples of the standard deviation there.",
        "Three rows of images that change step by step.",
        f"{dataset.name}, test set",
    )


def _neighbours(model: InLatentSpace, dataset: Dataset) -> Section:
    device = device_of(model)
    train = subset(dataset.train, _SEARCHED).x
    index = model.mean_latents(train.to(device)).flatten(1)
    test = dataset.test.x[:_ITEMS]

    found = torch.cdist(model.mean_latents(test.to(device)).flatten(1), index)
    near = found.topk(min(_NEAREST, len(train)), largest=False).indices.cpu()
    columns = [model.spec.encode(train[near[:, k]]) for k in range(near.shape[1])]
    names = ["item", *map(str, range(1, near.shape[1] + 1))]

    return Section(
        "Nearest neighbours of latents",
        film_rows(
            "Training items with the nearest latents",
            [[model.spec.encode(test), *columns]],
            names,
            [""],
        ),
        "On the left test items, beside them the training items whose latents are nearest.",
        "Rows of images that are alike.",
        f"{dataset.name}, among {len(train)} training items",
    )
