"""The config of a model that was put together in Python.

A config says how to build a model again from its run folder. A model remembers its own in the
attribute `config`, as networks do; that of a diffusion model is put together from those of its
parts. It counts only where a model built from it has the same weights, so a part that no config
describes is never lost in silence: the folder of such a model is opened by `allegory.open(folder,
model=model)`.
"""

from __future__ import annotations

from dataclasses import dataclass, is_dataclass
from typing import Any

import torch
from torch import nn

from ..data import DataSpec
from ..models import CategoricalOutput, Energy, LearnedVariance
from ..models.learned_variance import VARIANCE
from ..objectives import OBJECTIVES, Objective, objective_named
from ..process import SCHEDULES, TARGETS, Path, target_named
from .config import CATEGORICAL, ENERGY, DiffusionConfig, ModelConfig, PathConfig
from .serialize import CONFIGS, config_kinds


@dataclass(frozen=True)
class PythonModel:
    """A model that no registered config describes.

    Args:
        type: the name of its class.
        unit: the unit of its training loss.
    """

    type: str
    unit: str

    def build(self, spec: DataSpec) -> nn.Module:
        """ValueError for any spec: such a model has to be given."""
        raise ValueError(
            f"this run's model, a {self.type}, was put together in Python and no config describes "
            "it; in Python build it again and give it: allegory.open(folder, model=model)"
        )


CONFIGS.register("PythonModel", PythonModel, "a model that no registered config describes")


def config_of(model: nn.Module) -> ModelConfig:
    """The registered config that builds a model like this one, or else a `PythonModel`."""
    found = getattr(model, "config", None) or _diffusion_config(model)
    spec: Any = getattr(model, "spec", None)
    if found is not None and _is_registered(found) and _builds(found, spec, model):
        return found
    return PythonModel(type(model).__name__, str(getattr(model, "unit", "loss")))


def path_config(path: Path) -> PathConfig | None:
    """The config of a path whose schedule is registered, else None."""
    schedule = path.schedule
    name = next((name for name, kind in SCHEDULES.items() if kind is type(schedule)), None)
    if name is None:
        return None

    arguments: dict[str, Any] = dict(schedule.arguments())
    start = arguments.pop("start", None)
    end = arguments.pop("end", None)
    return PathConfig(name, start, end, path.scaling.name, arguments)


def _diffusion_config(model: nn.Module) -> DiffusionConfig | None:
    """The config of a denoiser and its training objective, from the parts that remember theirs."""
    denoiser: Any = getattr(model, "denoiser", None)
    network = getattr(getattr(denoiser, "network", None), "config", None)
    objective = _objective_name(getattr(model, "objective", None))
    if network is None or objective is None:
        return None

    path = path_config(denoiser.path)
    target = target_name(denoiser)
    if path is None or target is None:
        return None

    dropout = getattr(model, "condition_dropout", 0.0)
    return DiffusionConfig(network, path, target, denoiser.data_std, objective, dropout)


def target_name(denoiser: Any) -> str | None:
    """The name of what the network of a denoiser predicts, as a config has it; None for others."""
    if isinstance(denoiser, Energy):
        return ENERGY

    target = getattr(denoiser, "target", None)
    if isinstance(target, CategoricalOutput):
        return CATEGORICAL

    if isinstance(target, LearnedVariance):
        mean = _plain_name(target.target, denoiser.data_std)
        return None if mean is None else mean + VARIANCE
    return _plain_name(target, denoiser.data_std)


def _plain_name(target: Any, data_std: float) -> str | None:
    """The name of a registered target for data of this standard deviation, else None."""
    name = str(getattr(target, "name", ""))
    plain = name.partition(":")[0]  # "edm:0.5" is "edm" for data of that standard deviation
    if plain in TARGETS and target_named(plain, data_std).name == name:
        return plain

    return None


def _objective_name(objective: Objective | None) -> str | None:
    """The name under which OBJECTIVES gives an objective like this one, else None."""
    if objective is None:
        return None

    for name in (*OBJECTIVES, getattr(objective, "name", "")):
        try:
            candidate = objective_named(name)
        except ValueError:
            continue
        if type(candidate) is type(objective) and candidate.unit == objective.unit:
            return name

    return None


def _is_registered(config: Any) -> bool:
    """Whether the config, and each config in it, can be read back from JSON."""
    if not is_dataclass(config) or config_kinds().get(type(config).__name__) is not type(config):
        return False
    return all(_is_registered(value) for value in vars(config).values() if is_dataclass(value))


def _builds(config: ModelConfig, spec: DataSpec, model: nn.Module) -> bool:
    """Whether the config builds a model of this class whose weights have these names and shapes."""
    with torch.random.fork_rng(devices=[]):
        try:
            again = config.build(spec)
        except (TypeError, ValueError):
            return False
    return type(again) is type(model) and _shapes(again) == _shapes(model)


def _shapes(module: nn.Module) -> dict[str, torch.Size]:
    return {name: value.shape for name, value in module.state_dict().items()}
