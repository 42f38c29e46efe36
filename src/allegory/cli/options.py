"""Options that several commands share: the run and its weights, and the sampler of a diffusion
model.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from tyro.conf import UseAppendAction, arg

if TYPE_CHECKING:
    from ..lookup import Registry
    from ..models.base import HasJumps, HasTokens
    from ..recipes import RunFolder
    from ..sampling import Sampler
    from ..sampling.tokens import TokenSampler

DEFAULT_SOLVER = "dpmpp2m"
MOST_SAMPLES = 1_000_000
"""The largest number of samples, and of a batch."""

_UNGUIDED = ("none", "cfg:1", "cfg:1.0")


def optional(metavar: str, name: str | None = None) -> Any:
    """An option whose default, None, leaves the choice to the command; its text says which.

    Args:
        metavar: what stands for the value in the help.
        name: the option's name where it is not the field's.
    """
    return arg(name=name, metavar=metavar, help_behavior_hint="")


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """The run that a command is about, its weights, and the device."""

    folder: Annotated[str, arg(metavar="RUN")]
    """Run folder."""
    weights: Annotated[str | None, optional("NAME")] = None
    """best (the moving average at the lowest validation loss), ema (the same after the last step)
    or last (no average); by default best where there was validation, else ema.
    """
    device: str = "auto"
    """auto (a GPU if there is one), cpu, cuda, cuda:1, ..."""

    def open(self) -> tuple[RunFolder, Any]:
        """The run, and its model on the device. ValueError where one of them is not there."""
        from ..recipes import RunFolder
        from ..training.device import torch_device

        device = torch_device(self.device)
        folder = RunFolder.open(Path(self.folder), self.weights)
        return folder, folder.model().to(device)


@dataclass(frozen=True, kw_only=True)
class SamplerOptions:
    """How a diffusion model is sampled. None leaves the choice to the command."""

    steps: Annotated[int | None, optional("INT")] = None
    """Steps, 25 by default; of a model of few steps, its own number. Most solvers evaluate the
    network once per step; the list of solvers says which do not.
    """
    solver: Annotated[str | None, optional("NAME")] = None
    """One of the list below; NAME+CORRECTOR adds Langevin steps, as in ddim+langevin:0.16,
    ddim+mala.
    """
    spacing: Annotated[str | None, optional("NAME")] = None
    """Where the steps lie, such as log_snr, angle or karras; by default as suits the solver."""
    scaling: Annotated[str | None, optional("NAME")] = None
    """Sample along another process than the one that was trained: vp, sub_vp, flow or ve. One
    network serves all four.
    """
    guide: Annotated[UseAppendAction[tuple[str, ...]], arg(metavar="NAME:W[:KEY=VALUE]")] = ()
    """A guide of the list below; cfg:2 is uncond + 2 (cond - uncond), 1 is unguided. Options follow
    the number, as in cfg:2:low=-3:high=2. Repeat it for several, the innermost first.
    """

    def guide_text(self, default: str | None = None) -> str | None:
        """The guides as text, such as "cfg:2,clamp".

        Args:
            default: what is taken where none was given; "none" and "cfg:1" mean no guide.

        Raises:
            ValueError: for an unknown guide.
        """
        from ..process.guide import guide_names

        given = self.guide or ((default,) if default else ())
        names = [name for name in given if name not in _UNGUIDED]
        return ",".join(guide_names(",".join(names))) if names else None

    def sampler(self, solver: Any, guide: str | None) -> Sampler:
        """The Sampler of these options.

        Args:
            solver: the solver, where the option leaves it open or a tuned one was found.
            guide: the guides, from `guide_text`.

        Raises:
            ValueError: for a choice that is unknown or does not fit the others.
        """
        from ..sampling import Sampler

        steps = Sampler().steps if self.steps is None else self.steps
        return Sampler(solver, steps, self.spacing, scaling=self.scaling, guide=guide)

    def sampler_of(self, model: HasJumps, guide: str | None) -> Sampler:
        """The Sampler of a model of few steps: its own, but for what is chosen here.

        Args:
            model: the model.
            guide: the guides, from `guide_text`.

        Raises:
            ValueError: for a choice that is unknown, or that the model was not trained for.
        """
        from . import tables

        own = model.sampler
        given = {name: getattr(self, name) for name in ("steps", "solver", "spacing", "scaling")}
        changes = {name: value for name, value in given.items() if value is not None}
        if self.solver is not None and not self.solver.startswith("flow_map"):
            changes = {"spacing": None} | changes  # as suits that solver
        sampler: Sampler = replace(own, guide=guide, **changes)
        model.check_sampler(sampler)

        if model.jumps == "grid" and sampler.steps != own.steps:
            tables.remark(
                f"--steps {sampler.steps}: this run was trained for {own.steps} steps, and others "
                "are worse; OUT/halvings of its distillation holds students of more"
            )
        from ..sampling.flow_map import STUDENT_SPACING

        trained = own.spacing or STUDENT_SPACING
        if model.jumps == "grid" and self.spacing not in (None, trained):
            tables.remark(
                f"--spacing {self.spacing}: this run was trained for the spacing {trained}, and "
                "others are worse; leave it out"
            )
        return sampler

    def token_sampler(self, model: HasTokens, guide: str | None) -> TokenSampler:
        """The sampler of a diffusion model of tokens: its own, but for what is chosen here.

        Args:
            model: the model.
            guide: the guides, from `guide_text`.

        Raises:
            ValueError: for a choice that is unknown, or not for tokens.
        """
        if self.scaling is not None:
            raise ValueError(f"--scaling {self.scaling}: tokens have no scaling; leave it out")
        given = {name: getattr(self, name) for name in ("steps", "solver", "spacing")}
        changes = {name: value for name, value in given.items() if value is not None}
        sampler: TokenSampler = replace(model.sampler, guide=guide, **changes)

        return sampler

    def refuse(self) -> None:
        """ValueError for an option that was given, though the model is no diffusion model."""
        options = [field.name for field in fields(SamplerOptions)]
        for name in (*options, "label"):
            value = getattr(self, name, None)
            if value is not None and value != ():
                shown = " ".join(value) if isinstance(value, tuple) else value
                raise ValueError(
                    f"--{name} {shown}: this run is no diffusion model, it has no steps; "
                    "leave it out"
                )

    @staticmethod
    def epilog() -> None:
        """Print the solvers and guides by name, as they are registered, below the help."""
        from ..process.guide import GUIDES
        from ..sampling import SOLVERS
        from ..sampling.tokens import TOKEN_SOLVERS

        show_registries({"solvers": SOLVERS, "solvers of tokens": TOKEN_SOLVERS, "guides": GUIDES})


def show_registries(registries: Mapping[str, Registry[Any]]) -> None:
    """Print the names of `registries`, each with its line of help, under their titles."""
    from rich.markup import escape
    from rich.table import Table

    from . import tables

    console = tables.console()
    for title, registry in registries.items():
        table = Table(title=title, title_justify="left", show_header=False, box=None)
        for name in registry:
            entry = registry.entry(name)
            table.add_row(escape(entry.form(name)), entry.help)
            for key, meaning in entry.options.items():
                table.add_row(f"  :{key}=...", meaning)
        console.print(table)


def check_solver(solver: str | None, method: str) -> None:
    """ValueError for a --solver that was given to a `method` with steps of its own."""
    from ..inverse import takes_solver

    if solver is not None and not takes_solver(method):
        raise ValueError(
            f"--solver {solver}: --method {method} has steps of its own, and no solver samples "
            "it; leave one of them out"
        )


def seed_range(text: str | None, count: int) -> range:
    """The seeds of an option A:B.

    Args:
        text: A:B, or A for `count` seeds from A on; None for 0:count.
        count: how many there are without B.

    Raises:
        ValueError: for what is no range of whole numbers from 0 to 2^63 - 1, and an empty one.
    """
    if text is None:
        return range(count)
    first, colon, last = text.partition(":")
    try:
        seeds = range(int(first), int(last)) if colon else range(int(first), int(first) + count)
    except ValueError:
        raise ValueError(f"--seeds {text!r}: give A:B, two whole numbers, e.g. 0:64") from None

    if seeds.stop - seeds.start > MOST_SAMPLES:
        raise ValueError(
            f"--seeds {text!r}: more than {MOST_SAMPLES:,} samples; give a shorter range"
        )
    if not seeds:
        raise ValueError(f"--seeds {text!r}: holds no seed; give A:B with A below B")
    if seeds.start < 0 or seeds.stop > 2**63:
        raise ValueError(f"--seeds {text!r}: give seeds from 0 to 2^63 - 1, e.g. 0:64")
    return seeds
