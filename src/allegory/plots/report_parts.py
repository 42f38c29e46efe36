"""Parts of a report that other commands write: each can be replaced, and none gets lost.

A part lies between two comments with its key, before the end of the page. A new evaluation makes a
new page, into which the parts of the old one are taken over.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from hashlib import blake2b

from .report import Section, report, section_html, table_html

_END = "\n</main></body></html>\n"
_PART = re.compile(r"\n<!-- part ([0-9a-f]{16}) -->.*?<!-- end \1 -->", re.DOTALL)


def part_html(
    title: str,
    rows: Sequence[tuple[str, float, float | None, str]],
    sections: Sequence[Section],
) -> str:
    """The HTML of a part: a heading, a table of figures, and pictures.

    Args:
        title: the heading.
        rows: (name, value, standard error or None, unit) of each figure.
        sections: figures with captions.
    """
    from html import escape

    return "\n".join(
        [f"<h2>{escape(title)}</h2>", table_html(rows), *(section_html(each) for each in sections)]
    )


def with_part(page: str | None, key: str, part: str, title: str) -> str:
    """A report with a part, which replaces an earlier one of the same key.

    Args:
        page: the report; None for a new one.
        key: what the part is of, in any words.
        part: its HTML, from `part_html`.
        title: the heading of a new report.
    """
    name = blake2b(key.encode(), digest_size=8).hexdigest()
    block = f"\n<!-- part {name} -->\n{part}\n<!-- end {name} -->"
    whole = report(title, [], []) if page is None or not page.endswith(_END) else page

    parts = {found[1]: found[0] for found in _PART.finditer(whole)} | {name: block}
    return _PART.sub("", whole).removesuffix(_END) + "".join(parts.values()) + _END


def keep_parts(page: str, old: str | None) -> str:
    """A new report with the parts of the old one.

    Args:
        page: the new report.
        old: the one that it replaces; None without one.
    """
    parts = [] if old is None else [found[0] for found in _PART.finditer(old)]
    return page.removesuffix(_END) + "".join(parts) + _END
