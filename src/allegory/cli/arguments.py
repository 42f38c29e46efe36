"""The commands and their options, as typed dataclasses: what `--help` prints is written here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from tyro.conf import arg


@dataclass(frozen=True)
class Train:
    """Train a recipe into a run folder.

    Recipes: digits (8x8 handwritten digits, bundled), toy (points on the plane), images (a folder, an array, a parquet
    table or hub:owner/name), arrays (float arrays of any shape); of the score view toy_score, toy_energy (points, by a
    score network and by an energy), digits_ncsn, digits_sde; mnist (28x28, 256 levels), and of black and white mnist_vae
    and mnist_hierarchy (mnist_hierarchy:1, :6 for 1 or 6 latents).
    """

    recipe: Annotated[str, arg(metavar="RECIPE")]
    """Name of the recipe."""
    data: str | None = None
    """Data instead of the recipe's own: a folder of images, .npy, .npz, .parquet, hub:owner/name, digits, moons, ...

    ?size=32 and ?binarize=dynamic may follow, as in 'folder?binarize=dynamic'."""
    out: str | None = None
    """Run folder (runs/RECIPE if not given)."""
    minutes: float | None = None
    """Train for so many minutes."""
    steps: int | None = None
    """Train for so many steps instead; such a run is reproducible bit for bit."""
    seed: int | None = None
    """Seed of weights, data order and noise."""
    resume: bool = False
    """Go on with the run in --out."""
    overwrite: bool = False
    """Replace the run in --out."""
    json: bool = False
    """Print the figures as JSON."""

    def run(self) -> None:
        """Carry it out."""
        from .commands import train

        train(self)


@dataclass(frozen=True)
class Sample:
    """Draw samples from a run: a picture (.png), or arrays (.npz, .npy).

    A VAE or a hierarchy draws its latents once: --steps, --solver, --guidance and --label are for diffusion models.
    """

    folder: Annotated[str, arg(metavar="RUN")]
    """Run folder."""
    count: int = 100
    """Number of samples."""
    steps: int | None = None
    """Steps, 25 by default; each costs one evaluation of the network (heun, midpoint, dpmpp2s, seeds2, churn, restart
    two and more, dpmpp3s, rk3, seeds3 three, rk4 four)."""
    solver: str | None = None
    """By default the one that `allegory tune` made for so many steps, else dpmpp2m. auto (fewest evaluations for an
    accuracy), ddim, ddim:ETA, euler, heun, midpoint, rk3, rk4, dpmpp2s, dpmpp3s, dpmpp3m, unipc1 to 3, deis1 to 4, plms,
    Adams-Bashforth such as vab4, or vab4c with correction. Drawing noise on the way: ddpm, ddpm_large, sde_dpmpp2m,
    sde_dpmpp3m, sa2, sa3, sa3:TAU, er_sde1 to 3, seeds2, seeds3, euler_maruyama, reverse_diffusion, churn, restart. With a
    Langevin step at each Level: pc, or any of these and a corrector, such as reverse_diffusion+langevin:0.16 (also mala,
    hmc, langevin_batch). Annealed Langevin: ncsn (100 evaluations a step), ncsn2 (5)."""
    scaling: str | None = None
    """Walk another process than the one that was trained: vp, sub_vp, flow or ve. One network serves all four."""
    label: int | None = None
    """Draw this class only; by default all classes in turn."""
    guidance: float | None = None
    """Guidance scale w in uncond + w (cond - uncond): 1 is unguided (the default), 2 is a common choice."""
    seeds: str | None = None
    """A:B, one seed per sample; sample i depends on seed i alone."""
    out: str | None = None
    """File to write (RUN/samples/samples-1.png, -2, ... if not given)."""
    overwrite: bool = False
    """Replace --out if it exists."""
    json: bool = False
    """Print the figures as JSON."""

    def run(self) -> None:
        """Carry it out."""
        from .commands import sample

        sample(self)


@dataclass(frozen=True)
class Tune:
    """Fit the sampler to a diffusion run, for a number of steps: where they stand, and what it does with what it sees.

    LearnedSchedule from the run's own samples in 100 steps; about a minute. Kept as RUN/tuned/steps-N.json, and used by
    `allegory sample RUN --steps N` from then on.
    """

    folder: Annotated[str, arg(metavar="RUN")]
    """Run folder."""
    steps: int = 8
    """Number of steps, each one evaluation of the network."""
    guidance: float | None = None
    """Guidance scale that the sampler is for: 1 is unguided (the default)."""
    iterations: int = 300
    """Steps of the descent."""
    batch: int = 16
    """Items a step of the descent; halve it when memory is short."""
    items: int = 256
    """Items to learn from; a quarter as many again are held out to judge by."""
    seed: int = 0
    """Seed of the items."""
    json: bool = False
    """Print the figures as JSON."""

    def run(self) -> None:
        """Carry it out."""
        from .tuning import tune

        tune(self)


@dataclass(frozen=True)
class Evaluate:
    """Measure a run on its test data: bits/dim by term, sample quality, and a report.html with pictures."""

    folder: Annotated[str, arg(metavar="RUN")]
    """Run folder."""
    data: str | None = None
    """Data instead of the run's own, of the same kind."""
    draws: int = 64
    """Noise levels per test item in the bound; the standard error falls with it."""
    samples: int = 500
    """Samples to judge."""
    steps: int | None = None
    """Steps of the sampler, 25 by default; diffusion models only, as the next two."""
    solver: str | None = None
    """Solver of the sampler, dpmpp2m by default."""
    guidance: float | None = None
    """Guidance scale w in uncond + w (cond - uncond): 1 is unguided. By default 2 where there are labels."""
    limit: int = 10_000
    """At most so many test items."""
    compared: int = 200
    """The first so many test items are measured in every way: VLB at T = 10, 100, 1000 and infinity, IWAE, ODE; or 0."""
    importance: int | None = None
    """Importance weights an item (IWAE). By default 50, none for diffusion, where a weight takes 100 steps."""
    seed: int = 0
    """Seed of noise levels, noise and samples."""
    json: bool = False
    """Print the figures as JSON."""

    def run(self) -> None:
        """Carry it out."""
        from .commands import evaluate

        evaluate(self)


@dataclass(frozen=True)
class Demo:
    """The main job on bundled data: train on digits, sample, measure, report. About four minutes on two cores."""

    out: str = "runs/demo"
    """Run folder."""
    minutes: float = 2.4
    """Minutes of training."""
    resume: bool = False
    """Go on with the run in --out."""
    overwrite: bool = False
    """Replace the run in --out."""
    json: bool = False
    """Print the figures as JSON."""

    def run(self) -> None:
        """Carry it out."""
        from .commands import demo

        demo(self)


@dataclass(frozen=True)
class Compress:
    """Code items without loss into a file, with a run as the model (bits-back coding).

    What does not carry: decoding needs the very same floating-point results, so the same run, the same version of torch
    and the same kind of processor; the number of threads and the sizes of batches are recorded and set again. The file
    is decoded once before it is written, and refuses to decode wrongly anywhere. Labels are not coded.
    """

    folder: Annotated[str, arg(metavar="RUN")]
    """Run folder: a diffusion model, a VAE or a hierarchy of data with levels."""
    source: Annotated[str, arg(metavar="IN")]
    """Items: .npy or .npz (all of them), or a source such as digits, a folder, .parquet (one set, see --part)."""
    out: Annotated[str, arg(metavar="OUT")]
    """File to write."""
    part: str = "test"
    """train, validation or test, of a source that has sets."""
    limit: int | None = None
    """At most so many items."""
    steps: int | None = None
    """At most so many steps of a diffusion model (20 by default), one evaluation an item each; more save bits."""
    batch: int = 100
    """Most items that the network sees at once."""
    seed: int = 0
    """Seed of the bits that the stream begins with."""
    no_check: bool = False
    """Do not decode after encoding."""
    overwrite: bool = False
    """Replace OUT if it exists."""
    json: bool = False
    """Print the figures as JSON."""

    def run(self) -> None:
        """Carry it out."""
        from .compressing import run_compress

        run_compress(self)


@dataclass(frozen=True)
class Decompress:
    """The items of a file that `compress` wrote, as .npy.

    Needs the run that it was made with, the same version of torch and the same kind of processor. A file that is damaged,
    of another model, or of other floating-point results is refused, and nothing is written.
    """

    folder: Annotated[str, arg(metavar="RUN")]
    """Run folder."""
    source: Annotated[str, arg(metavar="IN")]
    """The compressed file."""
    out: Annotated[str, arg(metavar="OUT")]
    """.npy file to write."""
    overwrite: bool = False
    """Replace OUT if it exists."""
    json: bool = False
    """Print the figures as JSON."""

    def run(self) -> None:
        """Carry it out."""
        from .compressing import run_decompress

        run_decompress(self)


@dataclass(frozen=True)
class Verify:
    """Execute the equations of the paper (Luo 2022): both sides of each, and whether they agree. A few seconds.

    Exits with 1 if one fails. Says where a printed line does not hold as it stands.
    """

    section: str | None = None
    """One section: elbo, vae, hierarchy, chain, denoising, marginal, posterior, objective, snr, interpretations, ..."""
    equation: int | None = None
    """One equation, by its number, 1 to 170."""
    json: bool = False
    """Print the figures as JSON."""

    def run(self) -> None:
        """Carry it out."""
        from .verifying import verify

        verify(self)
