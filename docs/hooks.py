"""Hooks for mkdocs: they render the Sphinx roles in docstrings."""

import re
from typing import Any

_ROLE = re.compile(r":(?:attr|class|data|func|meth|mod):<code>~?([\w.]+)</code>")


def on_page_content(html: str, **_: Any) -> str:
    """Show ``:class:`~a.b.C``` as ``C``, also for other roles, and turn ``::`` into ``:``."""
    html = _ROLE.sub(lambda match: f"<code>{match[1].rpartition('.')[2]}</code>", html)
    return html.replace("<p>::</p>", "").replace("::</p>", ":</p>")
