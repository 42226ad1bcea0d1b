"""Pages that show a model think: ``trm web`` in a browser, ``trm.play`` in a notebook.

The server is :mod:`trm.web.server`; the page itself is in ``trm/web/page``. The widget of a
notebook shows a part of the same page; what it has of its own is in ``trm/web/notebook``.
"""
