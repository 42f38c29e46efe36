"""The sections of a report on one model: every figure with its caption.

Does it make good samples? How does a sample come about? What is its likelihood, and at which noise
levels is it spent? How did training go? A section is there if the model can do what it shows
(`models.base`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..data.dataset import Dataset, Items
from ..data.spec import DataSpec
from ..data.splits import subset
from ..evaluation.likelihood import Likelihood
from ..evaluation.result import Evaluation
from ..models.base import (
    HasJumps,
    HasTokens,
    HasTrajectory,
    InLatentSpace,
    Model,
    has_bound,
)
from .bound import bound_terms, bounds_compared
from .clips import given_frames
from .conditioned import grid_of
from .curve import training_curve
from .items import is_clip, is_image, is_plane, is_series
from .latents import latent_sections
from .loss_by_noise import loss_over_log_snr
from .marginals import marginals
from .plane import plane_sections
from .report import Section
from .tokens import token_section
from .trajectories import noising, trajectory_grid

_CURVE_ITEMS = 150
_MAX_POINTS = 1000


def sections(
    model: Model,
    dataset: Dataset,
    evaluation: Evaluation,
    metrics: Sequence[Mapping[str, float]] = (),
) -> list[Section]:
    """Samples, each number alone, a trajectory, the noising, the terms of the bound, the bound by
    noise level, and the training curve.

    Args:
        model: any model.
        dataset: the data that it was evaluated on.
        evaluation: what `evaluate` found.
        metrics: the lines of metrics.jsonl; without them there is no training curve.

    Returns:
        The sections that this model has. Points of the plane have those of `plane.py` as well.
    """
    parts = [_samples(model, dataset, evaluation)]
    if evaluation.columns:
        parts.append(_marginals(dataset, evaluation))
    if isinstance(model, HasTrajectory):
        is_latent = isinstance(model, InLatentSpace)
        if isinstance(model, InLatentSpace):
            parts += latent_sections(model, dataset, evaluation.seeds)
        else:
            parts += [_trajectory(model, evaluation), _noising(model, dataset, evaluation)]
        if is_plane(dataset.spec.shape) and not (isinstance(model, HasJumps) or is_latent):
            parts += plane_sections(model, dataset, evaluation.config.seed)

    if isinstance(model, HasTokens):
        parts.append(token_section(model, evaluation, _sampled(evaluation)))

    if evaluation.likelihood is not None:
        parts.append(_terms(dataset.spec, evaluation, evaluation.likelihood))
    if evaluation.bounds:
        parts.append(_compared(evaluation))
    if isinstance(model, HasTrajectory) and has_bound(model):
        parts.append(_curve(model, dataset, evaluation))
    if metrics:
        parts.append(training_section(metrics, model.unit))

    return parts


def _samples(model: Model, dataset: Dataset, evaluation: Evaluation) -> Section:
    generated = evaluation.generated
    if is_plane(dataset.spec.shape):
        what = "points of the plane"
    elif is_clip(dataset.spec.shape):
        what = "one clip per row, its frames from left to right"
    elif is_series(dataset.spec.shape):
        what = "one per panel, a line per channel over time"
        if given_frames(generated, dataset.spec) is not None:
            what += ", the given times on grey and what really followed them dotted"
    elif not is_image(dataset.spec.shape):
        what = "one per row" if dataset.spec.vocabulary is None else "as text"
    elif generated.condition is not None:
        what = "with the conditions of test items"
    else:
        what = "in no order" if generated.labels is None else "one column per class"

    return Section(
        "Samples",
        grid_of(generated, dataset.spec, dataset.test),
        f"Samples of the model, {what}; none was picked by "
        f"hand.{_accuracy(evaluation)}{_steps(model, evaluation)}",
        f"Samples of the model trained on {dataset.name}, {what}.",
        _sampled(evaluation),
    )


def _marginals(dataset: Dataset, evaluation: Evaluation) -> Section:
    """Each number alone, samples and test items."""
    worst = max(
        evaluation.columns,
        key=lambda each: abs(each.mean.mean - each.test_mean) / max(each.test_std, 1e-300),
    )
    return Section(
        "Each number alone",
        marginals(evaluation.generated.x, dataset.test.x, dataset.spec),
        "The distribution of each number of an item, in the data's own unit: test items filled in "
        "grey, samples as an orange line. Each shows what 99 % of them take.",
        f"Histograms of {len(evaluation.columns)} numbers; the mean of {worst.name} differs most, "
        f"{worst.mean.mean:.4g} of samples and {worst.test_mean:.4g} of test items.",
        f"{dataset.name}, {len(dataset.test)} test items and {len(evaluation.generated)} samples, "
        f"{_sampled(evaluation)}",
    )


def _accuracy(evaluation: Evaluation) -> str:
    """How often a classifier finds the label, as a sentence; nothing without labels."""
    if evaluation.accuracy is None:
        return ""
    total, real = evaluation.accuracy.total, evaluation.accuracy.real
    versus = "" if real is None else f", and in {100 * real:.1f} % of the real test items"
    return (
        " A support vector machine that was fitted on real items finds the wanted label in"
        f" {100 * total.mean:.1f} % of all {len(evaluation.generated)} samples{versus}."
    )


def _steps(model: Model, evaluation: Evaluation) -> str:
    """How samples are made, as a sentence."""
    sampler = evaluation.config.sampler
    if sampler is None:
        return ""
    if isinstance(model, HasJumps):
        return " Each step is one jump of a flow map (Boffi et al. 2025)."
    if isinstance(model, HasTokens):
        return " Each step draws tokens from the model's prediction of the clean item."
    guided = (
        ""
        if getattr(sampler, "guide", None) is None
        else ", changed by the guide that is named below"
    )
    return f" Each step uses the model's prediction of the clean item (Luo 2022, eq. 94){guided}."


def _trajectory(model: HasTrajectory, evaluation: Evaluation) -> Section:
    generated = evaluation.generated
    spec = model.spec
    count = min(3 if is_image(spec.shape) else _MAX_POINTS, len(generated))
    rows = None if generated.given is None else generated.given[:count]
    states = list(model.trajectory(evaluation.seeds[:count], rows, evaluation.config.sampler))
    below = (
        "Below each state is the x0 of the jump that led to it"
        if isinstance(model, HasJumps)
        else "Below each state is the model's prediction of the clean item at that state, "
        "E[x0 | x_t]: a mean over all clean items that are possible there, which becomes sharp as "
        "the noise falls (Luo 2022, eq. 94 and 131)"
    )

    return Section(
        "How a sample comes about",
        trajectory_grid(states, spec),
        f"The first of the samples, from noise on the left to the sample on the right. {below}.",
        "Rows of states that turn from noise into samples, and below each the model's "
        "prediction, from blurred to sharp.",
        _sampled(evaluation),
    )


def _noising(model: HasTrajectory, dataset: Dataset, evaluation: Evaluation) -> Section:
    path = model.denoiser.path
    some = subset(dataset.test, 2 if is_image(dataset.spec.shape) else _MAX_POINTS).x
    start, end = path.schedule.ends

    return Section(
        "The forward process",
        noising(path, some, dataset.spec, seed=evaluation.config.seed),
        "The forward process that the model reverses: x_t = alpha x0 + sigma eps at equally "
        "spaced times (Luo 2022,"
        " figure 3 and eq. 70). The log-SNR, log(alpha²/sigma²), falls from left to right.",
        "Test items that dissolve in noise, step by step.",
        f"{dataset.name}, test set; {path.scaling.name} path, {path.schedule}, log-SNR {start:g} "
        f"to {end:g}",
    )


def _meaning(spec: DataSpec) -> str:
    """What the negative bound is an upper bound of, as a sentence."""
    if spec.levels is not None:
        return "It is an upper bound of the bits per item that a code needs."
    return (
        "The data are continuous: it bounds -log2 of a density in the data's own unit, which "
        "changes with the unit and may be negative."
    )


def _terms(spec: DataSpec, evaluation: Evaluation, likelihood: Likelihood) -> Section:
    likelihoods = {"p(x)": likelihood}
    if evaluation.conditional is not None:
        likelihoods[f"p(x | {spec.given_name})"] = evaluation.conditional
    others = {} if evaluation.histogram is None else {"histogram": evaluation.histogram}
    versus = " The histogram codes every number alone." if others else ""
    totals = [f"{name}: {value.total.mean:.3f} bits/dim" for name, value in likelihoods.items()]

    return Section(
        "The likelihood, term by term",
        bound_terms(likelihoods, others),
        "The negative evidence lower bound of the test set, split as in eq. 19 and 58 of Luo "
        "2022: reconstruction, prior"
        f" matching and the divergences of the other latents. {_meaning(spec)}{versus} The bar at "
        "the end is one standard error.",
        "; ".join(totals),
        _evaluated(evaluation, likelihood.count),
    )


def _compared(evaluation: Evaluation) -> Section:
    bounds = evaluation.bounds
    best = min(bounds, key=lambda one: one.bits.mean)
    costs = [f"{one.name}: {one.evaluations:.0f}" for one in bounds if one.evaluations >= 0]

    return Section(
        "One model, many bounds",
        bounds_compared(bounds),
        "The same items evaluated by every bound that this model has. A bound of T steps falls "
        "with T towards the one in"
        " continuous time (Luo 2022, eq. 58); importance weights tighten a bound (eq. 7 before "
        "Jensen's inequality). The"
        " differences are paired, item by item.",
        f"Dots around a line at zero; the lowest is {best.name} with {best.bits.mean:.3f} "
        "bits/dim.",
        f"{evaluation.dataset}, {evaluation.config.compared} test items; evaluations of the "
        "network per item: " + "; ".join(costs),
    )


def _curve(model: HasTrajectory, dataset: Dataset, evaluation: Evaluation) -> Section:
    test = dataset.test
    rows = None if evaluation.conditional is None else test.given
    some = subset(Items(test.x, condition=rows), _CURVE_ITEMS)
    gap = (
        f" The area between the two curves is the information in the {model.spec.given_name}."
        if rows is not None
        else ""
    )

    return Section(
        "The bound by noise level",
        loss_over_log_snr(model, some.x, some.condition, seed=evaluation.config.seed),
        "The diffusion term per unit of log-SNR: half the squared error of the predicted noise "
        "(Luo 2022, eq. 110, in"
        " continuous time). The area under the curve is the term itself, whatever the "
        f"schedule.{_of_latents(model)}{gap}",
        "A curve of bits/dim per unit of log-SNR, near zero where only noise is left.",
        f"{dataset.name}, {len(some)} test items, 1 draw at each of 24 levels, band of one "
        "standard error",
    )


def _of_latents(model: HasTrajectory) -> str:
    """What else than the curve is in the divergences of a model of latents."""
    if not isinstance(model, InLatentSpace):
        return ""
    return (
        " It is that of the latents; the divergences of the bound above have besides it "
        "E[log q(z | x) - log p(z | u_0)] of the autoencoder, which is negative where the "
        "latents have more entropy than the noise of u_0."
    )


def training_section(metrics: Sequence[Mapping[str, float]], unit: str) -> Section:
    """The training curve of a run, from its `metrics`; `unit` is that of the loss."""
    last = metrics[-1]
    seconds = last.get("seconds")
    speed = f"{last['images'] / seconds:.0f} items/s" if seconds else "speed unknown"
    bound = (
        " It is one draw of the bound of eq. 58 of Luo 2022 per item." if unit == "bits/dim" else ""
    )

    return Section(
        "Training",
        training_curve(metrics, unit),
        f"The loss on training batches, in {unit}, and its running mean.{bound}",
        f"A curve that falls and flattens; the last loss is {last['loss']:.3f} {unit}.",
        f"{last['step']:.0f} steps, {last['images']:.0f} items, {speed}",
    )


def _sampled(evaluation: Evaluation) -> str:
    """How the samples were made, in one line."""
    sampler = evaluation.config.sampler
    how = "one draw per sample" if sampler is None else sampler.describe()
    return f"{how}, seeds from {evaluation.config.seed}"


def _evaluated(evaluation: Evaluation, count: int) -> str:
    """How the bound was estimated, in one line."""
    config = evaluation.config
    draws = f"{config.draws} draws per item, seed {config.seed}"
    return f"{evaluation.dataset}, {count} test items, {draws}"
