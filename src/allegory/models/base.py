r"""What a model is to the rest of the library: a few small protocols.

`Model` is what every model can do: say what its data are, give a training loss, make samples. What
only some models can do has a protocol each; evaluation, plots, recipes and the command line ask for
these, and for no class:

    HasBound          a lower bound of log p(x), term by term
    HasStepBound      the same for the model with a finite number of steps
    HasLogProb        log p(x)
    HasFlow           log p(x) by the probability-flow ODE, and what it cost
    HasLogWeights     importance weights log p(x, z) - log q(z | x)  (`likelihood.importance`)
    HasLatents        a hierarchy of latents z_1..z_L, inferred and generated
    HasEnergy         E(x_t) = -log p(x_t) up to a constant of the level
    HasTrajectory     samples that come about step by step on a path: a diffusion model
    InLatentSpace     a diffusion model whose denoiser sees latents of the items
    HasJumps          the same by jumps of a flow map, with a sampler of its own
    HasTokens         a diffusion model of tokens, with samplers of their own
    HasRows           a diffusion model of the rows of a table, with a sampler of its own
    CanCode           a chain of latents that bits-back coding can use
    CanClassify       log p(y | x_t) of the classes y at every noise level

A model class from outside the package needs no base class: `nn.Module` with these methods is
enough. Everything here speaks raw items, in the units of the data; `condition` is one row per item
(`conditions`) or None.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol, cast, runtime_checkable

import torch
from torch import Tensor, nn

from ..data.spec import DataSpec
from ..likelihood.codec import CodableModel
from ..likelihood.dequantized_flow import FlowBound
from ..likelihood.flow_ode import FlowSolver
from ..likelihood.importance import HasLogWeights
from ..likelihood.inference import DrawNoise, Inference
from ..lookup import refuse_number
from ..process.bound import Bound
from ..process.decoder import Observation
from ..process.guide import Guide
from ..process.guide_items import check_items, refuse_of_items
from ..process.path import Level, Path
from ..sampling.driver import OnStep, State
from ..sampling.rows import RowSampler
from ..sampling.tokens import TokenBatch, TokenSampler, TokenState

__all__ = [
    "CanClassify",
    "CanCode",
    "HasBound",
    "HasEnergy",
    "HasFlow",
    "HasJumps",
    "HasLatents",
    "HasLogProb",
    "HasLogWeights",
    "HasRows",
    "HasStepBound",
    "HasTokens",
    "HasTrajectory",
    "InLatentSpace",
    "Model",
    "check_generative",
    "check_guides",
    "check_samples",
    "clean_states",
    "device_of",
    "evaluating",
    "has_bound",
    "is_conditional",
    "raw_of",
    "refuse_jumps",
    "refuse_latents",
    "refuse_tokens",
    "seed_batches",
    "state_shape",
]


@runtime_checkable
class Model(Protocol):
    """A trained or trainable model of items of one kind."""

    @property
    def spec(self) -> DataSpec:
        """What the data are."""
        ...

    @property
    def unit(self) -> str:
        """What one unit of the loss is, e.g. "bits/dim"."""
        ...

    def loss(self, batch: tuple[Tensor, Tensor | None], generator: torch.Generator, /) -> Tensor:
        """The training loss of each item, (batch,), of a `batch`: raw items, and rows or None.

        All random numbers are drawn from the `generator`.
        """
        ...

    def sample(
        self,
        seeds: Sequence[int],
        condition: Tensor | None = None,
        sampler: Any = None,
        *,
        batch: int = 250,
        on_step: OnStep | None = None,
    ) -> Tensor:
        """Raw samples, item i from seeds[i] alone.

        Args:
            seeds: one integer per item.
            condition: one row per item, or None.
            sampler: how a model with steps is sampled; None for its default. A model without steps
                refuses any other.
            batch: items that are computed at once.
            on_step: called as on_step(done, total) over all batches.
        """
        ...


@runtime_checkable
class HasBound(Protocol):
    """A model with an evidence lower bound."""

    def bound(
        self,
        x: Tensor,
        condition: Tensor | None = None,
        *,
        seeds: Sequence[int] | None = None,
        draws: int = 8,
    ) -> Bound:
        """The bound of log p(x), or of log p(x | condition), in nats per raw item.

        `seeds` has one integer per item; `draws` is the number of evaluations per item.
        """
        ...


@runtime_checkable
class HasStepBound(HasBound, Protocol):
    """A model in continuous time, which is a Markovian hierarchy for any finite number of steps.

    Its `log_weights` take `steps` as well.
    """

    def bound(
        self,
        x: Tensor,
        condition: Tensor | None = None,
        *,
        seeds: Sequence[int] | None = None,
        draws: int = 8,
        steps: int | None = None,
    ) -> Bound:
        """The bound of x given `condition`, of the model with `steps` steps or in continuous time.

        `seeds` has one integer per item; `draws` is the number of evaluations per item.
        """
        ...

    def as_hierarchy(self, steps: int, condition: Tensor | None = None) -> HasLatents:
        """The model with `steps` steps, as a hierarchy of latents; `condition` has one per item."""
        ...


@runtime_checkable
class HasFlow(Protocol):
    """A model whose denoiser defines a probability-flow ODE, another density than that of the
    bound.
    """

    def flow_bound(
        self,
        x: Tensor,
        condition: Tensor | None = None,
        *,
        seeds: Sequence[int] | None = None,
        solver: FlowSolver | None = None,
    ) -> FlowBound:
        """log p(x) given `condition`, in nats per raw item, and the evaluations that it took.

        A bound of it for discrete data. `seeds` has one integer per item; `solver` says how the ODE
        is solved.
        """
        ...


@runtime_checkable
class HasLogProb(Protocol):
    """A model with a log-probability."""

    def log_prob(
        self,
        x: Tensor,
        condition: Tensor | None = None,
        *,
        seeds: Sequence[int] | None = None,
    ) -> Tensor:
        """log p(x), or log p(x | condition), in nats per raw item; `seeds` has one per item."""
        ...


@runtime_checkable
class HasLatents(Protocol):
    """A model with a hierarchy of latents z_1..z_L, drawn once per item."""

    def infer(self, x0: Tensor, draw: DrawNoise) -> Inference:
        """One draw of all latents of x0, in model space, by the normal numbers of `draw`."""
        ...

    def generate(self, count: int, draw: DrawNoise) -> Observation:
        """p(x | z) for `count` items, after a draw of all latents from the prior by `draw`."""
        ...


@runtime_checkable
class HasEnergy(Protocol):
    """A Predict with an energy, E(x_t) = -log p(x_t) up to a constant of the level: an `Energy`, or
    an exact density.
    """

    @property
    def path(self) -> Path:
        """The forward process of x_t."""
        ...

    def energy(
        self, x_t: Tensor, t: Tensor | float | Level, condition: Tensor | None = None
    ) -> Tensor:
        """E(x_t, t) given `condition`, one number per item, in nats."""
        ...


@runtime_checkable
class HasTrajectory(Model, Protocol):
    """A diffusion model: a denoiser on a path, and samples that come about step by step."""

    @property
    def denoiser(self) -> Any:
        """The Predict in model space, with its `path`."""
        ...

    def trajectory(
        self,
        seeds: Sequence[int],
        condition: Tensor | None = None,
        sampler: Any = None,
        *,
        on_step: OnStep | None = None,
    ) -> Iterator[State]:
        """The states of one batch from noise to samples, in model space.

        Args:
            seeds: one integer per item.
            condition: one row per item, or None.
            sampler: how it is sampled; None for the default.
            on_step: called as on_step(done, total).
        """
        ...


@runtime_checkable
class InLatentSpace(HasTrajectory, Protocol):
    """A diffusion model whose denoiser sees latents of the items."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Of a latent, without the batch."""
        ...

    def encode(self, x: Tensor, seeds: Sequence[int] | None = None) -> Tensor:
        """The clean latents of raw items `x`, as the denoiser sees them, drawn by `seeds`."""
        ...

    def mean_latents(self, x: Tensor) -> Tensor:
        """The mean of the clean latent of each of the raw items `x`, as the denoiser sees it."""
        ...

    def mean_items(self, x0: Tensor) -> Tensor:
        """E[x | u] of clean latents `x0`, in raw units, with a gradient."""
        ...

    def raw_items(self, x0: Tensor, rows: Tensor | None, seeds: Sequence[int]) -> Tensor:
        """Raw items of clean latents.

        Args:
            x0: latents, as the denoiser sees them.
            rows: of their condition, or None.
            seeds: one integer per item.
        """
        ...


@runtime_checkable
class HasJumps(HasTrajectory, Protocol):
    """A model that is sampled in a few jumps of a flow map."""

    @property
    def sampler(self) -> Any:
        """How it is sampled unless another sampler is given."""
        ...

    @property
    def jumps(self) -> str:
        """Which jumps it was trained on: "any", "grid" or "clean"."""
        ...

    def check_sampler(self, sampler: Any) -> None:
        """ValueError for a `sampler` that it was not trained for."""
        ...


@runtime_checkable
class TunedTimes(Protocol):
    """Times of a few steps that were chosen for a model of tokens."""

    before: float
    after: float

    @property
    def sampler(self) -> TokenSampler:
        """The sampler with these times."""
        ...

    def to_dict(self) -> dict[str, Any]:
        """As plain values."""
        ...


@runtime_checkable
class HasTokens(Model, Protocol):
    """A diffusion model of tokens."""

    @property
    def sampler(self) -> TokenSampler:
        """How it is sampled unless another sampler is given."""
        ...

    def states(
        self, batch: TokenBatch, sampler: TokenSampler | None = None, on_step: OnStep | None = None
    ) -> Iterator[TokenState]:
        """The states of one batch of tokens from noise to samples.

        Args:
            batch: seeds, conditions and known tokens.
            sampler: how they are sampled; None for the model's own.
            on_step: called as on_step(done, total).
        """
        ...

    def tuned(self, x: Tensor, steps: int) -> TunedTimes:
        """The times of `steps` steps that are best on the raw items `x`."""
        ...

    def infill(
        self,
        x: Tensor,
        known: Tensor,
        seeds: Sequence[int] | None = None,
        condition: Any = None,
        sampler: TokenSampler | None = None,
    ) -> Tensor:
        """Raw samples of p(x | the known numbers).

        Args:
            x: raw items.
            known: which of their numbers are known.
            seeds: one integer per item; 0, 1, 2, ... for None.
            condition: as for `sample`.
            sampler: how they are sampled; None for the model's own.
        """
        ...


@runtime_checkable
class HasRows(HasBound, HasLogProb, Model, Protocol):
    """A diffusion model of the rows of a table: numbers and codes; `spec.table` has the columns."""

    @property
    def exact(self) -> bool:
        """Whether `log_prob` is there: for rows of numbers alone, but for given columns."""
        ...

    @property
    def sampler(self) -> RowSampler:
        """How it is sampled unless another sampler is given."""
        ...

    def infill(
        self,
        x: Tensor,
        known: Tensor,
        seeds: Sequence[int] | None = None,
        sampler: RowSampler | None = None,
        on_step: OnStep | None = None,
    ) -> Tensor:
        """Raw samples of p(row | the known entries).

        Args:
            x: raw rows; what is not known may be anything.
            known: which of their entries are known, besides the given columns.
            seeds: one integer per row; 0, 1, 2, ... for None.
            sampler: how they are sampled; None for the model's own.
            on_step: called as on_step(done, total).
        """
        ...


@runtime_checkable
class CanCode(Protocol):
    """A model that codes items of finitely many levels without loss."""

    def coding_chain(self, nodes: tuple[int, ...] | None) -> CodableModel:
        """The chain of latents that bits-back coding uses.

        Args:
            nodes: the levels of the latents, as `coding_nodes` chose them; None for a model whose
                latents are fixed.

        Raises:
            ValueError: for nodes that the model cannot have, or a model whose latents have no order
                of coding.
        """
        ...

    def coding_nodes(self, x0: Tensor, steps: int | None) -> tuple[int, ...] | None:
        """The levels at which a chain of at most `steps` latents costs least on some items; None
        for fixed latents.

        Args:
            x0: some items, in model space.
            steps: the largest number of latents; None for the model's default.

        Raises:
            ValueError: for a number of steps where the latents are fixed.
        """
        ...


@runtime_checkable
class CanClassify(Model, Protocol):
    """A model that gives the posterior of the class of noisy data.

    One that makes no samples says so by an attribute `generative = False`.
    """

    @property
    def path(self) -> Path:
        """The forward process of x_t."""
        ...

    def class_log_prob(self, x_t: Tensor, t: Tensor | float | Level) -> Tensor:
        """log p(y | x_t) in nats at the time or Level t, (b, classes)."""
        ...


@contextmanager
def evaluating(model: object) -> Iterator[None]:
    """Eval mode inside (no dropout), the model's own mode again after."""
    if not isinstance(model, nn.Module):
        yield
        return
    training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(training)


def device_of(model: object) -> torch.device:
    """Where a `model` has its weights; the CPU for anything that is no module."""
    tensors = [*model.parameters(), *model.buffers()] if isinstance(model, nn.Module) else []
    return tensors[0].device if tensors else torch.device("cpu")


def is_conditional(model: object) -> bool:
    """Whether a model takes a condition: its own `conditional`, False without one."""
    return bool(getattr(model, "conditional", False))


def refuse_jumps(model: object, use: str) -> None:
    """ValueError for a model of few steps.

    Args:
        model: any model.
        use: what needs a denoiser at every noise level, for the message.
    """
    if isinstance(model, HasJumps):
        raise ValueError(
            f"{use}: this is a flow map of few steps, and a denoiser is needed; give the run from "
            "which it was distilled"
        )


def refuse_latents(model: object, use: str) -> None:
    """ValueError for a diffusion model of latents.

    Args:
        model: any model.
        use: what needs a denoiser of the items themselves, for the message.
    """
    if isinstance(model, InLatentSpace):
        raise ValueError(
            f"{use}: the denoiser of this model sees latents of the items, and that of the items "
            "is needed; give a run of a diffusion model of the items, e.g. of the recipe images"
        )


def refuse_tokens(model: object, use: str, instead: str) -> None:
    """ValueError for a diffusion model of tokens.

    Args:
        model: any model.
        use: what needs a denoiser of Gaussian noise, for the message.
        instead: what to do.
    """
    if isinstance(model, HasTokens):
        raise ValueError(
            f"{use}: this is a diffusion model of tokens, and Gaussian noise is needed; {instead}"
        )


def refuse_rows(spec: DataSpec, use: str, instead: str) -> None:
    """ValueError for rows of a table.

    Args:
        spec: what the items of a model are.
        use: what is for other items, for the message.
        instead: what to do.
    """
    if spec.table is not None:
        raise ValueError(f"{use}: this run learned {spec.table}; {instead}")


def check_guides(model: HasTrajectory, guides: Sequence[Guide]) -> None:
    """Refuse guides that are for other items than those of a model, or for no latents.

    Args:
        model: a diffusion model.
        guides: the guides.

    Raises:
        ValueError: for the first that does not fit.
    """
    if isinstance(model, InLatentSpace):
        refuse_of_items(guides)
    check_items(guides, model.spec)


def clean_states(model: HasTrajectory, raw: Tensor, seeds: Sequence[int] | None = None) -> Tensor:
    """The clean x0 of a model's denoiser, of raw items.

    Args:
        model: a diffusion model.
        raw: raw items, where the model is.
        seeds: one integer per item, for latents that are drawn; 0, 1, 2, ... for None.
    """
    if isinstance(model, InLatentSpace):
        return model.encode(raw, seeds)
    return model.spec.encode(raw)


def raw_of(model: HasTrajectory, x0: Tensor, seeds: Sequence[int]) -> Tensor:
    """Raw items, on the CPU, of the clean x0 of a model's denoiser.

    Args:
        model: a diffusion model.
        x0: clean items in model space, or latents.
        seeds: one integer per item, for models that draw the item given the latent.
    """
    if isinstance(model, InLatentSpace):
        return model.raw_items(x0, None, seeds)
    return model.spec.decode(x0.cpu())


def state_shape(model: HasTrajectory) -> tuple[int, ...]:
    """The shape of what a `model`'s denoiser sees, without the batch."""
    return tuple(model.shape if isinstance(model, InLatentSpace) else model.spec.shape)


def has_bound(model: object) -> bool:
    """Whether a model has a bound: a method `bound`, unless its `bounded` is False (a path with an
    infinite end).
    """
    return isinstance(model, HasBound) and bool(getattr(model, "bounded", True))


def check_generative(model: object) -> None:
    """ValueError for a `model` that makes no samples; it comes from its own `sample`."""
    if not getattr(model, "generative", True):
        cast(Model, model).sample([0])


def check_samples(samples: Tensor, how: object) -> Tensor:
    """The samples, refused where one of them holds NaN or an infinite value.

    Args:
        samples: in model space or raw, (n, *shape).
        how: how they were made, for the error.

    Raises:
        ValueError: for samples that are not finite.
    """
    broken = int((~samples.isfinite()).flatten(1).any(1).sum())
    if broken:
        raise ValueError(
            f"samples by {how}: {broken} of {len(samples)} hold NaN or infinite numbers; take other"
            " weights (best, ema, last), a smaller scale of the guide, or another solver with more"
            " steps, or train again with a smaller learning_rate"
        )
    return samples


def seed_batches(
    seeds: Sequence[int], condition: Tensor | None, batch: int
) -> Iterator[tuple[Sequence[int], Tensor | None]]:
    """Seeds and condition in parts of at most `batch` items.

    Args:
        seeds: one integer per item.
        condition: one row per item, or None.
        batch: the largest part.

    Raises:
        ValueError: without seeds, for a batch below 1, or a condition of another length.
    """
    refuse_number(seeds)
    if len(seeds) == 0:
        raise ValueError("seeds: none; give one integer per item, e.g. seeds=range(64)")
    if batch < 1:
        raise ValueError(f"batch={batch}; give at least 1")
    if condition is not None and len(condition) != len(seeds):
        raise ValueError(
            f"condition: {len(condition)} rows for {len(seeds)} seeds; give one per seed"
        )

    for start in range(0, len(seeds), batch):
        part = slice(start, start + batch)
        yield seeds[part], None if condition is None else condition[part]
