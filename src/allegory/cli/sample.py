"""`allegory sample`: samples of a run, as a picture or as arrays."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import arg

if TYPE_CHECKING:
    from torch import Tensor

    from ..models.base import HasTrajectory
    from ..recipes import RunFolder
    from ..sampling import Sampler, TunedSampler

_STEPS = 25
_SOLVER = "dpmpp2m"
_MOST_SAMPLES = 1_000_000


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
    Langevin step at each level: pc, or any of these and a corrector, such as reverse_diffusion+langevin:0.16 (also mala,
    hmc, langevin_batch). Annealed Langevin: ncsn (100 evaluations a step), ncsn2 (5)."""
    scaling: str | None = None
    """Sample along another process than the one that was trained: vp, sub_vp, flow or ve. One network serves all four."""
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
        """Draw the samples and write them."""
        from ..models.base import HasTrajectory, is_conditional
        from ..progress import progress
        from ..recipes import RunFolder
        from . import tables
        from .files import check_kind, free_name, save_samples
        from .options import refuse_diffusion

        if self.count < 1:
            raise ValueError(f"--count {self.count}: give at least 1")
        folder = RunFolder.open(Path(self.folder))
        seeds = _seeds(self.seeds, self.count)
        out = Path(self.out) if self.out else free_name(folder.path / "samples")
        check_kind(out)
        if out.exists() and not self.overwrite:
            raise ValueError(
                f"--out {self.out!r}: exists already; give --overwrite or another file"
            )

        model = folder.model()
        sampler = None
        figures: dict[str, object] = {"samples": len(seeds)}
        if isinstance(model, HasTrajectory):
            sampler = self._sampler(folder, model)
            name = sampler.solver if isinstance(sampler.solver, str) else "tuned"
            figures |= {"solver": name, "steps": sampler.steps}
        else:
            refuse_diffusion(self)

        classes = folder.spec.classes if is_conditional(model) else None
        labels = _labels(self.label, len(seeds), classes)
        with progress() as on_progress:
            raw = model.sample(
                seeds,
                labels,
                sampler,
                on_step=lambda done, total: on_progress("sampling", done, total),
            )
        save_samples(out, raw, labels, folder.spec)
        tables.show(self.json, figures | {"file": str(out)})

    def _sampler(self, folder: RunFolder, model: HasTrajectory) -> Sampler:
        """How a diffusion model is sampled, by these options."""
        from ..guidance import ClassifierFree
        from ..sampling import Sampler

        steps = _STEPS if self.steps is None else self.steps
        guidance = 1.0 if self.guidance is None else self.guidance
        asked = self.solver or (_SOLVER if self.scaling else None)
        return Sampler(
            _solver(folder, model, asked, steps, guidance),
            steps,
            scaling=self.scaling,
            guide=None if guidance == 1 else ClassifierFree(guidance),
        )


def _solver(
    folder: RunFolder, model: HasTrajectory, asked: str | None, steps: int, guidance: float
) -> str | TunedSampler:
    """The solver that was asked for; else the one tuned for so many steps, if there is one."""
    from ..recipes.tuned_files import load_tuned

    if asked not in (None, "tuned"):
        return asked
    guide = None if guidance == 1 else f"cfg:{guidance:g}"
    tuned = load_tuned(folder, model.denoiser.path, steps, guide)
    if tuned is None and asked is not None:
        raise ValueError(
            f"--solver tuned: none for {steps} steps with guidance {guidance:g} and these weights; "
            f"make it with `allegory tune {folder.path} --steps {steps}`"
        )
    return tuned or _SOLVER


def _seeds(text: str | None, count: int) -> range:
    """A:B, or 0:count."""
    if text is None:
        return range(count)
    first, colon, last = text.partition(":")
    try:
        seeds = range(int(first), int(last)) if colon else range(int(first), int(first) + count)
    except ValueError:
        raise ValueError(f"--seeds {text!r}: give A:B, two whole numbers, e.g. 0:64") from None

    if seeds.stop - seeds.start > _MOST_SAMPLES:
        raise ValueError(
            f"--seeds {text!r}: more than {_MOST_SAMPLES:,} samples; give a shorter range"
        )
    if not seeds:
        raise ValueError(f"--seeds {text!r}: holds no seed; give A:B with A below B")
    return seeds


def _labels(label: int | None, count: int, classes: int | None) -> Tensor | None:
    """This class for all, or all classes in turn; none where the data have none."""
    import torch

    if classes is None:
        if label is not None:
            raise ValueError(f"--label {label}: this run has no classes; leave it out")
        return None
    if label is None:
        return torch.arange(count) % classes
    if not 0 <= label < classes:
        raise ValueError(f"--label {label}: give 0 to {classes - 1}")
    return torch.full((count,), label)
