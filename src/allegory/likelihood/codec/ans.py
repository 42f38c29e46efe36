r"""A stack of bits: asymmetric numeral systems (Duda 2009), by the coder of `constriction`.

Pushing a symbol under a distribution P makes the stack longer by -log2 P bits; popping under P
reads a symbol that is distributed as P if the bits are random, and makes the stack shorter by as
much. Each undoes the other, exactly.

Bits are random only if all that was pushed had the distribution it was pushed under. A number far
from where the model expected it leaves non-uniform bits, so the next latent would be correlated
with the data: on a coarse chain that cost a tenth of the file. So the stack is *scrambled* before
every pop: its upper words are XORed with a pseudo-random key.

Probabilities have 24 bits, and every symbol that can be named has at least 2^-24 of the mass,
wherever it lies. A latent that is popped from the far tail of its Gaussian is an outlier that costs
its neighbours hundreds of bits, and a chain pops thousands of numbers per item. So q is cut off at
5 standard deviations, within which its mass is above 2^-24. p must code whatever comes. Its window
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

_DRAWN_REACH = 5
"""Where the window of a latent that is sampled ends, in standard deviations."""
_EXPECTED_REACH = 8
"""Where the window of what the model expects ends, in standard deviations."""
_BUCKETS_PER_OCTAVE = 16
"""Standard deviations are sorted into buckets of a factor 1 + 1/16 or less."""
_SCRAMBLE = 1
"""The last word of every key. Seeds that differ by zeros at the end are one seed, and the initial
words have their own.
"""
_ESCAPE_PROBABILITY = 2.0**-18
_HALF_WORD = 2**16
_MAX_BIN = 2**31
_CANNOT_CODE = (
    "the model cannot code these data; take other weights (best, ema, last), or a model that was "
    "trained longer"
)
_TABLE_SIZE = 2**22
"""Probabilities of tables that are converted at a time: 32 MB."""


class OutOfBits(Exception):
    """The stack has no bits left to pop: start with more of them."""


@dataclass(frozen=True, eq=False)
class Normal:
    """A Gaussian for each of n whole numbers, in units of a bin.

    Args:
        mean: (n,).
        std: standard deviations, (n,).

    Raises:
        ValueError: for values that are not finite, a std of 0, or a mean beyond 2^31 bins.
    """

    mean: Floats
    std: Floats

    def __post_init__(self) -> None:
        """ValueError for what no number can be coded with."""
        finite = np.isfinite(self.mean).all() and np.isfinite(self.std).all()
        if not (finite and (self.std > 0).all()):
            raise ValueError(
                f"a latent's mean or standard deviation is NaN, infinite or 0; {_CANNOT_CODE}"
            )
        if len(self.mean) and np.abs(self.mean).max() > _MAX_BIN:
            raise ValueError(
                f"a latent lies {np.abs(self.mean).max():.1e} bins from 0; {_CANNOT_CODE}"
            )

    @property
    def centre(self) -> Ints:
        """The bin of the mean."""
        return np.rint(self.mean).astype(np.int64)


class Stack:
    """Bits, last in first out.

    Args:
        words: the initial bits; the last word may not be 0.
    """

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
        other._models = self._models
        other._coder = self._coder.clone()
        other.least = self.bits
        return other

    def scramble(self, key: tuple[int, ...], count: int) -> None:
        """XOR the upper words with random ones; doing it twice undoes it.

        The uppermost word keeps its bits, as it may not become 0.

        Args:
            key: the seed of the random words.
            count: how many words.
        """
        words = self.words
        first = max(0, len(words) - 1 - count)
        changed = max(0, len(words) - 1 - first)

        random = np.random.Generator(np.random.SFC64((*key, _SCRAMBLE)))
        words[first:-1] ^= random.integers(0, 2**32, changed, dtype=np.uint32)
        self._coder = type(self._coder)(words)

    def push(self, k: Ints, normal: Normal, escapes: bool) -> None:
        """Encode whole numbers with their Gaussians.

        Args:
            k: the numbers.
            normal: their Gaussians.
            escapes: whether any number can be encoded, or only those of the window.

        Raises:
            ValueError: for a number outside the window, without escapes.
        """
        offset = k - normal.centre
        near = np.ones(len(k), dtype=bool)
        for rows, reach in _groups(normal.std, escapes):
            near[rows] = np.abs(offset[rows]) <= reach
        if not (escapes or near.all()):
            raise ValueError(
                "a latent lies outside the window that it was decoded from: encoder and decoder "
                "computed different Gaussians; use the same machine, device and torch version as "
                "for encoding"
            )

        self._push_near(offset, normal, near, escapes)
        if escapes:
            self._push_far(offset[~near])
            self._coder.encode_reverse((~near).astype(np.int32), self._flag())

    def pop(self, normal: Normal, escapes: bool) -> Ints:
        """Decode the numbers that `push` encoded, or sample numbers from their windows.

        Args:
            normal: their Gaussians.
            escapes: that of `push`.

        Raises:
            OutOfBits: when no bits are left.
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
        """Encode `symbols` 0..K-1 with the rows of `log_pmf`, log-probabilities (n, K)."""
        for rows in reversed(list(_rows(log_pmf))):
            self._coder.encode_reverse(
                symbols[rows].astype(np.int32), self._categorical(), _probabilities(log_pmf[rows])
            )

    def pop_table(self, log_pmf: Floats) -> Ints:
        """Decode the symbols that `push_table` encoded with the same `log_pmf`."""
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
        if np.abs(offset).max() >= _MAX_BIN:
            raise ValueError(
                f"a latent lies {np.abs(offset).max():.1e} bins from its mean; {_CANNOT_CODE}"
            )

        high, low = np.divmod(offset + _MAX_BIN, _HALF_WORD)

        for half in (low, high):
            self._coder.encode_reverse(half.astype(np.int32), self._models.Uniform(_HALF_WORD))

    def _pop_far(self, count: int) -> Ints:
        if not count:
            return np.zeros(0, dtype=np.int64)

        high, low = (
            self._coder.decode(self._models.Uniform(_HALF_WORD), count).astype(np.int64)
            for _ in range(2)
        )
        far: Ints = high * _HALF_WORD + low - _MAX_BIN

        return far

    def _gaussian(self, reach: int) -> Any:
        return self._models.QuantizedGaussian(-reach, reach)

    def _flag(self) -> Any:
        return self._models.Bernoulli(_ESCAPE_PROBABILITY, perfect=False)

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
    octave_start = np.maximum(exponent, 0).astype(np.int64) * _BUCKETS_PER_OCTAVE
    within_octave = np.where(exponent < 0, 0, np.ceil(mantissa * _BUCKETS_PER_OCTAVE))
    bucket = octave_start + within_octave
    deviations = _EXPECTED_REACH if escapes else _DRAWN_REACH

    for each in np.unique(bucket):
        octave, sixteenths = divmod(int(each) - 1, _BUCKETS_PER_OCTAVE)
        largest = (sixteenths + 1) / _BUCKETS_PER_OCTAVE * 2.0 ** min(octave, 16)
        yield np.flatnonzero(bucket == each), max(1, math.ceil(deviations * largest))


def _rows(table: Floats) -> Iterator[slice]:
    each = max(1, _TABLE_SIZE // table.shape[1])
    for start in range(0, len(table), each):
        yield slice(start, min(start + each, len(table)))


def _probabilities(log_pmf: Floats) -> Floats:
    """exp, refusing NaN."""
    probabilities: Floats = np.exp(log_pmf)
    if not np.isfinite(probabilities).all():
        raise ValueError(f"a probability is NaN or infinite; {_CANNOT_CODE}")
    return probabilities
