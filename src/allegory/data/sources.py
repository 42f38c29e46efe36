"""From text to data: the one place where a source is named.

- `digits`: 1,797 handwritten digits, 8x8, bundled with scikit-learn (`bundled.py`)
- `moons`, `swiss_roll`, `checkerboard`, `eight_gaussians`, `pinwheel`, `rings`: points on the plane
  (`toys.py`)
- `file.npy`, `file.npz`: uint8 images, or floats of any shape (`arrays.py`)
- `file.parquet` or a folder with `train*.parquet`: tables of images (`tables.py`)
- a folder of images: classes by subfolder (`images.py`)
- `hub:owner/name`: a data set of the Hugging Face hub (`tables.py`)

`?size=32` after a folder, a table or a hub name crops each image to its centred square and resizes it to
32x32. `?binarize=dynamic` makes black and white of pictures, anew in each training batch; `?binarize=static` once
(`binarize.py`). Both: `?size=32&binarize=dynamic`.
"""

from dataclasses import dataclass, replace
from pathlib import Path

from ..lookup import pick
from .binarize import MODES, binarize
from .bundled import digits
from .dataset import Dataset
from .images import image_folder
from .npy import array_file
from .parquet import hub, parquet
from .toys import TOYS, toy


def load(source: str, seed: int = 0) -> Dataset:
    """The data set that `source` names; `seed` is for the toys. ValueError with the remedy."""
    place, options = _options(source)
    try:
        dataset = _from_place(place, options.size, seed)
        return dataset if options.binarize is None else binarize(dataset, options.binarize)
    except ModuleNotFoundError as error:
        raise ValueError(
            f"data source {source!r} needs {error.name}; pip install 'allegory[all]'"
        ) from None


@dataclass(frozen=True)
class _Options:
    """What may stand after the question mark."""

    size: int | None = None
    binarize: str | None = None


def _options(source: str) -> tuple[str, _Options]:
    """The place, and the options of `place?size=32&binarize=dynamic`."""
    place, mark, options = source.partition("?")
    found = _Options()
    for option in options.split("&") if mark else ():
        key, _, value = option.partition("=")
        if key == "size" and value.isdecimal() and int(value) > 0:
            found = replace(found, size=int(value))
        elif key == "binarize" and value in MODES:
            found = replace(found, binarize=value)
        else:
            raise ValueError(
                f"data source {source!r}: unknown option {option!r}; there are ?size=32, ?binarize=dynamic and "
                "?binarize=static"
            )
    return place, found


def _from_place(place: str, size: int | None, seed: int) -> Dataset:
    if place.startswith("hub:"):
        return hub(place.removeprefix("hub:"), size)
    if place != "digits" and place not in TOYS:
        return _from_path(place, size)
    if size is not None:
        raise ValueError(
            f"data source {place!r}: size is for images that are read from files; leave ?size out"
        )
    return digits() if place == "digits" else toy(place, seed)


def _from_path(place: str, size: int | None) -> Dataset:
    path = Path(place).expanduser()
    if not place or not path.exists():
        if path.suffix or len(path.parts) > 1:
            raise ValueError(f"data source {place!r}: no such file or folder; check the path")
        pick("data source or path", place, {"digits": digits, **dict.fromkeys(TOYS, toy)})
    if path.suffix == ".parquet" or (path.is_dir() and any(path.rglob("*.parquet"))):
        return parquet(path, size)
    if path.is_dir():
        return image_folder(path, size)
    if path.suffix not in (".npy", ".npz"):
        raise ValueError(
            f"data source {place!r}: not a kind that is read; give .npy, .npz, .parquet or a folder"
        )
    if size is not None:
        raise ValueError(
            f"data source {place!r}: size is for images, not for arrays; leave ?size out"
        )
    return array_file(path)
