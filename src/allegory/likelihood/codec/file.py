r"""The file format of a coded stream, with checksums.

    0   8   magic, b"\x89ALLEGO\n"
    8   2   version of the format
    10  4   length of the header in bytes
    14  8   length of the bits in words of 4 bytes
    22  4   CRC-32 of bytes 8 to 22
    26      the header: JSON, deflated
            the bits
    -4  4   CRC-32 of header and bits

All numbers are little-endian. The first 26 bytes keep their meaning in every version.
A CRC-32 sees every change of one byte, and every burst of up to four.
"""

from __future__ import annotations

import hashlib
import json
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from ...plain_json import parse_json
from .ans import Words

_MAGIC = b"\x89ALLEGO\n"
_VERSION = 2
_PREFIX = struct.Struct("<8sHIQI")
_CHECK = struct.Struct("<I")

MOST_HEADER = 2**20
"""The longest header, inflated, in bytes."""


@dataclass(frozen=True, eq=False)
class Container:
    """What a file holds.

    Args:
        header: plain JSON values.
        words: the bits.
    """

    header: Mapping[str, Any]
    words: Words


def pack(container: Container) -> bytes:
    """The bytes of a file that holds this `container`."""
    header = zlib.compress(
        json.dumps(container.header, separators=(",", ":"), allow_nan=False).encode(), 9
    )
    body = header + container.words.astype("<u4").tobytes()
    sizes = struct.pack("<HIQ", _VERSION, len(header), len(container.words))

    return _MAGIC + sizes + _CHECK.pack(zlib.crc32(sizes)) + body + _CHECK.pack(zlib.crc32(body))


def unpack(content: bytes, name: str, most_header: int = MOST_HEADER) -> Container:
    """The container of a file.

    A checksum is no signature: anybody can write a file with a right one, so the header is inflated
    and read within bounds.

    Args:
        content: the bytes of the file.
        name: what the file is called in messages.
        most_header: the longest header, inflated, in bytes.

    Raises:
        ValueError: for a file that is cut short, altered, or not of this format.
    """
    header_size, count = _sizes(content, name)
    whole = _PREFIX.size + header_size + 4 * count + _CHECK.size
    if len(content) < whole:
        raise ValueError(f"{name}: cut short, {len(content)} of {whole} bytes; copy it again")
    if len(content) > whole:
        raise ValueError(
            f"{name}: altered, {len(content) - whole} bytes too many at its end; copy it again"
        )

    body = content[_PREFIX.size : -_CHECK.size]
    if zlib.crc32(body) != _CHECK.unpack(content[-_CHECK.size :])[0]:
        raise ValueError(f"{name}: altered, its checksum does not match; copy it again")

    text = _inflate(body[:header_size], most_header, name)
    header = parse_json(text, f"{name}: its header")
    if not isinstance(header, dict):
        raise ValueError(f"{name}: its header holds no names; make the file anew")

    return Container(header, np.frombuffer(body, "<u4", offset=header_size).astype(np.uint32))


def _inflate(deflated: bytes, most: int, name: str) -> bytes:
    """The header as text, of at most so many bytes. ValueError for a longer one, or none."""
    stream = zlib.decompressobj()
    try:
        text = stream.decompress(deflated, most + 1)
    except zlib.error:
        raise ValueError(f"{name}: its header is not deflated; make the file anew") from None

    if len(text) > most:
        raise ValueError(f"{name}: its header is longer than {most:,} bytes; make the file anew")
    if not stream.eof or stream.unused_data:
        raise ValueError(f"{name}: its header does not end where it should; make the file anew")
    return text


def _sizes(content: bytes, name: str) -> tuple[int, int]:
    """The lengths of header and bits. ValueError unless the first 26 bytes are whole."""
    if len(content) < _PREFIX.size:
        if content and _MAGIC.startswith(content[: len(_MAGIC)]):
            raise ValueError(f"{name}: cut short, {len(content)} bytes; copy it again")
        raise ValueError(f"{name}: not a file that `allegory compress` wrote; give one")

    magic, version, header_size, count, check = _PREFIX.unpack_from(content)

    intact = zlib.crc32(content[len(_MAGIC) : _PREFIX.size - _CHECK.size]) == check
    if magic != _MAGIC:
        what = (
            "altered in its first bytes; copy it again"
            if intact
            else "not a file that `allegory compress` wrote"
        )
        raise ValueError(f"{name}: {what}")
    if not intact:
        raise ValueError(f"{name}: altered in its first bytes; copy it again")
    if version != _VERSION:
        raise ValueError(
            f"{name}: of format version {version}, not {_VERSION}; use the allegory that wrote it"
        )

    return header_size, count


def fingerprint(model: nn.Module, description: str) -> str:
    """32 hexadecimal digits of SHA-256 over a description and the state of a model.

    Args:
        model: its tensors, with names and dtypes.
        description: text that belongs to it.
    """
    digest = hashlib.sha256(description.encode())
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(f"\n{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(
            tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
        )
    return digest.hexdigest()[:32]
