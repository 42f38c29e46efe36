import json
from dataclasses import replace

import pytest
import torch

from allegory.data import Dataset, DataSpec, Items
from allegory.models import CategoricalOutput
from allegory.networks import AxialTransformerConfig, DiTConfig, MLPConfig, VideoUNetConfig
from allegory.recipes import (
    RECIPES,
    Destination,
    DiffusionConfig,
    PathConfig,
    RunFolder,
    execute,
    recipe_named,
)
from allegory.recipes.serialize import from_json, to_json


@pytest.mark.parametrize("name", RECIPES)
def test_a_run_survives_its_json(name):
    run = recipe_named(name, "somewhere.npy")
    assert from_json(json.loads(json.dumps(to_json(run)))) == run


def test_every_network_can_be_named_in_a_run():
    run = recipe_named("digits")
    for network in (DiTConfig(), MLPConfig(), AxialTransformerConfig(), VideoUNetConfig()):
        other = replace(run, model=replace(run.model, network=network))
        assert from_json(json.loads(json.dumps(to_json(other)))) == other


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda d: d | {"kind": "os.system"}, "kind 'os.system' is not registered"),
        (lambda d: d | {"extra": 1}, "extra"),
        (lambda d: {k: v for k, v in d.items() if k != "source"}, "source"),
    ],
)
def test_a_file_cannot_name_what_is_not_a_choice(change, says):
    with pytest.raises(ValueError, match=says):
        from_json(change(to_json(recipe_named("digits"))))


def test_recipes_that_need_data_say_so():
    with pytest.raises(ValueError, match="give --data"):
        recipe_named("arrays")
    assert recipe_named("toy", "rings").source == "rings"


def test_choices_refuse_what_they_do_not_know():
    with pytest.raises(ValueError, match="did you mean 'cosine'"):
        PathConfig(schedule="cosin")
    with pytest.raises(ValueError, match="did you mean 'categorical'"):
        DiffusionConfig(MLPConfig(), target="categoric")
    with pytest.raises(ValueError, match="target='edm'"):
        DiffusionConfig(MLPConfig(), target="categorical", data_std=0.5).build(
            DataSpec((2,), -1, 1)
        )


def test_the_digits_recipe_builds_a_model_that_knows_its_levels():
    model = recipe_named("digits").model.build(DataSpec((1, 8, 8), 0, 16, levels=17, classes=10))
    assert isinstance(model.denoiser.target, CategoricalOutput)
    assert len(model.denoiser.target.values) == 17
    raw, labels = torch.randint(17, (3, 1, 8, 8), dtype=torch.uint8), torch.tensor([1, 2, 3])
    assert model.loss((raw, labels), torch.Generator()).shape == (3,)


def test_overwriting_starts_anew_and_a_mistake_leaves_the_old_run(tmp_path):
    run = recipe_named("toy")
    run = replace(run, training=replace(run.training, minutes=None, steps=2, batch_size=16))
    folder, first = execute(run, tmp_path / "run")
    assert first.step == 2
    kept = (folder.path / "ema.safetensors").read_bytes()
    with pytest.raises(ValueError, match="no such file"):
        execute(replace(run, source="nowhere.npy"), Destination(folder.path, overwrite=True))
    assert (folder.path / "ema.safetensors").read_bytes() == kept
    execute(
        replace(run, training=replace(run.training, seed=1)),
        Destination(folder.path, overwrite=True),
    )
    assert (folder.path / "ema.safetensors").read_bytes() != kept
    assert RunFolder.open(folder.path).run.training.seed == 1
    with pytest.raises(ValueError, match="other data than"):
        execute(replace(run, source="digits"), Destination(folder.path, resume=True))


def test_a_run_with_a_learned_schedule_resumes_bit_for_bit(tmp_path):
    run = recipe_named("toy")
    path = PathConfig("learned", start=7.0, end=-4.0, scaling="sub_vp")
    training = replace(run.training, minutes=None, steps=6, batch_size=16, decay="none", warmup=1)
    run = replace(
        run, model=replace(run.model, network=MLPConfig(8, 1), path=path), training=training
    )
    assert from_json(json.loads(json.dumps(to_json(run)))) == run
    whole, _ = execute(run, tmp_path / "whole")
    execute(replace(run, training=replace(training, steps=3)), tmp_path / "halves")
    halves, _ = execute(run, Destination(tmp_path / "halves", resume=True))
    for name in ("model.safetensors", "ema.safetensors"):
        assert (whole.path / name).read_bytes() == (halves.path / name).read_bytes()
    schedule = whole.model().denoiser.path.schedule
    for name, parameter in schedule.named_parameters():
        assert parameter.abs().max() > 1e-4, name
    assert schedule.ends != pytest.approx((7.0, -4.0), abs=1e-6)


def test_a_learned_schedule_needs_the_bound():
    choice = DiffusionConfig(
        MLPConfig(8, 1), PathConfig("learned"), data_std=0.5, objective="simple"
    )
    with pytest.raises(ValueError, match="objective='simple': only the bound can train a schedule"):
        choice.build(DataSpec((2,), -1, 1))


def test_the_deviation_of_sorted_items_is_that_of_all():
    """The first 12,000 of 24,000 are 0 and the others +-1: the deviation of all is sqrt(1/2), of
    10,000 chosen at random to 1 in 100.
    """
    rest = 1 - 2.0 * (torch.arange(12_000) % 2)
    x = torch.cat([torch.zeros(12_000), rest])[:, None]
    items = Items(x, (x[:, 0] != 0).long())
    data = Dataset("sorted", DataSpec((1,), -1.0, 1.0, classes=2), items, items, items)
    config = DiffusionConfig(MLPConfig(8, 1)).resolved(data)
    assert config.data_std == pytest.approx(0.5**0.5, abs=0.01)
