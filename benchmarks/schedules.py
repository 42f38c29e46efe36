r"""What the interior of a schedule is worth.

One network, one pair of ends, several curves between them.

    python -m benchmarks.schedules                                       90 seconds of training
    python -m benchmarks.schedules --row edm --start 13.3 --steps 3000   as VDM
    python -m benchmarks.schedules --json                                one JSON object

The digits network is trained with a straight log-SNR. Then it is frozen, and on the test digits
with labels hidden each interior is measured: the bound in bits/dim; how far it is from that of the
straight line, with the standard error of the difference item by item; and the variance of the
diffusion term from one draw of (image, time, noise), in (bits/dim)^2, of which `within` is due to
time and noise. The learned interior descends the variance on the training digits. `least` is the
least variance that any interior has with this network:

    (int sqrt(E[h^2]) dlog_snr)^2 - (int E[h] dlog_snr)^2

    with h = |eps - eps_hat|^2 / 2 at one log-SNR.

Kingma et al. 2021 (appendix) print 0.53 for the learned interior on CIFAR-10, 6.35 for the straight
line in log-SNR, 31.6 for betas that rise straight and 31.1 for the cosine. `step` is the processor
time of a training step with a learned schedule over that with a fixed one, on one thread.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path as File

import torch
from torch import Tensor

from allegory.data import Dataset, Items, load
from allegory.likelihood.bound import loss_by_log_snr
from allegory.models import VDM
from allegory.networks import UNetConfig
from allegory.process import (
    Betas,
    Cosine,
    LearnedSchedule,
    LinearLogSNR,
    Path,
    Prediction,
    Schedule,
    bits_per_dim,
    estimate,
)
from allegory.process.bound_terms import diffusion_loss
from allegory.recipes import DiffusionConfig, PathConfig, Run, execute, recipe_named

Table = dict[str, dict[str, float]]


def straight_betas(start: float, end: float, entries: int = 2000) -> Betas:
    """log alpha_bar linear in t^2 (VDM: log_snr = -log expm1(a + b t^2)): beta is linear."""
    first, last = torch.nn.functional.logsigmoid(torch.tensor([start, end], dtype=torch.float64))
    log_alpha_bar = (
        first + (last - first) * torch.linspace(0, 1, entries, dtype=torch.float64).square()
    )
    steps = torch.cat([log_alpha_bar[:1], log_alpha_bar.diff()])
    return Betas(-torch.expm1(steps))


def choice(arguments: argparse.Namespace) -> Run:
    """The digits recipe with the row, the ends and the budget that were asked for."""
    run = recipe_named("digits")
    assert isinstance(run.model, DiffusionConfig) and isinstance(run.model.network, UNetConfig)
    fourier = () if arguments.row == "categorical" else (2, 3)
    network = replace(run.model.network, dropout=0.1, fourier=fourier)
    path = PathConfig("linear", arguments.start, arguments.end)
    minutes = None if arguments.steps else arguments.seconds / 60
    return replace(
        run,
        model=replace(run.model, network=network, target=arguments.row, path=path),
        training=replace(run.training, minutes=minutes, steps=arguments.steps),
    )


def learn_interior(vdm: VDM, train: Items, steps: int) -> LearnedSchedule:
    """Descend the variance with the network and the ends as they are."""
    start, end = vdm.denoiser.path.schedule.ends
    schedule = LearnedSchedule(start, end, fixed_ends=True)
    vdm.denoiser.path = Path(schedule)
    optimizer = torch.optim.AdamW([p for p in schedule.parameters() if p.requires_grad], lr=2e-3)
    decay = torch.optim.lr_scheduler.LinearLR(optimizer, 1, 0, total_iters=steps)
    draws = torch.Generator().manual_seed(0)
    for _ in range(steps):
        optimizer.zero_grad()
        chosen = train.x[torch.randint(len(train), (128,), generator=draws)]
        vdm.loss((chosen, None), draws).mean().backward()
        optimizer.step()
        decay.step()
    return schedule


@torch.no_grad()
def one_draw(vdm: VDM, x0: Tensor, draws: int) -> dict[str, float]:
    """Variance of the diffusion term from one draw, and its part due to time and noise."""
    generator = torch.Generator().manual_seed(1)
    rows = []
    for _ in range(draws):
        t = torch.rand(len(x0), generator=generator, dtype=torch.float64)
        eps = torch.randn(x0.shape, generator=generator)
        truth = Prediction.of(x0, eps, vdm.denoiser.path.at(t, like=x0))
        rows.append(diffusion_loss(vdm.denoiser, truth))
    bits = bits_per_dim(torch.stack(rows), vdm.spec)
    squares = estimate(
        (bits - bits.mean()).square().mean(0)
    )  # images are independent, the draws of one are not
    return {"variance": squares.mean, "error": squares.error, "within": bits.var(0).mean().item()}


def least_variance(vdm: VDM, x0: Tensor) -> float:
    """The formula of the module's docstring, by 64 levels."""
    log_snr, nats = loss_by_log_snr(vdm.denoiser, x0, points=64)
    bits, width = bits_per_dim(nats, vdm.spec), (log_snr[1] - log_snr[0]).item()
    root = bits.square().mean(1).sqrt().sum().item() * width
    return root**2 - (bits.mean(1).sum().item() * width) ** 2


def measure(vdm: VDM, dataset: Dataset, arguments: argparse.Namespace) -> Table:
    """Each interior on the test digits, the straight line first."""
    start, end = vdm.denoiser.path.schedule.ends
    makers: dict[str, Callable[[], Schedule]] = {
        "linear": lambda: LinearLogSNR(start, end),
        "betas": lambda: straight_betas(start, end),
        "cosine": lambda: Cosine(start, end),
        "learned": lambda: learn_interior(vdm, dataset.train, arguments.interior),
    }
    raw, table, straight = dataset.test.x, {}, torch.zeros(())
    x0 = vdm.spec.encode(raw)
    for k, (name, make) in enumerate(makers.items()):
        vdm.denoiser.path = Path(make())
        bits = vdm.bound(
            raw, seeds=range(len(raw) * k, len(raw) * (k + 1)), draws=arguments.draws
        ).bits_per_dim(vdm.spec)
        straight = bits if k == 0 else straight
        whole, gap = estimate(bits), estimate(bits - straight)
        row = {
            "bits/dim": whole.mean,
            "s.e.": whole.error,
            "minus linear": gap.mean,
            "s.e. of it": gap.error,
        }
        table[name] = row | one_draw(vdm, x0, arguments.draws)
    for row in table.values():
        row["least"] = least_variance(vdm, x0)
        row["linear over it"] = table["linear"]["variance"] / row["variance"]
    return table


def step_ratio(run: Run, dataset: Dataset, pairs: int = 30) -> float:
    """Processor time per step, learned schedule over fixed schedule, as a median of pairs."""
    batch = (dataset.train.x[:128], None)
    assert isinstance(run.model, DiffusionConfig)
    runs = [
        run,
        replace(run, model=replace(run.model, path=replace(run.model.path, schedule="learned"))),
    ]
    models = [each.build_model(dataset).train() for each in runs]
    optimizers = [torch.optim.AdamW(model.parameters(), lr=1e-3, fused=True) for model in models]
    draws = torch.Generator().manual_seed(0)
    ratios = []
    for _ in range(pairs):
        spent = []
        for model, optimizer in zip(models, optimizers, strict=True):
            begun = time.process_time()
            optimizer.zero_grad()
            model.loss(batch, draws).mean().backward()
            optimizer.step()
            spent.append(time.process_time() - begun)
        ratios.append(spent[1] / spent[0])
    return statistics.median(ratios[3:])


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="What the interior of a schedule is worth.")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--seconds", type=float, default=90.0, help="of training")
    parser.add_argument("--steps", type=int, help="of training, instead of seconds")
    parser.add_argument("--interior", type=int, default=300, help="steps of the learned interior")
    parser.add_argument(
        "--draws", type=int, default=64, help="of time and noise for each test image"
    )
    parser.add_argument("--row", default="categorical", help="what the network predicts")
    parser.add_argument("--start", type=float, default=8.0, help="log-SNR at t = 0")
    parser.add_argument("--end", type=float, default=-5.0, help="log-SNR at t = 1")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    run, dataset = choice(arguments), load("digits")
    with tempfile.TemporaryDirectory() as folder:
        trained, result = execute(run, File(folder) / "run")
        vdm = trained.model()
    assert isinstance(vdm, VDM)
    vdm.denoiser.network.requires_grad_(False)
    table = measure(vdm, dataset, arguments)
    table["step"] = {
        "learned over fixed": step_ratio(trained.run, dataset),
        "images": float(result.images),
    }
    if arguments.json:
        print(json.dumps(table))
        return
    for name, figures in table.items():
        print(f"{name:<10}" + "  ".join(f"{words} {value:.4g}" for words, value in figures.items()))


if __name__ == "__main__":
    main()
