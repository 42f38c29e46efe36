"""Images with changed bytes are read, or refused in one line that names them; nothing else."""

import pytest
from tests.helpers.damaged_images import damaged_images, good_images

from allegory.data.encoded import Encoded
from allegory.data.pixels import decode_images


def outcome(name: str, content: bytes, size: int | None) -> str:
    try:
        decode_images([Encoded(name, content)], size, "drop" if size else "keep")
    except ValueError as error:
        assert str(error).startswith(f"{name}: ") or str(error).startswith("1 images of ")
        assert str(error).isprintable()
        return "refused"
    return "read"


def test_whole_images_are_read() -> None:
    assert {outcome(name, content, 4) for name, content in good_images().items()} == {"read"}


@pytest.mark.parametrize("size", [None, 4])
def test_damaged_images_are_read_or_refused(
    size: int | None, recwarn: pytest.WarningsRecorder, capfd: pytest.CaptureFixture[str]
) -> None:
    found = [outcome(name, content, size) for name, content in damaged_images(33, seed=size or 0)]
    assert {*found} == {"read", "refused"}
    assert not recwarn.list and capfd.readouterr().err == ""
