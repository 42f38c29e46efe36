"""Solvers and correctors by name: every one has its paper, and what it says of itself is true."""

import re

import pytest
import torch
from tests.helpers.gaussian import gaussian
from tests.helpers.paths import PATHS

from allegory import grid, initial_noise, sample
from allegory.process import as_predict
from allegory.sampling import CORRECTORS, SOLVERS, Solver, ddim, solver_named
from allegory.sampling.single_step import step_by_step

PATH = PATHS["linear-vp"]
NUMBERS = {"one": 1, "two": 2, "three": 3, "four": 4}


@pytest.mark.parametrize("name", SOLVERS)
def test_the_help_says_order_noise_and_evaluations(name):
    solver, help = SOLVERS[name], SOLVERS.entry(name).help
    assert solver.name == name and "\n" not in help
    if order := re.search(r"order (\d)", help):
        assert solver.order == int(order[1])
    if "stochastic" in help and "deterministic" not in help:
        assert solver.stochastic
    if name in ("ddpm_learned", "flow_map", "ncsn", "ncsn2", "pc"):
        return

    calls = []

    def counted(x, t, condition):
        calls.append(t)
        return gaussian(PATH)(x, t)

    steps, x_T = 6, initial_noise(PATH, (2,), range(2)).double()
    levels = grid(PATH, steps, "log_snr", "min")
    sample(as_predict(counted, PATH), x_T, levels, solver=solver, seeds=range(2))
    told = re.search(r"(\w+) evaluations per step", help)
    per_step = NUMBERS[told[1]] if told else 1
    assert per_step * steps <= len(calls) <= per_step * (steps + 2 * (name == "restart"))


@pytest.mark.parametrize("registry", [SOLVERS, CORRECTORS])
def test_a_number_after_a_colon(registry):
    for name in registry:
        if registry.entry(name).make is not None:
            assert registry.named(f"{name}:1") is not None
            with pytest.raises(ValueError, match=f"after '{name}:' comes "):
                registry.named(f"{name}:x")
        elif ":" not in name:
            with pytest.raises(ValueError, match="no number follows"):
                registry.named(f"{name}:1")


def test_names_of_what_numbers_make():
    assert solver_named("ddim:0.5").name == "ddim:0.5" and solver_named("ddim:0").name == "ddim"
    assert solver_named("ddim+mala:0.2").name == "ddim+mala:0.2"
    assert not solver_named("sa3:0").stochastic
    with pytest.raises(ValueError, match="did you mean 'langevin'"):
        solver_named("ddim+langevi")


def test_a_solver_from_outside_is_registered_and_named():
    mine = Solver("mine_alone", step_by_step(lambda here, to: ddim().plan([here, to])))
    try:
        SOLVERS.register("mine_alone", mine, "DDIM again")
        x_T = initial_noise(PATH, (2,), range(3)).double()
        one, other = (
            sample(gaussian(PATH), x_T, grid(PATH, 4), solver=name)
            for name in ("mine_alone", "ddim")
        )
        assert torch.equal(one, other) and "mine_alone" in SOLVERS.markdown()
    finally:
        del SOLVERS._registered["mine_alone"]
