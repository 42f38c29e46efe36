"""Files: replaced as a whole, never through a link; read within bounds, never waited for."""

import ast
import json
import os
import time
from pathlib import Path

import pytest

from allegory.files import (
    append,
    check_readable,
    is_leftover,
    make_folder,
    read_bytes,
    remove_leftovers,
    write_new,
    write_whole,
)
from allegory.plain_json import parse_json, read_json

SOURCE = Path(__file__).parents[1] / "src" / "allegory"


def occupy(path: Path, kind: str) -> None:
    """Put something that is no regular file at a path."""
    if kind == "folder":
        path.mkdir()
    elif kind == "FIFO":
        os.mkfifo(path)
    else:
        path.symlink_to(path.with_name("precious" if kind == "link" else "absent"))


@pytest.mark.parametrize("kind", ["folder", "FIFO", "link", "dangling link"])
@pytest.mark.parametrize("write", [write_whole, append])
def test_only_a_regular_file_is_replaced(tmp_path, kind, write):
    (tmp_path / "precious").write_text("mine")
    target = tmp_path / "file"
    occupy(target, kind)
    before = target.lstat()

    with pytest.raises(ValueError, match=r"file is a .* is not written to") as error:
        write(target, "new")
    assert "\n" not in str(error.value)
    assert (tmp_path / "precious").read_text() == "mine"
    assert target.lstat() == before and not (tmp_path / "absent").exists()
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="mknod needs root")
def test_a_device_is_not_replaced(tmp_path):
    device = tmp_path / "null"
    os.mknod(device, 0o600 | 0o020000, os.makedev(1, 3))
    for write in (write_whole, append):
        with pytest.raises(ValueError, match="null is a device"):
            write(device, "new")
    assert device.is_char_device()


def test_a_link_under_the_name_of_a_new_file_is_not_followed(tmp_path):
    (tmp_path / "precious").write_text("mine")
    (tmp_path / "file.new").symlink_to("precious")
    write_whole(tmp_path / "file", "new")
    with pytest.raises(FileExistsError):
        write_new(tmp_path / "file.new", "new")
    assert (tmp_path / "precious").read_text() == "mine"
    assert (tmp_path / "file").read_text() == "new"


def test_a_file_is_replaced_with_the_rights_of_a_new_one(tmp_path):
    write_whole(tmp_path / "file", b"old")
    before = os.umask(0o027)
    try:
        write_whole(tmp_path / "file", "né", sync=True)
    finally:
        os.umask(before)
    assert (tmp_path / "file").read_bytes() == "né".encode()
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o640
    append(tmp_path / "file", "w")
    assert (tmp_path / "file").read_text() == "néw" and len(list(tmp_path.iterdir())) == 1
    write_whole(tmp_path / ("x" * 250), "a long name")


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    write_whole(tmp_path / "file", "old")

    def fail(source, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="No space left"):
        write_whole(tmp_path / "file", "new")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_text() == "old"


def test_what_a_killed_writer_left_is_known_by_its_name(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "replace", lambda source, target: os._exit(0))
    child = os.fork()
    if child == 0:
        write_whole(tmp_path / "file", "new")
    os.waitpid(child, 0)
    (left,) = tmp_path.iterdir()
    assert is_leftover(left)

    (tmp_path / ".file.01234567.new").symlink_to("x")
    (tmp_path / ".other.01234567.new").write_text("")
    (tmp_path / "file.new").write_text("")
    remove_leftovers(tmp_path, {"file"})
    assert not left.exists() and len(list(tmp_path.iterdir())) == 3


def test_a_folder_inside_a_run_is_no_link(tmp_path):
    make_folder(tmp_path / "made")
    make_folder(tmp_path / "made")
    (tmp_path / "link").symlink_to("made")
    (tmp_path / "file").write_text("")
    for name in ("link", "file"):
        with pytest.raises(ValueError, match="and no folder"):
            make_folder(tmp_path / name)


@pytest.mark.parametrize("kind", ["folder", "FIFO", "dangling link", "absent", "null"])
def test_what_is_no_file_is_refused_at_once(tmp_path, kind):
    path = Path("/dev/zero") if kind == "null" else tmp_path / "file"
    if kind not in ("absent", "null"):
        occupy(path, kind)
    start = time.monotonic()
    for read in (check_readable, lambda path: read_bytes(path, 10), read_json):
        with pytest.raises(ValueError, match=str(path)) as error:
            read(path)
        assert "\n" not in str(error.value)
    assert time.monotonic() - start < 1


def test_a_file_has_a_largest_size(tmp_path):
    (tmp_path / "file").write_bytes(b"12345")
    (tmp_path / "link").symlink_to("file")
    assert read_bytes(tmp_path / "link", 5) == b"12345" and check_readable(tmp_path / "link") == 5
    with pytest.raises(ValueError, match="has 5 bytes, and such a file has at most 4"):
        read_bytes(tmp_path / "file", 4)


@pytest.mark.parametrize(
    "text",
    [
        *("", "{", "[" * 200_000, '{"a":' * 200_000, "[" * 65 + "]" * 65, "\xff", '"\ud800'),
        *("NaN", "[Infinity]", "-Infinity", "1e999", "1" * 5000, "-1" + "0" * 20, "01"),
        *('{"a": 1, "a": 2}', "[1] 2", "{'a': 1}", "nul"),
    ],
    ids=lambda text: ascii(text[:12]),
)
def test_other_json_is_one_line(tmp_path, text):
    with pytest.raises(ValueError, match="name") as error:
        parse_json(text, "name")
    assert "\n" not in str(error.value) and len(str(error.value)) < 400
    (tmp_path / "file").write_bytes(text.encode("latin-1", "replace"))
    with pytest.raises(ValueError, match="file"):
        read_json(tmp_path / "file")


def test_json_of_ours_is_read(tmp_path):
    value = {"a": [1, -(2**64), 2**64, 1.5e300, None, True, "é\n"], "b": {"c": []}}
    deep = [value]
    for _ in range(60):
        deep = [deep]
    write_whole(tmp_path / "file", json.dumps(deep))
    assert read_json(tmp_path / "file") == deep


def written_in(module: Path) -> set[str]:
    """The calls in a module that write a file, by the name of what is called.

    `np.save(file, ...)` and the like are to a BytesIO of that name, `save(plain)` returns bytes.
    """
    names = {"write_text", "write_bytes", "touch", "NamedTemporaryFile", "save_file", "tofile"}
    found = set()
    for node in ast.walk(ast.parse(module.read_text())):
        if not isinstance(node, ast.Call):
            continue
        called = node.func.attr if isinstance(node.func, ast.Attribute) else ""
        called = node.func.id if isinstance(node.func, ast.Name) else called
        modes = [each.value for each in node.args[1:2] if isinstance(each, ast.Constant)]
        modes += [each.value.value for each in node.keywords if each.arg == "mode"]
        to_file = called == "open" and any(set(str(mode)) & set("wax+") for mode in modes)
        to_file = to_file and getattr(node.args[0], "attr", "") != "devnull"
        to = getattr(node.args[0], "id", "") if node.args else "arguments"
        saves = called in ("save", "savez", "savefig") and to not in ("file", "plain", "")
        if called in names or to_file or saves:
            found.add(called)
    return found


def test_an_error_names_the_file_and_not_its_fresh_name(tmp_path):
    file = tmp_path / "absent" / "a.json"
    with pytest.raises(FileNotFoundError) as error:
        write_whole(file, "x")
    assert (error.value.filename, error.value.filename2) == (str(file), None)


def test_no_other_module_writes_files():
    """Else a link, a device or half a file is back: write through `allegory.files`."""
    found = {
        (str(file.relative_to(SOURCE)), name)
        for file in SOURCE.rglob("*.py")
        for name in written_in(file)
        if file != SOURCE / "files.py"
    }
    assert found == set()
