"""run.json is checked field by field, and against the weights, before memory is taken for it."""

import json
import os
import time
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
import torch
from safetensors.torch import save
from tests.helpers.registries import forget_additions
from torch import Tensor, nn

from allegory.data import DataSpec
from allegory.models import LadderConfig, VAEConfig
from allegory.networks import DiTConfig, EncoderConfig, MLPConfig, PotentialConfig, UNetConfig
from allegory.recipes import (
    CONFIGS,
    MODELS,
    ClassifierConfig,
    Destination,
    DiffusionConfig,
    PathConfig,
    Run,
    RunFolder,
    execute,
)
from allegory.recipes.build import Limit, WrongSize
from allegory.training import TrainingConfig
from allegory.training.checkpoint import write_weights
from allegory.training.weights import item_metadata

PICTURE = DataSpec((1, 8, 8), 0.0, 16.0, 17, 10)
BINARY = DataSpec((1, 8, 8), 0.0, 1.0, 2)
PLANE = DataSpec((2,), -1.0, 1.0)
TRAINING = TrainingConfig(steps=3)
LEARNED = PathConfig("learned", arguments={"units": 6})

MODELS_OF = {
    "unet": (
        DiffusionConfig(UNetConfig(8, (1, 2), 1), data_std=0.5, target="categorical"),
        PICTURE,
    ),
    "dit": (DiffusionConfig(DiTConfig(2, 8, 1, 2), data_std=0.5), PICTURE),
    "mlp": (DiffusionConfig(MLPConfig(8, 1), LEARNED, data_std=0.5), PLANE),
    "energy": (DiffusionConfig(PotentialConfig(8, 1), data_std=0.5, target="energy"), PLANE),
    "classifier": (ClassifierConfig(EncoderConfig(8, (1, 2), 1), data_std=0.5), PICTURE),
    "vae": (VAEConfig((4, 2), 8, 1), BINARY),
    "ladder": (LadderConfig(((2, 2), (4, 2), (0, 4)), (8, 8)), BINARY),
}


def made(path: Path, name: str = "mlp") -> RunFolder:
    """A folder of a run, with weights."""
    model, spec = MODELS_OF[name]
    folder = RunFolder.create(path, Run("toy", "moons", model, TRAINING), spec)
    (path / "ema.safetensors").write_bytes(weights_of(name))
    return folder


@cache
def weights_of(name: str) -> bytes:
    """The file of weights of a model."""
    model, spec = MODELS_OF[name]
    return save(model.build(spec).state_dict(), item_metadata(spec))


def changed(folder: RunFolder, place: str, value: object) -> None:
    """Write another value into a run.json."""
    file = folder.path / "run.json"
    content = json.loads(file.read_text())
    *path, last = place.split(".")
    inner = content
    for each in path:
        inner = inner[each]
    inner[last] = value
    file.write_text(json.dumps(content))


def refused(folder: RunFolder, match: str = "run.json") -> None:
    """The model is not made; the error is one short line, and comes at once."""
    start = time.process_time()
    with pytest.raises(ValueError, match=match) as error:
        RunFolder.open(folder.path).model()
    assert "\n" not in str(error.value) and len(str(error.value)) < 600
    assert time.process_time() - start < 5  # less than 1 without the checks of types in tests


@pytest.mark.parametrize("name", MODELS_OF)
def test_a_model_within_its_limit_is_the_same(tmp_path, name):
    folder = made(tmp_path, name)
    model = RunFolder.open(tmp_path).model()
    config, spec = MODELS_OF[name]
    torch.manual_seed(0)
    plain = config.build(spec).state_dict()
    torch.manual_seed(0)
    again = folder.untrained().state_dict()
    assert all(torch.equal(plain[each], again[each]) for each in model.state_dict())


@pytest.mark.parametrize(
    "text", ["[" * 200_000, '{"a":' * 200_000, "null", "[]", "1", "", "{}", '{"run": NaN}']
)
def test_other_json_is_refused(tmp_path, text):
    folder = made(tmp_path)
    (tmp_path / "run.json").write_text(text)
    refused(folder, r"run\.json is damaged .*restore it or train again")


HUGE = 10**12
PLACES = [
    *[("mlp", "run", value) for value in (None, "a", [], 3, {"kind": "MLPConfig"}, {})],
    *[("mlp", "run.model", value) for value in (None, "a", [], 3, {}, {"kind": "PathConfig"})],
    *[("mlp", "run.model.network", value) for value in (None, "a", [1], True, {"kind": []})],
    *[("mlp", "run.model.network.kind", value) for value in ("Run", "VAEConfig", "nn", None, 3)],
    *[("mlp", "run.model.path", value) for value in (None, "a", [1], {"kind": "MLPConfig"})],
    *[("mlp", "run.model.path.schedule", value) for value in (None, "a", [], 1, "cosine")],
    *[("mlp", "run.model.path.start", value) for value in ("a", True, [], -20.0)],
    *[("mlp", "run.model.path.arguments.units", value) for value in (HUGE, 10**9, "a", None, 1.5)],
    *[("mlp", "run.model.data_std", value) for value in (None, "a", -1.0, 0.0, [])],
    *[("mlp", "run.model.network.width", value) for value in (HUGE, 10**9, 0, -1, 1.5, "a", True)],
    *[("mlp", "run.model.network.depth", value) for value in (10**9, -1, None)],
    *[("mlp", "data.classes", value) for value in (HUGE, 10**9, 1, -1, True)],
    *[("mlp", "data.levels", value) for value in (HUGE, 10**9, 2)],
    *[("unet", "run.model.network.channels", value) for value in (HUGE, 10**9, 10**5, 0, None)],
    *[("unet", "run.model.network.blocks", value) for value in (10**9,)],
    *[("unet", "run.model.network.head", value) for value in (10**9 + 1, HUGE)],
    *[("unet", "run.model.network.multipliers", value) for value in ([], [1] * 9, [HUGE], 3)],
    *[("unet", "run.model.network.fourier", value) for value in (list(range(9999)), "a", [HUGE])],
    *[("unet", "data.levels", value) for value in (HUGE, 10**9, 256, 1)],
    *[("unet", "data.shape", value) for value in ([1, 20000, 20000], [True, 8, 8], [0, 8, 8], 1)],
    *[("unet", "data.shape", value) for value in ([1, HUGE, 8], [1] * 300, [1, 8, 8.0], None)],
    *[("unet", "data.high", value) for value in (10**400, None, "a", True)],
    *[("dit", "run.model.network.patch", value) for value in (0, 10**9, -2)],
    *[("dit", "run.model.network.width", value) for value in (HUGE, 10**9, 0)],
    *[("dit", "run.model.network.depth", value) for value in (10**9,)],
    *[("energy", "run.model.network.width", value) for value in (HUGE, 10**9)],
    *[("vae", "run.model.latents", value) for value in ([HUGE, 2], [2] * 9999, [], None)],
    *[("vae", "run.model.depth", value) for value in (10**9,)],
    *[("ladder", "run.model.latents", value) for value in ([[2, HUGE]], [[2, 2]] * 300, [[2]])],
    *[("ladder", "run.model.blocks", value) for value in ([10**9, 1], [1], 1)],
    *[("mlp", "run.training", value) for value in (None, "a", [], {"kind": "MLPConfig"})],
    *[("mlp", "run.training.steps", value) for value in ("a", 1.5, True, 0, [])],
    *[("mlp", "run.training.betas", value) for value in ([0.9], [0.9, "a"], 1, None, [HUGE, 1])],
    *[("mlp", "run.training.optimizer", value) for value in ("sgd", None, 1, [])],
    *[("mlp", "run.recipe", value) for value in (None, 1, [])],
    *[("mlp", "run.more", value) for value in (1, None)],
    *[("mlp", "format", value) for value in (True, "3", None, 99, [], 1)],
    *[("mlp", "fingerprint", value) for value in (1, [])],
]


@pytest.mark.parametrize(
    ("name", "place", "value"), PLACES, ids=[f"{n}-{p}={str(v)[:20]}" for n, p, v in PLACES]
)
def test_a_value_of_another_kind_or_size_is_refused(tmp_path, name, place, value):
    folder = made(tmp_path, name)
    changed(folder, place, value)
    refused(folder, ".")


@pytest.mark.parametrize("place", ["run.model.network", "run.training.steps", "data", "run"])
def test_a_missing_field_is_refused(tmp_path, place):
    folder = made(tmp_path)
    file = folder.path / "run.json"
    content = json.loads(file.read_text())
    *path, last = place.split(".")
    inner = content
    for each in path:
        inner = inner[each]
    del inner[last]
    file.write_text(json.dumps(content))
    refused(folder)


def test_the_field_is_named(tmp_path):
    folder = made(tmp_path)
    changed(folder, "run.model.network.width", "wide")
    refused(folder, r"run\.model\.network\.width is 'wide', expected int")


def test_items_of_another_shape_than_the_weights_say_are_refused(tmp_path):
    """The network of a picture has the same weights for pictures of any size."""
    folder = made(tmp_path, "unet")
    changed(folder, "data.shape", [1, 800, 800])
    refused(folder, r"its data have shape 1,800,800, and .*ema\.safetensors is for shape 1,8,8")


def test_weights_that_do_not_say_their_items_are_taken(tmp_path):
    folder = made(tmp_path, "unet")
    write_weights(tmp_path / "ema.safetensors", folder.model().state_dict())
    RunFolder.open(tmp_path).model()


@pytest.mark.parametrize("kind", ["FIFO", "folder", "dangling link"])
@pytest.mark.parametrize("name", ["run.json", "ema.safetensors", "metrics.jsonl"])
def test_what_is_no_file_is_refused_at_once(tmp_path, name, kind):
    folder = made(tmp_path)
    (tmp_path / name).unlink(missing_ok=True)
    if kind == "FIFO":
        os.mkfifo(tmp_path / name)
    elif kind == "folder":
        (tmp_path / name).mkdir()
    else:
        (tmp_path / name).symlink_to("absent")

    if name == "ema.safetensors" and kind == "dangling link":
        refused(folder, "no weights yet")
    elif name == "metrics.jsonl":
        with pytest.raises(ValueError, match=r"metrics\.jsonl"):
            folder.metrics()
    else:
        refused(folder, name)


@pytest.mark.parametrize("kind", ["link", "FIFO", "dangling link"])
def test_run_json_replaces_a_file_only(tmp_path, kind):
    (tmp_path / "precious").write_text("mine")
    target = tmp_path / "run.json"
    if kind == "FIFO":
        os.mkfifo(target)
    else:
        target.symlink_to("precious" if kind == "link" else "absent")
    (tmp_path / "run.json.new").symlink_to("precious")
    with pytest.raises(ValueError, match=r"run\.json is a "):
        made(tmp_path)
    assert (tmp_path / "precious").read_text() == "mine" and not (tmp_path / "absent").exists()


@pytest.mark.parametrize(
    "make",
    [
        lambda n: torch.empty(n),
        lambda n: torch.zeros((n, 2)),
        lambda n: torch.zeros(size=(n,)),
        lambda n: torch.full((n,), 1.0),
        lambda n: torch.arange(n),
        lambda n: torch.arange(1, n, 2, dtype=torch.float64),
        lambda n: torch.arange(start=0, end=n, step=1),
        lambda n: torch.linspace(0, 1, n),
        lambda n: torch.linspace(0, 1, steps=n),
        lambda n: torch.eye(n),
        lambda n: torch.randperm(n),
        lambda n: torch.ones(1).new_zeros(n),
        lambda n: torch.ones(1).new_full((n, 1), 2.0),
        lambda n: nn.Linear(n, 1),
        lambda n: nn.Sequential(*(nn.Linear(1, 1) for _ in range(n))),
    ],
)
def test_the_limit_counts_before_memory_is_taken(make):
    with Limit(200, 200):
        make(3)
    with pytest.raises(WrongSize), Limit(10**6, 200):
        make(10**11)


def test_counts_are_those_of_torch():
    cases = [
        lambda: torch.empty(2, 3),
        lambda: torch.ones([2, 3]),
        lambda: torch.rand(torch.Size([4])),
        lambda: torch.randn(()),
        lambda: torch.zeros(0, 5),
        lambda: torch.full((2, 2), 0),
        lambda: torch.arange(7),
        lambda: torch.arange(2, 9, 3),
        lambda: torch.arange(0.0, 1.0, 0.3),
        lambda: torch.logspace(0, 1, 5),
        lambda: torch.eye(3, 4),
        lambda: torch.randperm(6),
        lambda: torch.tensor([1.0]).new_empty(3, 3),
    ]
    for case in cases:
        with Limit(1000, 1000) as limit:
            made: Tensor = case()
        assert 1000 - limit.numbers == made.numel()


def test_a_model_of_hints_that_cannot_be_read_is_still_read(tmp_path, monkeypatch):
    """A class from outside may have annotations that its module does not resolve."""
    forget_additions(monkeypatch, MODELS, CONFIGS)
    from tests.helpers import unresolved

    MODELS.register("unresolved", unresolved.Config, "annotated by a name for checkers only")
    run = Run("mine", "moons", unresolved.Config((1, 2)), TRAINING)
    RunFolder.create(tmp_path, run, PLANE)
    assert RunFolder.open(tmp_path).run == run
    assert RunFolder.open(tmp_path).run == replace(run)


def test_a_resumed_run_is_built_within_its_weights(tmp_path):
    """As every other reader of a run.json: the run to continue may be a stranger's."""
    model = DiffusionConfig(MLPConfig(8, 1), PathConfig(), data_std=0.5)
    training = TrainingConfig(steps=2, batch_size=8, validation_every=0)
    folder, _ = execute(Run("toy", "moons", model, training), tmp_path / "run")

    for place, value in (("width", 10**9), ("depth", 10**9)):
        changed(folder, f"run.model.network.{place}", value)
        begun = RunFolder.open(folder.path).run
        before = (folder.path / "run.json").read_bytes()
        with pytest.raises(ValueError, match=r"run\.json is damaged") as error:
            execute(begun, Destination(folder.path, resume=True))
        assert "\n" not in str(error.value)
        assert (folder.path / "run.json").read_bytes() == before

        with pytest.raises(ValueError, match=r"run\.json is damaged"):
            execute(begun, tmp_path / "other", initial=folder.path)
        assert not (tmp_path / "other").exists()
        changed(folder, f"run.model.network.{place}", getattr(model.network, place))
