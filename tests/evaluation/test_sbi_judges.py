"""C2ST of `benchmarks.simulation_based`: .5 for equal distributions, near 1 for others; a row."""

import numpy as np
import pytest
import torch
from benchmarks import simulation_based
from benchmarks.rows import Rows
from benchmarks.sbi_judges import c2st
from benchmarks.sbi_methods import Rejection
from benchmarks.sbi_priors import generator, normal, uniform
from benchmarks.sbi_problems import PROBLEMS
from benchmarks.sbi_reference import Reference, tasks
from benchmarks.simulation_based import Task, measured


def test_draws_of_one_distribution_are_not_told_apart_and_shifted_ones_are():
    a, b = normal((2, 1000, 2), generator(0))
    assert c2st(a, b) == pytest.approx(0.5, abs=0.05)
    # Two normals whose means are 3 apart: the best accuracy is the normal CDF at 1.5, .933.
    apart = torch.tensor([3.0, 0.0]).double()
    assert c2st(a, b + apart) == pytest.approx(0.933, abs=0.02)


@pytest.mark.thorough
def test_halves_of_a_reference_posterior_are_not_told_apart():
    try:
        tasks()
    except FileNotFoundError:
        pytest.skip("needs the files of sbibm 1.1.0, on the path of Python")
    draws = Reference.read("two_moons").draws[0]
    assert c2st(draws[::2], draws[1::2]) == pytest.approx(0.5, abs=0.02)
    assert c2st(draws[::2], draws[1::2] + draws.std(0)) > 0.9


def written(folder):
    """Files of gaussian_linear as sbibm has them, with 40 draws from each posterior."""
    problem = PROBLEMS["gaussian_linear"]
    for number in range(10):
        theta = problem.prior.draw(1, generator(number))
        x = problem.simulate(theta, generator(100 + number))
        draws = problem.posterior(x[0], 40, generator(200 + number))
        place = folder / "sbibm/tasks/gaussian_linear/files" / f"num_observation_{number + 1}"
        place.mkdir(parents=True)
        np.savetxt(place / "observation.csv", x, delimiter=",", header="x")
        np.savetxt(place / "true_parameters.csv", theta, delimiter=",", header="x")
        name = "reference_posterior_samples.csv.bz2"
        np.savetxt(place / name, draws, delimiter=",", header="x")


def test_a_row_is_drawn_by_one_run_and_compared_by_a_later_one(tmp_path, monkeypatch):
    written(tmp_path)
    results, called = Rows(tmp_path / "results.json"), []
    monkeypatch.setattr(simulation_based, "ROWS", results)

    def accuracy(true, draws):
        called.append((tuple(true.shape), tuple(draws.shape)))
        if len(called) == 4:
            raise KeyboardInterrupt
        return 0.5 + 0.01 * len(called)

    monkeypatch.setattr(simulation_based, "c2st", accuracy)
    task = Task("gaussian_linear", "exact", 10**5, 5.0, 40, 0, tmp_path / "draws", tmp_path)
    assert task.name == "exact, 40 draws"

    measured(task, with_c2st=False)
    row = results.read()["gaussian_linear"][task.name]
    assert row["inside the band"] and row["outside"] == 0 and "C2ST" not in row

    with pytest.raises(KeyboardInterrupt):
        measured(task, with_c2st=True)
    measured(task, with_c2st=True)
    found = results.read()["gaussian_linear"][task.name]
    assert called == 11 * [((40, 10), (40, 10))]
    assert found["C2ST"] == pytest.approx(
        [0.51, 0.52, 0.53, *(0.5 + 0.01 * n for n in range(5, 12))]
    )
    assert found["C2ST mean"] == pytest.approx(0.562) and row.items() <= found.items()


def test_rejection_has_a_density_that_is_normalised_inside_the_box():
    problem = PROBLEMS["gaussian_mixture"]
    theta = problem.prior.draw(20_000, generator(0))
    posterior = Rejection(problem, theta, problem.simulate(theta, generator(1)))
    x = torch.tensor([9.5, -3.0], dtype=torch.float64)
    assert problem.prior.holds(posterior.sample(x, 500, 0)).all()

    # The integral over the box by points that are uniform around the observation.
    around = x + 8 * (2 * uniform((30_000, 2), generator(2)) - 1)
    around = around[problem.prior.holds(around)]
    area = (10 - 1.5) * 16
    density = posterior.log_prob(around, x.expand(len(around), -1)).exp()
    error = area * density.std() / len(around) ** 0.5
    assert abs(area * density.mean() - 1) < 5 * error < 0.25
