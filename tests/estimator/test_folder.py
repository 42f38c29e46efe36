"""Densities in run folders, without a pickle."""

import numpy as np
import pytest
from tests.helpers.mixed_tables import mixed_table

import allegory as al
from allegory.estimator import DiffusionDensity
from allegory.models.table import TableDiffusion
from allegory.recipes.table_diffusion import TableDiffusionConfig

pytestmark = pytest.mark.filterwarnings("ignore")
SMALL = TableDiffusionConfig(components=1, transform=1)


def test_a_density_is_read_again_to_the_last_bit(tmp_path):
    table = mixed_table()
    density = DiffusionDensity(None, 5, random_state=0, model=SMALL).fit(table)
    density.save(tmp_path / "run")
    again = DiffusionDensity.open(tmp_path / "run")

    assert (again.score_samples(table) == density.score_samples(table)).all()
    assert again.sample(5).equals(density.sample(5))
    assert [*again.feature_names_in_] == [*table.columns]
    assert again.n_features_in_ == density.n_features_in_
    assert {file.suffix for file in (tmp_path / "run").iterdir()} == {".json", ".safetensors"}
    assert isinstance(al.open(tmp_path / "run"), TableDiffusion)


def test_a_conditional_density_of_an_array_is_read_again(tmp_path):
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((40, 2)), rng.standard_normal(40)
    density = DiffusionDensity(None, 2, conditional=True, model=SMALL).fit(x, y)
    density.save(tmp_path / "run")
    again = DiffusionDensity.open(tmp_path / "run")

    assert again.conditional
    assert (again.score_samples(x, y) == density.score_samples(x, y)).all()
    assert np.array_equal(again.sample(3, given=0.5), density.sample(3, given=0.5))


def test_a_folder_that_is_there_and_one_without_a_table_are_refused(tmp_path):
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "file").touch()
    x = np.random.default_rng(0).standard_normal((40, 2))
    density = DiffusionDensity(None, 2).fit(x)

    with pytest.raises(ValueError, match="exists already; give a new one"):
        density.save(tmp_path / "other")
    with pytest.raises(ValueError, match="no such folder"):
        DiffusionDensity.open(tmp_path / "none")
    al.train(
        al.VDM(
            al.Denoiser(al.MLP(al.load("moons").spec), al.Path.vdm(8, -5), target="v"),
            al.load("moons").spec,
        ),
        "moons",
        steps=1,
        out=tmp_path / "vdm",
    )
    with pytest.raises(ValueError, match="holds a DiffusionConfig, and no density of a table"):
        DiffusionDensity.open(tmp_path / "vdm")
