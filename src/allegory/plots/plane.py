"""The sections of a report that only models of points on the plane have: their whole density can be
drawn.
"""

from __future__ import annotations

import math

from ..data.dataset import Dataset
from ..models.base import HasEnergy, HasTrajectory, evaluating
from .field import ARROWS, MAX_POINTS, WELL, energy_surface, score_field
from .report import Section
from .walkers import STEPS_PER_LEVEL, walkers

LEVELS, WALKERS = 40, 300


def plane_sections(model: HasTrajectory, dataset: Dataset, seed: int) -> list[Section]:
    """The score field, Langevin walkers where the path has finite ends, and the energy's surface.

    Args:
        model: a diffusion model of points of the plane.
        dataset: the data that it was trained on.
        seed: walker i draws from seed + i.
    """
    with evaluating(model):
        parts = [_field(model, dataset)]
        if all(map(math.isfinite, model.denoiser.path.schedule.ends)):
            parts.append(_walkers(model, seed))
        if isinstance(model.denoiser, HasEnergy):
            parts.append(_surface(model.denoiser, dataset))
    return parts


def _field(model: HasTrajectory, dataset: Dataset) -> Section:
    path = model.denoiser.path
    own = isinstance(model.denoiser, HasEnergy)
    density = (
        "The shades are p(x_t) of the model, exp(-E)/Z, and the arrows are its score, -grad E"
        " (Luo 2022, eq. 152 to 156)"
        if own
        else "The shades are the density p(x_t) of real items under noise, and the arrows are the"
        " score, grad log p(x_t), that the model has learned (Luo 2022, eq. 151)"
    )
    source = "the model's energy" if own else f"{min(len(dataset.test), MAX_POINTS)} test items"

    return Section(
        "The score field",
        score_field(model.denoiser, dataset.test.x, dataset.spec),
        f"{density}: at every place the direction in which the density rises fastest. With much "
        "noise (left) it leads to"
        " the data as a whole; the less noise is left, the more each arrow means the part of the "
        "data that is nearest. An"
        " arrow is short where the density is flat: on the data, and where the ways to two parts "
        "of it divide.",
        "Panels from noisy to clean: a cloud that breaks up into the shape of the data, and "
        "arrows that point towards it.",
        f"{dataset.name}; density of {source}, shaded by its square root; {ARROWS} x {ARROWS} "
        "arrows of length"
        f" log(1 + |sigma score|); {path.scaling.name} path",
    )


def _walkers(model: HasTrajectory, seed: int) -> Section:
    path = model.denoiser.path
    start, end = path.schedule.ends

    return Section(
        "Langevin walkers",
        walkers(model.denoiser, model.spec, seeds=range(seed, seed + WALKERS), levels=LEVELS),
        "Each point goes along the score and is shaken by noise, x + c grad log p(x) + sqrt(2c) "
        "eps (Luo 2022, eq. 158)."
        " Above, the density in which it walks is noisy at first and becomes cleaner: while the "
        "noise is large the walkers"
        " spread over the parts of the data by their weights, then they settle. Below, as many "
        "steps from the same points"
        " at the smallest noise alone: the steps are short, so a walker comes to the part of the "
        "data that is nearest, if"
        " it comes to any, and how many there are in a part tells where they began and not what "
        "it weighs (Song & Ermon"
        " 2019, section 3.2). Lines are the ways of eight of them, above through the last five "
        "levels only.",
        "Two rows of clouds that begin as the same noise; the upper one gathers on the data, the "
        "lower one only in part.",
        f"{WALKERS} walkers, seeds from {seed}; {LEVELS} levels of {STEPS_PER_LEVEL} steps above, "
        "as "
        "many steps below;"
        f" log-SNR {end:g} to {start:g}, {path.scaling.name} path; states divided by sqrt(alpha² "
        "+ sigma²)",
    )


def _surface(denoiser: HasEnergy, dataset: Dataset) -> Section:
    return Section(
        "The energy",
        energy_surface(denoiser, dataset.test.x, dataset.spec),
        "E(x_t) with the least noise, where p(x_t) = exp(-E)/Z (Luo 2022, eq. 152): a surface "
        "(left), and the same from"
        " above with some test items in white (right). The model knows it up to a constant, so "
        "its lowest at an item is set"
        " to 0. A well without items lies where no data at so little noise ever came, and nothing "
        "was learned. A"
        f" place 1 nat higher is e times less likely; what is more than {WELL:g} nats up is cut "
        "off. The score is the slope"
        " downwards, -grad E (eq. 153 to 156). How deep separate wells are beside each other is "
        "the least certain: it"
        " follows from the score between them, where hardly any noised data come.",
        "Wells in a surface, and a map of it on which test items lie in the wells.",
        f"{dataset.name}, test set; the network's own E, nothing is sampled",
    )
