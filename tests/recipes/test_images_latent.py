"""The recipe of latents of pictures on 2,000 generated pictures of 128x128 pixels."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

import allegory as al
from allegory.evaluation.distances import frechet

SIZE, COUNT = 128, 2000
MINUTES = float(os.environ.get("ALLEGORY_LATENT_MINUTES", "15"))
"""Of each of the two stages."""


def pictures(count: int, seed: int) -> Tensor:
    """Discs, squares and rings of one colour on a background that changes from side to side."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[0:SIZE, 0:SIZE] / SIZE
    made = np.empty((count, 3, SIZE, SIZE), dtype=np.uint8)
    for i in range(count):
        ends, colour = random.uniform(0, 1, (2, 3)), random.uniform(0, 1, 3)
        angle = random.uniform(0, 2 * np.pi)
        slope = (np.cos(angle) * (x - 0.5) + np.sin(angle) * (y - 0.5) + 0.7) / 1.4
        picture = ends[0, :, None, None] * slope + ends[1, :, None, None] * (1 - slope)
        centre, radius = random.uniform(0.25, 0.75, 2), random.uniform(0.1, 0.25)
        far = np.hypot(x - centre[0], y - centre[1])
        square = np.maximum(abs(x - centre[0]), abs(y - centre[1]))
        inside = [far < radius, square < radius, abs(far - radius) < 0.05][random.integers(3)]
        made[i] = 255 * np.where(inside, colour[:, None, None], picture)
    return torch.from_numpy(made)


def features(x: Tensor) -> Tensor:
    """Means over blocks of 16x16 pixels, from 0 to 1."""
    return avg_pool2d(x.double() / 255, 16).flatten(1)


def psnr(x: Tensor, other: Tensor) -> float:
    return -10 * ((x.double() - other.double()) / 255).square().mean().log10().item()


@pytest.mark.slow
def test_pictures_of_128_pixels(tmp_path, record_property) -> None:
    np.savez(tmp_path / "pictures.npz", x=pictures(COUNT, 0).numpy())
    data, out = str(tmp_path / "pictures.npz"), str(tmp_path / "run")
    train = ["train", "images_latent", "--data", data, "--out", out, "--minutes", f"{MINUTES:g}"]
    subprocess.run([sys.executable, "-m", "allegory", *train], check=True)  # without type checks
    model = al.open(tmp_path / "run")

    unseen = pictures(500, 1)
    with torch.no_grad():
        u = model.encode(unseen[:100])
        restored = torch.cat([model.mean_items(each) for each in u.split(10)])
        restored = restored.round().clamp(0, 255)
    mean = unseen.double().mean(0, keepdim=True).expand(100, -1, -1, -1)
    found, of_mean = psnr(restored, unseen[:100]), psnr(mean, unseen[:100])

    samples = model.sample(range(500), batch=50)
    real = features(pictures(2000, 2))
    distances = {
        "samples": frechet(features(samples), real),
        "other pictures": frechet(features(unseen), real),
        "the mean picture": frechet(features(mean[:1].expand(500, -1, -1, -1)), real),
    }
    print(f"PSNR {found:.2f} dB, of the mean picture {of_mean:.2f}; Fréchet distances {distances}")
    record_property("PSNR", found)
    assert found > of_mean + 8
    assert distances["samples"] < 0.3 * distances["the mean picture"]
