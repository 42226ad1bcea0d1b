"""Reading metrics.jsonl from either end."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trm.runs import metrics_file
from trm.runs.metrics_file import newest_first, oldest_first


def written(path: Path, *found: dict[str, Any], more: bytes = b"") -> Path:
    lines = "".join(json.dumps(record) + "\n" for record in found)
    path.write_bytes(lines.encode() + more)
    return path


@given(
    found=st.lists(st.dictionaries(st.text(max_size=3), st.text(max_size=9), min_size=1)),
    block=st.integers(1, 60),
)
@settings(deadline=None, derandomize=True, max_examples=60)
def test_backwards_is_the_reverse(
    tmp_path_factory: pytest.TempPathFactory, found: list[dict[str, str]], block: int
) -> None:
    """However the blocks that are read cut the lines."""
    path = written(tmp_path_factory.mktemp("m") / "m", *found)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(metrics_file, "_BLOCK", block)
        assert list(newest_first(path)) == found[::-1]
    assert list(oldest_first(path)) == found


@pytest.mark.parametrize(
    "line", [b'{"event": "tr', b"\n", b"[3]\n", b"3\n", b"\xff\xfe\n", b"\0" * 9, b"[" * 10_000]
)
def test_what_is_no_record_is_passed_over(tmp_path: Path, line: bytes) -> None:
    path = written(tmp_path / "m", {"step": 1}, {"step": 2}, more=line)
    assert [record["step"] for record in newest_first(path)] == [2, 1]
    assert [record["step"] for record in oldest_first(path)] == [1, 2]


def test_an_event_is_passed_over(tmp_path: Path) -> None:
    events = [{"event": name, "n": n} for n, name in enumerate(("train", "eval", "train", "end"))]
    path = written(tmp_path / "m", *events, {"n": 4}, more=b'{"event":"train"}\n')
    assert [record["n"] for record in newest_first(path, skip="train")] == [4, 3, 1]
    assert len(list(newest_first(path))) == 6


def test_only_the_end_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path / "m", *({"step": step} for step in range(1000)))
    parsed: list[bytes] = []
    parse = metrics_file._record
    monkeypatch.setattr(metrics_file, "_BLOCK", 100)
    monkeypatch.setattr(metrics_file, "_record", lambda line: parsed.append(line) or parse(line))
    assert next(newest_first(path)) == {"step": 999}
    assert len(parsed) == 2  # what is behind the last line break, and the last line


def test_what_is_too_long_for_a_record_is_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metrics_file, "_BLOCK", 100)
    monkeypatch.setattr(metrics_file, "_LONGEST", 300)
    path = written(tmp_path / "m", {"step": 1}, {"step": 2}, more=b"\0" * 5000)
    assert [record["step"] for record in newest_first(path)] in ([2, 1], [1])
