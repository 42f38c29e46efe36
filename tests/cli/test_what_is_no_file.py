"""`--overwrite` replaces files; links, devices, FIFOs and folders are refused at once."""

import os
import stat

import pytest

from allegory.cli import main

pytest.importorskip("sklearn")
AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="mknod needs root")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "digits"
    size = ("--model.network.channels", "8", "--model.network.blocks", "1")
    main(["train", "digits", "--steps", "1", "--out", str(out), *size])
    return out


def device(path):
    """A null device of our own."""
    os.mknod(path, 0o600 | stat.S_IFCHR, os.makedev(1, 3))


def link(path):
    path.with_name("target").write_text("precious")
    path.symlink_to(path.with_name("target"))


@pytest.mark.parametrize(
    "make",
    [pytest.param(device, marks=AS_ROOT), os.mkfifo, link, os.mkdir],
    ids=lambda m: m.__name__,
)
@pytest.mark.parametrize("command", ["sample", "compress", "decompress"])
def test_it_is_refused_and_stays(trained, tmp_path, fails, monkeypatch, make, command):
    monkeypatch.setattr("allegory.models.VDM.sample", pytest.fail)
    monkeypatch.setattr("allegory.recipes.compress.encode", pytest.fail)
    out = tmp_path / "out.npy"
    make(out)
    before = out.lstat()
    words = {
        "sample": ("sample", trained, "--count", "1", "--out", out, "--overwrite"),
        "compress": ("compress", trained, "digits", out, "--overwrite"),
        "decompress": ("decompress", trained, tmp_path / "absent.bits", out, "--overwrite"),
    }
    said = fails(*words[command])
    assert "out.npy is a" in said and "not written to" in said
    after = out.lstat()
    assert (before.st_mode, before.st_ino) == (after.st_mode, after.st_ino)
    assert make is not link or out.read_text() == "precious"
