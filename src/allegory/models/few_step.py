"""A model that is sampled in a few jumps of a flow map."""

from __future__ import annotations

from typing import Any

from ..data.spec import DataSpec
from ..objectives.base import Objective
from ..process.flow_map import check_flow_map
from ..sampling.sampler import Sampler
from .denoiser_model import DenoiserModel
from .flow_map import FlowMapDenoiser

_DENSITIES = ("bound", "log_prob", "flow_bound", "log_weights", "as_hierarchy", "coding_chain")
"""Methods of a model with a likelihood."""


class FlowMapModel(DenoiserModel):
    """A flow map of data: few evaluations per sample, and no likelihood.

    Its jumps are an approximate solution of the probability flow, which has the density of a
    denoiser; the jumps themselves have none that could be computed. A likelihood is that of the
    model from which it was distilled.

    Args:
        denoiser: the flow map.
        spec: what the data are.
        objective: what it is trained by (`distillation`).
        sampler: how it is sampled unless another is given; its solver is that of jumps.
        condition_dropout: the fraction of training items whose condition is hidden.

    Raises:
        ValueError: for what is no flow map, and what the objective refuses.
    """

    bounded = False

    def __init__(
        self,
        denoiser: FlowMapDenoiser,
        spec: DataSpec,
        objective: Objective,
        sampler: Sampler,
        condition_dropout: float = 0.1,
    ) -> None:
        check_flow_map(denoiser)
        super().__init__(denoiser, spec, condition_dropout, sampler)
        objective.check(denoiser)
        self.objective = objective

    def __getattr__(self, name: str) -> Any:
        """What an nn.Module has; AttributeError with the reason for a likelihood."""
        if name in _DENSITIES:
            raise AttributeError(
                f"{name}: a flow map has no density; ask the model from which it was distilled"
            )
        return super().__getattr__(name)
