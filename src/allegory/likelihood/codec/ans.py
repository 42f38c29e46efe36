r"""A stack of bits (asymmetric numeral systems, Duda 2009; the coder is that of `constriction`).

Pushing a symbol under a distribution P makes the stack longer by -log2 P bits; popping under P
reads a symbol that is distributed as P if the bits are random, and makes the stack shorter by as
much. Each undoes the other, exactly.

Bits are random only if all that was pushed had the distribution it was pushed under. A number far
from where the model expected it leaves bits that tell of it, and the latent popped next would be
noise that knows the data: on a coarse chain that cost a tenth of the file. So the stack is
*scrambled* before every pop: its upper words are added, bit by bit, to a pseudo-random key.

Probabilities have 24 bits, and every symbol that can be named has at least 2^-24 of the mass,
wherever it lies. A latent popped from where the Gaussian says "never" is an outlier that costs its
neighbours hundreds of bits, and a chain pops thousands of numbers an item. So q is cut off at 5
standard deviations, within which its mass is above 2^-24. p must take whatever comes. Its window
reaches to 8 standard deviations; what lies outside, which a wrong model meets, is an *escape*: a
flag of probability 2^-18 and 32 bits for its place, 50 bits, as much as 8 standard deviations cost
by the formula.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Words = NDArray[np.uint32]

DRAWN, EXPECTED = 5, 8
"""Where windows end, in standard deviations: of what is drawn, and of what the model expects."""
SHADES = 16
SCRAMBLE = 1
"""The last word of every key: seeds that differ by zeros at the end are one seed, and the initial
words have their own.
"""
ESCAPE = 2.0**-18
HALF = 2**16
FARTHEST = 2**31
TABLE = 2**22
"""Probabilities of tables that are converted at a time: 32 MB."""


class OutOfBits(Exception):
    """The stack has no bits left to pop: begin with more of them."""


@dataclass(frozen=True, eq=False)
class Normal:
    """A Gaussian for each of n whole numbers: mean and standard deviation in units of a bin."""

    mean: Floats
    std: Floats

    def __post_init__(self) -> None:
        """ValueError for what no number can be coded with."""
        if not (
            np.isfinite(self.mean).all() and np.isfinite(self.std).all() and (self.std > 0).all()
        ):
            raise ValueError(
                "a latent's mean or standard deviation is NaN, infinite or 0; the model cannot code these data"
            )
        if len(self.mean) and np.abs(self.mean).max() > FARTHEST:
            raise ValueError(
                f"a latent lies {np.abs(self.mean).max():.1e} bins from 0; the model cannot code these data"
            )

    @property
    def centre(self) -> Ints:
        """The bin of the mean."""
        return np.rint(self.mean).astype(np.int64)


class Stack:
    """Bits, last in first out. `words` are the bits that it begins with; the last may not be 0."""

    def __init__(self, words: Words) -> None:
        import constriction

        self._models: Any = constriction.stream.model
        self._coder: Any = constriction.stream.stack.AnsCoder(words)
        self.least = self.bits

    @property
    def bits(self) -> int:
        """Length in bits."""
        return int(self._coder.num_valid_bits())

    @property
    def words(self) -> Words:
        """The bits as words of 32."""
        words: Words = self._coder.get_compressed()
        return words

    def copy(self) -> Stack:
        """Another stack with the same bits."""
        other = Stack.__new__(Stack)
        other._models, other._coder, other.least = self._models, self._coder.clone(), self.bits
        return other

    def scramble(self, key: tuple[int, ...], count: int) -> None:
        """Exclusive or of the upper `count` words with random ones of this key; doing it twice
        undoes it.

        The uppermost word keeps its bits, as it may not become 0.
        """
        words = self.words
        first = max(0, len(words) - 1 - count)
        random = np.random.Generator(np.random.SFC64((*key, SCRAMBLE)))
        words[first:-1] ^= random.integers(
            0, 2**32, max(0, len(words) - 1 - first), dtype=np.uint32
        )
        self._coder = type(self._coder)(words)

    def push(self, k: Ints, normal: Normal, escapes: bool) -> None:
        """Whole numbers under their Gaussians. `escapes`: whether any number may come, or only
        those of the window.
        """
        offset = k - normal.centre
        near = np.ones(len(k), dtype=bool)
        for rows, reach in _groups(normal.std, escapes):
            near[rows] = np.abs(offset[rows]) <= reach
        if not (escapes or near.all()):
            raise ValueError(
                "a latent lies outside the window that it was popped from: its Gaussian is another one now"
            )
        self._push_near(offset, normal, near, escapes)
        if escapes:
            self._push_far(offset[~near])
            self._coder.encode_reverse((~near).astype(np.int32), self._flag())

    def pop(self, normal: Normal, escapes: bool) -> Ints:
        """The numbers that `push` put there, or a draw from the windows. OutOfBits where no bits
        are left.
        """
        near = np.ones(len(normal.mean), dtype=bool)
        offset = np.zeros(len(near), dtype=np.int64)
        if escapes:
            near = self._coder.decode(self._flag(), len(near)) == 0
            offset[~near] = self._pop_far(int((~near).sum()))
        residual = normal.mean - normal.centre
        for rows, reach in _groups(normal.std, escapes):
            rows = rows[near[rows]]
            if len(rows):
                offset[rows] = self._coder.decode(
                    self._gaussian(reach), residual[rows], normal.std[rows]
                )
        self._check()
        return normal.centre + offset

    def push_table(self, symbols: Ints, log_pmf: Floats) -> None:
        """Symbols 0..K-1 under rows of log-probabilities, (n, K)."""
        for rows in reversed(list(_rows(log_pmf))):
            self._coder.encode_reverse(
                symbols[rows].astype(np.int32), self._categorical(), _probabilities(log_pmf[rows])
            )

    def pop_table(self, log_pmf: Floats) -> Ints:
        """The symbols that `push_table` put there."""
        parts = [
            self._coder.decode(self._categorical(), _probabilities(log_pmf[rows]))
            for rows in _rows(log_pmf)
        ]
        self._check()
        return np.concatenate(parts).astype(np.int64)

    def _push_near(
        self, offset: Ints, normal: Normal, near: NDArray[np.bool_], escapes: bool
    ) -> None:
        residual = normal.mean - normal.centre
        for rows, reach in reversed(list(_groups(normal.std, escapes))):
            rows = rows[near[rows]]
            if len(rows):
                symbols = offset[rows].astype(np.int32)
                self._coder.encode_reverse(
                    symbols, self._gaussian(reach), residual[rows], normal.std[rows]
                )

    def _push_far(self, offset: Ints) -> None:
        if not len(offset):
            return
        if np.abs(offset).max() >= FARTHEST:
            raise ValueError(
                f"a latent lies {np.abs(offset).max():.1e} bins from its mean; the model cannot code these data"
            )
        high, low = np.divmod(offset + FARTHEST, HALF)
        for half in (low, high):
            self._coder.encode_reverse(half.astype(np.int32), self._models.Uniform(HALF))

    def _pop_far(self, count: int) -> Ints:
        if not count:
            return np.zeros(0, dtype=np.int64)
        high, low = (
            self._coder.decode(self._models.Uniform(HALF), count).astype(np.int64) for _ in range(2)
        )
        far: Ints = high * HALF + low - FARTHEST
        return far

    def _gaussian(self, reach: int) -> Any:
        return self._models.QuantizedGaussian(-reach, reach)

    def _flag(self) -> Any:
        return self._models.Bernoulli(ESCAPE, perfect=False)

    def _categorical(self) -> Any:
        return self._models.Categorical(perfect=False)

    def _check(self) -> None:
        self.least = min(self.least, self.bits)
        if self.least < 64:
            raise OutOfBits


def _groups(std: Floats, escapes: bool) -> Iterator[tuple[Ints, int]]:
    """Rows of nearly equal standard deviation, with the reach of their windows in bins.

    `frexp` is exact, so that both directions sort alike.
    """
    mantissa, exponent = np.frexp(std)
    shade = np.maximum(exponent, 0).astype(np.int64) * SHADES + np.where(
        exponent < 0, 0, np.ceil(mantissa * SHADES)
    )
    for each in np.unique(shade):
        octave, sixteenths = divmod(int(each) - 1, SHADES)
        reach = (
            (EXPECTED if escapes else DRAWN) * (sixteenths + 1) / SHADES * 2.0 ** min(octave, 16)
        )
        yield np.flatnonzero(shade == each), max(1, math.ceil(reach))


def _rows(table: Floats) -> Iterator[slice]:
    each = max(1, TABLE // table.shape[1])
    for start in range(0, len(table), each):
        yield slice(start, min(start + each, len(table)))


def _probabilities(log_pmf: Floats) -> Floats:
    """exp, refusing NaN."""
    probabilities: Floats = np.exp(log_pmf)
    if not np.isfinite(probabilities).all():
        raise ValueError("a probability is NaN or infinite; the model cannot code these data")
    return probabilities
