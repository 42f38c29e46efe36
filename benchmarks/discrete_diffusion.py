"""Discrete diffusion: bits of heartbeats, digits, binarized MNIST and text.

    python -m benchmarks.discrete_diffusion --part heartbeat --place DIR
    python -m benchmarks.discrete_diffusion --part digits --place DIR
    python -m benchmarks.discrete_diffusion --part mnist --data DIR --place DIR --minutes 20
    python -m benchmarks.discrete_diffusion --part text --data kjv.txt --place DIR --minutes 20
    python -m benchmarks.discrete_diffusion --table

`heartbeat`: bits per sequence of 500 sequences by the bound in continuous time (1,024 draws) and of
1,000 steps, and the share of 1,000 samples that are one of the five. The truth is log2 5.

`digits`: bits/dim of the 300 test images, of tokens and of the recipe `digits` with its own budget.

`mnist`: nats of 2,000 test images of binarized MNIST, 64 draws.

`text`: bits per character of the test windows of the recipe `text` (32 draws), of the same in
blocks (16), and of an autoregressive transformer of the same size and budget; files of 20 windows
beside the bound, and gzip, bzip2 and xz of all test windows as one text. `--rows` computes some of
them.

Each row is saved at once, and a run computes those that are missing. One core, one thread.
"""

import argparse
import bz2
import gzip
import json
import lzma
import math
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

import allegory as al
from allegory.data import Dataset, load
from allegory.data.vocabularies import TextVocabulary
from allegory.evaluation.tokens import text_likelihood
from allegory.networks import TransformerConfig
from allegory.networks.attention import Attention, rotations
from allegory.networks.dit import TransformerBlock
from allegory.process.bound import Bound, estimate
from allegory.recipes import RunFolder, execute, recipe_named
from allegory.recipes.compress import CodingConfig, compress

from .rows import Row, Rows

ON_REQUEST = True
ROWS = Rows(Path(__file__).parent / "results" / "discrete_diffusion.json")
CODED = 20


class Autoregressive(nn.Module):
    """A transformer over the tokens before, of the sizes of a recipe's network.

    Args:
        spec: what the data are.
        config: width, depth and heads.
        features: numbers of a token's embedding.
    """

    unit = "bits/dim"

    def __init__(self, spec: al.DataSpec, config: TransformerConfig, features: int) -> None:
        super().__init__()
        self.spec, values = spec, spec.levels or 0
        self.embedding = nn.Embedding(values + 1, features)
        self.before = config.kernel - 1
        self.stem = nn.Conv1d(features, config.width, config.kernel)
        self.places = nn.Parameter(0.02 * torch.randn(spec.dims, config.width))
        width, heads = config.width, config.heads
        turns = rotations((spec.dims,), width // heads // 2)
        self.blocks = nn.ModuleList(
            TransformerBlock(width, Attention(width, heads, turns, causal=True), config.dropout)
            for _ in range(config.depth)
        )
        self.level = nn.Parameter(torch.zeros(config.width))
        self.norm = nn.LayerNorm(config.width)
        self.head = nn.Linear(config.width, values)

    def log_prob(self, x: Tensor) -> Tensor:
        """log p(x) in nats per item."""
        tokens = self.spec.index(x)
        start = torch.full_like(tokens[:, :1], self.spec.levels or 0)
        features = self.embedding(torch.cat([start, tokens[:, :-1]], 1)).mT
        h = self.stem(nn.functional.pad(features, (self.before, 0))).mT + self.places
        embedding = nn.functional.silu(self.level).expand(len(x), -1)
        for block in self.blocks:
            h = block(h, embedding)

        log_probs = self.head(self.norm(h)).log_softmax(-1)
        return log_probs.gather(-1, tokens[..., None]).flatten(1).sum(1)

    def loss(self, batch: tuple[Tensor, Tensor | None], generator: torch.Generator) -> Tensor:
        """-log2 p(x) per token."""
        return -self.log_prob(batch[0]) / (self.spec.dims * math.log(2))

    def sample(self, seeds: object, condition: object = None, sampler: object = None) -> Tensor:
        """Not needed here."""
        raise NotImplementedError


@dataclass(frozen=True)
class Runs:
    """Runs of recipes in a folder.

    Args:
        place: the folder.
        minutes: of the training; None for those of the recipe.
    """

    place: Path
    minutes: float | None

    def trained(self, recipe: str, data: str, block: int | None = None) -> Path:
        """The run of a recipe, with blocks of this size."""
        out = self.place / (f"{recipe}-{block}" if block else recipe)
        if not (out / "best.safetensors").exists():
            run = recipe_named(recipe, data)
            if block:
                run = replace(run, model=replace(run.model, block=block))
            if self.minutes is not None:
                training = replace(run.training, minutes=self.minutes, steps=None)
                run = replace(run, training=training)
            execute(run, out)
        return out

    def row(self, recipe: str, data: str, items: int | None = None) -> Row:
        """Bits/dim and nats of the test items by the bound in continuous time."""
        folder = RunFolder.open(self.trained(recipe, data))
        model, dataset = folder.model(), folder.dataset(None)
        x = dataset.test.x[:items]
        total = torch.cat([model.bound(part, draws=64).total for part in x.split(200)]).double()
        bits, nats = estimate(-total / dataset.spec.dims / math.log(2)), estimate(-total)
        return {
            "bits/dim": bits.mean,
            "its standard error": bits.error,
            "nats": nats.mean,
            "standard error": nats.error,
            "items": len(x),
            "weights": sum(each.numel() for each in model.parameters()),
            "training minutes": folder.run.training.minutes,
        }


def heartbeat(runs: Runs) -> None:
    """Fill the row of heartbeats."""

    def row() -> Row:
        folder = RunFolder.open(runs.trained("heartbeat", "heartbeat"))
        model, dataset = folder.model(), folder.dataset(None)
        x = dataset.test.x
        found: Row = {}
        for name, choice in {"continuous": {"draws": 1024}, "1,000 steps": {"steps": 1000}}.items():
            bits = estimate(-model.bound(x, **choice).total.double() / math.log(2))
            found |= {f"bits, {name}": bits.mean, f"standard error, {name}": bits.error}

        samples = model.sample(range(1000)).long()
        phases = torch.stack([(torch.arange(20) + phase) % 5 == 0 for phase in range(5)]).long()
        right = (samples[:, None] == phases).all(2).any(1).double()
        return found | {"samples that are a sequence": right.mean().item(), "truth": math.log2(5)}

    ROWS.fill("heartbeat, uniform noise of two values", "bits per sequence", row)


def digits(runs: Runs) -> None:
    """Fill the rows of digits, tokens beside Gaussian noise."""
    for name, recipe in {"64 tokens of 17 levels": "digits_tokens", "Gaussian": "digits"}.items():
        ROWS.fill("digits, bits/dim", name, partial(runs.row, recipe, "digits"))


def mnist(runs: Runs, data: str) -> None:
    """Fill the row of binarized MNIST."""
    section = f"binarized MNIST, masked, {runs.minutes:g} minutes of one core"
    ROWS.fill(section, "mnist_masked", partial(runs.row, "mnist_masked", data, 2000))


def text(runs: Runs, data: str, rows: Sequence[str] | None) -> None:
    """Fill the rows of a text."""
    section = f"text {Path(data).name}, {runs.minutes:g} minutes of one core each"
    for name in rows or _TEXT_ROWS:
        ROWS.fill(section, name, partial(_TEXT_ROWS[name], runs, data))


def _of_text(dataset: Dataset, log_prob: Tensor, model: nn.Module) -> Row:
    """Bits per character of log-probabilities of the test items."""
    zero = torch.zeros_like(log_prob)
    found = text_likelihood(dataset.spec, dataset.test.x, Bound(log_prob, zero, ()))
    assert found is not None
    return {
        "bits/character": found.per_character.mean,
        "standard error": found.per_character.error,
        "bits/byte": found.per_byte.mean,
        "weights": sum(each.numel() for each in model.parameters()),
    }


def _bound_row(block: int | None, draws: int, runs: Runs, data: str) -> Row:
    folder = RunFolder.open(runs.trained("text", data, block))
    model, dataset = folder.model(), folder.dataset(None)
    parts = [model.bound(x, draws=draws).total for x in dataset.test.x.split(100)]
    return _of_text(dataset, torch.cat(parts).double(), model) | {"steps": _steps(folder)}


def _steps(folder: RunFolder) -> int:
    """How many steps a run was trained."""
    lines = (folder.path / "metrics.jsonl").read_text().splitlines()
    return max(json.loads(line)["step"] for line in lines)


def _autoregressive_row(runs: Runs, data: str) -> Row:
    run = recipe_named("text", data)
    dataset = load(run.source)
    torch.manual_seed(0)
    model = Autoregressive(dataset.spec, run.model.network, run.model.features)
    training = replace(run.training, minutes=runs.minutes, steps=None)
    result = al.train(model, dataset, config=training)
    with torch.no_grad():
        parts = [model.log_prob(x) for x in dataset.test.x.split(100)]
    return _of_text(dataset, torch.cat(parts).double(), model) | {"steps": result.step}


def _file_row(block: int | None, runs: Runs, data: str) -> Row:
    """The file of some test windows, and what general compressors make of their text."""
    folder = RunFolder.open(runs.trained("text", data, block))
    model, dataset = folder.model(), folder.dataset(None)
    some = dataset.test.x[:CODED]
    found = compress(folder, some, CodingConfig(steps=dataset.spec.dims))
    bound = -model.bound(some, draws=256).total.sum().item() / math.log(2)

    vocabulary = dataset.spec.vocabulary
    assert isinstance(vocabulary, TextVocabulary)
    raw, whole = (
        "".join(vocabulary.texts(dataset.spec.index(x))).encode() for x in (some, dataset.test.x)
    )
    others = {"gzip": gzip.compress, "bzip2": bz2.compress, "xz": lzma.compress}
    return {
        "bits of the file": 8 * len(found.content),
        "bits of the code": found.net_bits,
        "bits of the bound": bound,
        "code/bound": found.net_bits / bound,
        "bits/byte": 8 * len(found.content) / len(raw),
        "seconds to encode": found.encode_seconds,
        "seconds to decode": found.decode_seconds,
    } | {f"{name}, all windows": 8 * len(by(whole)) / len(whole) for name, by in others.items()}


_TEXT_ROWS: dict[str, Callable[[Runs, str], Row]] = {
    "masked diffusion": partial(_bound_row, None, 32),
    "blocks of 4": partial(_bound_row, 4, 16),
    "blocks of 2": partial(_bound_row, 2, 16),
    "autoregressive": _autoregressive_row,
    f"masked, file of {CODED} windows": partial(_file_row, None),
    f"blocks of 2, file of {CODED} windows": partial(_file_row, 2),
}


def main() -> None:
    """Measure what is missing, or print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--part", choices=("heartbeat", "digits", "mnist", "text"))
    parser.add_argument("--data", help="where the images are, or the text")
    parser.add_argument("--place", type=Path, help="a folder for the runs; a new one if not given")
    parser.add_argument("--minutes", type=float, help="of training; the recipe's if not given")
    parser.add_argument("--rows", nargs="*", choices=_TEXT_ROWS, help="of the text; all of them")
    parser.add_argument("--table", action="store_true", help="print the results in Markdown")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.part is None:
        print(ROWS.table() if arguments.table else json.dumps(ROWS.read()))
        return

    runs = Runs(arguments.place or Path(tempfile.mkdtemp()), arguments.minutes)
    if arguments.part in ("mnist", "text"):
        if arguments.data is None or arguments.minutes is None:
            parser.error("give --data and --minutes")
        if arguments.part == "mnist":
            mnist(runs, arguments.data)
        else:
            text(runs, arguments.data, arguments.rows)
    else:
        {"heartbeat": heartbeat, "digits": digits}[arguments.part](runs)


if __name__ == "__main__":
    main()
