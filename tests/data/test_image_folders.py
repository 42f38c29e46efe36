"""What an image folder leaves out, and what it says about it: hidden files, other kinds, links,
classes that the training set lacks.
"""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from allegory.data import load


def write(*paths: Path) -> None:
    for number, path in enumerate(paths):
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((4, 4), 10 * number, np.uint8)).save(path)


def three(folder: Path) -> Path:
    write(*(folder / f"{i}.png" for i in range(3)))
    return folder


def test_hidden_files_and_folders_are_skipped_and_named(tmp_path: Path) -> None:
    """A folder that an editor left behind is no class, and shifts no other."""
    for name in ("cat", "dog", ".ipynb_checkpoints", "__MACOSX"):
        three(tmp_path / name)
    write(tmp_path / "cat" / ".hidden.png", tmp_path / "dog" / "._1.png")
    (tmp_path / "cat" / "Thumbs.db").write_bytes(b"")

    data = load(str(tmp_path))
    assert data.spec.classes == 2
    assert sum(map(len, (data.train, data.validation, data.test))) == 6
    assert len(data.notes) == 1
    assert data.notes[0].startswith("5 files and folders are hidden (")
    assert data.notes[0].endswith(" and were skipped") and ".ipynb_checkpoints 1" in data.notes[0]


def test_files_of_other_kinds_are_counted(tmp_path: Path) -> None:
    three(tmp_path)
    for name in ("a.txt", "deeper/b.TXT", "c.pdf"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("no image")
    assert load(str(tmp_path)).notes == ("3 files are no images (.txt 2, .pdf 1) and were skipped",)

    (tmp_path / "a.txt").unlink()
    (tmp_path / "c.pdf").unlink()
    assert load(str(tmp_path)).notes == ("1 file is no image (.txt) and was skipped",)


def test_a_folder_of_images_alone_has_no_notes(tmp_path: Path) -> None:
    assert load(str(three(tmp_path))).notes == ()


def test_links_to_folders_and_pipes_are_skipped_and_links_to_images_read(tmp_path: Path) -> None:
    """A pipe would be waited for; a link to a folder above would never end."""
    three(tmp_path / "images")
    (tmp_path / "images" / "above").symlink_to(tmp_path)
    os.mkfifo(tmp_path / "images" / "pipe.png")
    write(tmp_path / "elsewhere.png")
    (tmp_path / "images" / "link.png").symlink_to(tmp_path / "elsewhere.png")

    data = load(str(tmp_path / "images"))
    assert sum(map(len, (data.train, data.validation, data.test))) == 4
    assert data.notes == (
        "2 entries are links, or no files (above 1, pipe.png 1) and were skipped",
    )


def test_images_outside_of_the_sets_are_counted(tmp_path: Path) -> None:
    three(tmp_path / "train")
    write(tmp_path / "extra" / "0.png")
    (tmp_path / "test").mkdir()
    assert load(str(tmp_path)).notes == (
        "1 image is in no set (extra) and was skipped",
        "1 folder of a set holds no images (test) and was skipped",
    )


def test_images_beside_folders_mean_no_classes_which_is_said(tmp_path: Path) -> None:
    write(tmp_path / "a" / "1.png", tmp_path / "b" / "2.png", tmp_path / "3.png")
    data = load(str(tmp_path))
    assert data.spec.classes is None and "not taken as classes" in data.notes[0]


@pytest.mark.parametrize("part", ["test", "val"])
def test_a_class_without_training_images_is_refused_by_name(tmp_path: Path, part: str) -> None:
    for name in ("train/cat", "train/dog", f"{part}/dog", f"{part}/zebra"):
        three(tmp_path / name)
    with pytest.raises(ValueError, match=r"holds images of zebra, and train .*\(cat, dog\)"):
        load(str(tmp_path))


def test_a_held_out_set_may_lack_classes(tmp_path: Path) -> None:
    """The dogs of a test set of dogs alone are the dogs of the training set."""
    for name in ("train/cat", "train/dog", "test/dog"):
        three(tmp_path / name)
    data = load(str(tmp_path))
    assert data.spec.classes == 2 and data.test.labels is not None
    assert data.test.labels.tolist() == [1, 1, 1]


def test_classes_of_one_set_alone_are_refused(tmp_path: Path) -> None:
    three(tmp_path / "train" / "cat")
    three(tmp_path / "test")
    with pytest.raises(ValueError, match="give folders to all sets or to none"):
        load(str(tmp_path))


def test_two_folders_of_one_set_are_refused(tmp_path: Path) -> None:
    for name in ("train", "val", "validation"):
        three(tmp_path / name)
    with pytest.raises(ValueError, match="validation and val are both the validation set"):
        load(str(tmp_path))


def test_names_that_would_reach_the_terminal_are_escaped(tmp_path: Path) -> None:
    (tmp_path / "\x1b]0;owned\a.png").write_bytes(b"no image")
    (tmp_path / "\x1b[31m.txt").write_bytes(b"")
    with pytest.raises(ValueError, match="cannot be read") as caught:
        load(str(tmp_path))
    assert str(caught.value).isprintable() and r"\x1b]0;owned\x07.png" in str(caught.value)

    (tmp_path / "\x1b]0;owned\a.png").unlink()
    (tmp_path / "a.\x1b[31m").write_bytes(b"")
    assert all(note.isprintable() for note in load(str(three(tmp_path))).notes)


def test_the_folder_one_is_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("cat", "dog"):
        three(tmp_path / "pets" / name)
    monkeypatch.chdir(tmp_path / "pets")
    for place in (".", "../pets", "./"):
        data = load(place)
        assert data.name == "pets" and data.spec.class_names == ("cat", "dog")


def test_a_test_set_that_is_sorted_by_class_begins_with_all_classes(tmp_path):
    for part in ("train", "test"):
        for name, grey in (("a", 0), ("b", 200)):
            (tmp_path / part / name).mkdir(parents=True)
            for i in range(30):
                picture = Image.fromarray(np.full((2, 2), grey + i, np.uint8))
                picture.save(tmp_path / part / name / f"{i:02d}.png")
    data = load(str(tmp_path))
    assert data.has_own_test and 5 <= int(data.test.labels[:20].sum()) <= 15
    in_order = data.test.take(data.test.index.argsort())
    assert in_order.x[:, 0, 0, 0].tolist() == [*range(30), *range(200, 230)]
    assert data.all_as_test().test.x.equal(data.test.x)


def test_a_folder_of_other_kinds_alone_says_which(tmp_path: Path) -> None:
    (tmp_path / "photo.HEIC").write_text("x")
    with pytest.raises(ValueError, match=r"no images .* \(.heic\) and was skipped"):
        load(str(tmp_path))


@pytest.mark.parametrize("name", ["what?", "what?size=8", "a?b?c"])
def test_a_question_mark_may_belong_to_a_name(tmp_path: Path, name: str) -> None:
    three(tmp_path / name)
    assert load(str(tmp_path / name)).spec.shape == (1, 4, 4)
    small = load(f"{tmp_path / name}?size=2&flip=horizontal")
    assert small.spec.shape == (1, 2, 2)
    assert load(small.source).spec.shape == (1, 2, 2)
