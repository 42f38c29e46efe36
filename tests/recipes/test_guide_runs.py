"""Guides that open a second run: what they do, and which runs are refused."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save
from tests.helpers.models import untrained
from torch import Tensor

from allegory import Sampler
from allegory.conditions import Labels
from allegory.data import DataSpec
from allegory.guidance import GUIDES, Autoguidance
from allegory.models import VAEConfig
from allegory.networks import MLPConfig
from allegory.recipes import DiffusionConfig, PathConfig, Run, RunFolder
from allegory.training import TrainingConfig
from allegory.training.weights import item_metadata

SPEC = DataSpec((2,), -1.0, 1.0, classes=3)
LINEAR = PathConfig("linear", arguments={"start": 6.0, "end": -5.0})
CONFIG = DiffusionConfig(MLPConfig(8, 1), LINEAR, data_std=0.5)


def made(path: Path, config=CONFIG, spec=SPEC, files=("ema",)) -> Tensor:
    """A run with random weights, another draw for each file."""
    RunFolder.create(path, Run("toy", "moons", config, TrainingConfig(steps=3)), spec)
    for number, name in enumerate(files):
        torch.manual_seed(number + 1)
        weights = config.build(spec).state_dict()
        weights = {key: torch.randn_like(value) / 4 for key, value in weights.items()}
        (path / f"{name}.safetensors").write_bytes(save(weights, item_metadata(spec)))


def test_autoguidance_by_name_is_that_of_the_run(tmp_path):
    made(tmp_path / "weak", files=("ema", "model"))
    strong = untrained(SPEC, conditional=True)
    x, labels = torch.randn(4, 2), torch.tensor([0, 1, 2, -1])
    for which, option in (("ema", ""), ("last", ":weights=last")):
        name = f"autoguidance:2:weak={tmp_path / 'weak'}{option}:low=-9"
        guide = GUIDES.named(name)
        assert str(guide) == name and guide == GUIDES.named(name)
        weak = RunFolder.open(tmp_path / "weak", which).model()
        expected = Autoguidance(weak.denoiser, 2.0)(strong.denoiser)(x, 0.4, labels)
        found = guide.bound_to(Labels(3))(strong.denoiser)(x, 0.4, labels)
        assert torch.equal(found.x0, expected.x0)

    by_model = strong.sample(range(4), labels, Sampler(steps=3, guide=name))
    plain = strong.sample(range(4), labels, Sampler(steps=3))
    assert by_model.isfinite().all() and not torch.equal(by_model, plain)
    assert guide(strong.denoiser).hidden(labels).tolist() == [-1] * 4


def test_the_run_is_opened_once_until_its_weights_change(tmp_path):
    made(tmp_path)
    name = f"autoguidance:2:weak={tmp_path}"
    base = GUIDES.named(name).guide.weak.base
    assert GUIDES.named(name).guide.weak.base is base
    made(tmp_path, files=("model", "ema"))
    assert GUIDES.named(name).guide.weak.base is not base


OTHERS = {
    "shape": (CONFIG, DataSpec((3,), -1.0, 1.0, classes=3), "items of shape"),
    "classes": (CONFIG, DataSpec((2,), -1.0, 1.0, classes=4), "other conditions"),
    "unconditional": (CONFIG, DataSpec((2,), -1.0, 1.0), "other conditions"),
    "path": (
        DiffusionConfig(MLPConfig(8, 1), PathConfig("cosine"), data_std=0.5),
        SPEC,
        "another noise schedule",
    ),
    "kind": (VAEConfig((2, 1), 8, 1), DataSpec((1, 8, 8), 0.0, 1.0, 2), "no diffusion model"),
}


@pytest.mark.parametrize("other", OTHERS)
def test_a_run_that_does_not_fit_is_refused_with_the_reason(tmp_path, other):
    config, spec, message = OTHERS[other]
    made(tmp_path, config, spec)
    strong = untrained(SPEC, conditional=True)
    with pytest.raises(ValueError, match=message):
        strong.sample(range(2), [0, 1], Sampler(steps=2, guide=f"autoguidance:2:weak={tmp_path}"))


def test_what_is_no_run_is_refused_by_its_option(tmp_path):
    with pytest.raises(ValueError, match=r"weak=.*no such folder"):
        GUIDES.named(f"autoguidance:2:weak={tmp_path / 'none'}")
    with pytest.raises(ValueError, match="weak is missing"):
        GUIDES.named("autoguidance:2")
    made(tmp_path)
    with pytest.raises(ValueError, match="weights"):
        GUIDES.named(f"autoguidance:2:weak={tmp_path}:weights=worst")
