"""GMRES against dense solutions."""

import pytest
import torch

from allegory.numerics.krylov import gmres


def normal(*shape: int, seed: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def product(matrix):
    return lambda v: torch.einsum("bij,bj->bi", matrix, v)


def test_it_solves_equations_without_symmetry():
    matrix, b = normal(5, 12, 12, seed=0), normal(5, 12, seed=1)
    solved = gmres(product(matrix), b, tolerance=1e-13)
    assert torch.allclose(solved.x, torch.linalg.solve(matrix, b), rtol=1e-8, atol=1e-8)
    assert bool(solved.converged.all())


def test_a_singular_symmetric_equation_has_the_solution_of_the_pseudo_inverse():
    factor = normal(4, 10, 4, seed=2)
    matrix = factor @ factor.mT
    b = (matrix @ normal(4, 10, 1, seed=3))[..., 0]
    solved = gmres(product(matrix), b, tolerance=1e-13)
    want = (torch.linalg.pinv(matrix, rtol=1e-10) @ b[..., None])[..., 0]
    assert torch.allclose(solved.x, want, rtol=1e-8, atol=1e-8)
    assert int(solved.products.max()) <= 5


def test_each_item_stops_by_itself_and_says_its_residual():
    easy, hard = torch.eye(12, dtype=torch.float64), normal(12, 12, seed=4)
    matrix, b = torch.stack([easy, hard]), normal(2, 12, seed=5)
    solved = gmres(product(matrix), b, tolerance=1e-6)
    alone = gmres(product(matrix[:1]), b[:1], tolerance=1e-6)
    assert solved.products[0] == alone.products[0] == 1
    assert torch.equal(solved.x[:1], alone.x)

    residual = (b - product(matrix)(solved.x)).norm(dim=1) / b.norm(dim=1)
    assert torch.allclose(residual, solved.residual, atol=1e-10)


@pytest.mark.parametrize("most", [1, 3])
def test_the_number_of_products_is_bounded(most):
    matrix, b = normal(2, 12, 12, seed=6), normal(2, 12, seed=7)
    solved = gmres(product(matrix), b, tolerance=1e-12, most=most)
    assert int(solved.products.max()) == most
    assert not bool(solved.converged.any())


def test_nothing_is_solved_by_nothing():
    solved = gmres(product(normal(2, 3, 3, seed=8)), torch.zeros(2, 3, dtype=torch.float64))
    assert torch.equal(solved.x, torch.zeros(2, 3, dtype=torch.float64))
    assert torch.equal(solved.residual, torch.zeros(2, dtype=torch.float64))


def test_it_stops_before_a_direction_in_which_a_positive_matrix_has_an_error():
    # b = e_1 + e_2 meets the wrong eigenvalue -1 in the second product: one step is left.
    diagonal = torch.tensor([[2.0, -1.0, 1.0], [2.0, 1.0, 1.0]], dtype=torch.float64)
    b = torch.tensor([[3.0, 1.0, 0.0], [3.0, 1.0, 0.0]], dtype=torch.float64)
    solved = gmres(
        product(torch.diag_embed(diagonal)), b, tolerance=1e-12, least=torch.zeros(len(b))
    )

    moved = diagonal[0] * b[0]
    step = (moved @ b[0]) / (moved @ moved)
    assert torch.allclose(solved.x[0], step * b[0])
    assert torch.allclose(solved.x[1], b[1] / diagonal[1])
    assert solved.products.tolist() == [1, 2]
    assert solved.converged.tolist() == [False, True]


def test_it_stops_before_a_direction_below_the_smallest_eigenvalue_by_law():
    diagonal = torch.tensor([[2.0, 0.1, 1.0], [2.0, 0.5, 1.0]], dtype=torch.float64)
    b = torch.tensor([[3.0, 1.0, 0.0], [3.0, 1.0, 0.0]], dtype=torch.float64)
    least = torch.tensor([0.5, 0.5], dtype=torch.float64)
    solved = gmres(product(torch.diag_embed(diagonal)), b, tolerance=1e-12, least=least)

    assert solved.products.tolist() == [1, 2]
    assert torch.allclose(solved.x[1], b[1] / diagonal[1])
