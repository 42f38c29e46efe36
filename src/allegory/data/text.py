"""Text as data: items are sequences of tokens, windows of a long text or one per line.

Windows are consecutive and do not overlap, so that each token of the text is in one item; what is
left at the end fills no window, and is left out. The sets are three parts of the text: training
items come first, and the last 5 % and the 5 % before them are test and validation items. Training
windows are shifted by an offset that is drawn for each epoch, so that a model sees a token at every
place of a window.

Lines have lengths of their own: a padding level, which stands for no text, fills them up. They are
held out at random.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Int64, Integer
from torch import Tensor

from ..lookup import check_count, pick
from .columns import smallest_dtype
from .dataset import Dataset
from .items import Items
from .memory import check_memory
from .spec import DataSpec
from .splits import complete
from .vocabularies import TextVocabulary, text_vocabulary

_LENGTH = 256
_HELD_OUT = 0.05  # of the windows, for validation and for testing each
_MOST_LENGTH = 1 << 20
_MOST_PADDED = 4096  # tokens of a line
_STREAM = 3  # The order of an epoch has the key (seed, epoch, 0, 0), flips and binarize 2 and 1.


@dataclass(frozen=True)
class TextOptions:
    """How text becomes items.

    Args:
        unit: what a token is: "bytes", "characters", or a tokenizer: a file tokenizer.json, or a
            name at huggingface.co.
        items: "windows" for consecutive windows of the text, "lines" for an item per line.
        length: tokens of an item. None takes 256 for windows and the longest line for lines;
            longer lines are left out.
        shift: whether training windows are shifted by an offset that is drawn for each epoch.
        text: name of the column of text, for tables.

    Raises:
        ValueError: for other items, and a length that is out of range.
    """

    unit: str = "bytes"
    items: str = "windows"
    length: int | None = None
    shift: bool = True
    text: str | None = None

    def __post_init__(self) -> None:
        pick("items", self.items, dict.fromkeys(("windows", "lines")))
        if self.length is not None:
            check_count("length", self.length, 1, _MOST_LENGTH)


def text_dataset(
    texts: Sequence[str],
    options: TextOptions | None = None,
    name: str = "text",
    notes: Sequence[str] = (),
) -> Dataset:
    """A data set of text.

    Args:
        texts: one or several, which windows take one after another, with a line end between them.
        options: the tokens, and what an item is.
        name: for reports.
        notes: what was skipped before.

    Returns:
        Items of shape (length,), whose spec has the vocabulary.

    Raises:
        ValueError: for text that is empty or too short, lines that are too long, and a tokenizer
            that does not give the text back.
    """
    options = options or TextOptions()
    if not any(texts):
        raise ValueError(f"{name}: holds no text; give some")

    if options.items == "lines":
        return _of_lines(name, texts, options, notes)
    return _of_windows(name, _joined(texts), options, notes)


def text_spec(vocabulary: TextVocabulary, length: int) -> DataSpec:
    """The description of items of so many tokens.

    Args:
        vocabulary: what the tokens stand for.
        length: tokens of an item.
    """
    levels = vocabulary.levels
    return DataSpec((length,), 0.0, levels - 1.0, levels, vocabulary=vocabulary)


def text_lines(text: str) -> list[str]:
    """The lines of a text, that of Windows too, without their ends."""
    lines = text.replace("\r\n", "\n").split("\n")
    return lines if lines[-1] else lines[:-1]


@dataclass(frozen=True, eq=False)
class ShiftedWindows:
    """A `BatchTransform`: windows of a text, all of an epoch shifted by the same random offset.

    Windows of one epoch do not overlap, except that the last one ends with the text.

    Args:
        tokens: of the training text.
        length: of a window; the offset is from 0 to length - 1.
    """

    tokens: Integer[Tensor, " tokens"]
    length: int

    def __call__(
        self, stored: Int64[Tensor, " b"], seed: tuple[int, int, int]
    ) -> Integer[Tensor, "b length"]:
        """The windows of a batch.

        Args:
            stored: where each begins without an offset.
            seed: (seed of the run, epoch, position); the offset depends on the first two.
        """
        offset = int(np.random.default_rng((*seed[:2], 0, _STREAM)).integers(self.length))
        first = (stored + offset).clamp(max=len(self.tokens) - self.length)
        return self.tokens[first[:, None] + torch.arange(self.length)]


def _of_windows(name: str, text: str, options: TextOptions, notes: Sequence[str]) -> Dataset:
    """A data set of consecutive windows, divided by position."""
    vocabulary = text_vocabulary(options.unit, text)
    length = _LENGTH if options.length is None else options.length

    tokens = vocabulary.encode(text).to(smallest_dtype(vocabulary.levels))
    count = len(tokens) // length
    if count < 3:
        raise ValueError(
            f"{name}: {_counted(len(tokens), vocabulary.unit)} {_are(len(tokens))} {count} windows "
            f"of {length}, and training, validation and test take one each; give more text, or a "
            "smaller ?length="
        )

    rest = len(tokens) - count * length
    x = tokens[: count * length].view(count, length)
    held_out = max(1, round(_HELD_OUT * count))
    whole = Items(x, held_out_of="train").numbered()
    order = torch.arange(count).split([count - 2 * held_out, held_out, held_out])
    train, validation, test = (whole.take(part) for part in order)

    transform = None
    if options.shift:
        transform = ShiftedWindows(train.x.flatten(), length)
        train = replace(train, stored=torch.arange(len(train)) * length)

    said = [*notes, *_rest_note(rest, length, vocabulary), *vocabulary.untrained(train.x)]
    spec = text_spec(vocabulary, length)
    return Dataset(name, spec, train, validation, test, transform, notes=tuple(said))


def _of_lines(
    name: str, texts: Sequence[str], options: TextOptions, notes: Sequence[str]
) -> Dataset:
    """A data set with an item for each line, held out at random."""
    all_lines = [line for text in texts for line in text_lines(text)]
    lines = [line for line in all_lines if line]
    if not lines:
        raise ValueError(f"{name}: holds no line with text; give some")

    vocabulary = text_vocabulary(options.unit, "".join(lines), padding=True)
    encoded = vocabulary.encode_all(lines)

    fitting = [each for each in encoded if options.length is None or len(each) <= options.length]
    if len(fitting) < 3:
        found = _counted(len(fitting), "line")
        if options.length is None:
            raise ValueError(f"{name}: {found} with text; give three at least, or ?items=windows")
        raise ValueError(
            f"{name}: {found} of at most {_counted(options.length, vocabulary.unit)}; give three "
            "at least, or a larger ?length="
        )

    longest = max(map(len, fitting))
    length = longest if options.length is None else options.length
    _check_padded(name, length, len(fitting), vocabulary)

    x = _padded(fitting, length, vocabulary)
    train, validation, test = complete({"train": Items(x)})
    said = [
        *notes,
        *_left_out(len(all_lines) - len(lines), "line without text", "lines without text"),
        *_left_out(
            len(encoded) - len(fitting),
            f"line of more than {length} {vocabulary.unit}s",
            f"lines of more than {length} {vocabulary.unit}s",
        ),
        *_padding_note(min(map(len, fitting)), longest, length, vocabulary),
        *vocabulary.untrained(train.x),
    ]

    spec = text_spec(vocabulary, length)
    return Dataset(name, spec, train, validation, test, notes=tuple(said))


def _joined(texts: Sequence[str]) -> str:
    """Several texts as one, with a line end between two where the first has none."""
    ended = [each if each.endswith("\n") or not each else f"{each}\n" for each in texts[:-1]]
    return "".join([*ended, texts[-1]])


def _padded(
    encoded: Sequence[Tensor], length: int, vocabulary: TextVocabulary
) -> Integer[Tensor, "n length"]:
    """Sequences of tokens as items of one length, in the smallest dtype."""
    counts = torch.tensor([len(each) for each in encoded])
    dtype = smallest_dtype(vocabulary.levels)

    x = torch.full((len(encoded), length), vocabulary.levels - 1, dtype=dtype)
    x[torch.arange(length) < counts[:, None]] = torch.cat([*encoded]).to(dtype)
    return x


def _check_padded(name: str, length: int, count: int, vocabulary: TextVocabulary) -> None:
    """Refuse lines that are too long to be filled up. ValueError."""
    if length > _MOST_PADDED:
        raise ValueError(
            f"{name}: a line of {length:,} {vocabulary.unit}s; all would be filled up to that. "
            f"Give ?length= of at most {_MOST_PADDED:,}, which leaves longer lines out, or "
            "?items=windows"
        )
    size = length * count * smallest_dtype(vocabulary.levels).itemsize
    check_memory(size, f"{count:,} lines filled up to {length}", "give a smaller ?length=")


def _padding_note(
    shortest: int, longest: int, length: int, vocabulary: TextVocabulary
) -> list[str]:
    if shortest == length:
        return []
    return [
        f"lines of {shortest} to {longest} {vocabulary.unit}s, filled up to {length} with level "
        f"{vocabulary.levels - 1}, which stands for no text"
    ]


def _rest_note(rest: int, length: int, vocabulary: TextVocabulary) -> list[str]:
    if not rest:
        return []
    words = f"{vocabulary.unit} fills" if rest == 1 else f"{rest} {vocabulary.unit}s fill"
    return [f"the last {words} no window of {length}, and {_are(rest)} left out"]


def _left_out(count: int, one: str, several: str) -> list[str]:
    return [f"{count:,} {one if count == 1 else several} {_are(count)} left out"] if count else []


def _counted(count: int, one: str) -> str:
    return f"{count:,} {one}{'' if count == 1 else 's'}"


def _are(count: int) -> str:
    return "is" if count == 1 else "are"
