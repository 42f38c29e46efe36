"""A judge of captioned digits: the colour, size, place and digit that a picture shows.

Colour, size and place are measured on the pixels; the digit is what a support vector machine says
of the part of the picture that is not dark, fitted on training pictures.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from sklearn.svm import SVC
from torch import Tensor
from torch.nn.functional import interpolate

from allegory.data.captions import COLOURS, PLACES, SIDE, SIZES, Attributes, captioned

NAMES = ("size", "colour", "digit", "place")
_DARK = 0.25
_CROP = 12
_LARGE = 10.5  # height in pixels
_MIDDLE = {0: 3.0, 1: 2.0}  # distance of a centre from the middle, by size
_FITTED = 10_000


@dataclass(frozen=True)
class Judge:
    """What a picture shows.

    Args:
        machine: says the digit of a crop.
    """

    machine: Any

    @classmethod
    def fit(cls) -> "Judge":
        """A judge whose machine was fitted on training pictures."""
        x, _, what = captioned("train", _FITTED)
        machine = SVC(C=10.0, kernel="rbf", gamma="scale").fit(crops(x), what.digit)
        return cls(machine)

    def says(self, x: Tensor) -> Attributes:
        """The attributes of pictures, -1 where a place is none of those that have a name."""
        bright = _bright(x)
        top, bottom, left, right = boxes(bright)
        size = ((bottom - top + 1) > _LARGE).astype(np.int64)

        middle = (SIDE - 1) / 2
        limit = np.where(size == 0, _MIDDLE[0], _MIDDLE[1])
        thirds = np.stack(
            [
                np.where(np.abs(centre - middle) <= limit, 1, np.where(centre < middle, 0, 2))
                for centre in ((top + bottom) / 2, (left + right) / 2)
            ],
            axis=1,
        )
        same = (thirds[:, None] == np.array(tuple(PLACES.values()))).all(2)
        place = np.where(same.any(1), same.argmax(1), -1)

        return Attributes(size, _colour(x, bright), self.machine.predict(crops(x)), place)

    def right(self, x: Tensor, what: Attributes) -> dict[str, np.ndarray]:
        """Whether each picture shows each attribute, and all of them."""
        said = self.says(x)
        found = {name: getattr(said, name) == getattr(what, name) for name in NAMES}
        return found | {"all": np.logical_and.reduce([*found.values()])}


def boxes(bright: Tensor) -> tuple[np.ndarray, ...]:
    """The first and last row, and the first and last column, that are not dark."""
    shown = bright > _DARK
    edges = []
    for axis in (2, 1):
        line = shown.any(axis).long()
        first = line.argmax(1)
        last = SIDE - 1 - line.flip(1).argmax(1)
        edges += [first.numpy(), last.numpy()]
    return tuple(edges)


def crops(x: Tensor) -> np.ndarray:
    """The part of each picture that is not dark, grey, in one size and brightness."""
    bright = _bright(x)
    found = []
    for picture, top, bottom, left, right in zip(bright, *boxes(bright), strict=True):
        crop = picture[top : bottom + 1, left : right + 1]
        height, width = crop.shape
        wide = max(1, round(_CROP * width / max(height, width)))
        tall = max(1, round(_CROP * height / max(height, width)))
        scaled = interpolate(crop[None, None], (tall, wide), mode="bilinear")[0, 0]

        square = torch.zeros(_CROP, _CROP)
        up, along = (_CROP - tall) // 2, (_CROP - wide) // 2
        square[up : up + tall, along : along + wide] = scaled
        found.append(square / square.max().clamp_min(1e-3))
    return torch.stack(found).flatten(1).numpy()


def _bright(x: Tensor) -> Tensor:
    """The brightest colour of each pixel, from 0 to 1."""
    return x.float().amax(1) / 255.0


def _colour(x: Tensor, bright: Tensor) -> np.ndarray:
    """The colour whose direction is nearest to the mean colour of the bright pixels."""
    shown = (bright > _DARK)[:, None]
    mean = (x.float() * shown).sum((2, 3))
    names = torch.tensor(tuple(COLOURS.values()))
    mean, names = (each / each.amax(1, keepdim=True).clamp_min(1e-6) for each in (mean, names))
    return torch.cdist(mean, names).argmin(1).numpy()


def main() -> None:
    """Print how often the judge is right about real test pictures."""
    x, _, what = captioned("test", 2000)
    right = Judge.fit().right(x, what)
    for name, each in right.items():
        print(f"{name:8} {each.mean():.4f}")
    assert len(SIZES) == 2, "sizes: the judge tells small from large"


if __name__ == "__main__":
    main()
