"""Clips of moving digits: the law of their motion, and no digit in two sets."""

import numpy as np
import torch

from allegory import load
from allegory.data.bundled import handwritten_digits
from allegory.data.moving_digits import FRAME_SIDE, clips, corners


def test_a_side_reflects():
    places = corners(np.array([[7, 1], [0, 8]]), np.array([[2, -2], [-1, 1]]), 6)
    assert places[0].tolist() == [[7, 1], [7, 1], [5, 3], [3, 5], [1, 7], [1, 7]]
    assert places[1, :, 0].tolist() == [0, 1, 2, 3, 4, 5]
    assert places[1, :, 1].tolist() == [8, 7, 6, 5, 4, 3]


def test_each_frame_is_the_digit_somewhere_and_moves_by_its_speed():
    x, labels = clips("test", 60)
    assert x.shape == (60, 8, 1, FRAME_SIDE, FRAME_SIDE) and x.dtype == torch.uint8
    digits = handwritten_digits().test
    known = {
        digit.numpy().tobytes(): int(label)
        for digit, label in zip(digits.x, digits.labels, strict=True)
    }

    for clip, label in zip(x[:, :, 0], labels.tolist(), strict=True):
        windows = clip.unfold(1, 8, 1).unfold(2, 8, 1)  # (8, 9, 9, 8, 8)
        whole = windows.sum((3, 4)) == clip.sum((1, 2))[:, None, None]
        found = [
            (int(y), int(x), windows[t, y, x].contiguous().numpy().tobytes())
            for t in range(8)
            for y, x in whole[t].nonzero()
        ]
        shown = {digit for _, _, digit in found} & {*known}
        same = [digit for digit in shown if sum(each[2] == digit for each in found) == 8]
        assert len(same) == 1 and known[same[0]] == label
        places = np.array([each[:2] for each in found if each[2] == same[0]])
        moves = np.abs(np.diff(places, axis=0))
        assert (moves <= 2).all() and (moves == moves.max(0)).mean() > 0.5


def test_clips_are_the_same_at_each_call_and_by_seed():
    x, labels = clips("train", 50)
    again, same = clips("train", 50)
    assert torch.equal(x, again) and torch.equal(labels, same)
    assert not torch.equal(x, clips("train", 50, seed=1)[0])
    assert torch.equal(
        load("moving_digits?count=100").validation.x[:5], clips("validation", 500)[0][:5]
    )


def test_no_digit_is_in_two_sets():
    def shown(part: str) -> set[bytes]:
        """The digits of first frames, cut out by the place of their pixels."""
        found = set()
        for frame in clips(part, 1500)[0][:, 0, 0]:
            rows, columns = frame.nonzero().T
            cut = frame[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
            found.add(cut.contiguous().numpy().tobytes() + bytes(cut.shape))
        return found

    train, validation, test = map(shown, ("train", "validation", "test"))
    assert min(map(len, (train, validation, test))) >= 95
    assert not train & validation and not train & test and not validation & test
