"""Black and white from grey: the right chances, and the same draws where they must be the same."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from allegory.data import Dataset, DataSpec, Items, load
from allegory.data.binarize import binarize, draw_pixels


def pictures(count=40, seed=0):
    x = np.random.default_rng(seed).integers(0, 256, (count, 1, 4, 4), dtype=np.uint8)
    return Items(torch.from_numpy(x), torch.arange(count) % 10)


def dataset(count=40):
    spec = DataSpec((1, 4, 4), 0.0, 255.0, 256, 10)
    return Dataset("grey", spec, pictures(count), pictures(count, 1), pictures(count, 2))


def test_a_pixel_is_one_as_often_as_its_intensity_says():
    """Of n draws the count is binomial: 5 standard deviations. 0 and 255 leave no chance, and must
    not.
    """
    levels = torch.arange(256, dtype=torch.uint8).view(1, 256)
    n = 4000
    ones = (
        torch.cat([draw_pixels(levels.expand(100, 256), (3, 0, 100 * i)) for i in range(n // 100)])
        .double()
        .mean(0)
    )
    chance = torch.arange(256).double() / 255
    assert ((ones - chance).abs() <= 5 * (chance * (1 - chance) / n).sqrt()).all()
    assert ones[0] == 0 and ones[255] == 1
    # over all levels together the mean is sharper by sqrt(256) than that of one
    assert (
        abs((ones - chance).mean()) < 5 * math.sqrt((chance * (1 - chance)).sum().item() / n) / 256
    )


def test_fixed_sets_are_drawn_once_and_alike_in_both_modes():
    grey = dataset(4000)
    dynamic, static = binarize(grey, "dynamic"), binarize(grey, "static")
    for part in ("train", "validation", "test"):
        drawn, again = getattr(dynamic, part), getattr(static, part)
        assert torch.equal(drawn.x, again.x)
        assert set(drawn.x.unique().tolist()) == {0, 1}
        error = drawn.x.double() - getattr(grey, part).x.double() / 255
        # each error has mean 0 and variance v (1 - v) <= 1/4
        assert abs(error.mean()) < 5 * 0.5 / math.sqrt(error.numel())
    assert dynamic.spec == DataSpec((1, 4, 4), 0.0, 1.0, 2, 10)
    assert static.transform is None and static.train.stored is None and dynamic.test.stored is None
    noise = [
        part.x != (grey_part.x > 127)
        for part, grey_part in [(dynamic.test, grey.test), (dynamic.train, grey.train)]
    ]
    assert not torch.equal(*noise), "each set has its own draw"


def test_dynamic_batches_are_drawn_anew_and_static_ones_are_not():
    for mode, fresh in (("dynamic", True), ("static", False)):
        batches = binarize(dataset(), mode).batches(batch_size=40, seed=0)
        first, second = (by_label(next(batches)) for _ in range(2))
        assert (first != second).any().item() == fresh
        other = by_label(next(binarize(dataset(), mode).batches(batch_size=40, seed=1)))
        assert (first != other).any().item() == fresh


def by_label(batch):
    """The mean picture of each label: the same for the same draws in any order."""
    x, labels = batch
    return torch.stack([x[labels == label].double().mean(0) for label in range(10)])


def test_a_resumed_run_sees_the_same_draws():
    binary = binarize(dataset(), "dynamic")
    straight = binary.batches(batch_size=12, seed=4)
    for _ in range(5):  # into the second epoch
        next(straight)
    resumed = binary.batches(batch_size=12, seed=4)
    resumed.load_state_dict(straight.state_dict())
    for _ in range(4):
        a, b = next(straight), next(resumed)
        assert torch.equal(a[0], b[0]) and torch.equal(a[1], b[1])


def test_processes_share_the_draws_of_one():
    binary = binarize(dataset(), "dynamic")
    alone = binary.batches(batch_size=8, seed=1)
    ranks = [binary.batches(batch_size=8, seed=1, process=(rank, 2)) for rank in range(2)]
    for _ in range(7):
        whole, parts = next(alone), [next(rank) for rank in ranks]
        for i in range(2):
            assert torch.equal(whole[i], torch.cat([part[i] for part in parts]))


def test_a_part_of_the_items_keeps_what_it_is_drawn_from():
    binary = binarize(dataset(), "dynamic")
    part = binary.train.take(torch.tensor([5, 3]))
    assert torch.equal(part.stored, binary.train.stored[[5, 3]])


def test_two_transforms_are_refused():
    grey = replace(dataset(), transform=lambda stored, seed: stored)
    with pytest.raises(ValueError, match="has a transform already"):
        binarize(grey, "dynamic")


def test_a_draw_is_not_that_of_the_order():
    """(seed, epoch) and (seed, epoch, 0) are one key to numpy; the draws must not reuse the numbers
    of the order.
    """
    order = np.random.default_rng((5, 2)).integers(0, 255, (1, 64), dtype=np.uint8)
    grey = torch.full((1, 64), 128, dtype=torch.uint8)
    assert not torch.equal(
        draw_pixels(grey, (5, 2, 0)), (torch.from_numpy(order) < grey).to(torch.uint8)
    )


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("moons?binarize=dynamic", r"images of 256 levels, leave it out"),
        ("digits?binarize=static", "17 levels"),
        ("digits?binarize=often", "unknown option 'binarize=often'"),
        ("digits?size=32&binarize=dynamic", r"leave \?size out"),
    ],
)
def test_only_pictures_are_binarized(source, says):
    with pytest.raises(ValueError, match=says):
        load(source)


def test_options_are_combined(tmp_path):
    from PIL import Image

    for i in range(6):
        Image.fromarray(np.full((6, 6), 40 * i, np.uint8)).save(tmp_path / f"{i}.png")
    loaded = load(f"{tmp_path}?size=4&binarize=dynamic")
    assert (
        loaded.spec.shape == (1, 4, 4) and loaded.spec.levels == 2 and loaded.transform is not None
    )
    assert load(f"{tmp_path}?binarize=static&size=4").transform is None
    with pytest.raises(ValueError, match="dynamic or static"):
        binarize(loaded, "sometimes")


def test_the_names_of_classes_are_kept():
    grey = dataset()
    named = replace(grey, spec=replace(grey.spec, class_names=tuple("abcdefghij")))
    for mode in ("dynamic", "static"):
        assert binarize(named, mode).spec.class_names == tuple("abcdefghij")
