"""What a notebook shows, as HTML: tables, and text beside pictures.

Readable on light and on dark pages: text has the page's own colour. Everything that comes from
outside is escaped.
"""

from collections.abc import Iterable, Sequence
from html import escape

_FONT = "font-family:sans-serif;font-size:13px"


def panels_html(panels: Iterable[str], caption: str) -> str:
    """Pieces of HTML side by side, and a line of text below them.

    Args:
        panels: HTML.
        caption: text.
    """
    row = "".join(panels)
    style = "display:flex;flex-wrap:wrap;gap:16px;align-items:flex-end"
    return (
        f'<div style="{_FONT}"><div style="{style}">{row}</div>'
        f'<div style="margin-top:6px">{escape(caption)}</div></div>'
    )


def panel_html(title: str, content: str) -> str:
    """A piece of HTML with a title, which is text."""
    return f'<div><div style="margin-bottom:4px">{escape(title)}</div>{content}</div>'


def text_html(text: str) -> str:
    """Text with its lines."""
    return f'<pre style="white-space:pre-wrap">{escape(text)}</pre>'


def table_html(title: str, header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of texts with a title. All columns but the first are aligned to the right."""
    head = "".join(
        f'<th style="text-align:{_side(x)}">{escape(t)}</th>' for x, t in enumerate(header)
    )
    body = "".join(
        "<tr>"
        + "".join(f'<td style="text-align:{_side(x)}">{escape(t)}</td>' for x, t in enumerate(row))
        + "</tr>"
        for row in rows
    )
    top = f"<thead><tr>{head}</tr></thead>" if header else ""
    style = "color:inherit;font:inherit;border-spacing:8px 2px"
    table = f'<table style="{style}">{top}<tbody>{body}</tbody></table>'
    return f'<div style="{_FONT}"><b>{escape(title)}</b>{table}</div>'


def _side(column: int) -> str:
    return "right" if column else "left"
