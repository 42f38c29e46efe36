"""How often pictures show what their captions say: colour, size, place and digit.

    python -m benchmarks captions                   trains the recipe `captions`, 20 minutes
    python -m benchmarks captions --run RUN         draws from a run that is there

500 pictures are drawn for captions of test pictures, and judged (`benchmarks.caption_judge`), as
are the real test pictures with these captions. The scale w of `cfg` is chosen on the captions of
validation pictures, with other seeds.
"""

import argparse
import json
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
from torch import Tensor

from allegory.data.captions import captioned
from allegory.models import VDM
from allegory.recipes import RunFolder, execute, recipe_named
from allegory.sampling import Sampler

from .caption_judge import Judge

ON_REQUEST = True

RESULTS = Path(__file__).parent / "results"
SCALES = (1, 1.5, 2, 3, 4)
PLAIN = Sampler("dpmpp2m", 25)
_VALIDATION_SEED, _TEST_SEED = 0, 10**6


def shares(
    model: VDM, judge: Judge, part: str, sampler: Sampler, count: int
) -> tuple[Tensor, dict[str, float]]:
    """Pictures for the captions of a part, and how often they show each attribute, and all."""
    _, texts, what = captioned(part, count)
    first = _VALIDATION_SEED if part == "validation" else _TEST_SEED
    x = model.sample(range(first, first + count), texts, sampler)
    return x, means(judge.right(x, what))


def means(right: dict[str, np.ndarray]) -> dict[str, float]:
    """The share of each attribute."""
    return {name: float(each.mean()) for name, each in right.items()}


def real(judge: Judge, count: int) -> dict[str, float]:
    """The same of the real test pictures with these captions."""
    x, _, what = captioned("test", count)
    return means(judge.right(x, what))


def sheet(x: Tensor, texts: list[str], right: np.ndarray, file: Path) -> None:
    """Pictures with their captions, those that are judged wrong in red."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(5, 8, figsize=(15, 10.5), layout="constrained")
    for place, text, well, panel in zip(x, texts, right, axes.flat, strict=False):
        panel.imshow(place.permute(1, 2, 0))
        cut = text.find(" ", len(text) // 2)
        panel.set_title(f"{text[:cut]}\n{text[cut + 1 :]}", fontsize=8, color="k" if well else "r")
        panel.axis("off")
    figure.savefig(file, dpi=80)
    plt.close(figure)


def trained(folder: str | None, minutes: float) -> RunFolder:
    """The run that is given, or a new one."""
    if folder is not None:
        return RunFolder.open(Path(folder))
    run = recipe_named("captions")
    run = replace(run, training=replace(run.training, minutes=minutes))
    return execute(run, Path(tempfile.mkdtemp()) / "captions")[0]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--run", help="a run folder; trained anew if not given")
    parser.add_argument("--minutes", type=float, default=20.0, help="of training")
    parser.add_argument("--count", type=int, default=500, help="pictures")
    parser.add_argument("--solver", default=PLAIN.solver, help="of the samples")
    parser.add_argument("--steps", type=int, default=PLAIN.steps, help="of the solver")
    parser.add_argument("--scales", type=float, nargs="*", default=SCALES, help="w of cfg")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()

    folder, judge = trained(arguments.run, arguments.minutes), Judge.fit()
    model = folder.model()
    plain = (arguments.solver, arguments.steps) == (PLAIN.solver, PLAIN.steps)
    name = "captions" if plain else f"captions_{arguments.solver}"
    samplers = {
        w: Sampler(arguments.solver, arguments.steps, guide=f"cfg:{w:g}") for w in arguments.scales
    }
    validation = {
        w: shares(model, judge, "validation", sampler, arguments.count)[1]
        for w, sampler in samplers.items()
    }
    chosen = max(samplers, key=lambda w: validation[w]["all"])
    table = {}
    for w, sampler in samplers.items():
        x, table[w] = shares(model, judge, "test", sampler, arguments.count)
        if w == chosen:
            _, texts, what = captioned("test", arguments.count)
            sheet(x, texts, judge.right(x, what)["all"], RESULTS / f"{name}.png")

    truth = real(judge, arguments.count)
    found = {
        "sampler": Sampler(arguments.solver, arguments.steps).describe(),
        "count": arguments.count,
        "real test pictures": truth,
        "validation": validation,
        "test": table,
        "chosen on validation": chosen,
        "ratio to real pictures": table[chosen]["all"] / truth["all"],
    }
    (RESULTS / f"{name}.json").write_text(json.dumps(found, indent=1) + "\n")
    if arguments.json:
        print(json.dumps(found))
        return

    for name, row in {"real": truth, **{f"cfg:{w:g}": table[w] for w in table}}.items():
        print(f"{name:8}", *(f"{key} {value:.3f}" for key, value in row.items()))
    print(f"chosen on validation: cfg:{chosen:g}; ratio {found['ratio to real pictures']:.3f}")


if __name__ == "__main__":
    main()
