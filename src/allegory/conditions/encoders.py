"""Encoders of text from the package `transformers`, for conditions by `EncodedText`.

An encoder is a folder, or a name at huggingface.co whose files are read from the local cache and
downloaded where they are not there. Weights are read from safetensors alone, and no code of the
folder runs. A text becomes one vector: the mean of the last hidden states over its tokens.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float32
from torch import Tensor

from ..lookup import printable

_WHOLE, _PARTS = "model.safetensors", "model-*-of-*.safetensors"
_FILES = [_WHOLE, _PARTS, "*.json", "*.txt", "*.model"]
"""What of an encoder is downloaded: its weights, config and tokenizer."""

_SAFE: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}

_TEXTS_AT_ONCE = 64
_UNUSED = "pooler"  # a layer after the last hidden states, which many files lack


@dataclass(frozen=True, eq=False)
class Encoder:
    """A tokenizer and a model of `transformers`, on the CPU, in float32.

    Args:
        name: the name or the folder.
        tokenizer: its tokenizer.
        model: returns `last_hidden_state`.
        hash: BLAKE2b, 64 bits, of the files of weights and of the vocabulary.
    """

    name: str
    tokenizer: Any
    model: Any
    hash: str

    @property
    def dim(self) -> int:
        """How many numbers a text becomes."""
        return self._means([[0]]).shape[1]

    @property
    def most_tokens(self) -> int:
        """The largest number of tokens of a text."""
        places = getattr(self.model.config, "max_position_embeddings", None)
        known = int(self.tokenizer.model_max_length)
        return known if places is None else min(known, int(places))

    def rows(self, texts: Sequence[str], length: int) -> Float32[Tensor, "n dim"]:
        """The mean of the last hidden states over the tokens of each text; 0 of no tokens.

        Texts are encoded together where they have equally many tokens: nothing is filled up, so
        that no text has a part in the vector of another.

        Args:
            texts: any texts.
            length: the largest number of tokens; what follows is cut.

        Raises:
            ValueError: for an encoder that gives NaN or infinity.
        """
        different = [*dict.fromkeys(texts)]
        limit = min(length, self.most_tokens)
        tokens = self.tokenizer(different, truncation=True, max_length=limit)["input_ids"]

        vectors = torch.zeros(len(different), self.dim)
        order = sorted(range(len(different)), key=lambda place: len(tokens[place]))
        for count, places in groupby(order, key=lambda place: len(tokens[place])):
            for some in _batches([*places]) if count else ():
                vectors[some] = self._means([tokens[place] for place in some])

        if not bool(vectors.isfinite().all()):
            raise ValueError(f"encoder {printable(self.name)}: gives NaN or infinity; give another")
        at = {text: place for place, text in enumerate(different)}
        return vectors[[at[text] for text in texts]]

    def cut_and_unknown(self, texts: Sequence[str], length: int) -> tuple[int, list[str]]:
        """How many texts have too many tokens, and what of them the tokenizer does not know.

        Args:
            texts: any texts.
            length: the largest number of tokens.
        """
        different = [*dict.fromkeys(texts)]
        has_places = bool(self.tokenizer.is_fast)
        read = self.tokenizer(
            different, add_special_tokens=False, return_offsets_mapping=has_places, verbose=False
        )
        limit = min(length, self.most_tokens) - self.tokenizer.num_special_tokens_to_add()
        long = {t for t, ids in zip(different, read["input_ids"], strict=True) if len(ids) > limit}

        unknown = []
        places = read["offset_mapping"] if has_places else []
        for text, ids, spans in zip(different, read["input_ids"], places, strict=False):
            pairs = zip(ids, spans, strict=True)
            unknown += [text[a:b] for each, (a, b) in pairs if each == self.tokenizer.unk_token_id]
        return sum(text in long for text in texts), [*dict.fromkeys(unknown)]

    @torch.no_grad()
    def _means(self, tokens: list[list[int]]) -> Float32[Tensor, "n dim"]:
        ids = torch.tensor(tokens)
        hidden = self.model(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state
        means: Tensor = hidden.float().mean(1)
        return means


@lru_cache(maxsize=2)
def load_encoder(name: str) -> Encoder:
    """The encoder of a name or folder, loaded once in a process.

    Args:
        name: a folder, or a name at huggingface.co.

    Raises:
        ModuleNotFoundError: without the package transformers.
        ValueError: for an encoder that is not there, has no safetensors, or lacks weights.
    """
    try:
        import transformers
    except ImportError as error:
        raise ModuleNotFoundError(
            "text by an encoder needs transformers: pip install 'allegory[text]'",
            name="transformers",
        ) from error

    with _quiet(transformers):
        try:
            folder = _folder(name)
            tokenizer = transformers.AutoTokenizer.from_pretrained(folder, **_SAFE)
            model = _text_model(transformers, folder)
        except (OSError, ValueError, RuntimeError, ImportError, KeyError, AttributeError) as error:
            reason = printable(" ".join(str(error).split()))[:200]
            raise ValueError(
                f"encoder {printable(name)}: {reason}; give the folder or the name at "
                "huggingface.co of a text encoder with safetensors"
            ) from None

    model = model.float().eval().requires_grad_(False)
    return Encoder(name, tokenizer, model, _hash(folder, tokenizer))


def _text_model(transformers: Any, folder: Path) -> Any:
    """The model of a folder, its encoder alone. ValueError where the files lack weights."""
    config = transformers.AutoConfig.from_pretrained(folder, **_SAFE)
    known = type(config) in transformers.AutoModelForTextEncoding._model_mapping
    kind = transformers.AutoModelForTextEncoding if known else transformers.AutoModel
    model, found = kind.from_pretrained(
        folder, use_safetensors=True, output_loading_info=True, **_SAFE
    )

    missing = [each for each in found["missing_keys"] if _UNUSED not in each]
    if missing:
        raise ValueError(f"its files lack {len(missing)} weights, such as {missing[0]}")
    if not known and config.is_encoder_decoder:
        return model.get_encoder()
    return getattr(model, "text_model", model)


def _folder(name: str) -> Path:
    """The folder with the files of an encoder: itself, from the local cache, or downloaded."""
    if Path(name).is_dir():
        return Path(name)
    if Path(name).is_absolute():
        raise ValueError("no such folder")

    from huggingface_hub import snapshot_download

    with suppress(OSError):
        folder = Path(snapshot_download(name, allow_patterns=_FILES, local_files_only=True))
        if _weights(folder):
            return folder

    try:
        return Path(snapshot_download(name, allow_patterns=_FILES))
    except OSError:
        raise ValueError(
            "not in the local cache, and huggingface.co has no such name or is out of reach"
        ) from None


def _weights(folder: Path) -> list[Path]:
    whole = folder / _WHOLE
    return [whole] if whole.is_file() else sorted(folder.glob(_PARTS))


def _hash(folder: Path, tokenizer: Any) -> str:
    """Of the bytes of the files of weights, in order of name, and of the words and numbers."""
    found = hashlib.blake2b(digest_size=8)
    for file in _weights(folder):
        with file.open("rb") as content:
            found.update(hashlib.file_digest(content, hashlib.blake2b).digest())
    found.update(json.dumps(tokenizer.get_vocab(), sort_keys=True).encode())
    return found.hexdigest()


def _batches(places: list[int]) -> Iterator[list[int]]:
    for start in range(0, len(places), _TEXTS_AT_ONCE):
        yield places[start : start + _TEXTS_AT_ONCE]


@contextmanager
def _quiet(transformers: Any) -> Iterator[None]:
    """Without the tables and bars of transformers about layers that are not read."""
    logging = transformers.utils.logging
    verbosity, has_bar = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if has_bar:
            logging.enable_progress_bar()
