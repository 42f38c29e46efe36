"""Files below a folder, without hidden ones, and words for what was skipped.

Hidden is what a file manager hides: names that begin with a point, and what macOS and Windows leave
behind. Links to folders are not followed.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ..lookup import printable
from .splits import SET_NAMES

_HIDDEN = ("__macosx", "thumbs.db", "ehthumbs.db", "desktop.ini", "$recycle.bin")
_MOST_NAMES = 5  # in one note


@dataclass(frozen=True)
class Found:
    """What lies below a folder.

    Args:
        files: the regular files in order of name, without hidden ones.
        hidden: names of the hidden files and folders.
        others: names of links to folders, of links to nothing, and of devices.
    """

    files: tuple[Path, ...]
    hidden: tuple[str, ...]
    others: tuple[str, ...]

    def notes(self) -> list[str]:
        """A sentence for hidden files, and one for links, where there are any."""
        return [
            *skipped(self.hidden, "file or folder is hidden", "files and folders are hidden"),
            *skipped(self.others, "entry is a link, or no file", "entries are links, or no files"),
        ]


def is_hidden(name: str) -> bool:
    """Whether a file or folder of this name is hidden."""
    return name.startswith(".") or name.lower() in _HIDDEN


def files_below(root: Path) -> Found:
    """The files below a folder.

    Raises:
        ValueError: for a folder that cannot be read.
    """
    files: list[Path] = []
    hidden: list[str] = []
    others: list[str] = []

    folders = [root]
    while folders:
        for entry in _entries(folders.pop()):
            if is_hidden(entry.name):
                hidden.append(entry.name)
            elif entry.is_dir(follow_symlinks=False):
                folders.append(Path(entry.path))
            elif entry.is_file():
                files.append(Path(entry.path))
            else:
                others.append(entry.name)

    return Found(tuple(sorted(files)), tuple(sorted(hidden)), tuple(sorted(others)))


def set_folders(root: Path) -> dict[str, Path]:
    """The folder of each set: the root itself, unless there is one named `train` in it.

    Raises:
        ValueError: for two folders of one set.
    """
    if not (root / "train").is_dir():
        return {"train": root}

    folders: dict[str, Path] = {}
    for name, part in SET_NAMES.items():
        if not (root / name).is_dir():
            continue
        if part in folders:
            raise ValueError(
                f"{printable(root)}: {folders[part].name} and {name} are both the {part} set; "
                "move the images into one of them"
            )
        folders[part] = root / name
    return folders


def skipped(names: Iterable[str], one: str, several: str) -> list[str]:
    """A sentence such as "3 files are no images (.txt 2, .pdf 1) and were skipped", or none.

    Args:
        names: what was skipped; equal names are counted.
        one: what is said of one, e.g. "file is no image".
        several: what is said of more, e.g. "files are no images".
    """
    counts = Counter(names)
    total = sum(counts.values())
    if total == 0:
        return []

    listed = [
        f"{printable(name)} {count}" if total > 1 else printable(name)
        for name, count in counts.most_common(_MOST_NAMES)
    ]
    kinds = ", ".join([*listed, "..."] if len(counts) > _MOST_NAMES else listed)
    if total == 1:
        return [f"1 {one} ({kinds}) and was skipped"]
    return [f"{total} {several} ({kinds}) and were skipped"]


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError as error:
        raise ValueError(
            f"{printable(folder)}: cannot be read ({error.strerror}); check its permissions"
        ) from None
