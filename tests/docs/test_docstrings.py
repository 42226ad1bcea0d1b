"""The examples in docstrings give what they show."""

import doctest
import importlib
from pathlib import Path

import pytest

import trm

PACKAGE = Path(trm.__file__).parent
MODULES = sorted(
    ".".join(file.relative_to(PACKAGE.parent).with_suffix("").parts)
    for file in PACKAGE.rglob("*.py")
    if ">>> " in file.read_text(encoding="utf-8")
)


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings(name: str) -> None:
    failures, attempts = doctest.testmod(importlib.import_module(name))
    assert failures == 0
    assert attempts > 0
