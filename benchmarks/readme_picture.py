"""The picture of the README: samples of each digit, from a run of the recipe `digits`.

allegory train digits --out runs/digits
python -m benchmarks.readme_picture runs/digits docs/images/digits.png
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from PIL import Image

import allegory as al

ROWS = 6
SCALE = 6
GAP = 6


def mosaic(x: np.ndarray) -> np.ndarray:
    """Images (rows, 10, 8, 8) with values 0..16 as one grey picture, black on white."""
    side = 8 * SCALE
    canvas = np.full((len(x) * (side + GAP) - GAP, 10 * (side + GAP) - GAP), 255, np.uint8)
    for row, column in np.ndindex(x.shape[:2]):
        top = row * (side + GAP)
        left = column * (side + GAP)
        tile = 255 - np.kron(x[row, column] / 16 * 255, np.ones((SCALE, SCALE))).round()
        canvas[top : top + side, left : left + side] = tile.astype(np.uint8)
    return canvas


def draw_picture() -> None:
    """Draw the samples and write the picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("out", type=Path)
    arguments = parser.parse_args()

    model = al.open(arguments.run)
    labels = torch.arange(10 * ROWS) % 10
    sampler = al.Sampler(steps=20, guide=al.ClassifierFree(2.0))
    raw = model.sample(range(10 * ROWS), labels, sampler)

    picture = Image.fromarray(mosaic(raw.numpy().reshape(ROWS, 10, 8, 8).astype(float)))
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    picture.quantize(17).save(arguments.out, optimize=True)


if __name__ == "__main__":
    draw_picture()
