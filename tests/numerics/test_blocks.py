"""Means over blocks of pixels, and the nearest items that have given ones."""

import pytest
import torch

from allegory.numerics.blocks import BlockMeans, block_means, from_blocks, to_blocks


@pytest.fixture
def items():
    return 3 * torch.randn(5, 2, 6, 9, generator=torch.Generator().manual_seed(0)).double()


@pytest.fixture
def means():
    return 2 * torch.rand(5, 2, 2, 3, generator=torch.Generator().manual_seed(1)).double() - 1


def test_a_block_is_a_part_of_the_image_and_means_are_pooled(items):
    blocks = to_blocks(items, 3)
    assert torch.equal(blocks[2, 1, 1, 2], items[2, 1, 3:6, 6:9].flatten())
    assert torch.equal(from_blocks(blocks, 3), items)
    pooled = torch.nn.functional.avg_pool2d(items, 3)
    torch.testing.assert_close(block_means(items, 3), pooled, rtol=1e-14, atol=1e-14)


def test_shifted_items_have_the_means_and_are_the_nearest(items, means):
    given = BlockMeans(means, 3)
    found = given.shifted(items)
    torch.testing.assert_close(block_means(found, 3), means, rtol=0, atol=1e-14)
    # The difference to the nearest point of a subspace is orthogonal to the subspace.
    along = given.shifted(torch.randn_like(items)) - found
    assert (((found - items) * along).sum((1, 2, 3)).abs() < 1e-11).all()
    torch.testing.assert_close(given.shifted(found), found, rtol=0, atol=1e-14)


def test_items_in_a_box_have_the_means_and_are_the_nearest(items, means):
    means[0, 0, 0, 0], means[0, 1, 1, 1] = 1.0, -1.0  # blocks at both ends
    given = BlockMeans(means, 3)
    found = given.within(items, -1, 1)
    assert found.min() >= -1 and found.max() <= 1
    torch.testing.assert_close(block_means(found, 3), means, rtol=0, atol=1e-14)
    assert (to_blocks(found, 3)[0, 0, 0, 0] > 1 - 1e-13).all()
    torch.testing.assert_close(given.within(found, -1, 1), found, rtol=0, atol=1e-14)

    # Nearest in a convex set: (found - items) . (other - found) >= 0 for every other of the set.
    generator = torch.Generator().manual_seed(2)
    for scale in (0.1, 1, 10):
        moved = found + scale * torch.randn(items.shape, generator=generator, dtype=items.dtype)
        other = given.within(moved, -1, 1)
        assert ((found - items) * (other - found)).sum((1, 2, 3)).min() > -1e-11


def test_bytes_keep_the_sums_of_bytes_also_where_blocks_are_saturated():
    generator = torch.Generator().manual_seed(0)
    real = torch.randint(0, 256, (50, 1, 8, 8), generator=generator)
    real[:10, :, :4] = 255
    real[10:20, :, 4:] = 0
    real[20] = torch.where(real[20] < 128, 0, 255)
    given = BlockMeans(block_means(real, 4), 4)

    items = 128 + 200 * torch.randn(real.shape, generator=generator).double()
    close = given.within(items, 0, 255)
    whole = given.rounded(close)
    assert torch.equal(block_means(whole, 4), given.means)
    assert torch.equal(whole, whole.round()) and whole.min() >= 0 and whole.max() <= 255
    assert (whole - close).abs().max() <= 1
    assert torch.equal(given.rounded(given.within(whole, 0, 255)), whole)
    assert torch.equal(given.rounded(given.within(real, 0, 255)), real.double())


def test_means_of_no_bytes_are_kept_to_half_a_level_of_the_sum(means):
    given = BlockMeans(100 * (means + 1.1), 3)
    items = 128 + 200 * torch.randn(5, 2, 6, 9, generator=torch.Generator().manual_seed(3))
    whole = given.rounded(given.within(items, 0, 255))
    error = (block_means(whole, 3) - given.means).abs().max()
    assert 0 < error <= 0.5 / 9 + 1e-12


def test_blocks_of_unknown_mean_are_left_alone(items, means):
    means[1, 0, 1, 2] = torch.nan
    given = BlockMeans(means, 3)
    hole = (1, 0, slice(3, 6), slice(6, 9))
    assert torch.equal(given.shifted(items)[hole], items[hole])
    assert torch.equal(given.within(items, -1, 1)[hole], items[hole])
    assert torch.equal(given.rounded(items)[hole], items[hole].round())
    assert not given.shifted(items).isnan().any()


def test_an_item_does_not_depend_on_its_batch(items, means):
    for whole, alone in (
        (BlockMeans(means, 3).within(items, -1, 1)[3:4], BlockMeans(means[3:4], 3)),
    ):
        assert torch.equal(whole, alone.within(items[3:4], -1, 1))
