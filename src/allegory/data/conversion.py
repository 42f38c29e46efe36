"""The items of a data set under the description that a run learned: same columns, same classes.

A run keeps the names of its columns and the values of its classes. New data bring their own: their
columns are put into the order of the run, their labels become the run's indices, and their range
is the run's. Tokens become those of the run's vocabulary with the same meaning. What has no place
there is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Int64, Shaped
from torch import Tensor

from .items import BatchTransform, Items
from .spec import DataSpec
from .vocabularies import TextVocabulary


def conversion(
    own: DataSpec, spec: DataSpec, sets: Sequence[Items]
) -> tuple[Callable[[Items], Items], tuple[str, ...]]:
    """The map of items to another spec, and notes on what it leaves out.

    Args:
        own: what the items are described by.
        spec: what they should be described by.
        sets: all items; only classes that occur are mapped.

    Returns:
        A function of items, and a sentence for each thing that it leaves out.

    Raises:
        ValueError: for items of another shape, columns, levels or classes.
    """
    if own.table is not None or spec.table is not None:
        return _table_conversion(own, spec)
    order = _order(own, spec)

    is_translated = None not in (own.vocabulary, spec.vocabulary) and own != spec
    if not is_translated:
        _check_levels(own, spec)
    classes, notes = _classes(own, spec, sets)

    def convert(items: Items) -> Items:
        x = items.x if order is None else items.x[:, order]
        if is_translated:
            x = _translated(x, own, spec, order)
        if spec.level_dtype not in (None, x.dtype):
            spec.check(x)
            x = x.to(spec.level_dtype)
        labels = None if items.labels is None or classes is None else classes[items.labels]
        return replace(items, x=x, labels=labels)

    return convert, (*notes, *_vocabulary_note(own, spec))


def _table_conversion(
    own: DataSpec, spec: DataSpec
) -> tuple[Callable[[Items], Items], tuple[str, ...]]:
    """The map of rows of a table to those of another with the same columns, by their values."""
    mine, theirs = own.table, spec.table
    if mine is None or theirs is None:
        what, learned = "rows of a table with mixed columns", "items of one kind of number"
        raise ValueError(
            f"{learned if mine is None else what}, and the run learned "
            f"{what if mine is None else learned}; read the table "
            + ("as table:FILE" if mine is None else "without table:")
        )

    def convert(items: Items) -> Items:
        rows = theirs.rows(mine.frame(items.x))
        return replace(items, x=torch.from_numpy(rows))

    return convert, ()


@dataclass(frozen=True)
class ConvertedTransform:
    """A `BatchTransform` whose items are brought to another spec.

    Args:
        first: makes the items of a batch by their own spec.
        convert: brings them to the other.
    """

    first: BatchTransform
    convert: Callable[[Items], Items]

    def __call__(
        self, stored: Shaped[Tensor, "b *stored"], seed: tuple[int, int, int]
    ) -> Shaped[Tensor, "b *shape"]:
        """The items of a batch.

        Args:
            stored: what the first transform makes them of.
            seed: (seed of the run, epoch, position).
        """
        return self.convert(Items(self.first(stored, seed))).x


def _order(own: DataSpec, spec: DataSpec) -> Tensor | None:
    """The place of each column of spec in own; None where they are the same."""
    if own.columns is None or spec.columns is None or own.columns == spec.columns:
        if own.shape != spec.shape:
            raise ValueError(
                f"items of shape {own.shape}, and the run learned {spec.shape}; "
                f"{_remedy(own, spec)}"
            )
        return None

    missing = [name for name in spec.columns if name not in own.columns]
    more = [name for name in own.columns if name not in spec.columns]
    if missing or more:
        raise ValueError(
            f"columns {', '.join(own.columns)}, and the run learned {', '.join(spec.columns)}; "
            + (f"add {missing[0]!r}" if missing else f"leave {more[0]!r} out")
        )
    return torch.tensor([own.columns.index(name) for name in spec.columns])


def _remedy(own: DataSpec, spec: DataSpec) -> str:
    """How items are given in the shape of the run."""
    vocabulary = spec.vocabulary
    if not isinstance(vocabulary, TextVocabulary) or not isinstance(own.vocabulary, TextVocabulary):
        return "give data of that kind"
    lines = "&items=lines" if vocabulary.padding else ""
    return f"read the text with {vocabulary.option()}{lines}&length={spec.shape[0]}"


def _check_levels(own: DataSpec, spec: DataSpec) -> None:
    """Refuse levels that the run does not have.

    Levels that were not declared (256 by the type, or none) are those of the run, if its check of
    the numbers says so.
    """
    if own.levels == spec.levels or (spec.levels is not None and own.levels in (None, 256)):
        return
    mine, theirs = (
        "continuous numbers" if each is None else f"{each} levels"
        for each in (own.levels, spec.levels)
    )
    raise ValueError(f"{mine}, and the run learned {theirs}; save them alike")


def _translated(x: Tensor, own: DataSpec, spec: DataSpec, order: Tensor | None) -> Tensor:
    """Raw items by the vocabulary of the spec, columns in its order."""
    assert own.vocabulary is not None and spec.vocabulary is not None
    other = own.vocabulary if order is None else own.vocabulary.reordered(order.tolist())
    return spec.vocabulary.translate(x.long(), other, spec.columns).to(spec.level_dtype)


def _vocabulary_note(own: DataSpec, spec: DataSpec) -> tuple[str, ...]:
    """A sentence on tokens that were mapped, or taken as they are."""
    if own.vocabulary == spec.vocabulary:
        return ()
    if own.vocabulary is None:
        return (f"numbers are taken as tokens of the run's vocabulary, {spec.vocabulary}",)
    if spec.vocabulary is None:
        return ("the run learned numbers without a vocabulary, so tokens are taken as such",)

    return (
        f"tokens ({own.vocabulary}) are mapped by what they stand for to those that the run "
        f"learned ({spec.vocabulary})",
    )


def _classes(
    own: DataSpec, spec: DataSpec, sets: Sequence[Items]
) -> tuple[Int64[Tensor, " classes"] | None, tuple[str, ...]]:
    """The index in spec of each class of own, and a note where there are no labels to map."""
    labels = [items.labels for items in sets if items.labels is not None]
    if own.classes is None or not labels:
        note = "the data have no labels, so figures of classes are left out"
        return None, (note,) if spec.classes is not None else ()
    if spec.classes is None:
        return None, ("the run learned no classes, so labels are left out",)

    present = torch.cat(labels).unique()
    table = torch.full((own.classes,), -1)
    try:
        table[present] = spec.class_index(own.class_values(present))
    except ValueError as error:
        raise ValueError(f"{error}; leave items of other classes out") from None
    return table, ()
