"""Forget which plugins are installed, so that they are looked for again."""

from trm.plugins import load_plugins, plugins_of


def forget_plugins() -> None:
    load_plugins.cache_clear()
    plugins_of.cache_clear()
