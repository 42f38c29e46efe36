"""A checkpoint that was damaged or made up is refused in one line, before anything is computed with
it."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.training.toy import Batch, Numbers, Toy
from torch import Tensor, nn

from allegory.training import TrainingConfig, TrainingError, train
from allegory.training.weights import item_metadata, load_weights, read_header

MUON = TrainingConfig(steps=6, warmup=1, log_every=4, optimizer="muon")
ADAMW = TrainingConfig(steps=6, warmup=1, log_every=4)
SHORT = TrainingConfig(steps=4, warmup=1, log_every=4)
Tensors = dict[str, Tensor]


class Convolution(nn.Module):
    """A kernel for Muon, a vector for AdamW, and a parameter that no loss reaches."""

    def __init__(self) -> None:
        super().__init__()
        self.kernel = nn.Parameter(torch.ones(2, 1, 2, 2))
        self.bias = nn.Parameter(torch.zeros(2))
        self.unused = nn.Parameter(torch.ones(3))

    def loss(self, batch: Batch, generator: torch.Generator) -> Tensor:
        x, _ = batch
        assert x is not None
        y = nn.functional.conv2d(x.view(-1, 1, 2, 2), self.kernel, self.bias)
        return (y - 1).square().flatten(1).sum(1)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A run of each optimizer that was stopped after four steps."""
    base = tmp_path_factory.mktemp("runs")
    train(Toy(), Numbers(), SHORT, base / "adamw")
    short = TrainingConfig(steps=4, warmup=1, log_every=4, optimizer="muon")
    train(Convolution(), Numbers(), short, base / "muon")
    return {"adamw": base / "adamw", "muon": base / "muon"}


def resumed(run: Path, optimizer: str) -> None:
    """Go on with a run."""
    if optimizer == "muon":
        train(Convolution(), Numbers(), MUON, run, resume=True)
    else:
        train(Toy(), Numbers(), ADAMW, run, resume=True)


def refused(run: Path, optimizer: str = "adamw", match: str = "") -> None:
    """The run is not gone on with, the error is one line, and no file of it is changed."""
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    with pytest.raises(ValueError, match=match or r"restore it|build|resume with") as error:
        resumed(run, optimizer)
    assert "\n" not in str(error.value)
    assert before == {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_an_undamaged_run_goes_on(runs: dict[str, Path], tmp_path: Path, optimizer: str) -> None:
    resumed(shutil.copytree(runs[optimizer], tmp_path / "run"), optimizer)


MOMENTS: dict[str, Callable[[Tensors, str], Tensors]] = {
    "one number": lambda t, n: t | {n: t[n].reshape(-1)[:1].clone()},
    "no axis": lambda t, n: t | {n: t[n].reshape(-1)[0].clone()},
    "more numbers": lambda t, n: t | {n: torch.cat([t[n].reshape(-1)] * 2)},
    "none": lambda t, n: t | {n: t[n].reshape(-1)[:0].clone()},
    "double": lambda t, n: t | {n: t[n].double()},
    "half": lambda t, n: t | {n: t[n].half()},
    "whole": lambda t, n: t | {n: t[n].long()},
    "NaN": lambda t, n: t | {n: t[n] * torch.nan},
    "absent": lambda t, n: {name: value for name, value in t.items() if name != n},
    "one more": lambda t, n: t | {n.rpartition(".")[0] + ".max_exp_avg_sq": t[n].clone()},
    "another parameter": lambda t, n: t | {"other.weight.exp_avg": t[n].clone()},
    "no parameter": lambda t, n: t | {"exp_avg": t[n].clone()},
    "empty file": lambda t, n: {},
}
NAMED = {
    "adamw": ["out.weight.exp_avg", "again.bias.exp_avg_sq"],
    "muon": ["kernel.momentum", "bias.exp_avg", "unused.exp_avg"],
}


@pytest.mark.parametrize("damage", MOMENTS)
@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_each_parameter_has_exactly_its_moments(
    runs: dict[str, Path], tmp_path: Path, optimizer: str, damage: str
) -> None:
    """A fused kernel reads past the end of a moment that is too small."""
    for name in NAMED[optimizer]:
        run = shutil.copytree(runs[optimizer], tmp_path / name)
        file = run / "state" / "optimizer.safetensors"
        save_file(MOMENTS[damage](load_file(file), name), file)
        refused(run, optimizer)


@pytest.mark.parametrize("value", [-1.0, 0.5, 5.0, torch.nan, torch.inf])
def test_the_count_of_steps_of_a_moment_is_one_of_the_run(
    runs: dict[str, Path], tmp_path: Path, value: float
) -> None:
    run = shutil.copytree(runs["adamw"], tmp_path / "run")
    file = run / "state" / "optimizer.safetensors"
    save_file(load_file(file) | {"out.bias.step": torch.tensor(value)}, file)
    refused(run)


def test_a_second_moment_is_not_negative(runs: dict[str, Path], tmp_path: Path) -> None:
    run = shutil.copytree(runs["adamw"], tmp_path / "run")
    file = run / "state" / "optimizer.safetensors"
    saved = load_file(file)
    save_file(saved | {"out.bias.exp_avg_sq": -saved["out.bias.exp_avg_sq"]}, file)
    refused(run, match="out of range")


WEIGHTS: dict[str, Callable[[Tensor], Tensor | None]] = {
    "NaN": lambda w: w * torch.nan,
    "infinite": lambda w: w + torch.inf,
    "whole": lambda w: w.long(),
    "truth": lambda w: w > 0,
    "one number": lambda w: w.reshape(-1)[:1].clone(),
    "absent": lambda w: None,
}


@pytest.mark.parametrize("damage", WEIGHTS)
@pytest.mark.parametrize("file", ["model", "ema"])
@pytest.mark.parametrize("name", ["out.weight", "norm.running_var"])
def test_weights_of_another_kind_are_refused(
    runs: dict[str, Path], tmp_path: Path, file: str, damage: str, name: str
) -> None:
    run = shutil.copytree(runs["adamw"], tmp_path / "run")
    path = run / "state" / f"{file}.safetensors"
    saved = load_file(path)
    damaged = WEIGHTS[damage](saved[name])
    save_file({k: v for k, v in (saved | {name: damaged}).items() if v is not None}, path)
    refused(run)

    model = Toy()
    with pytest.raises(ValueError, match=name):
        load_weights(model, path)
    assert torch.equal(model.out.weight, Toy().out.weight)


def test_counts_are_no_fractions(runs: dict[str, Path], tmp_path: Path) -> None:
    run = shutil.copytree(runs["adamw"], tmp_path / "run")
    path = run / "state" / "model.safetensors"
    saved = load_file(path)
    save_file(saved | {"norm.num_batches_tracked": torch.tensor(4.0)}, path)
    refused(run)


def test_weights_of_another_precision_fit(runs: dict[str, Path], tmp_path: Path) -> None:
    saved = load_file(runs["adamw"] / "model.safetensors")
    wide = {k: v.double() if v.is_floating_point() else v for k, v in saved.items()}
    save_file(wide, tmp_path / "w.safetensors")
    model = Toy()
    load_weights(model, tmp_path / "w.safetensors")
    assert torch.equal(model.out.weight, saved["out.weight"])


def test_what_is_infinite_in_the_model_may_be_infinite_in_its_weights(tmp_path: Path) -> None:
    module = nn.Linear(2, 2)
    module.register_buffer("mask", torch.tensor([0.0, -torch.inf]))
    save_file(module.state_dict(), tmp_path / "w.safetensors")
    load_weights(module, tmp_path / "w.safetensors")


PLACES: list[tuple[str, Any]] = [
    *[("counters.step", each) for each in (-5, 1.5, "4", None, True, [4], 2**63, 0)],
    *[("counters.images", each) for each in (-1, 0.5, "4", None)],
    *[("counters.seconds", each) for each in (-1e9, "1", None, True, [])],
    *[("counters.loss", each) for each in ("1", None, {})],
    *[("counters.window", each) for each in (None, 3, [1.0], [[1.0]], [[1, "a"]], [[1, 2]] * 5)],
    *[("counters.validation", each) for each in (None, {}, [], 3)],
    *[("counters.validation.best_step", each) for each in (-1, 99, 2, 0.5)],
    *[("counters.validation.items", each) for each in (-1, None, "a")],
    *[("counters", each) for each in (None, [], {}, 1)],
    *[("batches", each) for each in (None, [], 1, "a")],
    *[("ema_updates", each) for each in (-10, 5, 1.5, "a", None, True)],
    ("extra", 1),
]


@pytest.mark.parametrize(("place", "value"), PLACES, ids=[f"{p}={v}"[:40] for p, v in PLACES])
def test_a_number_of_another_kind_is_refused(
    runs: dict[str, Path], tmp_path: Path, place: str, value: Any
) -> None:
    run = shutil.copytree(runs["adamw"], tmp_path / "run")
    file = run / "state" / "state.json"
    content = json.loads(file.read_text())
    *path, last = place.split(".")
    inner = content["state"]
    for name in path:
        inner = inner[name]
    inner[last] = value
    file.write_text(json.dumps(content))
    refused(run)


@pytest.mark.parametrize("place", ["counters", "batches", "ema_updates", "counters.step"])
def test_a_missing_number_is_refused(runs: dict[str, Path], tmp_path: Path, place: str) -> None:
    run = shutil.copytree(runs["adamw"], tmp_path / "run")
    file = run / "state" / "state.json"
    content = json.loads(file.read_text())
    *path, last = place.split(".")
    inner = content["state"]
    for name in path:
        inner = inner[name]
    del inner[last]
    file.write_text(json.dumps(content))
    refused(run)


@pytest.mark.parametrize(
    "text", ["[" * 200_000, "null", "[]", '{"format": 2}', '{"format": 2, "state": null}', "NaN"]
)
def test_other_json_is_refused(runs: dict[str, Path], tmp_path: Path, text: str) -> None:
    run = shutil.copytree(runs["adamw"], tmp_path / "run")
    (run / "state" / "state.json").write_text(text)
    refused(run)


RANDOM: dict[str, Callable[[Tensors], Tensors]] = {
    "no cpu": lambda t: {"loss": t["loss"]},
    "empty": lambda t: {},
    "short": lambda t: t | {"cpu": t["cpu"][:, :100].clone()},
    "flat": lambda t: t | {"loss": t["loss"][0].clone()},
    "no axis": lambda t: t | {"loss": t["loss"][0, 0].clone()},
    "numbers": lambda t: t | {"loss": t["loss"].float()},
    "garbage": lambda t: t | {"cpu": torch.full_like(t["cpu"], 255)},
    "two rows": lambda t: t | {"cpu": t["cpu"].repeat(2, 1)},
}


@pytest.mark.parametrize("damage", RANDOM)
def test_random_states_of_another_kind_are_refused(
    runs: dict[str, Path], tmp_path: Path, damage: str
) -> None:
    run = shutil.copytree(runs["adamw"], tmp_path / "run")
    file = run / "state" / "random.safetensors"
    save_file(RANDOM[damage](load_file(file)), file)
    before = torch.get_rng_state()
    refused(run)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("folder", [True, False])
def test_weights_that_are_not_finite_are_no_success(tmp_path: Path, folder: bool) -> None:
    """Loss and gradient of the only step are finite, what the step leaves is not."""
    config = TrainingConfig(steps=1, warmup=0, learning_rate=1e39)
    with pytest.raises(TrainingError, match="is not finite after step 1: lower learning_rate"):
        train(Toy(), Numbers(), config, tmp_path / "run" if folder else None)
    assert not (tmp_path / "run" / "state").exists()


def test_a_checkpoint_before_weights_that_are_not_finite_stays(
    runs: dict[str, Path], tmp_path: Path
) -> None:
    run = shutil.copytree(runs["adamw"], tmp_path / "run")
    before = (run / "state" / "model.safetensors").read_bytes()
    config = TrainingConfig(steps=5, warmup=1, learning_rate=1e39, decay="none")
    with pytest.raises(TrainingError, match="not finite"):
        train(Toy(), Numbers(), config, run, resume=True)
    assert (run / "state" / "model.safetensors").read_bytes() == before
    resumed(run, "adamw")


class Shaped(Toy):
    """A model that knows its data."""

    class spec:
        shape = (1, 8, 8)
        levels = 17
        classes = None


def test_weights_say_the_shape_of_an_item(tmp_path: Path) -> None:
    train(Shaped(), Numbers(), SHORT, tmp_path)
    for name in ("model.safetensors", "ema.safetensors", "state/ema.safetensors"):
        assert read_header(tmp_path / name).metadata == {"shape": "1,8,8", "levels": "17"}
    assert item_metadata(None) == {}


@pytest.mark.parametrize("length", [0, 1, 2**24 + 1, 2**63, 2**64 - 1])
def test_a_header_is_not_longer_than_its_file(tmp_path: Path, length: int) -> None:
    path = tmp_path / "w.safetensors"
    path.write_bytes(length.to_bytes(8, "little") + b'{"a":1}   ')
    with pytest.raises(ValueError, match="is truncated or no safetensors file"):
        read_header(path)


@pytest.mark.parametrize(
    "tensor",
    [
        {"dtype": "F32", "shape": [2**40, 2**40], "data_offsets": [0, 4]},
        {"dtype": "F32", "shape": [10**12], "data_offsets": [0, 4 * 10**12]},
        {"dtype": "F32", "shape": [2], "data_offsets": [0, 4]},
        {"dtype": "F99", "shape": [1], "data_offsets": [0, 4]},
        {"dtype": "F32", "shape": [0, 2**63], "data_offsets": [0, 0]},
        {"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]},
        None,
    ],
)
def test_a_header_of_other_sizes_is_refused(tmp_path: Path, tensor: Any) -> None:
    path = tmp_path / "w.safetensors"
    header = json.dumps({"out.weight": tensor}).encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(4))
    with pytest.raises(ValueError, match=r"w\.safetensors") as error:
        load_weights(Toy(), path)
    assert "\n" not in str(error.value)


def test_best_weights_that_are_damaged_are_found_before_training(tmp_path: Path) -> None:
    held_out = next(Numbers(size=16))
    config = TrainingConfig(steps=4, warmup=1, log_every=4, validation_every=2)
    train(Toy(), Numbers(), config, tmp_path, validation=held_out)
    best = tmp_path / "best.safetensors"
    best.write_bytes(best.read_bytes()[:-1])
    before = (tmp_path / "state" / "state.json").read_bytes()
    longer = TrainingConfig(steps=6, warmup=1, log_every=4, validation_every=2)
    with pytest.raises(ValueError, match=r"best\.safetensors is truncated"):
        train(Toy(), Numbers(), longer, tmp_path, resume=True, validation=held_out)
    assert (tmp_path / "state" / "state.json").read_bytes() == before
