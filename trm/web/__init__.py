"""A page in the browser that shows a model think: ``trm web``.

The server is :mod:`trm.web.server`; the page itself is in ``trm/web/page``.
"""
