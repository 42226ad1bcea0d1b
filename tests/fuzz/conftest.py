"""BASE, once for all workers."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.fuzz.base import build_base


@pytest.fixture(scope="session")
def base(make_once: Callable[..., Path]) -> Path:
    return make_once("fuzz-base", build_base)
