"""Parts from outside the package: a network, a model and a recipe that are trained, written and
read by name.
"""

from dataclasses import dataclass, replace

import pytest
import torch
from tests.helpers.registries import forget_additions
from torch import nn

from allegory.networks import NETWORKS
from allegory.recipes import (
    CONFIGS,
    MODELS,
    RECIPES,
    DiffusionConfig,
    PathConfig,
    Run,
    RunFolder,
    execute,
    recipe,
    recipe_named,
)
from allegory.recipes.serialize import config_kinds
from allegory.training import TrainingConfig


@dataclass(frozen=True)
class AffineConfig:
    """A network that scales its input by a learned number."""

    gain: float = 0.5

    def build(self, shape, condition=None, outputs=None):
        return Affine(self.gain)


class Affine(nn.Module):
    def __init__(self, gain):
        super().__init__()
        self.gain = nn.Parameter(torch.tensor(gain))

    def forward(self, x, log_snr, condition=None):
        return self.gain * x


@dataclass(frozen=True)
class Scale:
    """A part of the model below."""

    std: float


@dataclass(frozen=True)
class GaussianConfig:
    """An independent Gaussian for each number."""

    scale: Scale = Scale(1.0)
    unit = "nats"

    def build(self, spec):
        return Gaussian(spec, self.scale.std)


class Gaussian(nn.Module):
    def __init__(self, spec, std):
        super().__init__()
        self.spec = spec
        self.mean = nn.Parameter(torch.zeros(spec.shape))
        self.std = std

    def loss(self, batch, generator):
        x0 = self.spec.encode(batch[0])
        return ((x0 - self.mean) / self.std).square().flatten(1).sum(1) / 2


TRAINING = TrainingConfig(steps=3, batch_size=16)


@pytest.fixture
def registries(monkeypatch):
    """Registries that forget what the test adds."""
    forget_additions(monkeypatch, NETWORKS, MODELS, CONFIGS, RECIPES)


def test_a_network_a_model_and_a_recipe_from_outside(registries, tmp_path):
    NETWORKS.register("affine", AffineConfig, "one learned gain")
    MODELS.register("gaussian", GaussianConfig, "an independent Gaussian")
    CONFIGS.register("Scale", Scale, "its standard deviation")

    @recipe
    def mine(data: str = "moons") -> Run:
        """A diffusion model with one weight."""
        return Run(
            "mine", data, DiffusionConfig(AffineConfig(0.25), PathConfig("cosine")), TRAINING
        )

    assert RECIPES.entry("mine").help == "A diffusion model with one weight."
    run = recipe_named("mine")
    folder, _ = execute(run, tmp_path / "affine")
    opened = RunFolder.open(folder.path)
    assert opened.run == folder.run and opened.run.model.network == AffineConfig(0.25)
    model = opened.model()
    assert model.denoiser.network.gain.item() != 0.25

    folder, _ = execute(replace(run, model=GaussianConfig(Scale(0.5))), tmp_path / "gaussian")
    assert RunFolder.open(folder.path).model().std == 0.5
    assert folder.run.unit == "nats"


def test_a_folder_with_an_unknown_part_says_what_to_import(registries, tmp_path, monkeypatch):
    NETWORKS.register("affine", AffineConfig, "one learned gain")
    run = Run("mine", "moons", DiffusionConfig(AffineConfig()), TRAINING)
    folder, _ = execute(run, tmp_path / "run")
    monkeypatch.undo()
    says = (
        r"kind 'AffineConfig' is not registered; import the module that registers it, "
        r"e\.g\. allegory --import MODULE sample RUN"
    )
    with pytest.raises(ValueError, match=says) as caught:
        RunFolder.open(folder.path)
    assert "damaged" not in str(caught.value)


def test_two_classes_of_one_name_are_refused(registries):
    NETWORKS.register("other", type("UNetConfig", (), {"build": None}), "not the U-Net")
    with pytest.raises(ValueError, match="two classes UNetConfig"):
        config_kinds()


@pytest.mark.parametrize(
    ("config", "ends"),
    [
        (PathConfig("linear", start=8.0, end=-5.0), (8.0, -5.0)),
        (PathConfig("cosine", start=8.0, scaling="flow"), (8.0, -15.0)),
        (PathConfig("learned", arguments={"units": 6}), (10.0, -10.0)),
        (PathConfig("geometric", arguments={"sigma_min": 1.0, "sigma_max": 2.0}), (0.0, -1.3863)),
        (PathConfig("rectified_flow", scaling="flow"), (float("inf"), -float("inf"))),
        (PathConfig("betas", arguments={"betas": (0.5, 0.5)}), (0.0, -1.0986)),
    ],
)
def test_a_path_of_every_schedule_is_built(config, ends):
    path = config.build()
    assert path.schedule.ends == pytest.approx(ends, abs=1e-4)
    assert path.scaling.name == config.scaling


def test_arguments_that_a_schedule_does_not_have_are_refused():
    with pytest.raises(ValueError, match=r"'rectified_flow' has no start; leave it out"):
        PathConfig("rectified_flow", start=8.0)
    with pytest.raises(ValueError, match=r"has no sigma_min.*arguments: start, end"):
        PathConfig("cosine", arguments={"sigma_min": 1.0})
