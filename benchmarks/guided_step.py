"""What a guided step costs beside its two evaluations of the network.

    python -m benchmarks.guided_step            one line for each guide
    python -m benchmarks.guided_step --json     the same as one JSON object

The network is an untrained U-Net of 32 channels, for 64 items of 8x8 with a class. The unit is
its denoiser on one batch of 128: both evaluations of classifier-free guidance, and nothing else.
Calls alternate and medians are taken, so a slow minute of the machine meets all of them.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from functools import partial

import torch

from allegory.data import DataSpec
from allegory.networks import UNetConfig
from allegory.process.guide import BindsCondition, guides_named
from allegory.recipes import DiffusionConfig

GUIDES = (
    "cfg:2", "cfg:2:low=-3:high=3", "cfg:2:rescale=0.7", "apg:4:norm=15", "cfgpp:0.6",
    "negative:2:condition=3",
)  # fmt: skip
ITEMS, UNIT = 64, "two evaluations in one batch"


def calls() -> dict[str, Callable[[], object]]:
    """The two evaluations by themselves, and the step of each guide."""
    torch.manual_seed(0)
    spec = DataSpec((1, 8, 8), 0.0, 16.0, 17, 10)
    config = DiffusionConfig(UNetConfig(32, (1, 2), 2), data_std=0.5)
    model = config.build(spec).eval()
    denoiser, level = model.denoiser, model.denoiser.path.levels([0.5])[0]
    x, labels = torch.randn(ITEMS, *spec.shape), torch.arange(ITEMS) % 10
    hidden = torch.full_like(labels, -1)
    x_twice, both = torch.cat([x, x]), torch.cat([hidden, labels])

    found: dict[str, Callable[[], object]] = {UNIT: lambda: denoiser(x_twice, level, both)}
    for name in GUIDES:
        (guide,) = guides_named(name)
        bound = guide.bound_to(spec.given) if isinstance(guide, BindsCondition) else guide
        guided = bound(denoiser)
        found[name] = partial(guided, x, level, labels)
    return found


@torch.no_grad()
def ratios(rounds: int) -> dict[str, float]:
    """The median time of each step, over that of the two evaluations."""
    work = calls()
    times: dict[str, list[float]] = {name: [] for name in work}
    for number in range(rounds + 3):
        for name, call in work.items():
            start = time.perf_counter()
            call()
            if number >= 3:  # the first rounds warm up
                times[name].append(time.perf_counter() - start)

    unit = statistics.median(times[UNIT])
    return {name: statistics.median(each) / unit for name, each in times.items()}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="What a guided step costs.")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--rounds", type=int, default=60, help="calls to take medians over")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    found = ratios(arguments.rounds)
    if arguments.json:
        print(json.dumps(found))
        return
    for name, ratio in found.items():
        print(f"{name:32s}{ratio:8.3f}")


if __name__ == "__main__":
    main()
