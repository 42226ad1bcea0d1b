"""What the training commands print."""

import pytest

from trm.commands.processes import size_text


@pytest.mark.parametrize(
    ("num_bytes", "expected"), [(12, "12 B"), (2048, "2.0 KiB"), (5 * 2**30, "5.0 GiB")]
)
def test_size_text(num_bytes: int, expected: str) -> None:
    assert size_text(num_bytes) == expected
