"""The arithmetic of a Bound and of a standard error, on numbers that can be checked by hand."""

import math

import pytest
import torch

from allegory.data.spec import DataSpec
from allegory.process import Bound, bits_per_dim, estimate

FOUR = DataSpec((2, 2), low=0, high=1)


def bound():
    """Reconstruction -3, prior 1 and divergences 2 and 4 for one item; 0, 5, 0, 1 for another."""
    return Bound(
        torch.tensor([-3.0, 0.0]),
        torch.tensor([1.0, 5.0]),
        (torch.tensor([2.0, 0.0]), torch.tensor([4.0, 1.0])),
    )


def test_the_total_is_what_is_left_of_the_reconstruction():
    """Luo 2022, eq. 58: reconstruction minus prior matching minus the divergences."""
    assert bound().diffusion.tolist() == [6.0, 1.0]
    assert bound().total.tolist() == [-10.0, -6.0]


def test_a_bit_per_dimension_is_log_two_nats_a_number():
    assert bits_per_dim(torch.tensor(4 * math.log(2)), FOUR).item() == pytest.approx(1)
    assert bound().bits_per_dim(FOUR).tolist() == pytest.approx(
        [10 / 4 / math.log(2), 6 / 4 / math.log(2)]
    )


def test_terms_are_costs_in_bits_and_add_up():
    terms = bound().terms(FOUR)
    bit = 4 * math.log(2)
    assert terms["reconstruction"].tolist() == pytest.approx([3 / bit, 0])
    assert terms["prior"].tolist() == pytest.approx([1 / bit, 5 / bit])
    assert terms["diffusion"].tolist() == pytest.approx([6 / bit, 1 / bit])
    torch.testing.assert_close(sum(terms.values()), bound().bits_per_dim(FOUR))


def test_a_bound_without_divergences_is_that_of_a_vae():
    vae = Bound(torch.tensor([-3.0]), torch.tensor([1.0]), ())
    assert vae.diffusion.tolist() == [0.0] and vae.total.tolist() == [-4.0]


def test_one_change_reaches_every_term():
    doubled = bound().map(lambda nats: 2 * nats)
    assert len(doubled.divergences) == 2
    torch.testing.assert_close(
        torch.stack(doubled.divergences), 2 * torch.stack(bound().divergences)
    )
    torch.testing.assert_close(doubled.total, 2 * bound().total)


def test_a_mean_and_its_standard_error():
    """Values 1, 3, 5, 7: mean 4, sample variance 20/3, standard error sqrt(20/3/4)."""
    got = estimate(torch.tensor([1.0, 3.0, 5.0, 7.0]))
    assert (got.mean, got.error) == pytest.approx((4.0, math.sqrt(20 / 12)))
    assert str(got) == "4 ± 1.3"
    with pytest.raises(ValueError, match="at least two"):
        estimate(torch.ones(1))
