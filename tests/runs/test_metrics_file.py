"""Writing metrics.jsonl, and reading it from either end."""

import json
import os
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trm.errors import StorageError
from trm.runs.metrics_file import MetricsFile, newest_first, oldest_first

MIB = 1 << 20


def write_records(path: Path, *records: dict[str, Any], more: bytes = b"") -> Path:
    lines = "".join(json.dumps(record) + "\n" for record in records)
    path.write_bytes(lines.encode() + more)
    return path


@given(records=st.lists(st.dictionaries(st.text(max_size=3), st.text(max_size=9), min_size=1)))
@settings(deadline=None, derandomize=True, max_examples=60)
def test_backwards_is_the_reverse(
    tmp_path_factory: pytest.TempPathFactory, records: list[dict[str, str]]
) -> None:
    path = write_records(tmp_path_factory.mktemp("m") / "m", *records)
    assert list(newest_first(path)) == records[::-1]
    assert list(oldest_first(path)) == records


@pytest.mark.parametrize("length", [50, 1000, MIB // 3, MIB // 2, MIB - 100, MIB - 50])
def test_a_file_of_many_blocks_backwards(tmp_path: Path, length: int) -> None:
    """Lines that end before, at and after the ends of the blocks that are read."""
    records: list[dict[str, Any]] = [
        {"n": n, "x": "x" * (length + n % 7)} for n in range(4 * MIB // length + 3)
    ]
    path = write_records(tmp_path / "m", *records)
    found = [(record["n"], len(record["x"])) for record in newest_first(path)]
    assert found == [(record["n"], len(record["x"])) for record in reversed(records)]


@pytest.mark.parametrize(
    "line", [b'{"event": "tr', b"\n", b"[3]\n", b"3\n", b"\xff\xfe\n", b"\0" * 9, b"[" * 10_000]
)
def test_an_invalid_line_is_skipped(tmp_path: Path, line: bytes) -> None:
    path = write_records(tmp_path / "m", {"step": 1}, {"step": 2}, more=line)
    assert [record["step"] for record in newest_first(path)] == [2, 1]
    assert [record["step"] for record in oldest_first(path)] == [1, 2]


def test_an_event_is_skipped(tmp_path: Path) -> None:
    events = [{"event": name, "n": n} for n, name in enumerate(("train", "eval", "train", "end"))]
    path = write_records(tmp_path / "m", *events, {"n": 4}, more=b'{"event":"train"}\n')
    assert [record["n"] for record in newest_first(path, skip="train")] == [4, 3, 1]
    assert len(list(newest_first(path))) == 6


def test_only_the_end_is_read(tmp_path: Path) -> None:
    """The file seems to have a terabyte, which nobody could read in the time of a test."""
    path = tmp_path / "m"
    path.touch()
    os.truncate(path, 1 << 40)
    with path.open("ab") as file:
        file.write(b'\n{"step": 1}\n{"step": 2}\n')
    records = newest_first(path)
    assert [next(records), next(records)] == [{"step": 2}, {"step": 1}]


def test_a_long_invalid_line_is_not_kept_in_memory(tmp_path: Path) -> None:
    path = write_records(tmp_path / "m", {"step": 1}, {"step": 2})
    os.truncate(path, 64 * MIB)  # zeros, as a crash may leave
    tracemalloc.start()
    try:
        assert [record["step"] for record in newest_first(path)] == [2, 1]
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 16 * MIB


def test_records_beyond_the_checkpoint_and_broken_lines_are_forgotten(tmp_path: Path) -> None:
    file = tmp_path / "metrics.jsonl"
    lines = ['{"event": "train", "step": 5}', '{"event": "train", "step": 6}', '{"event": "tr']
    file.write_text("\n".join(lines))
    MetricsFile(file, after_step=5)({"event": "train", "step": 6, "loss": float("inf")})
    found = [json.loads(line) for line in file.read_text().splitlines()]
    assert [record["step"] for record in found] == [5, 6]
    assert found[1]["loss"] is None


def test_a_file_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot write"):
        MetricsFile(tmp_path / "file" / "metrics.jsonl")
