"""Damaged files as hypothesis strategies, for `benchmarks.hostile`.

A strategy draws the content of a file. What is damaged keeps its checksums and lengths right where
the format has them, so that the reader behind them is met.
"""

from __future__ import annotations

import io
import json
import struct
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from hypothesis import strategies as st

Bytes = st.SearchStrategy[bytes]

_HOLE = "\ue000hole\ue000"
_INTEGERS = [0, 1, -1, 2, 3, 7, 100, 1000, 2**31 - 1, 2**31, 2**32, 2**53 + 1, 2**63, 2**64]
_NUMBERS = [
    *map(str, [*_INTEGERS, -(2**31), -(2**63), 10**6, 10**9, 10**12, 10**30, 10**400]),
    *("0.5", "-0.0", "1e-300", "1e38", "1e39", "1e308", "1e999", "NaN", "-Infinity", "3.0", "1e9"),
]
_TEXTS = [
    *("", "~nouser/x", "../../x", "\x1b]0;owned\a", "nan", "a\nb", "\u202ex", "é" * 500, "\0"),
    *("digits", "hub:a/b", "moons?seed=x", "/dev/zero", "/", "vp", "cuda:99", "Run", "auto"),
]
_NESTED = ["[" * 200_000, "[" * 500 + "]" * 500, '{"a":' * 500 + "1" + "}" * 500]


def paths(value: Any, here: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The places of a JSON value: keys and indices from the root."""
    yield here
    if isinstance(value, (dict, list)):
        for name, each in value.items() if isinstance(value, dict) else enumerate(value):
            yield from paths(each, (*here, name))


def fragments(known: list[Any]) -> st.SearchStrategy[str]:
    """Texts that stand for a JSON value; most are JSON.

    Args:
        known: values that occur in good files, such as configs of other kinds.
    """
    anything = st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
        lambda inner: (
            st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
        ),
        max_leaves=6,
    )
    return st.one_of(
        st.sampled_from(_NUMBERS),
        st.sampled_from(["null", "true", "false", "[]", "{}", '""', *_NESTED]),
        st.sampled_from(_TEXTS).map(json.dumps),
        st.sampled_from(known).map(json.dumps),
        anything.map(json.dumps),
        st.integers(2, 10**5).map(lambda count: json.dumps([1] * count)),
    )


@st.composite
def damaged_json(draw: Any, text: str, known: list[Any]) -> str:
    """A JSON text with one or two places changed."""
    for _ in range(draw(st.sampled_from([1, 1, 1, 2]))):
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            return text
        text = draw(_changed_json(value, known))
    return text


@st.composite
def _changed_json(draw: Any, value: Any, known: list[Any]) -> str:
    place = draw(st.sampled_from(list(paths(value))))
    if not place:
        return draw(fragments(known))
    around = value
    for name in place[:-1]:
        around = around[name]
    last = place[-1]

    fragment = draw(fragments(known))
    how = draw(st.sampled_from(["replace"] * 6 + ["scale", "delete", "add", "double", "swap"]))
    old = around[last]
    if how == "delete":
        del around[last]
    elif how == "add" and isinstance(around, dict):
        around[draw(st.sampled_from(["kind", "x", "\x1b[31m", "format"]))] = _HOLE
    elif how == "swap":
        other = draw(st.sampled_from(list(around) if isinstance(around, dict) else [0]))
        around[last], around[other] = around[other], old
    elif how == "double" and isinstance(around, dict):
        around[last] = _HOLE
        fragment = f"{json.dumps(old)}, {json.dumps(last)}: {fragment}"
    elif how == "scale" and type(old) in (int, float):
        factor = draw(st.sampled_from([-1, 0, 2, 10, 10**3, 10**6, 10**9, 10**18, 0.5]))
        around[last] = old * factor
    else:
        around[last] = _HOLE
    return json.dumps(value).replace(json.dumps(_HOLE), fragment)


@st.composite
def damaged_bytes(draw: Any, content: bytes) -> bytes:
    """Bytes of which some are flipped, cut, doubled or overwritten."""
    size = len(content)
    place = draw(st.integers(0, max(0, size - 1)))
    if draw(st.booleans()):  # near the start, where headers are
        place = min(place, draw(st.integers(0, 400)))
    length = draw(st.integers(1, 64))
    how = draw(st.sampled_from(["flip"] * 4 + ["cut"] * 2 + ["field"] * 2 + ["other"]))

    changed = bytearray(content)
    if how == "flip":
        for _ in range(draw(st.integers(1, 4))):
            at = draw(st.integers(0, max(0, size - 1)))
            if changed:
                changed[at] ^= 1 << draw(st.integers(0, 7))
        if changed:
            changed[place] ^= 1 << draw(st.integers(0, 7))
        return bytes(changed)
    if how == "cut":
        return content[:place]
    if how == "field":
        form = draw(st.sampled_from(["<H", "<I", "<Q", ">I"]))
        number = draw(st.sampled_from(_INTEGERS)) % 2 ** (8 * struct.calcsize(form))
        changed[place : place + struct.calcsize(form)] = struct.pack(form, number)
        return bytes(changed)
    return draw(
        st.sampled_from(
            [
                b"",
                content[place:],
                content + content,
                content + bytes(length),
                content[:place] + bytes(length) + content[place + length :],
                content[:place] + content[place + length :],
                bytes(size),
                b"PK" + content,
                b"\xff\xfe" + content,
            ]
        )
        | st.binary(max_size=200)
    )


def json_file(content: bytes, known: list[Any]) -> Bytes:
    """A JSON file."""
    text = damaged_json(content.decode(), known).map(str.encode)
    return st.one_of(text, text, text, text, damaged_bytes(content))


@st.composite
def json_lines(draw: Any, content: bytes, known: list[Any]) -> bytes:
    """A file of one JSON text a line."""
    if draw(st.integers(0, 4)) == 0:
        return draw(damaged_bytes(content))
    lines = content.decode().splitlines()
    place = draw(st.integers(0, len(lines) - 1))
    text = damaged_json(lines[place], known)
    lines[place : place + draw(st.integers(0, 1))] = [draw(text | fragments(known))]
    return "\n".join(lines).encode() + draw(st.sampled_from([b"\n", b""]))


@st.composite
def safetensors_file(draw: Any, content: bytes, known: list[Any]) -> bytes:
    """Weights: their header, their tensors, or their bytes."""
    how = draw(st.sampled_from(["header", "tensors", "tensors", "bytes"]))
    if how == "bytes":
        return draw(damaged_bytes(content))
    if how == "tensors":
        return draw(_changed_tensors(content))

    size = struct.unpack("<Q", content[:8])[0]
    places = [{"dtype": each, "shape": [1], "data_offsets": [0, 4]} for each in ("F64", "BOOL")]
    text = draw(damaged_json(content[8 : 8 + size].decode(), [*known, *places, "F16", "I64"]))
    header = text.encode()
    header += b" " * (-len(header) % 8)
    length = draw(st.sampled_from([len(header)] * 6 + [0, size, 2**32, 2**63]))
    return struct.pack("<Q", length) + header + content[8 + size :]


@st.composite
def _changed_tensors(draw: Any, content: bytes) -> bytes:
    import torch
    from safetensors.torch import load, save

    tensors = load(content)
    size = struct.unpack("<Q", content[:8])[0]
    metadata = json.loads(content[8 : 8 + size]).get("__metadata__")
    name = draw(st.sampled_from(sorted(tensors)))
    chosen = [name] if draw(st.booleans()) else sorted(tensors)
    how = draw(st.sampled_from(sorted(_TENSORS)))
    for each in chosen:
        tensor = tensors.pop(each)
        changed = _TENSORS[how](tensor)
        if changed is not None:
            new = f"x.{each}" if how == "renamed" else each
            tensors[new] = changed.contiguous()
    if how == "more":
        tensors["\x1b]0;owned\a"] = torch.zeros(3)
    return save(tensors, metadata)


_TENSORS: dict[str, Callable[[Any], Any]] = {
    "one number": lambda t: t.reshape(-1)[:1].clone() if t.ndim else t,
    "flat": lambda t: t.reshape(-1).clone(),
    "longer": lambda t: t.reshape(-1).repeat(3),
    "empty": lambda t: t.reshape(-1)[:0].clone(),
    "no axes": lambda t: t.reshape(-1)[0].clone(),
    "transposed": lambda t: t.transpose(0, -1).clone() if t.ndim else t[None],
    "absent": lambda t: None,
    "renamed": lambda t: t,
    "more": lambda t: t,
    "int64": lambda t: t.long(),
    "float64": lambda t: t.double(),
    "half": lambda t: t.half(),
    "bool": lambda t: t.bool(),
    "complex": lambda t: t.float() + 1j,
    "NaN": lambda t: t * float("nan") if t.is_floating_point() else t,
    "infinite": lambda t: t.float() + float("inf"),
    "huge": lambda t: t.float() * 1e30 + 1e37,
    "negative": lambda t: -t.float() - 1,
    "zero": lambda t: t * 0,
    "ones": lambda t: t * 0 + 1,
    "255": lambda t: t * 0 + 255 if not t.is_floating_point() else -t,
}


@st.composite
def bits_file(draw: Any, content: bytes, known: list[Any]) -> bytes:
    """A compressed file with right checksums, or its bytes."""
    if draw(st.integers(0, 3)) == 0:
        return draw(damaged_bytes(content))
    size, count = struct.unpack_from("<IQ", content, 10)
    deflated = content[26 : 26 + size]
    words = content[26 + size : 26 + size + 4 * count]
    how = draw(st.sampled_from(["header"] * 5 + ["deflated", "words", "counts", "bomb"]))

    if how == "header":
        text = zlib.decompress(deflated).decode()
        deflated = zlib.compress(draw(damaged_json(text, known)).encode())
    elif how == "deflated":
        deflated = draw(damaged_bytes(deflated))
    elif how == "words":
        changed = draw(damaged_bytes(words) | st.binary(max_size=4000))
        words = changed[: len(changed) // 4 * 4]
    elif how == "bomb":
        deflated = zlib.compress(b" " * draw(st.sampled_from([2**20, 2**26, 2**28])) + b"{}")

    lengths = [len(deflated), len(words) // 4]
    if how == "counts":
        most = draw(st.sampled_from(_INTEGERS))
        lengths = draw(st.sampled_from([[lengths[0], abs(most) % 2**64], [abs(most) % 2**32, 1]]))
    sizes = struct.pack("<HIQ", 2, *lengths)
    body = deflated + words
    checks = [struct.pack("<I", zlib.crc32(part)) for part in (sizes, body)]
    return content[:8] + sizes + checks[0] + body + checks[1]


_SHAPES = st.lists(st.sampled_from(_INTEGERS) | st.integers(0, 50), max_size=5)
_DTYPES = [
    *("'<f4'", "'<f8'", "'<f2'", "'|u1'", "'|b1'", "'<i8'", "'>i2'", "'<c16'", "'|O'", "'<U5'"),
    *("'<U1000000'", "'<U0'", "'|S3'", "'<M8[ns]'", "'|V8'", "[('a', '<f4')]", "'<f16'", "''"),
    *("[('a', '|O')]", "'<f4,<f4'", "7", "None", "'\\x1b'", "'(2,)f4'", "'f'", "('<f4', (2**40,))"),
]


@st.composite
def npy_file(draw: Any, content: bytes) -> bytes:
    """An .npy file: its header, an unusual array, or its bytes."""
    how = draw(st.sampled_from(["header"] * 3 + ["array"] * 2 + ["bytes"]))
    if how == "bytes":
        return draw(damaged_bytes(content))
    if how == "array":
        return npy(draw(arrays()))

    descr = draw(st.sampled_from(_DTYPES))
    shape = repr(tuple(draw(_SHAPES)))
    shape = draw(st.sampled_from([shape] * 6 + ["(40, 2)", "()", "7", "(2.0,)", "(True, 80)"]))
    order = draw(st.sampled_from(["False"] * 3 + ["True", "None", "'x'"]))
    text = f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}"
    text = draw(
        st.sampled_from([text] * 8 + ["(" * 90, "", "{}", "12L", "[" * 9000, text[:-4], "\0" * 40])
    )
    header = text.ljust(117).encode() + b"\n"
    version = draw(st.sampled_from([b"\1\0"] * 4 + [b"\2\0", b"\3\0", b"\7\1"]))
    length = draw(st.sampled_from([len(header)] * 5 + [0, 3, 65535]))
    form = "<H" if version == b"\1\0" else "<I"
    return b"\x93NUMPY" + version + struct.pack(form, length) + header + content[128:]


@st.composite
def arrays(draw: Any) -> np.ndarray:
    """Arrays that nobody should learn from, and some that one can."""
    shape = tuple(draw(st.lists(st.integers(0, 12), min_size=0, max_size=5)))
    dtype = draw(
        st.sampled_from(
            [
                *("f4", "f8", "f2", "u1", "b1", "i8", "i2", "u8", "c16", "U3", "S2", "M8[s]"),
                *("m8[s]", ">f4", ">u2", "longdouble"),
            ]
        )
    )
    fill = draw(st.sampled_from([0, 1, 255, 7, -1]))
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        array = np.full(shape, fill, np.int64) + np.arange(np.prod(shape, dtype=int)).reshape(shape)
        array = array.astype(dtype)
    if array.dtype.kind == "f" and array.size:
        odd = draw(st.sampled_from([np.nan, np.inf, 1e30, -1e300, 1e-40, 0.0, 6e4]))
        with np.errstate(all="ignore"):
            array.reshape(-1)[draw(st.integers(0, array.size - 1))] = odd
    return array


def npy(array: np.ndarray) -> bytes:
    """An array as the content of an .npy file."""
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


_LABELS = [
    np.arange(40) % 3 + 2**40,
    np.arange(40) * 10**6,
    np.arange(40) - 20,
    np.arange(40) % 3 * 7,
    np.arange(40) / 3,
    np.arange(40) % 2 == 0,
    np.array(["a", "\x1b[31m"] * 20),
    np.array([b"a", b"b"] * 20),
    np.array(["x" * 3000 + str(i) for i in range(40)]),
    np.arange(39) % 3,
    np.zeros((40, 3)),
    np.array(3),
    np.full(40, 2**63, np.uint64),
    np.full(40, np.nan),
    np.arange(40) % 3 * 1j,
]
_NAMES = [
    "x",
    "y",
    "labels",
    "x_test",
    "y_test",
    "x_train",
    "x_validation",
    "\x1b]0;a\a",
    "../x",
    "",
]


@st.composite
def npz_file(draw: Any, content: bytes) -> bytes:
    """An .npz file: its arrays, its members, its directory, or its bytes."""
    how = draw(st.sampled_from(["arrays", "member", "names", "directory", "bytes", "kind", "bomb"]))
    if how == "bytes":
        return draw(damaged_bytes(content))
    with zipfile.ZipFile(io.BytesIO(content)) as whole:
        members = {name: whole.read(name) for name in whole.namelist()}

    method = zipfile.ZIP_DEFLATED
    if how == "arrays":
        name = draw(st.sampled_from(["x", "y", "y", "x_test", "y_test"]))
        members[f"{name}.npy"] = npy(draw(st.sampled_from(_LABELS) | arrays()))
    elif how == "member":
        name = draw(st.sampled_from(sorted(members)))
        members[name] = draw(npy_file(members[name]))
    elif how == "names":
        names = draw(st.lists(st.sampled_from(_NAMES), min_size=1, max_size=4, unique=True))
        ending = draw(st.sampled_from([".npy", ".npy", "", ".npy.npy"]))
        members = {
            f"{name}{ending}" or ".": draw(st.sampled_from(sorted(members.values())))
            for name in names
        }
    elif how == "kind":
        method = draw(st.sampled_from([zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]))
    elif how == "bomb":
        members["x.npy"] = npy(np.zeros(draw(st.sampled_from([10**5, 6 * 10**7, 2 * 10**8])), "u1"))
    made = _archive(members, method)
    return draw(_changed_directory(made)) if how == "directory" else made


def _archive(members: dict[str, bytes], method: int) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as written:
        for name, member in members.items():
            written.writestr(name, member)
    return file.getvalue()


_DIRECTORY = [
    (8, 6, "<H"),
    (10, 8, "<H"),
    (16, 14, "<I"),
    (20, 18, "<I"),
    (24, 22, "<I"),
    (28, 26, "<H"),
]
"""Fields in the directory, and in front of a member: flags, method, CRC, sizes, length of names."""


@st.composite
def _changed_directory(draw: Any, content: bytes) -> bytes:
    changed = bytearray(content)
    central, local, form = draw(st.sampled_from(_DIRECTORY))
    value = draw(st.sampled_from(_INTEGERS)) % 2 ** (8 * struct.calcsize(form))
    both = draw(st.booleans())
    for place, signature in ((central, b"PK\1\2"), (local, b"PK\3\4"))[: 1 + both]:
        struct.pack_into(form, changed, content.index(signature) + place, value)
    if draw(st.integers(0, 3)) == 0:
        end = content.index(b"PK\5\6")
        at, kind = draw(
            st.sampled_from([(8, "<H"), (10, "<H"), (12, "<I"), (16, "<I"), (20, "<H")])
        )
        struct.pack_into(kind, changed, end + at, value % 2 ** (8 * struct.calcsize(kind)))
    return bytes(changed)


@st.composite
def png_file(draw: Any, content: bytes) -> bytes:
    """A PNG: its header and chunks with right checksums, or its bytes."""
    if draw(st.integers(0, 2)) == 0:
        return draw(damaged_bytes(content))
    chunks = list(png_chunks(content))
    how = draw(st.sampled_from(["header"] * 3 + ["chunk", "text", "pixels", "order"]))
    if how == "header":
        width, height = (
            draw(st.sampled_from([0, 1, 4, 7, 100, 13000, 10**5, 2**31 - 1, 2**32 - 1]))
            for _ in range(2)
        )
        depth, colour = (draw(st.sampled_from([0, 1, 2, 3, 4, 6, 8, 16, 255])) for _ in range(2))
        if draw(st.booleans()):
            depth, colour = 8, 0
        chunks[0] = (
            b"IHDR",
            struct.pack(
                ">IIBBBBB", width, height, depth, colour, 0, 0, draw(st.sampled_from([0, 0, 1, 9]))
            ),
        )
        if draw(st.booleans()) and width * height < 2 * 10**8:
            chunks = [
                chunks[0],
                (b"IDAT", zlib.compress(bytes(height * (width + 1)), 1)),
                (b"IEND", b""),
            ]
    elif how == "chunk":
        place = draw(st.integers(0, len(chunks) - 1))
        chunks[place] = (chunks[place][0], draw(damaged_bytes(chunks[place][1])))
    elif how == "text":
        kind = draw(
            st.sampled_from([b"zTXt", b"iCCP", b"tEXt", b"eXIf", b"acTL", b"PLTE", b"tRNS"])
        )
        bomb = b"a\0\0" + zlib.compress(bytes(draw(st.sampled_from([10, 10**6, 10**8]))), 9)
        chunks.insert(1, (kind, bomb))
    elif how == "pixels":
        chunks = [
            (k, zlib.compress(draw(st.binary(max_size=64))) if k == b"IDAT" else c)
            for k, c in chunks
        ]
    else:
        chunks = draw(st.permutations(chunks))
    return content[:8] + b"".join(map(_chunk, chunks))


def png_chunks(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The chunks of a PNG: kind and content."""
    place = 8
    while place < len(content):
        size = struct.unpack_from(">I", content, place)[0]
        yield content[place + 4 : place + 8], content[place + 8 : place + 8 + size]
        place += size + 12


def _chunk(chunk: tuple[bytes, bytes]) -> bytes:
    kind, content = chunk
    check = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", check)


@st.composite
def parquet_file(draw: Any, content: bytes, picture: bytes, known: list[Any]) -> bytes:
    """A table of pictures: its cells, labels and metadata, or its bytes."""
    if draw(st.integers(0, 2)) == 0:
        return draw(damaged_bytes(content))
    cells: list[Any] = [{"bytes": picture, "path": None}] * 12
    labels: list[Any] = [i % 3 for i in range(12)]
    how = draw(st.sampled_from(["cell", "cells", "labels", "metadata", "metadata"]))
    metadata = json.dumps(HF)
    if how == "cell":
        cells[3] = draw(
            st.sampled_from(
                [
                    None,
                    {"bytes": None, "path": None},
                    {"bytes": None, "path": "/etc/hostname"},
                    {"bytes": b"", "path": "../x"},
                    {"bytes": None, "path": "\x1b[31m"},
                ]
            )
            | st.builds(lambda c: {"bytes": c, "path": None}, png_file(picture))
        )
    elif how == "cells":
        cells = draw(
            st.sampled_from([[1] * 12, ["a"] * 12, [None] * 12, [[1, 2]] * 12, [b"x"] * 12])
        )
    elif how == "labels":
        labels = draw(
            st.lists(st.sampled_from([*_INTEGERS[:-2], -1]), min_size=12, max_size=12)
            | st.sampled_from(
                [
                    ["a", "\x1b"] * 6,
                    [None] * 12,
                    [0.5] * 12,
                    [[1]] * 12,
                    [0] * 12,
                    [True, False] * 6,
                ]
            )
        )
    else:
        metadata = draw(damaged_json(metadata, known))
    return table({"image": cells, "label": labels}, metadata)


HF = {
    "info": {
        "features": {
            "image": {"_type": "Image"},
            "label": {"names": ["a", "b", "c"], "_type": "ClassLabel"},
        }
    }
}
"""What the library `datasets` writes into the metadata of a table."""


def table(columns: dict[str, list[Any]], metadata: str) -> bytes:
    """A parquet file of these columns, with the metadata of `datasets`."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        made = pa.table(columns)
    except (pa.ArrowException, OverflowError):  # values of several kinds
        made = pa.table({name: [str(each) for each in cells] for name, cells in columns.items()})
    file = io.BytesIO()
    pq.write_table(made.replace_schema_metadata({"huggingface": metadata}), file)
    return file.getvalue()
