"""The quantities that version 0.1.0 recorded in `fixtures/v0.1.0/numbers.npz`, computed by the
present code.

Each function yields (key, tensor). A key RUN/WHAT_f64/DETAIL was computed in double precision,
model and inputs; without `_f64` it is what users get, in float32. All noise is per item by seed, or
INPUT below; nothing here trains.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path as File
from typing import Any

import numpy as np
import torch
from torch import Tensor

from allegory.data import Dataset, load
from allegory.guidance import ClampX0, ClassifierFree, MixtureOfDensities, Product
from allegory.likelihood import (
    DequantizedFlow,
    FlowSolver,
    flow_bound,
    flow_log_prob,
    log_mean_weight,
    loss_by_log_snr,
    variational_bound,
)
from allegory.objectives import WEIGHTS, denoising_loss, dual_score_matching, weight_named
from allegory.process import (
    Betas,
    Cosine,
    Geometric,
    LearnedSchedule,
    LinearLogSNR,
    Path,
    Predict,
    Prediction,
    RectifiedFlow,
    Rescaled,
    grid,
)
from allegory.process.bound_terms import diffusion_loss, prior_matching, reconstruction
from allegory.recipes import RunFolder
from allegory.recipes.tuned_files import load_tuned
from allegory.sampling import (
    AdaptiveSolver,
    adaptive,
    initial_noise,
    invert,
    picard,
    sample,
    slerp,
    solver_named,
)

Numbers = Iterator[tuple[str, Tensor]]

SEEDS, PRECISE = range(4), range(2)
"""Seeds of the samples in float32, and in float64: the first two of the same."""
LABELS = torch.tensor([7, 0, 3, 8])
STEPS, ITEMS = 8, 8
TIMES = (0.05, 0.5, 0.95)
SPACINGS = ("time", "log_snr", "karras", "quadratic", "angle")
ENDS = ("zero", "denoise", "min")
SCALINGS = ("vp", "sub_vp", "flow", "ve")
FEW = ("ddpm", "vab4c", "euler")


def INPUT(seed: int, *shape: int) -> Tensor:
    """Standard-normal float64 numbers of numpy's frozen RandomState."""
    return torch.from_numpy(np.random.RandomState(seed).standard_normal(shape))


@dataclass(frozen=True)
class Case:
    """A run folder of version 0.1.0, and what is computed with it."""

    name: str
    folder: RunFolder

    @cached_property
    def model(self) -> Any:
        """The trained model with its moving average, in eval mode."""
        return self.folder.model().requires_grad_(False)

    @cached_property
    def double(self) -> Any:
        """The same in double precision."""
        return copy.deepcopy(self.model).double()

    @cached_property
    def dataset(self) -> Dataset:
        """The data it was trained on."""
        return load(self.folder.run.source)

    @property
    def raw(self) -> Tensor:
        """The first test items."""
        return self.dataset.test.x[:ITEMS]

    @property
    def truth(self) -> Tensor | None:
        """Their labels, or None."""
        return None if self.dataset.test.labels is None else self.dataset.test.labels[:ITEMS]

    def labels(self, seeds: Sequence[int]) -> Tensor | None:
        """The labels of samples with these seeds."""
        return None if self.folder.spec.classes is None else LABELS[: len(seeds)]


def solved(case: Case, precise: bool, name: str, w: float, steps: int = STEPS) -> Tensor:
    """Samples by one solver, in model space."""
    seeds, dtype = (PRECISE, torch.float64) if precise else (SEEDS, torch.float32)
    denoiser, solver = (case.double if precise else case.model).denoiser, solver_named(name)
    x = initial_noise(denoiser.path, case.folder.spec.shape, seeds).to(dtype)
    levels = grid(denoiser.path, steps, solver.spacing, solver.end)
    predict = ClassifierFree(w)(denoiser)
    return sample(predict, x, levels, solver=solver, condition=case.labels(seeds), seeds=seeds)


def samples(case: Case, recorded: Sequence[str]) -> Numbers:
    """By every solver that was recorded for this run, at each guidance scale w."""
    for key in recorded:
        run, what, *detail = key.split("/")
        if run == case.name and what in ("sample", "sample_f64"):
            name, w = detail[0], detail[-1]
            if name.startswith("tuned"):
                continue
            if name.startswith("auto-"):
                scale = 1.0 if case.labels(SEEDS) is None else 2.0
                yield f"{what}/{name}", solved(case, True, "auto", scale, int(name[5:]))
            else:
                yield f"{what}/{name}/{w}", solved(case, what == "sample_f64", name, float(w[1:]))
    classes = case.folder.spec.classes
    turns = None if classes is None else torch.arange(10) % classes
    if hasattr(case.model, "sample"):
        yield "draw", case.model.sample(range(10), turns)

    tuned = load_tuned(case.folder, case.model.denoiser.path, 6)
    if tuned is not None:
        denoiser = case.model.denoiser
        x = initial_noise(denoiser.path, case.folder.spec.shape, SEEDS)
        end = sample(denoiser, x, tuned.grid, solver=tuned.solver, condition=case.labels(SEEDS))
        yield "sample/tuned-6/w1", end


def walks(case: Case) -> Numbers:
    """Other grids, scalings and directions; in float64, labelled, unguided."""
    denoiser, labels = case.double.denoiser, case.labels(PRECISE)
    shape, path = case.folder.spec.shape, denoiser.path
    x = initial_noise(path, shape, PRECISE).double()
    for spacing in SPACINGS:
        for end in ENDS:
            levels = grid(path, STEPS, spacing, end)
            found = sample(denoiser, x, levels, solver="dpmpp2m", condition=labels)
            yield f"grid_f64/{spacing}/{end}", found
    for scaling in SCALINGS:
        other = Rescaled(denoiser, scaling)
        at = initial_noise(other.path, shape, PRECISE).double()
        for solver in ("euler", "vab4c", "euler_maruyama"):
            levels = grid(other.path, STEPS, solver_named(solver).spacing)
            found = sample(other, at, levels, solver=solver, condition=labels, seeds=PRECISE)
            yield f"split_f64/{scaling}/{solver}", found

    chosen = AdaptiveSolver(tolerance=1e-3, data_std=denoiser.data_std)
    found = adaptive(denoiser, x, chosen, condition=labels)
    yield "adaptive_f64/x", found.x
    yield "adaptive_f64/evaluations", found.evaluations
    levels = grid(path, STEPS, "log_snr")
    rounds = picard(denoiser, x, levels, solver="dpmpp2m", tolerance=1e-3, condition=labels)
    yield "picard_f64/x", rounds.x
    yield "picard_f64/rounds", rounds.rounds
    clamped = ClampX0()(denoiser)
    yield "clamp_f64/ddim", sample(clamped, x, grid(path, STEPS), solver="ddim", condition=labels)
    yield from inversions(case)


def inversions(case: Case) -> Numbers:
    """Data to noise and back."""
    denoiser, spec = case.double.denoiser, case.folder.spec
    own = None if case.truth is None else case.truth[:2]
    x0 = spec.encode(case.raw)[:2].double()
    levels = grid(denoiser.path, STEPS, "log_snr", "min")
    for solver in ("ddim", "heun", "dpmpp2m", "vab4c"):
        x_T = invert(denoiser, x0, levels, solver=solver, condition=own)
        yield f"encode_f64/{solver}", x_T
        back = sample(denoiser, x_T, levels, solver=solver, condition=own)
        yield f"encode_f64/{solver}-and-back", back
    plain = case.model.denoiser
    levels = grid(plain.path, STEPS, "log_snr", "min")
    yield "encode/ddim", invert(plain, x0.float(), levels, solver="ddim", condition=own)
    yield "slerp_f64", slerp(x0[:1], x0[1:], 0.3)


def energies(case: Case) -> Numbers:
    """Of an Energy: E itself, compositions, and chains that accept by E."""
    energy, shape = case.double.denoiser, case.folder.spec.shape
    path = energy.path
    x = initial_noise(path, shape, PRECISE).double()
    for t in TIMES:
        yield f"energy_f64/t{t:g}", energy.energy(INPUT(1, 2, *shape), t)
    predicts: dict[str, Predict] = {
        "energy": energy,
        "product": Product((energy, energy), (1.5, -0.25)),
        "mixed": MixtureOfDensities((energy, Product((energy,), (2.0,))), (0.3, 0.7)),
    }
    levels = grid(path, STEPS, "log_snr", "min")
    for name, predict in predicts.items():
        for solver in ("reverse_diffusion+hmc:0.5", "reverse_diffusion+mala:0.2", "dpmpp2m"):
            found = sample(predict, x, levels, solver=solver, seeds=PRECISE)
            yield f"composed_f64/{name}/{solver}", found


def predictions(case: Case) -> Numbers:
    """The network as a Predict, with labels and without, and every view of its prediction."""
    shape, labels = case.folder.spec.shape, case.labels(PRECISE)
    x_t = INPUT(1, 2, *shape)
    yield "input/x_T", initial_noise(case.model.denoiser.path, shape, SEEDS)
    for t in TIMES:
        yield f"belief/t{t:g}/x0", case.model.denoiser(x_t.float(), t, labels).x0
        prediction = case.double.denoiser(x_t, t, labels)
        yield f"belief_f64/t{t:g}/x0", prediction.x0
        for target in ("eps", "v", "score", "flow"):
            yield f"belief_f64/t{t:g}/{target}", prediction.view(target)
        if labels is not None:
            yield f"belief_f64/t{t:g}/unlabelled", case.double.denoiser(x_t, t).x0


def bounds(case: Case) -> Numbers:
    """The variational bound of the first test items, labels hidden, and shown where there are
    any.
    """
    raw, seeds = case.raw, range(ITEMS)
    conditions = {"hidden": None} if case.truth is None else {"hidden": None, "shown": case.truth}
    for name, condition in conditions.items():
        for kind, steps, draws in (("continuous", None, 8), ("T20", 20, 20), ("T20-draws8", 20, 8)):
            for what, model in (("bound", case.model), ("bound_f64", case.double)):
                x0 = model.spec.encode(raw).to(
                    torch.float64 if model is case.double else torch.float32
                )
                bound = variational_bound(
                    model.denoiser, x0, model.decoder, seeds=seeds, draws=draws, steps=steps,
                    condition=condition,
                )  # fmt: skip
                yield f"{what}/{kind}-{name}/total", bound.total
                yield f"{what}/{kind}-{name}/reconstruction", bound.reconstruction
                yield f"{what}/{kind}-{name}/prior", bound.prior
                yield f"{what}/{kind}-{name}/divergences", torch.stack(bound.divergences)
    yield "bound/bits_per_dim", case.model.bound(raw).bits_per_dim(case.model.spec)
    weights = case.model.log_weights(raw, case.truth, draws=2, steps=20)
    yield "log_weights/T20", weights
    yield "log_weights/importance", log_mean_weight(weights)
    x0 = case.double.spec.encode(raw).double()
    log_snr, nats = loss_by_log_snr(case.double.denoiser, x0, points=6, condition=case.truth)
    yield "over_log_snr_f64/log_snr", log_snr
    yield "over_log_snr_f64/nats", nats


def flows(case: Case) -> Numbers:
    """The ODE likelihood, by one Rademacher probe per item, and by the exact trace for 4 items."""
    raw, labels, spec = case.raw, case.truth, case.folder.spec
    for suffix, model, dtype in (
        ("", case.model, torch.float32),
        ("_f64", case.double, torch.float64),
    ):
        denoiser, x0 = model.denoiser, spec.encode(raw).to(dtype)
        probe = replace(FlowSolver(), probes=1, data_std=denoiser.data_std)
        found = {"probe": flow_log_prob(denoiser, x0, probe, condition=labels)}
        if suffix:
            some = None if labels is None else labels[:4]
            exact = replace(probe, probes=0)
            found["exact"] = flow_log_prob(denoiser, x0[:4], exact, condition=some)
        for how, flow in found.items():
            yield f"flow_log_prob{suffix}/{how}", flow.log_prob
            yield f"flow_log_prob{suffix}/{how}-clean", flow.clean_log_prob
            yield f"flow_log_prob{suffix}/{how}-latent", flow.latent[:2]
            yield f"flow_log_prob{suffix}/{how}-evaluations", flow.evaluations
        for kind in ("normal", "uniform") if spec.levels is not None else ():
            bound = flow_bound(denoiser, raw.to(dtype), DequantizedFlow(spec, probe, kind))
            yield f"flow_bound{suffix}/{kind}", bound.total
            yield f"flow_bound{suffix}/{kind}-evaluations", bound.evaluations


def objectives(case: Case) -> Numbers:
    """Each weighted loss at given times and noise, and the gradient of the bound (or the dual
    loss).
    """
    model = copy.deepcopy(case.double).requires_grad_(True)
    denoiser, path, labels = model.denoiser, model.denoiser.path, case.truth
    x0 = model.spec.encode(case.raw).double()
    t, eps = (torch.arange(ITEMS, dtype=torch.float64) + 0.5) / ITEMS, INPUT(2, *x0.shape)
    truth = Prediction.of(x0, eps, path.at(t, like=x0))
    for name in WEIGHTS:
        weight = weight_named(name, denoiser.data_std)
        yield f"objective_f64/{name}", denoising_loss(denoiser, truth, weight, labels)

    costs = diffusion_loss(denoiser, truth, condition=labels)
    likely = reconstruction(path, model.decoder, x0, eps)
    prior = prior_matching(path, x0)
    yield "objective_f64/divergence-continuous", costs
    at_step = Prediction.of(x0, eps, path.at((20 * t).ceil() / 20, like=x0))
    nats = diffusion_loss(denoiser, at_step, steps=20, condition=labels)
    yield "objective_f64/divergence-T20", nats
    yield "objective_f64/reconstruction", likely
    yield "objective_f64/prior", prior
    loss = (costs + prior - likely).mean()
    if case.name == "energy":
        dual = dual_score_matching(denoiser, truth, labels)
        yield "objective_f64/dual", dual
        loss = dual.mean()
    loss.backward()
    for part, module in (("network", denoiser.network), ("schedule", path.schedule)):
        norms = [p.grad.norm() for p in module.parameters() if p.grad is not None]
        if norms:
            yield f"objective_f64/gradient-norms-{part}", torch.stack(norms)


def latents(case: Case) -> Numbers:
    """Of a VAE or a hierarchy: bounds, importance weights and samples."""
    for suffix, model in (("", case.model), ("_f64", case.double)):
        bound = model.bound(case.raw, draws=4)
        yield f"bound{suffix}/total", bound.total
        yield f"bound{suffix}/reconstruction", bound.reconstruction
        yield f"bound{suffix}/prior", bound.prior
        if bound.divergences:
            yield f"bound{suffix}/divergences", torch.stack(bound.divergences)
        yield f"log_weights{suffix}", model.log_weights(case.raw, draws=5)
    yield "draw", case.model.sample(SEEDS)


def paths() -> Numbers:
    """Every scale of a Level at seven times, and the times of every spacing."""
    columns = (
        "log_snr", "alpha", "sigma", "dlog_snr", "alpha_sigma_dlog_snr", "dalpha", "dsigma",
        "drift", "diffusion",
    )  # fmt: skip
    schedules = {
        "linear": LinearLogSNR(8, -5),
        "cosine": Cosine(12, -8),
        "learned": LearnedSchedule(10, -6),
        "betas": Betas(torch.linspace(1e-4, 0.02, 1000)),
        "straight": RectifiedFlow(),
        "geometric": Geometric(0.01, 50),
    }
    times = torch.tensor([1.0, 0.9, 0.7, 0.5, 0.3, 0.1, 0.02], dtype=torch.float64)
    for name, schedule in schedules.items():
        for scaling in SCALINGS:
            levels = Path(schedule, scaling).levels(times)
            rows = [[float(getattr(level, column)) for column in columns] for level in levels]
            yield f"path_f64/{name}/{scaling}", torch.tensor(rows, dtype=torch.float64)
        for spacing in SPACINGS:
            if name != "straight" or spacing not in ("log_snr", "karras"):  # they need finite ends
                yield (
                    f"times_f64/{name}/{spacing}",
                    grid(Path(schedule), STEPS, spacing, "min").times,
                )


def everything(folder: File, recorded: Sequence[str]) -> Numbers:
    """All recorded quantities of all runs in the folder."""
    yield from paths()
    for file in sorted(folder.glob("*/run.json")):
        case = Case(file.parent.name, RunFolder.open(file.parent))
        parts = [latents(case)]
        if hasattr(case.model, "denoiser"):
            parts = [samples(case, recorded), predictions(case), objectives(case)]
            wide = case.name in ("digits", "moons_v", "moons_learned")
            parts += [walks(case)] if wide or case.name == "moons_ve" else []
            parts += [bounds(case), flows(case)] if wide or case.name == "digits_edm" else []
            parts += [energies(case)] if case.name == "energy" else []
        for part in parts:
            yield from ((f"{case.name}/{key}", value) for key, value in part)
