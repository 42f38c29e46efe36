"""The sections of a report on one model: every figure with its caption, in the order in which a reader asks.

Does it make good samples? How do they come about? What is its likelihood, and where along the path does it arise?
How did training go?
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..data.dataset import Dataset, Items
from ..evaluation.evaluate import Evaluation
from ..evaluation.likelihood import Model
from ..evaluation.samples import walk
from ..models.diffusion import VDM
from .bound import bound_terms, bounds_compared, loss_over_log_snr
from .curve import training_curve
from .items import is_image, is_plane
from .plane import plane_sections
from .report import Section
from .samples import sample_grid
from .trajectories import noising, trajectory

CURVE_ITEMS, CLOUD = 150, 1000


def sections(
    model: Model,
    dataset: Dataset,
    evaluation: Evaluation,
    metrics: Sequence[Mapping[str, float]] = (),
) -> list[Section]:
    """Samples, a trajectory, the noising, the terms of the bound, their place on the path, and the training curve.

    Points of the plane have the pictures of `plane.py` besides. A VAE or a hierarchy has no path, and no pictures of one.
    `metrics` are the lines of metrics.jsonl; without them there is no training curve.
    """
    parts = [_samples(dataset, evaluation)]
    if isinstance(model, VDM):
        parts += [_trajectory(model, evaluation), _noising(model, dataset, evaluation)]
        parts += (
            plane_sections(model, dataset, evaluation.settings["seed"])
            if is_plane(dataset.spec.shape)
            else []
        )
    parts.append(_terms(evaluation))
    if evaluation.readings:
        parts.append(_compared(evaluation))
    if isinstance(model, VDM):
        parts.append(_curve(model, dataset, evaluation))
    return [*parts, _training(metrics, model.unit)] if metrics else parts


def _samples(dataset: Dataset, evaluation: Evaluation) -> Section:
    generated = evaluation.generated
    count, labels = len(generated), generated.labels
    what = (
        "one column a class"
        if labels is not None
        else "points of the plane"
        if is_plane(dataset.spec.shape)
        else "in no order"
    )
    guided = (
        ""
        if evaluation.settings.get("guidance", 1) == 1
        else ", pushed towards its label by guidance (eq. 170)"
    )
    steps = (
        f" Every step goes by what the model predicts of the clean item (Luo 2022, eq. 94){guided}."
        if "solver" in evaluation.settings
        else " The latents are drawn from the top down (Luo 2022, eq. 23)."
    )
    judged = ""
    if evaluation.accuracy is not None:
        judged = (
            f" A support vector machine that was fitted on real items finds the wanted label in"
            f" {100 * evaluation.accuracy.total.mean:.1f} % of all {count} samples, and in"
            f" {100 * evaluation.accuracy.real:.1f} % of the real test items."
        )
    return Section(
        "Samples",
        sample_grid(generated.x, labels, dataset.spec, dataset.test.x),
        f"What the model makes of pure noise, {what}; none was picked by hand.{judged}{steps}",
        f"Samples of the model trained on {dataset.name}, {what}.",
        _sampled(evaluation),
    )


def _trajectory(model: VDM, evaluation: Evaluation) -> Section:
    seed, generated = evaluation.settings["seed"], evaluation.generated
    count = min(3 if is_image(model.spec.shape) else CLOUD, len(generated))
    labels = None if generated.labels is None else generated.labels[:count]
    chosen = {name: evaluation.settings[name] for name in ("solver", "steps", "guidance")}
    states = list(walk(model, seeds=range(seed, seed + count), labels=labels, **chosen))
    return Section(
        "How a sample comes about",
        trajectory(states, model.spec),
        "The first of the samples on their way, from noise on the left. Below each state is the clean item that the"
        " model predicts in there, E[x0 | x_t]: an average of all that is possible, which becomes sharp as the noise"
        " goes (Luo 2022, eq. 94 and 131).",
        "Rows of states that turn from noise into samples, and below each the model's prediction, from blurred to sharp.",
        _sampled(evaluation),
    )


def _noising(model: VDM, dataset: Dataset, evaluation: Evaluation) -> Section:
    path, some = model.denoiser.path, dataset.test.x[:CLOUD]
    start, end = path.schedule.ends
    return Section(
        "The way into noise",
        noising(
            path,
            some[:2] if is_image(dataset.spec.shape) else some,
            dataset.spec,
            seed=evaluation.settings["seed"],
        ),
        "What the model learns to undo: x_t = alpha x0 + sigma eps at even times (Luo 2022, figure 3 and eq. 70). The"
        " log-SNR, log(alpha²/sigma²), falls from left to right.",
        "Test items that dissolve in noise, step by step.",
        f"{dataset.name}, test set; {path.scaling.name} path, {path.schedule}, log-SNR {start:g} to {end:g}",
    )


def _terms(evaluation: Evaluation) -> Section:
    likelihoods = {"p(x)": evaluation.likelihood}
    if evaluation.conditional is not None:
        likelihoods["p(x | label)"] = evaluation.conditional
    beside = {} if evaluation.histogram is None else {"histogram": evaluation.histogram}
    versus = " The histogram codes every number alone." if beside else ""
    return Section(
        "The likelihood, term by term",
        bound_terms(likelihoods, beside),
        "The negative evidence lower bound of the test set, split as in eq. 19 and 58 of Luo 2022: reconstruction, prior"
        " matching and the divergences of the other latents. It is an upper bound of the bits that an item"
        f" costs.{versus} The bar at the end is one standard error.",
        "; ".join(
            f"{name}: {value.total.mean:.3f} bits/dim" for name, value in likelihoods.items()
        ),
        _measured(evaluation, evaluation.likelihood.count),
    )


def _compared(evaluation: Evaluation) -> Section:
    best = min(evaluation.readings, key=lambda one: one.bits.mean)
    return Section(
        "One model, many bounds",
        bounds_compared(evaluation.readings),
        "The same items measured in every way that this model has. A bound of T steps falls with T towards the one in"
        " continuous time (Luo 2022, eq. 58); importance weights tighten a bound (eq. 7 before Jensen's inequality). The"
        " differences are paired, item by item.",
        f"Dots beside a line at zero; the lowest is {best.name} with {best.bits.mean:.3f} bits/dim.",
        f"{evaluation.dataset}, {evaluation.settings['compared']} test items; evaluations of the network an item: "
        + "; ".join(f"{one.name}: {one.evaluations:.0f}" for one in evaluation.readings),
    )


def _curve(model: VDM, dataset: Dataset, evaluation: Evaluation) -> Section:
    test = dataset.test
    labels = None if evaluation.conditional is None or test.labels is None else test.labels
    some = Items(test.x[:CURVE_ITEMS], None if labels is None else labels[:CURVE_ITEMS])
    gap = " Between the two curves lies what the label tells." if labels is not None else ""
    return Section(
        "Where the bits go",
        loss_over_log_snr(model, some.x, some.labels, seed=evaluation.settings["seed"]),
        "The diffusion term, spread out over log-SNR: half the squared error of the predicted noise (Luo 2022, eq. 110,"
        f" in continuous time). The area under the curve is the term itself, whatever the schedule.{gap}",
        "A curve of bits/dim per unit of log-SNR, near zero where only noise is left.",
        f"{dataset.name}, {len(some)} test items, 1 draw at each of 24 levels, band of one standard error",
    )


def _training(metrics: Sequence[Mapping[str, float]], unit: str) -> Section:
    last = metrics[-1]
    speed = (
        f"{last['images'] / last['seconds']:.0f} images/s"
        if last.get("seconds")
        else "speed unknown"
    )
    return Section(
        "TrainingConfig",
        training_curve(metrics, unit),
        f"The loss on training batches, in {unit}, and its running mean."
        + (
            " It is one draw of the bound of eq. 58 of Luo 2022 per image."
            if unit == "bits/dim"
            else ""
        ),
        f"A curve that falls and flattens; the last loss is {last['loss']:.3f} {unit}.",
        f"{last['step']:.0f} steps, {last['images']:.0f} images, {speed}",
    )


def _sampled(evaluation: Evaluation) -> str:
    s = evaluation.settings
    if "solver" not in s:
        return f"one draw from the prior a sample, seeds from {s['seed']}"
    return f"{s['solver']}, {s['steps']} steps, guidance w = {s['guidance']:g} (1 is unguided), seeds from {s['seed']}"


def _measured(evaluation: Evaluation, count: int) -> str:
    s = evaluation.settings
    time = ", continuous time" if "solver" in s else ""
    return f"{evaluation.dataset}, {count} test items, {s['draws']} draws an item{time}, seed {s['seed']}"
