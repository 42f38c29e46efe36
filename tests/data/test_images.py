"""Image folders: pixels as they were saved, classes, sets, sizes, and one line for everything that
is wrong.
"""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from allegory.data import Dataset, load
from allegory.data.images import decode_images

RNG = np.random.default_rng(0)


def grey(height: int = 6, width: int = 5) -> np.ndarray:
    return RNG.integers(0, 256, (height, width), dtype=np.uint8)


def write(path: Path, pixels: np.ndarray) -> np.ndarray:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return pixels


def everything(dataset: Dataset) -> tuple[torch.Tensor, torch.Tensor | None]:
    parts = (dataset.train, dataset.validation, dataset.test)
    labels = None if dataset.train.labels is None else torch.cat([p.labels for p in parts])
    return torch.cat([p.x for p in parts]), labels


def keys(x: torch.Tensor) -> list[bytes]:
    return sorted(item.numpy().tobytes() for item in x)


@pytest.mark.parametrize("suffix", [".png", ".PNG", ".bmp", ".gif"])
def test_grey_pixels_come_back(tmp_path: Path, suffix: str) -> None:
    saved = [write(tmp_path / f"{i}{suffix}", grey()) for i in range(6)]
    dataset = load(str(tmp_path))
    assert (
        dataset.spec.shape == (1, 6, 5)
        and dataset.spec.levels == 256
        and dataset.spec.classes is None
    )
    assert (len(dataset.train), len(dataset.validation), len(dataset.test)) == (4, 1, 1)
    assert keys(everything(dataset)[0]) == sorted(pixels.tobytes() for pixels in saved)


def test_colour_is_channels_first(tmp_path: Path) -> None:
    saved = [
        write(tmp_path / f"{i}.png", RNG.integers(0, 256, (4, 5, 3), dtype=np.uint8))
        for i in range(5)
    ]
    x, _ = everything(load(str(tmp_path)))
    assert x.shape == (5, 3, 4, 5)
    assert keys(x) == sorted(pixels.transpose(2, 0, 1).tobytes() for pixels in saved)


@pytest.mark.parametrize("suffix", [".jpg", ".jpeg", ".webp"])
def test_lossy_images_come_back_nearly(tmp_path: Path, suffix: str) -> None:
    ramp = np.linspace(40, 200, 16, dtype=np.uint8)[None, :, None].repeat(16, 0).repeat(3, 2)
    for i in range(3):
        write(tmp_path / f"{i}{suffix}", ramp)
    x, _ = everything(load(str(tmp_path)))
    assert (x.float() - torch.from_numpy(ramp.transpose(2, 0, 1)).float()).abs().max() < 12


def test_one_colour_image_makes_all_colour() -> None:
    pixels = [grey(4, 4), RNG.integers(0, 256, (4, 4, 3), dtype=np.uint8)]
    x = decode_images([encoded(picture) for picture in pixels])
    assert torch.equal(x[0], torch.from_numpy(pixels[0]).expand(3, 4, 4))
    assert torch.equal(x[1], torch.from_numpy(pixels[1]).permute(2, 0, 1))


def encoded(pixels: np.ndarray | Image.Image, kind: str = "PNG") -> bytes:
    import io

    buffer = io.BytesIO()
    (Image.fromarray(pixels) if isinstance(pixels, np.ndarray) else pixels).save(buffer, kind)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("mode", "channels"), [("1", 1), ("L", 1), ("LA", 1), ("P", 1), ("RGB", 3), ("RGBA", 3)]
)
def test_modes(mode: str, channels: int) -> None:
    white = Image.new("RGB", (3, 2), (255, 255, 255)).convert(mode)
    x = decode_images([encoded(white)])
    assert x.shape == (1, channels, 2, 3) and (x == 255).all()


def test_a_palette_of_colours_is_resolved() -> None:
    red = Image.new("RGB", (3, 2), (255, 0, 0)).convert("P")
    assert decode_images([encoded(red)])[0, :, 0, 0].tolist() == [255, 0, 0]


@pytest.mark.parametrize("mode", ["I;16", "F"])
def test_more_than_8_bits_are_refused(tmp_path: Path, mode: str) -> None:
    path = tmp_path / "deep.png"
    Image.new(mode, (2, 2)).save(path, "TIFF" if mode == "F" else "PNG")
    with pytest.raises(ValueError, match=r"deep\.png: pixels of kind .*, not 8 bits"):
        decode_images([path])


def test_images_are_taken_in_order_of_name(tmp_path: Path) -> None:
    """Whatever order the folder lists them in, so that the same items are held out on every
    machine.
    """
    saved = {i: write(tmp_path / f"{i:02d}.png", grey()) for i in reversed(range(20))}
    train = load(str(tmp_path)).train.x
    order = np.random.RandomState(0).permutation(20)[:18]
    assert np.array_equal(train[:, 0].numpy(), np.stack([saved[i] for i in order]))


def test_subfolders_are_classes_in_order_of_name(tmp_path: Path) -> None:
    expected = {}
    for label, name in enumerate(["ant", "bee", "cat"]):
        for i in range(4):
            expected[write(tmp_path / name / "deeper" / f"{i}.png", grey()).tobytes()] = label
    dataset = load(str(tmp_path))
    x, labels = everything(dataset)
    assert dataset.spec.classes == 3 and labels is not None
    assert {
        item.numpy().tobytes(): int(label) for item, label in zip(x, labels, strict=True)
    } == expected


def test_an_image_in_the_root_means_no_classes(tmp_path: Path) -> None:
    for name in ("a/1.png", "b/2.png", "3.png"):
        write(tmp_path / name, grey())
    assert load(str(tmp_path)).spec.classes is None


def test_folders_named_as_sets_are_sets(tmp_path: Path) -> None:
    test = {write(tmp_path / "test" / name / "0.png", grey()).tobytes() for name in "ab"}
    valid = {write(tmp_path / "val" / name / "0.png", grey()).tobytes() for name in "ab"}
    for i in range(3):
        for name in "ab":
            write(tmp_path / "train" / name / f"{i}.png", grey())
    dataset = load(str(tmp_path))
    assert (len(dataset.train), len(dataset.validation), len(dataset.test)) == (6, 2, 2)
    assert set(keys(dataset.test.x)) == test and set(keys(dataset.validation.x)) == valid
    assert dataset.spec.classes == 2
    assert dataset.train.labels is not None and sorted(dataset.train.labels.tolist()) == [
        0,
        0,
        0,
        1,
        1,
        1,
    ]


def test_other_files_are_left_alone(tmp_path: Path) -> None:
    for i in range(3):
        write(tmp_path / f"{i}.png", grey())
    (tmp_path / "notes.txt").write_text("not an image")
    assert len(everything(load(str(tmp_path)))[0]) == 3


def test_size_crops_the_centre_and_resizes(tmp_path: Path) -> None:
    """A wide image whose centred square is flat 200 becomes flat 200; the margins are cut."""
    wide = np.zeros((8, 20), np.uint8)
    wide[:, 6:14] = 200
    for i, pixels in enumerate([wide, wide.T, np.full((8, 8), 200, np.uint8)]):
        write(tmp_path / f"{i}.png", pixels)
    x, _ = everything(load(f"{tmp_path}?size=4"))
    assert x.shape == (3, 1, 4, 4) and (x == 200).all()


def test_sizes_that_differ_are_refused(tmp_path: Path) -> None:
    write(tmp_path / "a.png", grey(6, 5))
    write(tmp_path / "b.png", grey(7, 5))
    with pytest.raises(ValueError, match=r"6x5 to 7x5; add \?size=32"):
        load(str(tmp_path))


def test_a_folder_without_images_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("nothing here")
    with pytest.raises(ValueError, match=r"no images \(\.png"):
        load(str(tmp_path))


@pytest.mark.parametrize("keep", [0.0, 0.1, 0.6])
@pytest.mark.parametrize("suffix", [".png", ".jpg", ".gif"])
def test_damaged_images_are_refused(tmp_path: Path, suffix: str, keep: float) -> None:
    for i in range(3):
        write(tmp_path / f"{i}{suffix}", grey(40, 40))
    content = (tmp_path / f"1{suffix}").read_bytes()
    (tmp_path / f"1{suffix}").write_bytes(content[: int(keep * len(content))])
    with pytest.raises(ValueError, match="damaged, or not an image") as caught:
        load(str(tmp_path))
    assert f"1{suffix}" in str(caught.value) and "\n" not in str(caught.value)


def test_a_png_with_a_damaged_chunk_is_refused(tmp_path: Path) -> None:
    content = bytearray(encoded(grey(20, 20)))
    content[60:90] = bytes(30)
    with pytest.raises(ValueError, match="image 0: cannot be read"):
        decode_images([bytes(content)])
