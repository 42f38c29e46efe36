"""Text by a tokenizer of the package `tokenizers`: byte pair encoding, unigram, and others.

A tokenizer is a file tokenizer.json, a folder that has one, or a name at huggingface.co, whose file
is read from the local cache and downloaded where it is not there. It is known by a hash of its
file, so that tokens are never read by another one of the same name.

Bits per byte need the number of bytes that each token stands for. A tokenizer of bytes writes a
token with one sign per byte; for others it is what the token adds to the text of a token before it.
Characters are counted alike; one of several bytes counts where it begins.
Text that does not come back from its tokens, byte by byte, is refused.
"""

from __future__ import annotations

import hashlib
import json
import re
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from itertools import zip_longest
from pathlib import Path
from typing import Any, ClassVar

import torch
from jaxtyping import Int64, Shaped
from torch import Tensor

from ...files import read_bytes
from ...lookup import printable
from .base import VOCABULARIES, TextVocabulary

_FILE = "tokenizer.json"
_MOST_BYTES = 1 << 27
_ONE_BYTE = re.compile(r"<0x[0-9A-Fa-f]{2}>")
_CONTINUES = range(0x80, 0xC0)  # the bytes of UTF-8 that begin no character
_CONTINUING_SIGNS = {*map(chr, (*range(0xA1, 0xAD), *range(0xAE, 0xC0), *range(0x122, 0x144)))}
"""The signs of those bytes in tokenizers of bytes."""
_AROUND = 20  # characters of a text in a message


@dataclass(frozen=True)
class Tokenizer(TextVocabulary):
    """Text by a tokenizer of the package `tokenizers`, made by `Tokenizer.of(NAME)`.

    Args:
        name: a file tokenizer.json, a folder that has one, or a name at huggingface.co.
        hash: of the file, BLAKE2b, 16 hexadecimal digits.
        size: the number of its tokens, added ones included.
        padding: whether there is one more level, which follows the end of a shorter item.

    Raises:
        ValueError: for an empty name, what is no hash, and no tokens.
    """

    name: str
    hash: str
    size: int
    padding: bool = False
    unit: ClassVar[str] = "token"

    def __post_init__(self) -> None:
        if not self.name or not re.fullmatch(r"[0-9a-f]{16}", self.hash) or self.size < 1:
            raise ValueError("name, hash, size: make this vocabulary by Tokenizer.of(NAME)")

    @classmethod
    def of(cls, name: str | Path, padding: bool = False) -> Tokenizer:
        """The vocabulary of a tokenizer, which is loaded.

        Args:
            name: a file tokenizer.json, a folder that has one, or a name at huggingface.co.
            padding: as of the class.

        Raises:
            ModuleNotFoundError: without the package tokenizers.
            ValueError: for a tokenizer that is not there or cannot be read.
        """
        known = str(Path(name).resolve() if Path(name).exists() else name)
        loaded = _loaded(known)
        return cls(known, loaded.hash, loaded.size, padding)

    @property
    def levels(self) -> int:
        """The number of tokens, one more with padding."""
        return self.size + self.padding

    def __str__(self) -> str:
        end = " and padding" if self.padding else ""
        return f"{self.size:,} tokens of {printable(self.name)}{end}"

    def encode(self, text: str) -> Int64[Tensor, " length"]:
        """The tokens of a text, without those that a tokenizer adds at its ends.

        Raises:
            ModuleNotFoundError: without the package tokenizers.
            ValueError: for a text that does not come back from its tokens, and for another
                tokenizer under this name.
        """
        loaded = self._checked()

        found = loaded.tokenizer.encode(text, add_special_tokens=False).ids
        again = loaded.tokenizer.decode(found, skip_special_tokens=False)
        if again != text:
            raise ValueError(f"{self}: {_difference(text, again)}; choose another tokenizer")

        tokens = torch.tensor(found, dtype=torch.int64)
        counted = int(loaded.bytes[tokens].sum())
        there = len(text.encode())

        # A space that the tokenizer puts before a text is a part of its first token.
        if counted - there not in (0, 1):
            raise ValueError(
                f"{self}: its tokens stand for {counted:,} bytes one by one, and the text has "
                f"{there:,}; choose another tokenizer"
            )
        return tokens

    def decode(self, tokens: Shaped[Tensor, " length"]) -> str:
        """The text of tokens; a part of a character becomes the sign U+FFFD. ValueError."""
        found = self.without_padding(tokens).tolist()
        text: str = self._checked().tokenizer.decode(found, skip_special_tokens=False)
        return text

    def byte_table(self) -> Int64[Tensor, " levels"]:
        """The bytes of each token, 0 for the padding level."""
        return torch.cat([self._checked().bytes, torch.zeros(int(self.padding), dtype=torch.int64)])

    def character_counts(self, tokens: Shaped[Tensor, "n length"]) -> Int64[Tensor, " n"]:
        """The characters that begin in each token, 0 for the padding level."""
        table = self._checked().characters
        table = torch.cat([table, torch.zeros(int(self.padding), dtype=torch.int64)])
        return table[self.checked(tokens)].sum(-1)

    def table_from(self, other: Tokenizer) -> Int64[Tensor, " known"]:
        """The same token. ValueError for another tokenizer."""
        if (other.hash, other.size) != (self.hash, self.size):
            raise ValueError(
                f"{other} (hash {other.hash}), and the run learned {self} (hash {self.hash}); read "
                f"the data by that, as in {self.option()}"
            )
        return torch.arange(self.size)

    def option(self) -> str:
        """?unit=NAME."""
        return f"?unit={printable(self.name)}"

    def _checked(self) -> _Loaded:
        """The tokenizer. ValueError for another one under this name."""
        loaded = _loaded(self.name)
        if loaded.hash != self.hash:
            raise ValueError(
                f"tokenizer {printable(self.name)}: its hash is {loaded.hash}, and the model "
                f"learned with {self.hash}; give that one, as in replace(vocabulary, name=FILE)"
            )
        return loaded


@dataclass(frozen=True, eq=False)
class _Loaded:
    """A tokenizer with the hash of its file, its number of tokens, and the bytes and characters of
    each.
    """

    tokenizer: Any
    hash: str
    size: int
    bytes: Int64[Tensor, " size"]
    characters: Int64[Tensor, " size"]


@lru_cache(maxsize=4)
def _loaded(name: str) -> _Loaded:
    """The tokenizer of a name, loaded once in a process. ValueError where it cannot be read."""
    try:
        import tokenizers
    except ImportError as error:
        raise ModuleNotFoundError(
            "text by a tokenizer needs tokenizers: pip install 'allegory[text]'", name="tokenizers"
        ) from error

    content = read_bytes(_file(name), _MOST_BYTES)
    try:
        tokenizer = tokenizers.Tokenizer.from_str(content.decode())
    except Exception as error:  # The package raises Exception itself.
        reason = printable(str(error))[:200]
        raise ValueError(
            f"tokenizer {printable(name)}: not read ({reason}); give a {_FILE} of the package "
            "tokenizers, as transformers saves it"
        ) from None

    tokenizer.no_truncation()
    tokenizer.no_padding()

    size = 1 + max(tokenizer.get_vocab().values(), default=-1)
    hash_of_file = hashlib.blake2b(content, digest_size=8).hexdigest()
    return _Loaded(tokenizer, hash_of_file, size, *_counts(tokenizer, size))


def _file(name: str) -> Path:
    """The file of a tokenizer: itself, of a folder, from the local cache, or downloaded."""
    place = Path(name).expanduser()
    if place.exists():
        return place / _FILE if place.is_dir() else place

    remedy = f"give a file {_FILE}, or the name of a model at huggingface.co"
    if place.is_absolute() or place.suffix == ".json":
        raise ValueError(f"tokenizer {printable(name)}: no such file; {remedy}")
    from huggingface_hub import hf_hub_download

    with suppress(OSError, ValueError):
        return Path(hf_hub_download(name, _FILE, local_files_only=True))

    try:
        return Path(hf_hub_download(name, _FILE))
    except (OSError, ValueError):
        raise ValueError(
            f"tokenizer {printable(name)}: not in the local cache, and huggingface.co has no such "
            f"name or is out of reach; {remedy}, and download it where there is a network"
        ) from None


def _counts(tokenizer: Any, size: int) -> tuple[Int64[Tensor, " size"], Int64[Tensor, " size"]]:
    """How many bytes each token stands for, and how many characters begin in it."""
    counts = torch.zeros(size, 2, dtype=torch.int64)

    decoder = json.dumps(json.loads(tokenizer.to_str()).get("decoder"))
    vocabulary = tokenizer.get_vocab(with_added_tokens=False)
    if '"ByteLevel"' in decoder:
        for token, number in vocabulary.items():
            begin = sum(sign not in _CONTINUING_SIGNS for sign in token)
            counts[number] = torch.tensor([len(token), begin])
    else:
        numbers = [*vocabulary.values()]
        counts[numbers] = torch.tensor(_added(tokenizer, [*vocabulary], numbers))

    for number, token in tokenizer.get_added_tokens_decoder().items():
        counts[number] = torch.tensor([len(token.content.encode()), len(token.content)])
    return counts[:, 0], counts[:, 1]


def _added(tokenizer: Any, tokens: list[str], numbers: list[int]) -> list[tuple[int, int]]:
    """The bytes and characters that each token adds to the text of another one before it."""
    before = (tokenizer.encode("a", add_special_tokens=False).ids or numbers)[-1]
    alone, *pairs = tokenizer.decode_batch(
        [[before], *([before, number] for number in numbers)], skip_special_tokens=False
    )

    has_bytes = "ByteFallback" in tokenizer.to_str()
    return [
        (1, int(int(token[1:-1], 16) not in _CONTINUES))
        if has_bytes and _ONE_BYTE.fullmatch(token)
        else (len(pair.encode()) - len(alone.encode()), len(pair) - len(alone))
        for token, pair in zip(tokens, pairs, strict=True)
    ]


def _difference(text: str, again: str) -> str:
    """Where a text and what comes back of it differ first."""
    pairs = zip_longest(text, again)
    place = next(index for index, (one, other) in enumerate(pairs) if one != other)

    part = slice(place, place + _AROUND)
    return (
        f"does not give the text back: from character {place:,} it has "
        f"'{printable(text[part])}', and its tokens '{printable(again[part])}'"
    )


VOCABULARIES.register("Tokenizer", Tokenizer, "text by a tokenizer of the package tokenizers")
