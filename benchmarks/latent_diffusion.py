"""Latent diffusion: what a diffusion prior gains, and what latents cost and save beside pixels.

    python -m benchmarks.latent_diffusion --part binary --data DIR --place DIR --minutes 8
    python -m benchmarks.latent_diffusion --part pixels --data DIR --name mnist --place DIR
    python -m benchmarks.latent_diffusion --table

`binary`: nats of binarized MNIST (2,000 test images; importance-weighted: 500 of them, 50 draws of
the latents) of a VAE that was trained for 2 M minutes of one core, of the same VAE after M minutes
with a diffusion prior of M minutes, and of a VAE of an eighth of the steps of the first, trained
jointly with a diffusion prior for the rest. How many steps that are follows from the processor time
of a step of both, measured in turn, so that the load of the machine does not count. The prior has
at most a fifth of the weights of the VAE, whose latent is a vector of 32 numbers or, with `--latent
picture`, a picture of 4x7x7. Differences are by image, with standard errors. All was chosen on
other test images, the 2,000 after these.

`pixels`: M minutes of the pixel recipe `mnist` beside M/2 + M/2 minutes of the recipe
`mnist_latent`: bits/dim of 500 test images, the Fréchet distance of the pixels of 2,000 samples
from all images, and samples per second of the default sampler, in turn.

Each row is saved at once, and a run computes those that are missing.
"""

import argparse
import json
import math
import statistics
import tempfile
import time
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from allegory.data import load
from allegory.data.places import with_option
from allegory.evaluation.distances import frechet
from allegory.models import VAEConfig
from allegory.models.latent import PictureAutoencoderConfig
from allegory.networks import MLPConfig, UNetConfig
from allegory.process.bound import estimate
from allegory.recipes import LatentDiffusionConfig, PathConfig, Run, RunFolder, execute
from allegory.recipes.registry import recipe_named
from allegory.training import TrainingConfig

from .rows import Row, Rows

ON_REQUEST = True
ROWS = Rows(Path(__file__).parent / "results" / "latent_diffusion.json")
FIRST_SEED = 10**6
BOUND_ITEMS, WEIGHTED_ITEMS, WEIGHTED_DRAWS = 2000, 500, 50
DRAWS = 128

VAE = VAEConfig(latents=(32,), channels=(32, 64), depth=1)
VAE_TRAINING = TrainingConfig(
    minutes=1.0, batch_size=64, optimizer="muon", learning_rate=4e-2, ema=0.999
)
PRIOR_TRAINING = TrainingConfig(minutes=1.0, batch_size=256, learning_rate=1e-3, ema=0.999)
JOINT_DRAWS, JOINT_FIRST = 6, 8
"""Draws of noise in joint training, and the part of the VAE's steps that come before it."""
PATH = PathConfig("linear", start=8.0, end=-6.0)
PRIORS = {
    "vector": LatentDiffusionConfig(
        VAE, MLPConfig(width=72, depth=3), PATH, objective="elbo", draws=8
    ),
    "picture": LatentDiffusionConfig(
        PictureAutoencoderConfig(latent_channels=4, channels=(48, 96)),
        UNetConfig(28, multipliers=(1,), blocks=1, attention=(7,)),
        PATH,
        objective="elbo",
    ),
}
"""With a latent of 32 numbers, and of 4x7x7."""


@dataclass(frozen=True)
class Binary:
    """A VAE of binarized digits, with and without a diffusion prior.

    Args:
        data: where MNIST is.
        place: a folder for the runs.
        minutes: of each half of the training.
        latent: "vector" or "picture".
    """

    data: str
    place: Path
    minutes: float
    latent: str = "vector"

    @property
    def config(self) -> LatentDiffusionConfig:
        """The VAE and its prior."""
        return PRIORS[self.latent]

    @cached_property
    def source(self) -> str:
        """The data, binarized."""
        return with_option(self.data, "binarize", "dynamic")

    @cached_property
    def items(self) -> Tensor:
        """Test images."""
        return load(self.source).test.x[:BOUND_ITEMS]

    def vae(self, name: str, **budget: Any) -> Path:
        """A trained VAE."""
        out = self.place / name
        if not (out / "best.safetensors").exists():
            training = replace(VAE_TRAINING, **({"minutes": None} | budget))
            execute(Run("vae", self.source, self.config.autoencoder, training), out)
        return out

    def two_stages(self) -> Path:
        """The VAE of half the time with a diffusion prior."""
        training = replace(PRIOR_TRAINING, minutes=self.minutes)
        return self._prior(
            "two-stages", self.vae("half", minutes=self.minutes), self.config, training
        )

    def joint(self) -> Path:
        """A VAE of an eighth of the steps, trained jointly for the rest."""
        whole = _steps(self.vae("whole", minutes=2 * self.minutes))
        first = self.vae("eighth", steps=whole // JOINT_FIRST)
        config = replace(self.config, joint=True, draws=JOINT_DRAWS)
        steps = int((whole - whole // JOINT_FIRST) / self.cost_of_a_joint_step)
        training = replace(VAE_TRAINING, minutes=None, steps=steps)
        return self._prior("joint", first, config, training)

    def _prior(
        self, name: str, first: Path, config: LatentDiffusionConfig, training: TrainingConfig
    ) -> Path:
        """A trained VAE with a diffusion prior."""
        out = self.place / name
        if not (out / "best.safetensors").exists():
            config = replace(config, trained_autoencoder=str(first.resolve()))
            execute(Run("latent", self.source, config, training), out)
        return out

    @cached_property
    def cost_of_a_joint_step(self) -> float:
        """Processor time of a step of joint training, over that of the VAE; medians, in turn."""
        spec = load(self.source).spec
        joint = replace(self.config, joint=True, draws=JOINT_DRAWS).build(spec)
        joint.measure_scale(self.items[:200])
        models = {"joint": joint, "alone": self.config.autoencoder.build(spec)}
        x, generator = self.items[: VAE_TRAINING.batch_size], torch.Generator()

        seconds: dict[str, list[float]] = {name: [] for name in models}
        for _ in range(25):
            for name, model in models.items():
                began = time.process_time()
                model.loss((x, None), generator).mean().backward()
                seconds[name].append(time.process_time() - began)
        return statistics.median(seconds["joint"]) / statistics.median(seconds["alone"])

    def nats(self, out: Path) -> Tensor:
        """The bound of each test image."""
        model = RunFolder.open(out).model()
        return torch.cat([model.bound(part, draws=DRAWS).total for part in self.items.split(500)])

    def row(self, out: Path, beside: Path | None) -> Row:
        """The figures of a model, and the gain over another."""
        model, nats = RunFolder.open(out).model(), self.nats(out)
        found = estimate(-nats.double())
        row: Row = {"nats": found.mean, "standard error": found.error}
        if beside is not None:
            gain = estimate((nats - self.nats(beside)).double())
            row |= {"gain": gain.mean, "its standard error": gain.error}

        weights = model.log_weights(self.items[:WEIGHTED_ITEMS], draws=WEIGHTED_DRAWS).double()
        importance = torch.logsumexp(weights, 0) - math.log(WEIGHTED_DRAWS)
        counted = sum(each.numel() for each in model.parameters())
        row |= {"importance-weighted nats": -importance.mean().item(), "weights": counted}
        return row | {"steps": _steps(out)}

    def measured(self) -> None:
        """Fill the rows."""
        section = f"binarized MNIST, latent {self.latent}, {2 * self.minutes:g} minutes of one core"
        whole = self.vae("whole", minutes=2 * self.minutes)
        ROWS.fill(section, "VAE, normal prior", partial(self.row, whole, None))
        half = self.vae("half", minutes=self.minutes)
        ROWS.fill(section, "VAE of half the time", partial(self.row, half, whole))
        ROWS.fill(
            section, "diffusion prior, two stages", lambda: self.row(self.two_stages(), whole)
        )
        ROWS.fill(section, "diffusion prior, joint", lambda: self._joint_row(whole))

    def _joint_row(self, whole: Path) -> Row:
        """The figures of joint training, with what it took in steps of the VAE."""
        row, cost = self.row(self.joint(), whole), self.cost_of_a_joint_step
        equal = _steps(self.place / "eighth") + cost * row["steps"]
        return row | {"cost of a joint step": cost, "in steps of the VAE": equal}


def _steps(out: Path) -> int:
    """The steps of a run."""
    return int(json.loads((out / "metrics.jsonl").read_text().splitlines()[-1])["step"])


@dataclass(frozen=True)
class Pixels:
    """Diffusion of latents beside that of pixels.

    Args:
        name: of the data.
        data: where they are.
        place: a folder for the runs.
        minutes: of the training of each.
    """

    name: str
    data: str
    place: Path
    minutes: float

    def run(self, recipe: str, minutes: float) -> Path:
        """A trained recipe."""
        out = self.place / f"{self.name}-{recipe}"
        if not (out / "run.json").exists():
            run = recipe_named(recipe, self.data)
            training = replace(run.training, minutes=minutes)
            execute(replace(run, training=training), out)
        return out

    def row(self, out: Path) -> Row:
        """The figures of a model."""
        model: Any = RunFolder.open(out).model()
        dataset = load(self.data)
        spec = dataset.spec
        some = dataset.test.x[:500]
        bits = [model.bound(part, draws=16).bits_per_dim(spec) for part in some.split(100)]
        found = estimate(torch.cat(bits).double())

        labels = torch.arange(2000) % 10
        x = model.sample(range(FIRST_SEED, FIRST_SEED + 2000), labels)
        real = torch.cat([part.x for part in dataset.sets])
        distance = frechet(spec.encode(x), spec.encode(real))
        counted = sum(each.numel() for each in model.parameters())
        return {
            "bits/dim": found.mean,
            "standard error": found.error,
            "Fréchet": distance,
            "weights": counted,
        }

    def speeds(self, outs: dict[str, Path]) -> Row:
        """Samples per second, the median of three times in turn."""
        models = {name: RunFolder.open(out).model() for name, out in outs.items()}
        times: dict[str, list[float]] = {name: [] for name in models}
        for _ in range(3):
            for name, model in models.items():
                began = time.perf_counter()
                model.sample(range(128), torch.arange(128) % 10)
                times[name].append(128 / (time.perf_counter() - began))
        medians = {name: sorted(found)[1] for name, found in times.items()}
        return medians | {"ratio": medians["latents"] / medians["pixels"]}

    def measured(self) -> None:
        """Fill the rows."""
        section = f"{self.name}, {self.minutes:g} minutes of one core"
        outs = {
            "latents": self.run("mnist_latent", self.minutes / 2),
            "pixels": self.run("mnist", self.minutes),
        }
        for name, out in outs.items():
            ROWS.fill(section, name, partial(self.row, out))
        ROWS.fill(f"{section}, samples per second", "25 steps", partial(self.speeds, outs))


def main() -> None:
    """Measure what is missing, or print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--part", choices=("binary", "pixels"), default="binary")
    parser.add_argument("--data", default="hub:ylecun/mnist", help="where the images are")
    parser.add_argument("--name", default="mnist", help="of the data, for the results")
    parser.add_argument("--place", type=Path, help="a folder for the runs; a new one if not given")
    parser.add_argument("--latent", choices=PRIORS, default="vector", help="for binary")
    parser.add_argument("--minutes", type=float, default=8.0)
    parser.add_argument("--table", action="store_true", help="print the results in Markdown")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    torch.set_num_threads(1)

    if arguments.table or arguments.json:
        print(ROWS.table() if arguments.table else json.dumps(ROWS.read()))
        return
    place = arguments.place or Path(tempfile.mkdtemp())
    if arguments.part == "binary":
        Binary(arguments.data, place, arguments.minutes, arguments.latent).measured()
    else:
        Pixels(arguments.name, arguments.data, place, arguments.minutes).measured()


if __name__ == "__main__":
    main()
