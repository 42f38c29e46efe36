"""Guides on digits: the share of samples that show their class against what they cover.

    python -m benchmarks guidance                      trains `digits` and two weaker models
    python -m benchmarks guidance --run RUN --weak A --early B

Every setting draws its samples of all classes in turn from the same seeds. The share is that of an
SVM fitted on the training images; recall is that of Kynkäänniemi et al. 2019 (k = 3, on pixels),
Fréchet distance that of Gaussians in model space. Settings are chosen on the validation images (the
largest sum of share and recall) and reported on the test images, with other seeds.
"""

import argparse
import json
import tempfile
from dataclasses import replace
from pathlib import Path

import torch

from allegory.data import Dataset, Items, load
from allegory.evaluation import LabelClassifier, frechet, precision_recall
from allegory.models import VDM
from allegory.recipes import RunFolder, execute, recipe_named
from allegory.sampling import Sampler

ON_REQUEST = True

RESULTS = Path(__file__).parent / "results"
PICTURE = Path(__file__).parents[1] / "docs" / "images" / "guidance.png"
STEPS = 25
PLAIN = ["cfg:0", "cfg:1", "cfg:1.2", "cfg:1.5", "cfg:2", "cfg:3", "cfg:4", "cfg:6"]
LIMITED = [
    f"cfg:{w}:low={low}:high={high}" for w in (3, 6) for low, high in ((-2, 3), (-1, 5), (-4, 1))
]
RESCALED = [f"cfg:{w}:rescale={phi}" for w in (3, 6) for phi in (0.5, 1)]
PROJECTED = [f"apg:{w}:eta={eta}:norm={r}" for w in (2, 4, 6) for eta in (0, 0.5) for r in (2, 4)]
PLUS = [f"cfgpp:{w}" for w in (0.2, 0.4, 0.6, 1)]
WEAKER = (1.2, 1.5, 2, 3)


def settings(weak: Path, early: Path) -> list[str]:
    """The guides by name."""
    models = {"fewer weights": weak, "earlier": early}
    weaker = [f"autoguidance:{w}:weak={path}" for path in models.values() for w in WEAKER]
    return [*PLAIN, *LIMITED, *RESCALED, *PROJECTED, *PLUS, *weaker]


def measured(
    model: VDM, guide: str, real: Items, judge: LabelClassifier, seeds: range
) -> dict[str, float | str]:
    """Share, recall, precision and Fréchet distance of samples with this guide."""
    labels = torch.arange(len(seeds)) % 10
    solver = "ddim" if guide.startswith("cfgpp") else "dpmpp2m"
    raw = model.sample(seeds, labels, Sampler(solver, STEPS, guide=guide))
    x, y = model.spec.encode(raw), model.spec.encode(real.x)
    precision, recall = precision_recall(x, y)

    return {
        "guide": guide,
        "recognised": judge.accuracy(raw, labels),
        "recall": recall,
        "precision": precision,
        "frechet": frechet(x, y),
    }


def reference(dataset: Dataset, real: Items, judge: LabelClassifier) -> dict[str, float | str]:
    """The same of as many training images as there are real ones."""
    some = dataset.train.take(torch.arange(len(real)))
    assert real.labels is not None
    x, y = dataset.spec.encode(some.x), dataset.spec.encode(real.x)
    precision, recall = precision_recall(x, y)
    share = judge.accuracy(real.x, real.labels)
    return {
        "guide": "real images",
        "recognised": share,
        "recall": recall,
        "precision": precision,
        "frechet": frechet(x, y),
    }


def runs(arguments: argparse.Namespace) -> tuple[Path, Path, Path]:
    """The folders of the model, of one with fewer weights, and of one that was trained less."""
    out = Path(tempfile.mkdtemp())
    whole = recipe_named("digits")
    whole = replace(whole, training=replace(whole.training, minutes=None))
    small = replace(whole.model, network=replace(whole.model.network, channels=8))
    plans = {
        "run": whole,
        "weak": replace(whole, model=small, training=replace(whole.training, steps=500)),
        "early": replace(whole, training=replace(whole.training, steps=200)),
    }

    folders = []
    for name, plan in plans.items():
        given = getattr(arguments, name)
        folders.append(Path(given) if given else execute(plan, out / name)[0].path)
    return folders[0], folders[1], folders[2]


def picture(rows: list[dict[str, float | str]], best: str) -> None:
    """Recognised share against recall, one point per setting but the unconditional one."""
    rows = [row for row in rows if row["guide"] != "cfg:0"]
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(7.5, 5), layout="constrained")
    kinds = {"cfg": "o", "apg": "s", "cfgpp": "^", "autoguidance": "D", "real images": "*"}
    for kind, marker in kinds.items():
        own = [row for row in rows if str(row["guide"]).split(":")[0] == kind]
        axes.scatter(
            [row["recall"] for row in own],
            [row["recognised"] for row in own],
            marker=marker,
            label=kind,
            s=80 if kind == "real images" else 28,
        )
    plain = [row for row in rows if row["guide"] in PLAIN]
    axes.plot(
        [row["recall"] for row in plain], [row["recognised"] for row in plain], color="tab:blue"
    )
    for row in rows:
        if row["guide"] in (*PLAIN, best):
            place = (row["recall"], row["recognised"])
            axes.annotate(
                str(row["guide"]), place, fontsize=7, xytext=(3, 3), textcoords="offset points"
            )

    axes.set(xlabel="recall of test images", ylabel="share of samples that show their class")
    axes.legend()
    figure.savefig(PICTURE, dpi=110)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name in ("run", "weak", "early"):
        parser.add_argument(f"--{name}", help="a run folder; trained anew if not given")
    parser.add_argument("--count", type=int, default=500, help="samples a setting")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()

    strong, weak, early = runs(arguments)
    folder = RunFolder.open(strong)
    model, dataset = folder.model(), load(folder.run.source)
    judge = LabelClassifier.fit(dataset.train, dataset.spec)
    guides = settings(weak, early)
    names = {str(weak): "WEAK", str(early): "EARLY"}

    tables = {}
    for part, first in (("validation", 0), ("test", 10**6)):
        real = getattr(dataset, part)
        seeds = range(first, first + arguments.count)
        rows = [measured(model, guide, real, judge, seeds) for guide in guides]
        for row in rows:
            for path, name in names.items():
                row["guide"] = str(row["guide"]).replace(path, name)
        tables[part] = [reference(dataset, real, judge), *rows]

    chosen = max(tables["validation"][1:], key=lambda row: row["recognised"] + row["recall"])
    best = str(chosen["guide"])
    found = {"steps": STEPS, "count": arguments.count, "best on validation": best, **tables}
    (RESULTS / "guidance.json").write_text(json.dumps(found, indent=1) + "\n")
    picture(tables["test"], best)
    if arguments.json:
        print(json.dumps(found))
        return
    print(f"best on validation: {best}")
    for row in tables["test"]:
        print(
            "{guide:38} {recognised:.3f} {recall:.3f} {precision:.3f} {frechet:.3f}".format(**row)
        )


if __name__ == "__main__":
    main()
