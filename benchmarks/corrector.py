"""Predictor and corrector against the predictor alone (Song et al. 2021, table 1).

On digits, at equal evaluations.

    python -m benchmarks.corrector                 trains `digits_ncsn`, then samples
    python -m benchmarks.corrector --run RUN       samples a run that is there

Fréchet distance, in model units and in the space of pixels, between samples and the 1,797 images of
the whole data set: the test images alone are too few, which would leave the distance to its bias.
Its floor is that of as many real images, drawn with replacement. Every row draws its samples from
the same seeds, without labels.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from allegory.data import load
from allegory.evaluation.distances import frechet
from allegory.models import VDM
from allegory.recipes import RunFolder, execute, recipe_named
from allegory.sampling import Sampler

PREDICTORS = ("ddpm", "reverse_diffusion", "reverse_diffusion:0")
CORRECTORS = (None, 0.16, 0.3, 0.4)
EVALUATIONS = (50, 100)
Row = tuple[str, int, float]


def rows(model: VDM, real: Tensor, budgets: Sequence[int], count: int, seed: int) -> list[Row]:
    """(solver, evaluations, Fréchet distance); a corrector halves the steps."""
    found = []
    for evaluations in budgets:
        for predictor in PREDICTORS:
            for snr in CORRECTORS:
                solver = predictor if snr is None else f"{predictor}+langevin:{snr:g}"
                steps = evaluations if snr is None else evaluations // 2
                sampler = Sampler(solver, steps, end="denoise")
                raw = model.sample(range(seed, seed + count), sampler=sampler)
                found.append((solver, evaluations, frechet(model.spec.encode(raw), real)))
                print(
                    f"{solver:32} {evaluations:4}  {found[-1][2]:.3f}", file=sys.stderr, flush=True
                )
    return found


def trained(folder: str | None) -> RunFolder:
    if folder is not None:
        return RunFolder.open(Path(folder))
    out = Path(tempfile.mkdtemp()) / "ncsn"
    return execute(recipe_named("digits_ncsn"), out)[0]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--run", help="folder of a digits_ncsn run; trained anew if not given")
    parser.add_argument("--count", type=int, default=500, help="samples a row")
    parser.add_argument(
        "--evaluations", type=int, nargs="*", default=EVALUATIONS, help="of the network, a sample"
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of the first sample")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    folder = trained(arguments.run)
    dataset = load(folder.run.source)
    real = folder.spec.encode(torch.cat([dataset.train.x, dataset.validation.x, dataset.test.x]))
    generator = torch.Generator().manual_seed(arguments.seed)
    floor = frechet(real[torch.randint(len(real), (arguments.count,), generator=generator)], real)
    found = rows(folder.model(), real, arguments.evaluations, arguments.count, arguments.seed)
    if arguments.json:
        table = [{"solver": a, "evaluations": b, "frechet": c} for a, b, c in found]
        print(json.dumps({"floor": floor, "rows": table}, indent=1))
    else:
        print(f"floor {floor:.3f}", *(f"{a:32} {b:4}  {c:.3f}" for a, b, c in found), sep="\n")


if __name__ == "__main__":
    main()
