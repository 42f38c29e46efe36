"""Image folders: pixels as they were saved, classes, sets, sizes, and one line for everything that
is wrong.
"""

import io
import struct
import warnings
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from allegory.data import Dataset, load
from allegory.data import pixels as decoding
from allegory.data.encoded import Encoded
from allegory.data.pixels import Decoded, decode_images

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
    x = decoded(*(encoded(picture) for picture in pixels)).x
    assert torch.equal(x[0], torch.from_numpy(pixels[0]).expand(3, 4, 4))
    assert torch.equal(x[1], torch.from_numpy(pixels[1]).permute(2, 0, 1))


def encoded(pixels: np.ndarray | Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image = Image.fromarray(pixels) if isinstance(pixels, np.ndarray) else pixels
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def decoded(*contents: bytes, **options: Any) -> Decoded:
    return decode_images([Encoded(f"image {i}", c) for i, c in enumerate(contents)], **options)


@pytest.mark.parametrize(
    ("mode", "channels"), [("1", 1), ("L", 1), ("LA", 1), ("P", 1), ("RGB", 3), ("RGBA", 3)]
)
def test_modes(mode: str, channels: int) -> None:
    white = Image.new("RGB", (3, 2), (255, 255, 255)).convert(mode)
    x = decoded(encoded(white)).x
    assert x.shape == (1, channels, 2, 3) and (x == 255).all()


def test_a_palette_of_colours_is_resolved() -> None:
    red = Image.new("RGB", (3, 2), (255, 0, 0)).convert("P")
    assert decoded(encoded(red)).x[0, :, 0, 0].tolist() == [255, 0, 0]


@pytest.mark.parametrize("mode", ["I;16", "F"])
def test_more_than_8_bits_are_refused(tmp_path: Path, mode: str) -> None:
    Image.new(mode, (2, 2)).save(tmp_path / "deep.png", "TIFF" if mode == "F" else "PNG")
    with pytest.raises(ValueError, match=r"deep\.png: pixels of (16 bits|kind F), not 8 bits"):
        load(str(tmp_path))


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


def test_size_crops_the_centre_and_resizes(tmp_path: Path) -> None:
    """A wide image whose centred square is flat 200 becomes flat 200; the margins are cut."""
    wide = np.zeros((8, 20), np.uint8)
    wide[:, 6:14] = 200
    for i, pixels in enumerate([wide, wide.T, np.full((8, 8), 200, np.uint8)]):
        write(tmp_path / f"{i}.png", pixels)
    x, _ = everything(load(f"{tmp_path}?size=4"))
    assert x.shape == (3, 1, 4, 4) and (x == 200).all()


def test_sizes_that_differ_are_refused(tmp_path: Path) -> None:
    """The size to give is one that networks take, and no larger than the images where it can be."""
    write(tmp_path / "a.png", grey(6, 25))
    write(tmp_path / "b.png", grey(70, 25))
    with pytest.raises(ValueError, match=r"6x25 to 70x25; add \?size=8 "):
        load(str(tmp_path))
    write(tmp_path / "a.png", grey(20, 25))
    with pytest.raises(ValueError, match=r"20x25 to 70x25; add \?size=16 "):
        load(str(tmp_path))


def test_a_folder_without_images_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.md").write_text("nothing here")
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
        decoded(bytes(content))


def turned(orientation: int, pixels: np.ndarray, kind: str) -> bytes:
    """An image that a viewer turns by the tag 274, without loss."""
    exif = Image.Exif()
    exif[274] = orientation
    options = {"lossless": True} if kind == "WEBP" else {}
    return encoded(pixels, kind, exif=exif, **options)


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize(
    ("orientation", "shown"),
    [
        (1, lambda a: a),
        (2, np.fliplr),
        (3, lambda a: np.rot90(a, 2)),
        (4, np.flipud),
        (5, lambda a: np.swapaxes(a, 0, 1)),
        (6, lambda a: np.rot90(a, -1)),
        (7, lambda a: np.swapaxes(np.rot90(a, 2), 0, 1)),
        (8, np.rot90),
    ],
)
def test_images_are_turned_as_viewers_do(orientation: int, shown: Any, kind: str) -> None:
    """The eight orientations of EXIF 2.3, section 4.6.4: 6 is a camera held upright."""
    pixels = RNG.integers(0, 256, (5, 7, 3), dtype=np.uint8)
    x = decoded(turned(orientation, pixels, kind)).x
    assert np.array_equal(x[0].permute(1, 2, 0).numpy(), shown(pixels))


def test_jpegs_are_turned_before_they_are_cropped() -> None:
    """The left third of a photo that lies on its side is the top third of what is shown."""
    pixels = np.zeros((48, 72), np.uint8)
    pixels[:, :24] = 200
    photo = turned(6, pixels, "JPEG")
    assert decoded(photo).x.shape == (1, 1, 72, 48)
    x = decoded(photo, size=12).x.float()[0, 0]
    assert x[:2].mean() > 150 and x[4:].mean() < 10


def test_exif_that_cannot_be_read_is_left_out() -> None:
    pixels = grey(4, 4)
    assert np.array_equal(decoded(encoded(pixels, exif=b"Exif\0\0MM\0*\xff\xff")).x[0, 0], pixels)


def test_tiff_is_read_first_page_first(tmp_path: Path) -> None:
    saved = [grey(), grey(), grey()]
    for i, pixels in enumerate(saved):
        rest = [Image.fromarray(grey())]
        Image.fromarray(pixels).save(
            tmp_path / f"{i}.tif{'f' * (i % 2)}",
            save_all=True,
            append_images=rest,
            compression="tiff_lzw" if i else None,
        )
    assert keys(everything(load(str(tmp_path)))[0]) == sorted(p.tobytes() for p in saved)


def deep_png(colour: int, channels: int) -> bytes:
    """A PNG of 16 bits a channel, written by hand: Pillow writes grey ones only."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + content))
        return struct.pack(">I", len(content)) + kind + content + check

    header = struct.pack(">IIBBBBB", 2, 2, 16, colour, 0, 0, 0)
    rows = zlib.compress((b"\0" + bytes(4 * channels)) * 2)
    parts = chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


def deep_tiff() -> bytes:
    """A TIFF of 16 bits a channel: 1 pixel of red, green and blue."""
    tags = [
        (256, 3, 1, 1),
        (257, 3, 1, 1),
        (258, 3, 3, 122),
        (259, 3, 1, 1),
        (262, 3, 1, 2),
        (273, 4, 1, 128),
        (277, 3, 1, 3),
        (278, 3, 1, 1),
        (279, 4, 1, 6),
    ]
    entries = b"".join(struct.pack("<HHII", *tag) for tag in tags)
    head = struct.pack("<2sHIH", b"II", 42, 8, len(tags)) + entries + bytes(4)
    return head + struct.pack("<HHH", 16, 16, 16) + struct.pack("<HHH", 1, 2, 3)


@pytest.mark.parametrize(
    "content",
    [deep_png(2, 3), deep_png(6, 4), deep_png(4, 2), deep_png(0, 1), deep_tiff()],
    ids=["RGB", "RGBA", "LA", "L", "TIFF"],
)
def test_16_bits_are_refused_and_not_cut(content: bytes) -> None:
    with pytest.raises(ValueError, match="image 0: pixels of 16 bits, not 8 bits; convert it"):
        decoded(content)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "PA", "RGB", "L", "P"])
def test_alpha_is_kept_by_choice(mode: str) -> None:
    colours = RNG.integers(0, 256, (3, 4, 4), dtype=np.uint8)
    image = Image.fromarray(colours).convert(mode)
    x = decoded(encoded(image, "TIFF" if mode == "PA" else "PNG"), alpha="keep").x
    assert np.array_equal(x[0].permute(1, 2, 0).numpy(), np.asarray(image.convert("RGBA")))


def test_dropped_transparency_is_said_where_there_is_some(tmp_path: Path) -> None:
    colours = RNG.integers(0, 256, (3, 4, 4), dtype=np.uint8)
    for i in range(4):
        colours[0, 0, 3] = 255 if i else 254
        colours[:, :, 3] = np.maximum(colours[:, :, 3], 255 if i else 0)
        write(tmp_path / f"{i}.png", colours)
    dropped = load(str(tmp_path))
    assert dropped.spec.shape == (3, 3, 4)
    assert dropped.notes == (
        "1 image has transparent pixels: transparency was dropped; keep it with ?alpha=keep",
    )
    kept = load(f"{tmp_path}?alpha=keep")
    assert kept.spec.shape == (4, 3, 4) and kept.notes == ()
    with pytest.raises(ValueError, match=r"alpha='some': give drop or keep"):
        load(f"{tmp_path}?alpha=some")


def test_one_colour_image_in_any_set_makes_all_colour(tmp_path: Path) -> None:
    for i in range(3):
        write(tmp_path / "train" / f"{i}.png", grey())
    write(tmp_path / "test" / "0.png", RNG.integers(0, 256, (6, 5, 3), dtype=np.uint8))
    assert load(str(tmp_path)).spec.shape == (3, 6, 5)


def bomb(height: int, width: int) -> bytes:
    """A grey PNG of this size in its header, with pixels that need not be there."""
    start = encoded(np.zeros((1, 1), np.uint8))
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return start[:12] + header + struct.pack(">I", zlib.crc32(header)) + start[33:]


def no_decoder(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refusals from headers decode nothing."""

    def fail(*_: object) -> None:
        raise AssertionError("decoded")

    monkeypatch.setattr("allegory.data.pixels._pixels", fail)


@pytest.mark.parametrize("side", [9460, 13000, 60000])
@pytest.mark.parametrize("size", [None, 32])
def test_an_image_above_the_limit_is_refused_by_its_header(
    monkeypatch: pytest.MonkeyPatch, side: int, size: int | None
) -> None:
    """89 million pixels, where Pillow begins to warn; nothing is warned of."""
    no_decoder(monkeypatch)
    with (
        warnings.catch_warnings(),
        pytest.raises(ValueError, match=r"image 1: .*more than 89,478,485 pixels"),
    ):
        warnings.simplefilter("error")
        decoded(bomb(8, 8), bomb(side, side), size=size)


def test_sizes_that_differ_are_refused_by_their_headers(monkeypatch: pytest.MonkeyPatch) -> None:
    no_decoder(monkeypatch)
    with pytest.raises(ValueError, match="images of different sizes, 3x9000 to 9000x9000"):
        decoded(*[bomb(9000, 9000)] * 11, bomb(3, 9000))


@pytest.mark.parametrize("size", [None, 1000, 10**5, 10**30])
def test_more_than_the_memory_is_refused_by_headers(
    monkeypatch: pytest.MonkeyPatch, size: int | None
) -> None:
    """2 images of 1,000 x 1,000 take 2 MB, more than half of the 3 MB that are said to be free."""
    no_decoder(monkeypatch)
    monkeypatch.setattr("allegory.data.memory.free_memory", lambda: 3_000_000)
    with pytest.raises(ValueError, match=r"^2 images of .* take .* more than half of") as caught:
        decoded(bomb(1000, 1000), bomb(1000, 1000), size=size)
    assert len(str(caught.value)) < 200
    monkeypatch.setattr("allegory.data.memory.free_memory", lambda: 4_000_000)
    with pytest.raises(ValueError if (size or 0) > 1000 else AssertionError):
        decoded(bomb(1000, 1000), bomb(1000, 1000), size=size)


def test_images_that_all_are_too_large_are_refused_by_the_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """However many rows a table may claim."""

    class Many:
        seen = 0

        def __len__(self) -> int:
            return 10**7

        def __iter__(self) -> Iterator[Encoded]:
            for _ in range(3):
                self.seen += 1
                yield Encoded("image", bomb(9000, 9000))

    many = Many()
    with pytest.raises(ValueError, match="10000000 images of 1x9000x9000 take"):
        decode_images(many)
    assert many.seen == 1


def test_what_libtiff_says_of_damage_is_not_printed(capfd: pytest.CaptureFixture[str]) -> None:
    """The code table of the compressed pixels is overwritten."""
    content = bytearray(encoded(grey(20, 20), "TIFF", compression="tiff_lzw"))
    content[10:60] = b"\xff" * 50
    with pytest.raises(ValueError, match="image 0: cannot be read"):
        decoded(bytes(content))
    assert capfd.readouterr().err == ""


def test_a_text_bomb_is_refused_by_name(tmp_path: Path) -> None:
    """A PNG whose comment takes 100 MB."""
    text = b"zTXtcomment\0\0" + zlib.compress(bytes(100_000_000), 1)
    chunk = struct.pack(">I", len(text) - 4) + text + struct.pack(">I", zlib.crc32(text))
    content = encoded(grey())
    (tmp_path / "talkative.png").write_bytes(content[:33] + chunk + content[33:])
    with pytest.raises(ValueError, match=r"talkative\.png: cannot be read"):
        load(str(tmp_path))


def test_jpegs_are_reduced_as_they_are_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A ramp comes out the same as from the whole image, to 2 of 256 levels, without its memory."""
    ramp = np.linspace(0, 255, 512).astype(np.uint8)[None, :].repeat(512, 0)
    photo = encoded(ramp, "JPEG", quality=95)
    whole = Image.open(io.BytesIO(photo)).resize((16, 16), Image.Resampling.BICUBIC)

    sizes = []
    turn = decoding.load_turned
    monkeypatch.setattr(decoding, "load_turned", lambda each: (turn(each), sizes.append(each.size)))
    error = decoded(photo, size=16).x[0, 0].numpy().astype(int) - np.asarray(whole)
    assert np.abs(error).max() <= 2 and sizes == [(64, 64)]
