"""Rows of a draw for the whole batch, and numbers that each process draws for itself."""

import pytest
import torch

from allegory.numerics.generators import BatchGenerator, draw_rows, gather_rows, normal, uniform
from allegory.objectives import normal_like, random_signs, stratified_times

CPU = torch.device("cpu")
DRAWS = {
    "normal": (lambda n, g: normal_like(torch.zeros(n, 3), g), 0),
    "one number per item": (lambda n, g: normal_like(torch.zeros(n), g), 0),
    "times": (stratified_times, 0),
    "signs": (lambda n, g: random_signs(2, torch.zeros(n, 3), g), 1),
    "uniform": (lambda n, g: draw_rows(uniform, (n,), g), 0),
}


@pytest.mark.parametrize("name", DRAWS)
@pytest.mark.parametrize("world", [1, 2, 3])
def test_the_rows_of_all_processes_are_the_draw_of_one(name: str, world: int) -> None:
    draw, axis = DRAWS[name]
    plain = torch.Generator().manual_seed(7)
    ranks = [BatchGenerator(CPU, 7, rank, world) for rank in range(world)]
    for count in (6, 12):  # the second draw goes on where the first ended
        whole = draw(count, plain)
        rows = [draw(count // world, generator) for generator in ranks]
        assert torch.equal(torch.cat(rows, axis), whole)


def test_plain_draws_differ_by_process_and_leave_the_shared_numbers_alone() -> None:
    ranks = [BatchGenerator(CPU, 7, rank, 2) for rank in range(2)]
    own = [torch.randn(1000, generator=generator) for generator in ranks]
    shared = [torch.randn(1000, generator=generator.shared) for generator in ranks]
    assert torch.equal(*shared)
    for one, other in ((own[0], own[1]), (own[0], shared[0]), (own[1], shared[0])):
        assert abs(torch.corrcoef(torch.stack([one, other]))[0, 1]) < 0.15  # 5 standard errors

    again = BatchGenerator(CPU, 7, 0, 2)
    assert torch.equal(torch.randn(1000, generator=again), own[0])
    again.seed_own(50)
    assert not torch.equal(torch.randn(1000, generator=again), own[0])


def test_one_process_gathers_its_own_rows() -> None:
    rows = normal((4, 2), torch.Generator())
    assert gather_rows(rows, torch.Generator()) is rows
