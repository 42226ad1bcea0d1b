"""What mkdocs is told beside its settings: docstrings name code in the manner of Sphinx."""

import re
from typing import Any

_ROLE = re.compile(r":(?:attr|class|data|func|meth|mod):<code>~?([\w.]+)</code>")


def on_page_content(html: str, **_: Any) -> str:
    """Show ``:class:`~a.b.C``` as ``C``, likewise the other roles, and no ``::`` before code."""
    html = _ROLE.sub(lambda found: f"<code>{found[1].rpartition('.')[2]}</code>", html)
    return html.replace("<p>::</p>", "").replace("::</p>", ":</p>")
