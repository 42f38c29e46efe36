"""From an array in memory to a trained model, and any run folder back to a model."""

import json
from dataclasses import replace

import pytest
import torch
from torch import nn

import allegory as al
from allegory.conditions import Numbers
from allegory.data import DataSpec
from allegory.models import CategoricalOutput, LadderConfig, VAEConfig
from allegory.networks import MLPConfig
from allegory.recipes import DiffusionConfig, PathConfig, RunFolder, execute, recipe_named
from allegory.recipes.derive import PythonModel, config_of, path_config
from allegory.training import TrainingConfig

POINTS = torch.randn(200, 2, generator=torch.Generator().manual_seed(0))
FEW = TrainingConfig(steps=3, batch_size=16)


def model_of(data, **choices):
    network = al.MLP(data.spec, width=8, depth=1)
    return al.VDM(al.Denoiser(network, al.Path(al.LinearLogSNR(8, -5)), **choices), data.spec)


def same_weights(a, b):
    weights = b.state_dict()
    return all(torch.equal(value, weights[name]) for name, value in a.state_dict().items())


def test_an_array_is_learned_and_the_folder_gives_the_model_back(tmp_path):
    data = al.Dataset.from_arrays(POINTS, labels=[i % 3 for i in range(200)])
    model = model_of(data, target="v", data_std=0.5)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    result = al.train(model, data, config=FEW, out=tmp_path / "run")
    assert result.step == 3 and not model.training
    assert any(not torch.equal(value, before[name]) for name, value in model.state_dict().items())

    opened = al.open(tmp_path / "run")
    assert same_weights(model, opened) and opened.denoiser.target.name == "v"
    run = RunFolder.open(tmp_path / "run").run
    assert run.source == "" and run.training == FEW
    assert run.model == DiffusionConfig(
        MLPConfig(8, 1), PathConfig("linear", 8.0, -5.0), target="v", data_std=0.5
    )
    with pytest.raises(ValueError, match="learned data in memory; give --data"):
        RunFolder.open(tmp_path / "run").dataset()


def test_a_model_in_python_trains_as_its_recipe_does(tmp_path):
    """The same weights at the start, the same data order, the same noise: the same run, bit for
    bit.
    """
    run = recipe_named("toy", "rings")
    config = TrainingConfig(steps=4, batch_size=32, seed=5)
    folder, _ = execute(replace(run, training=config), tmp_path / "a")
    data = al.load("rings")
    torch.manual_seed(5)
    model = folder.run.model.build(data.spec)
    al.train(model, data, config=config, out=tmp_path / "b")
    for name in ("model.safetensors", "ema.safetensors"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    a, b = (json.loads((tmp_path / name / "run.json").read_text())["run"] for name in "ab")
    assert {**a, "recipe": "python"} == b


def test_text_names_the_data_and_a_run_is_resumed(tmp_path):
    torch.manual_seed(0)
    whole = model_of(al.load("moons"))
    halves = model_of(al.load("moons"))
    halves.load_state_dict(whole.state_dict())
    config = TrainingConfig(batch_size=16, steps=6, decay="none", warmup=1)
    al.train(whole, "moons", config=config)
    al.train(halves, "moons", config=config, steps=3, out=tmp_path / "run")
    assert RunFolder.open(tmp_path / "run").dataset().name == "moons"
    al.train(halves, "moons", config=config, out=tmp_path / "run", resume=True)
    assert same_weights(whole, halves)


@pytest.mark.parametrize(
    ("choices", "says"),
    [
        ({}, "no budget: give minutes or steps"),
        ({"steps": 1, "resume": True}, "about a folder; give out=FOLDER"),
        ({"steps": 1, "data": "digits"}, "is not what the model is for"),
        ({"steps": 1, "model": nn.Linear(2, 2)}, "a Linear has no loss"),
    ],
)
def test_what_cannot_be_trained_is_refused(choices, says):
    data = al.load("moons")
    given = {"model": model_of(data), "data": data, **choices}
    with pytest.raises(ValueError, match=says):
        al.train(given.pop("model"), given.pop("data"), **given)


def test_a_folder_that_is_taken_is_left_alone(tmp_path):
    data = al.load("moons")
    al.train(model_of(data), data, config=FEW, out=tmp_path / "run")
    kept = (tmp_path / "run" / "ema.safetensors").read_bytes()
    with pytest.raises(ValueError, match="exists already"):
        al.train(model_of(data), data, config=FEW, out=tmp_path / "run")
    assert (tmp_path / "run" / "ema.safetensors").read_bytes() == kept
    al.train(model_of(data), data, config=FEW, out=tmp_path / "run", overwrite=True)
    assert (tmp_path / "run" / "ema.safetensors").read_bytes() != kept


class Doubled(nn.Module):
    """A network that no config describes."""

    def __init__(self):
        super().__init__()
        self.gain = nn.Parameter(torch.ones(2))

    def forward(self, x, log_snr, condition=None):
        return self.gain * x


def test_a_model_without_a_config_is_trained_saved_and_opened_with_itself(tmp_path):
    data = al.load("moons")

    def build():
        return al.VDM(al.Denoiser(Doubled(), al.Path(al.LinearLogSNR(8, -5))), data.spec)

    model = build()
    al.train(model, data, config=FEW, out=tmp_path / "run")
    with pytest.raises(ValueError, match=r"put together in Python.*open\(folder, model=model\)"):
        al.open(tmp_path / "run")
    assert same_weights(model, al.open(tmp_path / "run", model=build()))
    with pytest.raises(ValueError, match="weight"):
        al.open(tmp_path / "run", model=model_of(data))
    with pytest.raises(ValueError, match="the run learned"):
        al.open(tmp_path / "run", model=model_of(al.load("digits")))


def test_models_of_latents_remember_their_config(tmp_path):
    data = al.load("digits")
    vae = al.VAE(data.spec, latents=(4, 2), width=8, depth=1)
    al.train(vae, data, config=FEW, out=tmp_path / "run")
    assert RunFolder.open(tmp_path / "run").run.model == VAEConfig(
        (4, 2), width=8, depth=1, decoder="logistic"
    )
    assert same_weights(vae, al.open(tmp_path / "run"))

    ladder = LadderConfig(((4, 1), (0, 2)), channels=(8, 8), decoder="logistic")
    assert config_of(ladder.build(data.spec)) == ladder


@pytest.mark.parametrize("recipe", ["digits", "toy_score", "toy_energy", "digits_sde", "toy"])
def test_the_config_of_every_built_model_is_found_again(recipe):
    config = recipe_named(recipe).model
    if config.data_std is None:
        config = replace(config, data_std=0.5)
    data = al.load(recipe_named(recipe).source)
    assert config_of(config.build(data.spec)) == config


def test_a_condition_that_no_config_describes_is_not_lost():
    spec = DataSpec((2,), -1.0, 1.0)
    network = MLPConfig(8, 1).build((2,), Numbers(3))
    model = al.VDM(al.Denoiser(network, al.Path(al.LinearLogSNR(8, -5))), spec)
    assert config_of(model) == PythonModel("VDM", "bits/dim")


def test_logits_over_levels_are_told_from_other_outputs():
    spec = DataSpec((1, 4, 4), 0.0, 3.0, levels=4)
    network = MLPConfig(8, 1).build(spec.shape, outputs=4)
    target = CategoricalOutput(spec.values)
    model = al.VDM(al.Denoiser(network, al.Path(al.Cosine(8, -5)), target), spec, "simple")
    found = config_of(model)
    assert found == DiffusionConfig(
        MLPConfig(8, 1), PathConfig("cosine", 8.0, -5.0), "categorical", 1.0, "simple"
    )


@pytest.mark.parametrize(
    "path",
    [
        al.Path(al.LinearLogSNR(8, -5), "flow"),
        al.Path(al.Cosine(8, -5)),
        al.Path(al.Geometric(0.1, 3.0), "ve"),
        al.Path(al.RectifiedFlow(), "flow"),
        al.Path(al.LearnedSchedule(8, -5, units=6), "sub_vp"),
        al.Path(al.Betas((0.1, 0.2, 0.3))),
        al.Path.ddpm(steps=10),
        al.Path.vp_sde(),
        al.Path.sub_vp_sde(),
        al.Path.ve_sde(),
        al.Path.edm(),
        al.Path.vdm(8, -5),
    ],
)
def test_the_config_of_a_path_builds_it_again(path):
    config = path_config(path)
    assert config is not None
    again = config.build()
    t = torch.linspace(0.1, 0.9, 5, dtype=torch.float64)
    assert torch.equal(again.schedule(t), path.schedule(t)) and again.scaling == path.scaling
