"""Mirrored training images: as often as said, anew in each epoch, the same again after a resume."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from allegory.data import Dataset, DataSpec, Items, load
from allegory.data.binarize import binarize
from allegory.data.flips import flip

CORNERS = {"horizontal": {(0, 0), (0, 1)}, "vertical": {(0, 0), (1, 0)}}
CORNERS["both"] = {(0, 0), (0, 1), (1, 0), (1, 1)}


def marked(count: int) -> Items:
    """Images that are black but for the upper left corner, which holds the label + 1."""
    x = torch.zeros((count, 3, 4, 5), dtype=torch.uint8)
    x[:, :, 0, 0] = torch.arange(1, count + 1, dtype=torch.uint8)[:, None]
    return Items(x, torch.arange(count))


def dataset(count: int = 40) -> Dataset:
    spec = DataSpec((3, 4, 5), 0.0, 255.0, 256, count)
    return Dataset("marked", spec, marked(count), marked(count), marked(count))


def corners(x: torch.Tensor) -> list[tuple[int, int]]:
    """Where the marked corner of each image is: (0 above or 1 below, 0 left or 1 right)."""
    return [(int(r > 1), int(c > 2)) for _, ch, r, c in x.nonzero().tolist() if ch == 0]


@pytest.mark.parametrize("mode", CORNERS)
def test_each_epoch_holds_both_and_half_of_each(mode: str) -> None:
    """Of n images the count is binomial: 5 standard deviations."""
    batches = flip(dataset(200), mode).batches(batch_size=200, seed=0)
    epochs = [next(batches) for _ in range(3)]
    for x, labels in epochs:
        found = corners(x)
        assert {*found} == CORNERS[mode]
        chance = 1 / len(CORNERS[mode])
        for corner in CORNERS[mode]:
            error = found.count(corner) - 200 * chance
            assert abs(error) < 5 * math.sqrt(200 * chance * (1 - chance))
        # whole images are mirrored, each with its label
        assert torch.equal(x.amax((1, 2, 3)).long(), labels + 1)
        assert torch.equal(x.sum((2, 3)), (labels + 1)[:, None].expand(-1, 3))

    by_label = [sorted(zip(y.tolist(), corners(x), strict=True)) for x, y in epochs]
    assert by_label[0] != by_label[1], "each epoch mirrors others"


def test_the_mirror_image_is_exact() -> None:
    x = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (64, 1, 5, 7), dtype=np.uint8))
    for mode, axis in (("horizontal", 3), ("vertical", 2)):
        made = flip(dataset(), mode).transform(x, (1, 2, 3))
        same = (made == x).flatten(1).all(1)
        assert 0 < same.sum() < 64
        assert torch.equal(made[~same], x.flip(axis)[~same])


def test_a_resumed_run_sees_the_same_images() -> None:
    flipped = flip(binarize(dataset(), "dynamic"), "both")
    straight = flipped.batches(batch_size=12, seed=4)
    for _ in range(5):  # into the second epoch
        next(straight)
    resumed = flipped.batches(batch_size=12, seed=4)
    resumed.load_state_dict(straight.state_dict())
    for _ in range(4):
        a, b = next(straight), next(resumed)
        assert torch.equal(a[0], b[0]) and torch.equal(a[1], b[1])


def test_processes_share_the_draws_of_one() -> None:
    flipped = flip(dataset(), "horizontal")
    alone = flipped.batches(batch_size=8, seed=1)
    ranks = [flipped.batches(batch_size=8, seed=1, process=(rank, 2)) for rank in range(2)]
    for _ in range(7):
        whole, parts = next(alone), [next(rank) for rank in ranks]
        assert torch.equal(whole[0], torch.cat([part[0] for part in parts]))


def test_fixed_sets_are_untouched() -> None:
    plain, flipped = dataset(), flip(dataset(), "both")
    for part in ("train", "validation", "test"):
        assert torch.equal(getattr(flipped, part).x, getattr(plain, part).x)


def test_binarized_images_are_drawn_and_mirrored(tmp_path) -> None:
    """White halves stay white halves, on either side; what is black stays black."""
    half = np.zeros((6, 6), np.uint8)
    half[:, :3] = 255
    for i in range(40):
        Image.fromarray(half).save(tmp_path / f"{i}.png")
    data = load(f"{tmp_path}?binarize=dynamic&flip=horizontal")
    x, _ = next(data.batches(batch_size=36, seed=0))
    assert x.unique().tolist() == [0, 1] and data.spec.levels == 2
    left = x[:, 0, :, :3].float().mean((1, 2))
    assert {*left.tolist()} == {0.0, 1.0}
    assert torch.equal(x[:, 0, :, 3:].float().mean((1, 2)), 1 - left)
    assert load(f"{tmp_path}?flip=horizontal&binarize=static").transform.first is None


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("moons?flip=horizontal", r"items of shape \(2,\); it is for images, leave it out"),
        (
            "digits?flip=diagonal",
            r"'flip=diagonal'; there are \?flip=horizontal, \?flip=vertical and \?flip=both",
        ),
    ],
)
def test_only_images_are_mirrored(source: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        load(source)
    with pytest.raises(ValueError, match="horizontal, vertical or both"):
        flip(replace(dataset()), "diagonal")
