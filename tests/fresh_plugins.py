"""Forget which plugins are installed, so that they are looked for again."""

from trm import plugins


def forget_plugins() -> None:
    for cached in (plugins.load_plugins, plugins._installed, plugins.plugins_of):
        cached.cache_clear()
