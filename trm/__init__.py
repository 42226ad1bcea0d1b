"""Tiny Recursive Models: build data, train, evaluate and use them."""

__version__ = "0.1.0"
