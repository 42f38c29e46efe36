"""A report: one HTML file with everything in it.

Pictures are PNG at twice the size at which they are shown, inside the file. There is no script, no
font and no link that needs a network, and all text is escaped. It follows the reader's choice of
light or dark.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from io import BytesIO
from typing import TYPE_CHECKING

from .style import boxed_signs, style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PIXELS_PER_INCH = 100
CSS = """
:root { color-scheme: light dark; --page: #fdfdfc; --ink: #1f2328; --soft: #59636e; --line: #d8dee4;
  --band: #f3f4f2; }
@media (prefers-color-scheme: dark) {
  :root { --page: #14171a; --ink: #e6e8ea; --soft: #9aa4ae; --line: #343b42; --band: #1d2125; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 880px; padding: 2rem 1.25rem 4rem;
  background: var(--page); color: var(--ink);
  font: 1.05rem/1.55 Georgia, "Times New Roman", serif; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0 0 1.5rem; }
h2 { font-size: 1.3rem; line-height: 1.3; margin: 3rem 0 .75rem; }
table { width: 100%; border-collapse: collapse; font: .95rem/1.4 system-ui, sans-serif; }
th, td { padding: .5rem .6rem; text-align: left;
  border-bottom: 1px solid var(--line); vertical-align: baseline; }
th { font-weight: 600; color: var(--soft); }
tbody th { font-weight: 400; color: var(--ink); }
.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
figure { margin: 0; }
.picture { overflow-x: auto; border: 1px solid var(--line); border-radius: 8px;
  background: #fff; padding: .5rem; }
img { display: block; width: 100%; min-width: 480px; height: auto; }
figcaption { margin-top: .7rem; }
.made { margin: .4rem 0 0; padding: .35rem .6rem; background: var(--band);
  border-radius: 6px; color: var(--soft);
  font: .82rem/1.5 ui-monospace, Menlo, Consolas, monospace; overflow-wrap: anywhere; }
@media (max-width: 600px) { body { padding: 1.25rem .9rem 3rem; }
  th, td { padding: .45rem .3rem; } }
"""


@dataclass(frozen=True, eq=False)
class Section:
    """A figure of a report.

    Args:
        title: the heading.
        figure: the figure.
        caption: what it shows.
        alt: a description in words, for readers who cannot see it.
        made: how it was made, in one line.
    """

    title: str
    figure: Figure
    caption: str
    alt: str
    made: str


def report(
    title: str,
    summary_rows: Sequence[tuple[str, float, float | None, str]],
    sections: Sequence[Section],
) -> str:
    """The HTML of a report.

    Args:
        title: the heading.
        summary_rows: (name, value, standard error or None, unit) of each figure.
        sections: figures with captions.
    """
    head = (
        '<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{CSS}</style>"
    )
    body = "\n".join(
        [f"<h1>{escape(title)}</h1>", table_html(summary_rows), *map(section_html, sections)]
    )
    start = f'<!DOCTYPE html>\n<html lang="en"><head>{head}</head>\n'

    return f"{start}<body><main>\n{body}\n</main></body></html>\n"


def table_html(rows: Sequence[tuple[str, float, float | None, str]]) -> str:
    """The HTML of a table of figures; "" without any.

    Args:
        rows: (name, value, standard error or None, unit) of each.
    """
    if not rows:
        return ""
    lines = "\n".join(
        f'<tr><th scope="row">{escape(name)}</th><td class="number">{_number(value, error)}</td>'
        f'<td class="number">{_plus_minus(error)}</td><td>{escape(unit)}</td></tr>'
        for name, value, error, unit in rows
    )
    head = '<tr><th scope="col">Result</th><th scope="col" class="number">Value</th>'
    head += '<th scope="col" class="number">Standard error</th><th scope="col">Unit</th></tr>'

    return f"<table><thead>{head}</thead><tbody>\n{lines}\n</tbody></table>"


def _plus_minus(error: float | None) -> str:
    return "" if error is None else f"± {_digits(error, error)}"


def _number(value: float, error: float | None) -> str:
    if error is None:
        return f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"
    return _digits(value, error)


def _digits(value: float, error: float) -> str:
    """As many decimals as two digits of the error need."""
    return f"{value:.3g}" if error <= 0 else f"{value:.{max(0, 1 - exponent(error))}f}"


def exponent(number: float) -> int:
    """The power of ten of a positive number's first digit."""
    return int(f"{number:e}".partition("e")[2])


def section_html(section: Section) -> str:
    """The HTML of a `section`: its heading, the picture, and the caption."""
    width, height = (round(inches * PIXELS_PER_INCH) for inches in section.figure.get_size_inches())
    return (
        f'<section><h2>{escape(section.title)}</h2>\n<figure><div class="picture">'
        f'<img alt="{escape(section.alt)}" width="{width}" height="{height}"'
        f' src="{_png(section.figure)}"></div>\n'
        f'<figcaption>{escape(section.caption)}<p class="made">{escape(section.made)}</p>'
        "</figcaption></figure></section>"
    )


def _png(figure: Figure) -> str:
    """A data: address of the figure at twice its size; the same figure gives the same bytes."""
    with style(), BytesIO() as file, boxed_signs():
        figure.savefig(file, format="png", dpi=2 * PIXELS_PER_INCH, metadata={"Software": None})
        return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
