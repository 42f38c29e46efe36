"""What only an accelerator can tell, on one GPU and in at most six minutes.

    python -m benchmarks accelerator                         on a GPU; empty rows without one
    python -m benchmarks.accelerator --write                 the same, into benchmarks/results
    python -m benchmarks.accelerator --device cpu --shrunk   a rehearsal on the CPU, in seconds

Four parts:

    tests       the tests marked `cuda` (tests/accelerator): the CPU's numbers, training, resume,
                bfloat16, torch.compile and CUDA graphs
    activity    kernels and host synchronisations per step of the sampler and of training
    images/s    the U-Net, forward and with a training step, in float32 (torch's defaults, with TF32
                in convolutions) and bfloat16, and diffusers' UNet2DModel of the same size where
                diffusers is installed
    demo        one minute of the recipe `digits`, and its bits/dim

Without a GPU the rows are empty. A rehearsal measures nothing that is worth keeping; `--write`
refuses it.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile

import allegory as al
from allegory.data import load
from allegory.evaluation import BoundConfig, evaluate_bound
from allegory.networks import UNetConfig
from allegory.process import LinearLogSNR, grid
from allegory.recipes import execute, recipe_named
from allegory.sampling import SOLVERS, initial_noise, sample

RESULTS = Path(__file__).resolve().parent / "results"
TESTS = Path(__file__).resolve().parents[1] / "tests" / "accelerator" / "test_device.py"
SAMPLERS = ("dpmpp2m", "auto", "heun", "sde_dpmpp2m")
PRECISIONS = ("fp32", "bf16")
ROWS = {
    "activity": [*(f"sampling, {name}" for name in SAMPLERS), "training"],
    "images/s": ["allegory UNet", "diffusers UNet2DModel"],
}
Table = dict[str, Any]


@dataclass(frozen=True)
class Size:
    """How much is done.

    Args:
        tests: an expression for `pytest -k`; "" for all tests.
        network: the U-Net of the measurements.
        shape: of one item.
        batch: items per batch.
        seconds: of each window of images/s.
        demo: minutes of the demo; None for three steps.
    """

    tests: str
    network: UNetConfig
    shape: tuple[int, int, int]
    batch: int
    seconds: float
    demo: float | None


FULL = Size("", UNetConfig(channels=128, multipliers=(1, 2, 2), blocks=2, attention=(16,)),
            (3, 32, 32), 128, 4.0, 1.0)  # fmt: skip
SHRUNK = Size("forward or (takes and ddim) or bound or resumed or compiles",
              UNetConfig(channels=8, multipliers=(1, 2), blocks=1, attention=()),
              (3, 8, 8), 4, 0.05, None)  # fmt: skip


class Outcomes:
    """A pytest plugin that notes how each test ended."""

    def __init__(self) -> None:
        self.ended: dict[str, str] = {}

    def pytest_runtest_logreport(self, report: Any) -> None:
        """Note a failure of any phase, and the outcome of the call."""
        name = report.nodeid.partition("::")[2]
        if report.when == "call" or report.outcome != "passed":
            self.ended[name] = report.outcome


def run_tests(device: torch.device, size: Size) -> Table:
    """Run the tests marked `cuda` on this device: each with its outcome."""
    import pytest

    os.environ["ALLEGORY_DEVICE"] = device.type
    chosen = ["-k", size.tests] if size.tests else []
    plain = ["-o", "addopts=--import-mode=importlib --strict-markers -q", "-p", "no:cacheprovider"]
    outcomes = Outcomes()
    held, sys.stdout = sys.stdout, sys.stderr
    try:
        pytest.main([*plain, "-m", "cuda", *chosen, str(TESTS)], plugins=[outcomes])
    finally:
        sys.stdout = held
    return outcomes.ended


def model(size: Size) -> al.VDM:
    """The U-Net as a variational diffusion model of 8-bit images."""
    spec = al.data.DataSpec(size.shape, low=0, high=255, levels=256)
    path = al.Path(LinearLogSNR(8, -5))
    return al.VDM(al.Denoiser(size.network.build(size.shape), path, target="v"), spec)


def wait(device: torch.device) -> None:
    """Return when the device has done its work."""
    if device.type == "cuda":
        torch.cuda.synchronize()


def activity(run: Callable[[], object], steps: int, device: torch.device) -> Table:
    """Kernels, host synchronisations and copies to the host per step; operators on a CPU."""
    run()
    wait(device)
    on_gpu = device.type == "cuda"
    kinds = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if on_gpu else [])]
    with profile(activities=kinds, acc_events=True) as found:
        run()

    names = [event.name for event in found.events()]
    if not on_gpu:
        return {"operators": sum(name.startswith("aten::") for name in names) / steps}
    launches = ("cudaLaunchKernel", "cudaLaunchKernelExC", "cuLaunchKernel", "cuLaunchKernelEx")
    waits = ("cudaStreamSynchronize", "cudaDeviceSynchronize", "cudaEventSynchronize")
    return {
        "kernels": sum(name in launches for name in names) / steps,
        "synchronisations": sum(name in waits for name in names) / steps,
        "copies to the host": sum(name.startswith("Memcpy DtoH") for name in names) / steps,
    }


def activities(device: torch.device, size: Size) -> Table:
    """Activity per step of some samplers and of training, with the U-Net."""
    vdm, steps = model(size).to(device), 10
    predict, path = vdm.denoiser, vdm.denoiser.path
    x_T = initial_noise(path, size.shape, range(size.batch)).to(device)
    table: Table = {}
    for name in SAMPLERS:
        levels = grid(path, steps, "log_snr")
        solver = SOLVERS[name].planned(levels.levels)

        def draw(solver: Any = solver, levels: Any = levels) -> Tensor:
            return sample(predict, x_T, levels, solver=solver, seeds=range(size.batch))

        table[f"sampling, {name}"] = activity(draw, steps, device)

    optimizer = torch.optim.AdamW(vdm.parameters(), lr=1e-4, fused=True)
    generator = torch.Generator(device).manual_seed(0)
    x = torch.randint(0, 256, (size.batch, *size.shape), device=device).float()

    def learn() -> None:
        for _ in range(steps):
            vdm.loss((x, None), generator).mean().backward()
            optimizer.step()
            optimizer.zero_grad()

    table["training"] = activity(learn, steps, device)
    return table


def networks(size: Size) -> dict[str, Callable[[], nn.Module]]:
    """The U-Nets to compare, each as a constructor of a module called with (x, t)."""

    class Timed(nn.Module):
        """diffusers' network with the arguments of ours."""

        def __init__(self, inner: nn.Module) -> None:
            super().__init__()
            self.inner = inner

        def forward(self, x: Tensor, t: Tensor) -> Tensor:
            out: Tensor = self.inner(x, t).sample
            return out

    def theirs() -> nn.Module:
        from diffusers import UNet2DModel  # type: ignore[import-untyped]

        config = size.network
        widths = tuple(config.channels * each for each in config.multipliers)
        edges = [size.shape[-1] // 2**k for k in range(len(widths))]
        attends = [edge in config.attention for edge in edges]
        inner = UNet2DModel(
            sample_size=size.shape[-1],
            in_channels=size.shape[0],
            out_channels=size.shape[0],
            block_out_channels=widths,
            layers_per_block=config.blocks,
            norm_num_groups=min(32, config.channels),
            down_block_types=["AttnDownBlock2D" if each else "DownBlock2D" for each in attends],
            up_block_types=["AttnUpBlock2D" if each else "UpBlock2D" for each in attends[::-1]],
        )
        return Timed(inner)

    return {
        "allegory UNet": lambda: size.network.build(size.shape),
        "diffusers UNet2DModel": theirs,
    }


def rate(work: Callable[[], object], items: int, seconds: float, device: torch.device) -> float:
    """Items per second over a window, after three calls to warm up."""
    for _ in range(3):
        work()
    wait(device)
    start, done = time.perf_counter(), 0
    while time.perf_counter() - start < seconds:
        work()
        wait(device)
        done += items
    return done / (time.perf_counter() - start)


def speed(network: nn.Module, size: Size, device: torch.device) -> Table:
    """Parameters in millions, and images/s forward and of a training step in each precision."""
    network = network.to(device)
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-4, fused=True)
    x = torch.randn(size.batch, *size.shape, device=device)
    t = torch.linspace(-3, 3, size.batch, device=device)
    row: Table = {"parameters, M": sum(weight.numel() for weight in network.parameters()) / 1e6}
    for precision in PRECISIONS:
        lower = precision == "bf16"
        context = torch.autocast(device.type, torch.bfloat16) if lower else nullcontext()

        def forward(context: Any = context) -> Tensor:
            with context:
                out: Tensor = network(x, t)
            return out

        def learn(forward: Callable[[], Tensor] = forward) -> None:
            forward().float().square().mean().backward()
            optimizer.step()
            optimizer.zero_grad()

        with torch.no_grad():
            row[f"forward, {precision}"] = rate(forward, size.batch, size.seconds, device)
        row[f"training, {precision}"] = rate(learn, size.batch, size.seconds, device)
    return row


def speeds(device: torch.device, size: Size) -> Table:
    """images/s of each U-Net that is installed."""
    table: Table = {}
    for name, build in networks(size).items():
        if name.startswith("diffusers") and find_spec("diffusers") is None:
            table[name] = {}
            continue
        table[name] = speed(build(), size, device)
    return table


def demo(device: torch.device, size: Size) -> Table:
    """The recipe `digits`: what a minute of training reaches."""
    run, test = recipe_named("digits"), load("digits").test
    budget = {"minutes": size.demo} if size.demo else {"minutes": None, "steps": 3}
    run = replace(run, training=replace(run.training, **budget))
    if size.demo is None:
        test = test.take(torch.arange(8))
    with tempfile.TemporaryDirectory() as folder:
        trained, result = execute(run, Path(folder) / "run")
        vdm = trained.model().to(device)
    draws = 32 if size.demo else 1
    bits = evaluate_bound(vdm, test, BoundConfig(draws=draws)).total
    return {
        "steps": result.step,
        "images": result.images,
        "seconds": result.seconds,
        "images/s": result.images / result.seconds,
        "bits/dim": bits.mean,
        "standard error": bits.error,
    }


def machine(device: torch.device) -> Table:
    """What was measured on."""
    on_gpu = device.type == "cuda"
    return {
        "device": torch.cuda.get_device_name() if on_gpu else None,
        "torch": torch.__version__,
        "CUDA": torch.version.cuda if on_gpu else None,
    }


def empty() -> Table:
    """The table of a machine without a GPU."""
    return {
        "machine": {"device": None},
        "tests": {},
        **{part: {name: {} for name in rows} for part, rows in ROWS.items()},
        "demo": {},
        "seconds": None,
    }


def measure(device: torch.device, size: Size) -> Table:
    """All four parts."""
    start = time.perf_counter()
    found = {
        "machine": machine(device),
        "tests": run_tests(device, size),
        "activity": activities(device, size),
        "images/s": speeds(device, size),
        "demo": demo(device, size),
    }
    return {**found, "seconds": time.perf_counter() - start}


def cell(value: Any) -> str:
    """A number of four digits; nothing for what was not measured."""
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def table(rows: Table) -> list[str]:
    """A markdown table of rows of named figures."""
    columns = list(dict.fromkeys(name for row in rows.values() for name in row)) or ["not measured"]
    lines = [f"| | {' | '.join(columns)} |", "|---" * (len(columns) + 1) + "|"]
    for name, row in rows.items():
        lines.append(f"| {name} | {' | '.join(cell(row.get(each)) for each in columns)} |")
    return [*lines, ""]


def markdown(found: Table) -> str:
    """The report."""
    ended = list(found["tests"].values())
    counts = {each: ended.count(each) for each in ("passed", "failed", "skipped")}
    failed = [name for name, how in found["tests"].items() if how == "failed"]
    lines = ["# Accelerator", "", "`python -m benchmarks accelerator`", ""]
    lines += [f"{name}: {cell(value) or 'none'}  " for name, value in found["machine"].items()]
    lines += ["", "## Tests", "", *table({"tests marked `cuda`": counts if ended else {}})]
    lines += [*(f"- failed: `{name}`" for name in failed), ""] if failed else []
    for part in ROWS:
        title = f"{part[0].upper()}{part[1:]}"
        lines += [
            f"## {title}{', per step' if part == 'activity' else ''}",
            "",
            *table(found[part]),
        ]
    lines += ["## Demo", "", *table({"digits": found["demo"]})]
    return "\n".join(lines)


def write(found: Table) -> None:
    """Into benchmarks/results."""
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "accelerator.json").write_text(json.dumps(found, indent=1) + "\n")
    (RESULTS / "accelerator.md").write_text(markdown(found) + "\n")


def main() -> None:
    """Measure, and print or write."""
    parser = argparse.ArgumentParser(description="What only an accelerator can tell.")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--shrunk", action="store_true", help="a rehearsal in seconds")
    parser.add_argument("--write", action="store_true", help="write into benchmarks/results")
    arguments = parser.parse_args()
    rehearsal = arguments.device == "cpu" or arguments.shrunk
    if arguments.write and rehearsal:
        parser.error("--write: a rehearsal is not a result; use --device cuda without --shrunk")

    if arguments.device == "cuda" and not torch.cuda.is_available():
        found = empty()
    else:
        found = measure(torch.device(arguments.device), SHRUNK if arguments.shrunk else FULL)
    if arguments.write:
        write(found)
    print(json.dumps(found) if arguments.json else markdown(found))
    if "failed" in found["tests"].values():
        sys.exit("a test marked cuda failed")


if __name__ == "__main__":
    main()
