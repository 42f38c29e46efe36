r"""Edits of pictures, or of any items, by a diffusion model, in the data's own units.

    edit                samples of p(item | measurement), by a method of `inverse`
    variations          SDEdit: samples from the item with noise (Meng et al. 2022)
    edit_by_inversion   the latent of the item by DDIM inversion, sampled with another condition
                        (Song et al. 2020, section 5.4)
    interpolations      samples of latents between those of two items (slerp)

Edit j of item i depends on the item, its condition and seeds[j] alone: it is the same in any batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Shaped
from torch import Tensor

from ..inverse import Measurement, Posterior
from ..lookup import check_count, check_type, refuse_number
from ..sampling import slerp
from ..sampling.driver import OnStep
from .editing import EditConfig, Editing, Edits

__all__ = ["EditConfig", "Edits", "edit", "edit_by_inversion", "interpolations", "variations"]

_MAX_POINTS = 100_000
"""Of an interpolation."""


def edit(
    model: Any,
    measurement: Measurement,
    seeds: Sequence[int],
    condition: Any = None,
    config: EditConfig | None = None,
) -> Edits:
    """Samples of p(x | y): items that agree with what was measured of them.

    Args:
        model: a diffusion model.
        measurement: of raw items, one each.
        seeds: one integer per edit, the same for each item.
        condition: of each item or of all, as for `model.sample`; None for none.
        config: method and sampler; None for `EditConfig()`.

    Returns:
        len(seeds) edits of each item.

    Raises:
        ValueError: for a measurement of other items, no seeds, a strength, and what the method
            refuses.
    """
    editing = Editing(model, config)
    config = editing.config
    check_type("measurement", measurement, Measurement, "a Measurement, e.g. by `measure`")
    check_seeds(seeds)
    if config.strength is not None:
        raise ValueError(
            f"strength={config.strength}: is for variations; a measurement says what is known"
        )

    rows = editing.rows(condition, len(measurement))
    given = None if rows is None else rows.repeat_interleave(len(seeds), 0)
    method = config.method_for(model)
    posterior = Posterior(model, measurement.repeat(len(seeds)), method, config.sampler)
    drawn = posterior.sample(
        [*seeds] * len(measurement), given, batch=config.batch, on_step=config.on_step
    )
    return Edits(drawn.x.reshape(len(measurement), len(seeds), *editing.spec.shape))


def variations(
    model: Any,
    x: Shaped[Tensor, "n *shape"],
    seeds: Sequence[int],
    condition: Any = None,
    config: EditConfig | None = None,
) -> Edits:
    """SDEdit: samples from x_t = alpha_t x + sigma_t eps, with sigma/alpha = tan(pi strength/2).

    Args:
        model: a diffusion model.
        x: raw items.
        seeds: one integer per edit, the same for each item.
        condition: of each item or of all, as for `model.sample`; None for none.
        config: strength and sampler; None for `EditConfig()`.

    Returns:
        len(seeds) edits of each item.

    Raises:
        ValueError: for items of another kind, no seeds, and what the sampler refuses.
    """
    editing = Editing(model, config)
    editing.check(x)
    check_seeds(seeds)
    partial = editing.config.partial(0.5)

    rows = editing.rows(condition, len(x))
    items = [i for i in range(len(x)) for _ in seeds]
    repeated = [*seeds] * len(x)

    def edited(places: Sequence[int], on_step: OnStep | None) -> Tensor:
        some = [items[place] for place in places]
        drawn = [repeated[place] for place in places]
        x_t = partial.noised(editing.predict, editing.encoded(x[some]), drawn)
        given = editing.at(rows, some)

        return partial.sample(editing.predict, x_t, seeds=drawn, condition=given, on_step=on_step)

    found = editing.in_batches(len(items), edited)
    return editing.decoded(found, None if rows is None else rows[items], len(seeds))


def edit_by_inversion(
    model: Any,
    x: Shaped[Tensor, "n *shape"],
    condition: Any,
    source: Any = None,
    config: EditConfig | None = None,
) -> Edits:
    """The latents of items by DDIM inversion, sampled with other conditions.

    Args:
        model: a diffusion model.
        x: raw items.
        condition: of the edits, the same for each item: a tensor of rows or a list of values, one
            per edit; None for one edit without a condition.
        source: the condition of each item as it is, or of all, as for `model.sample`; None for
            none.
        config: strength and sampler, whose solver is deterministic; None for `EditConfig()`.

    Returns:
        An edit per condition of each item.

    Raises:
        ValueError: for items of another kind, a condition that is no list, a solver that draws
            noise, and a path without noise at t = 0.
    """
    editing = Editing(model, config)
    editing.check(x)
    if isinstance(condition, str | int | float):
        raise ValueError(f"condition={condition!r}: give a list, with a condition per edit")
    edits = 1 if condition is None else len(condition)

    partial = editing.config.partial(1.0)
    x_t = editing.latents(partial, x, editing.rows(source, len(x)))
    wanted = editing.rows(condition, edits)
    rows = None if wanted is None else wanted.repeat(len(x), *[1] * (wanted.ndim - 1))

    found = editing.from_latents(partial, x_t.repeat_interleave(edits, 0), rows)
    return editing.decoded(found, rows, edits)


def interpolations(
    model: Any,
    x: Shaped[Tensor, "n *shape"],
    count: int,
    condition: Any = None,
    config: EditConfig | None = None,
) -> Edits:
    """Items on the way from each item to the next one, by spherical interpolation of their latents.

    Args:
        model: a diffusion model.
        x: raw items, two or more.
        count: points on each way, with both ends.
        condition: of each item or of all, as for `model.sample`, for its inversion and for the
            points that are nearer to it; None for none.
        config: strength and sampler, whose solver is deterministic; None for `EditConfig()`.

    Returns:
        `count` items for each pair of neighbours, (n - 1, count, *shape).

    Raises:
        ValueError: for fewer than two items, a count below 2, a solver that draws noise, and a path
            without noise at t = 0.
    """
    editing = Editing(model, config)
    editing.check(x)
    check_count("count", count, 2, _MAX_POINTS)
    if len(x) < 2:
        raise ValueError("x: one item; give two or more, between which to interpolate")

    partial = editing.config.partial(1.0)
    rows = editing.rows(condition, len(x))
    x_t = editing.latents(partial, x, rows)
    weights = [k / (count - 1) for k in range(count)]
    between = torch.stack([slerp(x_t[:-1], x_t[1:], weight) for weight in weights], 1)

    nearer = [i + (weight > 0.5) for i in range(len(x) - 1) for weight in weights]
    given = None if rows is None else rows[nearer]
    found = editing.from_latents(partial, between.flatten(0, 1), given)
    return editing.decoded(found, given, count)


def check_seeds(seeds: Sequence[int]) -> None:
    """ValueError for seeds that are none, or one number."""
    refuse_number(seeds)
    if len(seeds) == 0:
        raise ValueError("seeds: none; give one integer per edit, e.g. seeds=range(8)")
