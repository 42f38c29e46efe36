"""Speed of the networks on one CPU thread.

Images/s of a training step, what the time goes into, and alternatives.

    python -m benchmarks.networks            five tables; what they showed is in NOTES.md
    python -m benchmarks.networks --json     the same as one JSON object

A step is forward, mean square, backward, without an optimizer; time is processor time of the one
thread. Windows of the candidates are interleaved and the median taken, so that a slow minute of the
machine meets them all.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile

from allegory.conditions import Labels
from allegory.networks import DiTConfig, MLPConfig, UNetConfig

Step = Callable[[], None]
SHARES = {  # the first fragment that a kernel's name contains decides where its time is counted
    "convolution": ("mkldnn", "conv"),
    "norm": ("norm",),
    "attention": ("attention",),
    "linear": ("addmm", "mm", "linear"),
}


def network_step(
    config: Any, shape: tuple[int, ...], batch: int, *, bf16: bool = False, last: bool = False
) -> Step:
    """One training step of a network on fixed random data; bf16: autocast; last: channels_last."""
    torch.manual_seed(0)
    network = config.build(shape, Labels(10)).train()
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.02)  # a new network's zeros would spare some of the work
    layout = torch.channels_last if last else torch.contiguous_format
    network, x = (
        network.to(memory_format=layout),
        torch.randn(batch, *shape).to(memory_format=layout),
    )
    log_snr, labels = torch.randn(batch), torch.randint(-1, 10, (batch,))

    def step() -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            out = network(x, log_snr, labels)
        out.float().square().mean().backward()

    return step


def layer_step(layer: Callable[[Tensor], Tensor], *shape: int, last: bool = False) -> Step:
    """Forward and backward of one layer on fixed random data."""
    torch.manual_seed(0)
    layout = torch.channels_last if last else torch.contiguous_format
    x = torch.randn(shape).to(memory_format=layout).requires_grad_()
    layer = layer.to(memory_format=layout) if isinstance(layer, nn.Module) else layer
    ahead = torch.randn_like(layer(x))

    def step() -> None:
        layer(x).backward(ahead)

    return step


def medians(steps: Mapping[str, Step], rounds: int = 5, window: float = 0.25) -> dict[str, float]:
    """Median seconds of each step over interleaved windows."""
    times: dict[str, list[float]] = {name: [] for name in steps}
    for step in steps.values():
        step()
    for _ in range(rounds):
        for name, step in steps.items():
            start, count = time.process_time(), 0
            while count == 0 or time.process_time() - start < window:
                step()
                count += 1
            times[name].append((time.process_time() - start) / count)
    return {name: statistics.median(values) for name, values in times.items()}


def shares(step: Step) -> dict[str, float]:
    """The share of the time of one step that goes into each kind of kernel."""
    step()
    with profile(activities=[ProfilerActivity.CPU]) as profiler:
        step()
    totals = dict.fromkeys([*SHARES, "other"], 0.0)
    for event in profiler.key_averages():
        name = event.key.lower()
        kind = next(
            (k for k, parts in SHARES.items() if any(part in name for part in parts)), "other"
        )
        totals[kind] += event.self_cpu_time_total
    return {kind: total / sum(totals.values()) for kind, total in totals.items()}


def sizes() -> dict[str, dict[str, float]]:
    """Images/s and shares of whole networks."""
    small, large = ((1, 8, 8), 128), ((1, 28, 28), 64)
    candidates: dict[str, tuple[Any, tuple[tuple[int, ...], int]]] = {
        "MLP 512x3, 8x8": (MLPConfig(512, 3), small),
        "DiT 128x4, 8x8": (DiTConfig(), small),
        "U-Net 32 (1,2) x1, 8x8": (UNetConfig(32, (1, 2), 1, ()), small),
        "U-Net 32 (1,2) x2, 8x8": (UNetConfig(32, (1, 2), 2, ()), small),
        "U-Net 32 (1,2) x1 + attention at 4, 8x8": (UNetConfig(32, (1, 2), 1, (4,)), small),
        "U-Net 32 (1,2) x1 + attention at 8, 8x8": (UNetConfig(32, (1, 2), 1, (8,)), small),
        "U-Net 32 (1) x2, 8x8": (UNetConfig(32, (1,), 2, ()), small),
        "U-Net 64 (1,2) x1, 8x8": (UNetConfig(64, (1, 2), 1, ()), small),
        "U-Net 32 (1,2,2) x1, 28x28": (UNetConfig(32, (1, 2, 2), 1, ()), large),
        "U-Net 64 (1,2) x1 + attention at 14, 28x28": (UNetConfig(64, (1, 2), 1, (14,)), large),
        "U-Net 64 (1,1,2) x1 + attention at 7, 28x28": (UNetConfig(64, (1, 1, 2), 1, (7,)), large),
        "DiT 128x4 patch 4, 28x28": (DiTConfig(patch=4), large),
    }
    steps = {name: network_step(config, *data) for name, (config, data) in candidates.items()}
    seconds = medians(steps, rounds=3)
    table: dict[str, dict[str, float]] = {}
    for name, (config, (shape, batch)) in candidates.items():
        weights = sum(p.numel() for p in config.build(shape, Labels(10)).parameters())
        table[name] = {
            "weights/M": weights / 1e6,
            "images/s": batch / seconds[name],
            **shares(steps[name]),
        }
    return table


def formats() -> dict[str, dict[str, float]]:
    """Images/s of one network in float32 and bfloat16, contiguous and channels_last."""
    table = {}
    for name, config, shape, batch in (
        ("U-Net 32 (1,2) x1, 8x8", UNetConfig(32, (1, 2), 1, ()), (1, 8, 8), 128),
        (
            "U-Net 32 (1,2) x1 + attention at 4, 8x8",
            UNetConfig(32, (1, 2), 1, (4,)),
            (1, 8, 8),
            128,
        ),
        (
            "U-Net 64 (1,2) x1 + attention at 14, 28x28",
            UNetConfig(64, (1, 2), 1, (14,)),
            (1, 28, 28),
            64,
        ),
    ):
        steps = {
            "float32": network_step(config, shape, batch),
            "float32 channels_last": network_step(config, shape, batch, last=True),
            "bfloat16": network_step(config, shape, batch, bf16=True),
            "bfloat16 channels_last": network_step(config, shape, batch, bf16=True, last=True),
        }
        table[name] = {kind: batch / seconds for kind, seconds in medians(steps, rounds=3).items()}
    return table


def layers() -> dict[str, dict[str, float]]:
    """Milliseconds of single layers and of their alternatives at the two sizes."""
    table: dict[str, dict[str, float]] = {}
    for batch, c, size in ((128, 64, 8), (64, 64, 28)):
        image, half = (batch, c, size, size), (batch, c, size // 2, size // 2)
        steps = {
            "3x3 convolution": layer_step(nn.Conv2d(c, c, 3, padding=1), *image),
            "3x3 convolution, channels_last": layer_step(
                nn.Conv2d(c, c, 3, padding=1), *image, last=True
            ),
            "1x1 convolution": layer_step(nn.Conv2d(c, c, 1), *image),
            "1x1 as linear on tokens": layer_step(nn.Linear(c, c), batch, size * size, c),
            "GroupNorm": layer_step(nn.GroupNorm(8, c), *image),
            "GroupNorm, channels_last": layer_step(nn.GroupNorm(8, c), *image, last=True),
            "SiLU": layer_step(nn.functional.silu, *image),
            "down: mean": layer_step(nn.AvgPool2d(2), *image),
            "down: mean, 1x1": layer_step(
                nn.Sequential(nn.AvgPool2d(2), nn.Conv2d(c, c, 1)), *image
            ),
            "down: strided 3x3": layer_step(nn.Conv2d(c, c, 3, 2, 1), *image),
            "down: unshuffle, 1x1": layer_step(
                nn.Sequential(nn.PixelUnshuffle(2), nn.Conv2d(4 * c, c, 1)), *image
            ),
            "up: 1x1, repeat": layer_step(
                nn.Sequential(nn.Conv2d(c, c, 1), nn.Upsample(scale_factor=2)), *half
            ),
            "up: repeat, 3x3": layer_step(
                nn.Sequential(nn.Upsample(scale_factor=2), nn.Conv2d(c, c, 3, padding=1)), *half
            ),
            "up: transposed 2x2": layer_step(nn.ConvTranspose2d(c, c, 2, 2), *half),
            "up: 1x1, shuffle": layer_step(
                nn.Sequential(nn.Conv2d(c, 4 * c, 1), nn.PixelShuffle(2)), *half
            ),
        }
        for name, seconds in medians(steps).items():
            table.setdefault(name, {})[f"{batch}x{c}x{size}x{size}"] = 1e3 * seconds
    return table


def attention() -> dict[str, dict[str, float]]:
    """Milliseconds of attention: torch's function and the written-out softmax, per precision."""
    table: dict[str, dict[str, float]] = {}
    for batch, heads, count in ((128, 2, 16), (128, 2, 64), (64, 4, 196)):
        for dtype in (torch.float32, torch.bfloat16):
            q = torch.randn(batch, heads, count, 32, dtype=dtype, requires_grad=True)
            ahead = torch.randn_like(q)

            def fused(q: Tensor = q, ahead: Tensor = ahead) -> None:
                nn.functional.scaled_dot_product_attention(q, q, q).backward(ahead)

            def plain(q: Tensor = q, ahead: Tensor = ahead) -> None:
                ((q @ q.mT / 32**0.5).softmax(-1) @ q).backward(ahead)

            row = medians({"fused": fused, "plain": plain}, rounds=3)
            for kind, seconds in row.items():
                name = f"{kind}, {str(dtype).removeprefix('torch.')}"
                table.setdefault(name, {})[f"{batch}x{heads}x{count}x32"] = 1e3 * seconds
    return table


def heap() -> dict[str, dict[str, float]]:
    """Images/s of the smallest U-Net, with glibc returning large blocks to the system or not."""
    keep = {
        "MALLOC_MMAP_MAX_": "0",
        "MALLOC_TRIM_THRESHOLD_": "1000000000000",
        "MALLOC_TOP_PAD_": "67108864",
    }
    table: dict[str, dict[str, float]] = {"returned (default)": {}, "kept": {}}
    for size, (shape, batch) in {"8x8": ((1, 8, 8), 128), "28x28": ((1, 28, 28), 64)}.items():
        code = (
            "import torch; from benchmarks.networks import *; torch.set_num_threads(1);"
            f"print(medians({{'': network_step(UNetConfig(32, (1, 2), 1, ()), "
            f"{shape}, {batch})}})[''])"
        )
        for name, extra in (("returned (default)", {}), ("kept", keep)):
            environment = {**os.environ, **extra}
            out = subprocess.run(
                [sys.executable, "-c", code], env=environment, capture_output=True, check=True
            )
            table[name][size] = batch / float(out.stdout)
    return table


def show(title: str, table: dict[str, dict[str, float]]) -> None:
    """Print a table; columns are the union of its rows'."""
    columns = list(dict.fromkeys(column for row in table.values() for column in row))
    print(f"\n{title}\n{'':44s}" + "".join(f"{column:>24s}" for column in columns))
    for name, row in table.items():
        cells = (f"{row[c]:24.3g}" if row[c] < 1000 else f"{row[c]:24.0f}" for c in columns)
        print(f"{name:44s}" + "".join(cells))


def main(arguments: list[str]) -> None:
    """Run all of them and print their tables."""
    torch.set_num_threads(1)
    tables = {
        "networks": sizes(),
        "formats, images/s": formats(),
        "heap, images/s": heap(),
        "layers, ms": layers(),
        "attention, ms": attention(),
    }
    if "--json" in arguments:
        print(json.dumps(tables, indent=1))
    else:
        for title, table in tables.items():
            show(title, table)


if __name__ == "__main__":
    main(sys.argv[1:])
