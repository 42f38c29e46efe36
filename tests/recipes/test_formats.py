"""Run folders of earlier formats: converted where that is safe, else refused with the version that
wrote them.

The folders in fixtures/format_1 were written by version 0.1.0 at commit 047279a, and numbers.json
holds what its models computed there.
"""

import json
import shutil
from pathlib import Path

import pytest
import torch

from allegory.data import DataSpec, load
from allegory.recipes import RunFolder
from allegory.recipes.compress import decompress
from allegory.recipes.formats import RUN_FORMAT, current_format
from allegory.recipes.serialize import from_json, to_json

OLD = Path(__file__).parent / "fixtures" / "format_1"
NUMBERS = json.loads((OLD / "numbers.json").read_text())
X = torch.linspace(-2, 2, 8).view(4, 2)


@pytest.mark.parametrize("folder", sorted(path.parent.name for path in OLD.glob("*/run.json")))
def test_every_choice_of_format_1_is_read(folder):
    run = RunFolder.open(OLD / folder).run
    written = json.loads((OLD / folder / "run.json").read_text())["run"]
    assert run.source == written["data"]
    assert run.training.steps == written["training"]["steps"]
    assert from_json(json.loads(json.dumps(to_json(run)))) == run

    model = written["model"]
    if model["kind"] == "ModelChoice":
        assert (run.model.target, run.model.objective) == (model["row"], model["weight"])
        assert run.model.path.scaling == model["path"]["split"]
        path = run.model.path.build()
        assert path.schedule.ends == pytest.approx((model["path"]["start"], model["path"]["end"]))
    run.model.build(RunFolder.open(OLD / folder).spec)


@torch.no_grad()
def test_models_of_format_1_compute_what_they_computed():
    learned = RunFolder.open(OLD / "moons_learned").model().denoiser
    expected = NUMBERS["moons_learned"]
    torch.testing.assert_close(learned(X, 0.3).x0, torch.tensor(expected["x0"]))
    log_snr = learned.path.schedule(torch.linspace(0, 1, 5))
    torch.testing.assert_close(log_snr, torch.tensor(expected["log_snr"]))

    energy = RunFolder.open(OLD / "energy").model().denoiser.energy(X, 0.3)
    torch.testing.assert_close(energy, torch.tensor(NUMBERS["energy"]["energy"]))

    samples = RunFolder.open(OLD / "vae").model().sample(range(3))
    assert samples.tolist() == NUMBERS["vae"]["samples"]


def test_a_later_format_is_refused_with_the_version_that_wrote_it(tmp_path):
    folder = Path(shutil.copytree(OLD / "energy", tmp_path / "run"))
    content = json.loads((folder / "run.json").read_text())
    content |= {"format": RUN_FORMAT + 1, "versions": {"allegory": "9.1"}}
    (folder / "run.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match=r"written by allegory 9\.1") as caught:
        RunFolder.open(folder)
    assert "damaged" not in str(caught.value)


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ((), [1]),
        ((), 3),
        (("format",), True),
        (("run",), []),
        (("run",), None),
        (("run", "training"), None),
        (("run", "model"), None),
        (("run", "model", "network"), None),
        (("run", "model", "path"), None),
    ],
)
def test_a_file_with_other_values_is_damaged(tmp_path, place, value):
    folder = Path(shutil.copytree(OLD / "energy", tmp_path / "run"))
    content = json.loads((folder / "run.json").read_text())
    content = {"": {**content, "run": to_json(RunFolder.open(folder).run), "format": RUN_FORMAT}}
    inner = content
    for name in ("", *place)[:-1]:
        inner = inner[name]
    inner[("", *place)[-1]] = value
    (folder / "run.json").write_text(json.dumps(content[""]))

    with pytest.raises(ValueError, match="json is damaged"):
        RunFolder.open(folder).model()


def test_versions_of_another_form_do_not_hide_a_later_format(tmp_path):
    folder = Path(shutil.copytree(OLD / "energy", tmp_path / "run"))
    content = json.loads((folder / "run.json").read_text())
    content |= {"format": RUN_FORMAT + 1, "versions": ["9.1"]}
    (folder / "run.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match="written by allegory another version"):
        RunFolder.open(folder)


def test_a_file_compressed_by_format_1_decodes_with_its_run():
    pytest.importorskip("constriction")
    content = (OLD / "vae.bits").read_bytes()
    try:
        items = decompress(RunFolder.open(OLD / "vae"), content, "vae.bits")
    except ValueError as error:
        if "results differ from those of encoding" in str(error):
            pytest.skip("written on another kind of processor")
        raise
    assert torch.equal(items, load("digits").test.x[:20])


def test_the_range_of_format_2_becomes_a_scaling(tmp_path):
    """Of continuous data; levels keep theirs. Names, columns and fingerprint were not written."""
    folder = Path(shutil.copytree(OLD / "moons_learned", tmp_path / "run"))
    content = json.loads((folder / "run.json").read_text())
    content |= {"run": to_json(RunFolder.open(folder).run), "format": 2}
    (folder / "run.json").write_text(json.dumps(content))

    opened = RunFolder.open(folder)
    assert (opened.spec.low, opened.spec.high, opened.spec.bounded) == (-4.0, 4.0, False)
    assert (opened.spec.class_names, opened.spec.columns, opened.fingerprint) == (None, None, None)
    opened.spec.check(torch.tensor([[4.5, 0.0]]))
    assert RunFolder.open(OLD / "vae").spec.levels == load("digits").spec.levels


def test_format_3_has_names_columns_fingerprint_and_threads(tmp_path):
    run = RunFolder.open(OLD / "energy").run
    spec = DataSpec((2,), (0.0, 5.0), (1.0, 9.0), None, 2, (0, 7), ("a", "b"), bounded=True)
    RunFolder.create(tmp_path / "run", run, spec, "0123")
    opened = RunFolder.open(tmp_path / "run")
    assert (opened.spec, opened.fingerprint, opened.run) == (spec, "0123", run)
    content = json.loads((tmp_path / "run" / "run.json").read_text())
    assert content["versions"]["threads"] == torch.get_num_threads()

    (tmp_path / "run" / "run.json").write_text(json.dumps(content | {"fingerprint": 3}))
    with pytest.raises(ValueError, match=r"run.json is damaged \(fingerprint 3 is no text\)"):
        RunFolder.open(tmp_path / "run")


def test_first_tables_of_format_4_have_no_location():
    content = {"format": 4, "run": {"model": {"kind": "TableDiffusionConfig", "components": 3}}}
    model = current_format(content)["run"]["model"]
    assert (model["location"], model["components"]) == (0, 3)
    named = {"format": 4, "run": {"model": {"kind": "TableDiffusionConfig", "location": 8}}}
    assert current_format(named)["run"]["model"]["location"] == 8
