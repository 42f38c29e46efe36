"""Figures of data whose levels stand for something: text, tokens, categories."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Shaped
from torch import Tensor

from ..data.spec import DataSpec
from ..data.vocabularies import TextVocabulary
from ..process.bound import Bound, Estimate


@dataclass(frozen=True)
class TextLikelihood:
    """The bound of a text by its true length, whatever the tokens are.

    Args:
        per_byte: bits per byte of UTF-8 text.
        per_character: bits per character.
        bytes: how many bytes the items are.
    """

    per_byte: Estimate
    per_character: Estimate
    bytes: int


def text_likelihood(
    spec: DataSpec, x: Shaped[Tensor, "n *shape"], bound: Bound
) -> TextLikelihood | None:
    """Bits per byte and per character of text items; None for data that are no text.

    Args:
        spec: what the items are.
        x: raw items.
        bound: of each of them, in nats.
    """
    vocabulary = spec.vocabulary
    if not isinstance(vocabulary, TextVocabulary):
        return None

    tokens = spec.index(x)
    bits = -bound.total.double().cpu() / math.log(2)
    lengths = vocabulary.byte_counts(tokens).double()
    characters = vocabulary.character_counts(tokens).double()
    return TextLikelihood(ratio(bits, lengths), ratio(bits, characters), int(lengths.sum()))


def ratio(values: Tensor, sizes: Tensor) -> Estimate:
    """sum(values)/sum(sizes), with the standard error of a ratio of means.

    Args:
        values: one number per item.
        sizes: by which they are divided, one per item.
    """
    mean = values.sum() / sizes.sum()
    error = (values - mean * sizes).std() / sizes.mean() / math.sqrt(len(values))
    return Estimate(mean.item(), error.item())


def frequency_distance(
    spec: DataSpec, x: Shaped[Tensor, "n *shape"], other: Shaped[Tensor, "m *shape"]
) -> float:
    """The total variation between the frequencies of the levels in two sets of items.

    The levels of all places of a text are counted together, those of each column of a table alone,
    whose distances are averaged.

    Args:
        spec: what the items are.
        x: raw items.
        other: raw items.
    """
    pooled = isinstance(spec.vocabulary, TextVocabulary)
    first, second = (spec.index(each).flatten(1) for each in (x, other))
    places = [slice(None)] if pooled else [slice(i, i + 1) for i in range(first.shape[1])]

    distances = [
        (_frequencies(first[:, at], spec) - _frequencies(second[:, at], spec)).abs().sum() / 2
        for at in places
    ]
    return torch.stack(distances).mean().item()


def _frequencies(tokens: Tensor, spec: DataSpec) -> Tensor:
    """How often each level occurs, as a fraction."""
    counts = torch.bincount(tokens.flatten(), minlength=spec.levels or 0).double()
    return counts / counts.sum()
