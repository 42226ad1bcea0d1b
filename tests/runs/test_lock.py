"""The lock of a run folder, held by real processes."""

import errno
import fcntl
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from trm.errors import ConfigError, StorageError, TrmWarning
from trm.runs import lock
from trm.runs.lock import is_locked, run_lock

#: Holds the lock of the folder it is given until its input ends or it is killed.
HOLDER = """
import os, subprocess, sys
from pathlib import Path
from trm.runs.lock import run_lock

with run_lock(Path(sys.argv[1])):
    {child}
    print("held", flush=True)
    sys.stdin.read()
"""
#: Two kinds of children that live until the input ends, whether or not the holder is killed.
STARTED = "subprocess.Popen(['cat'], stdout=subprocess.DEVNULL)"
FORKED = "os.fork() and os.wait()"  # the child continues, and prints "held"


@contextmanager
def holding(folder: Path, child: str = "pass") -> Iterator["subprocess.Popen[str]"]:
    """Another process that holds the lock of the folder."""
    command = [sys.executable, "-c", HOLDER.format(child=child), str(folder)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == "held\n"
            yield process
        finally:
            process.kill()


def refusal(folder: Path) -> str:
    """The error of trying to train in the folder."""
    with pytest.raises(ConfigError) as caught, run_lock(folder):
        pytest.fail("two hold the lock")
    return str(caught.value)


def test_a_second_process_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "sudoku" / "a"
    with holding(folder) as other:
        assert refusal(folder) == (
            f"{folder} is being trained by process {other.pid} on host {socket.gethostname()}. "
            "Wait for it, or choose another --run-name."
        )
        assert is_locked(folder)
        other.communicate("")
        assert other.returncode == 0
    assert not is_locked(folder)
    with run_lock(folder):
        pass


def test_the_lock_of_a_killed_process_is_free_at_once(tmp_path: Path) -> None:
    with holding(tmp_path) as other:
        other.kill()
        other.wait()
        assert not is_locked(tmp_path)
        with run_lock(tmp_path):
            assert is_locked(tmp_path)


@pytest.mark.parametrize("child", [STARTED, FORKED])
def test_children_do_not_hold_it(tmp_path: Path, child: str) -> None:
    with holding(tmp_path, child) as other:
        assert is_locked(tmp_path)
        other.kill()
        other.wait()
        assert not is_locked(tmp_path)


@pytest.mark.parametrize("text", ["", "1 here\n", "hello", "\x00\xff" * 200])
def test_a_stale_file_is_no_obstacle(tmp_path: Path, text: str) -> None:
    (tmp_path / ".lock").write_text(text)
    assert not is_locked(tmp_path)
    with run_lock(tmp_path):
        assert (tmp_path / ".lock").read_text().split()[1] == socket.gethostname()


def test_the_same_process_is_refused_too(tmp_path: Path) -> None:
    with run_lock(tmp_path):
        assert is_locked(tmp_path)
        assert "is being trained by process" in refusal(tmp_path)
        assert is_locked(tmp_path)
    assert not is_locked(tmp_path)


def test_a_holder_that_has_not_written_its_name(tmp_path: Path) -> None:
    with run_lock(tmp_path):
        (tmp_path / ".lock").write_text("")
        assert f"{tmp_path} is being trained by another process. " in refusal(tmp_path)


def test_is_locked_makes_and_changes_nothing(tmp_path: Path) -> None:
    assert not is_locked(tmp_path / "absent")
    assert not is_locked(tmp_path)
    assert list(tmp_path.iterdir()) == []
    file = tmp_path / ".lock"
    file.write_text("1 here")
    before = file.stat().st_mtime_ns
    assert not is_locked(tmp_path)
    assert (file.read_text(), file.stat().st_mtime_ns) == ("1 here", before)


def test_a_start_waits_for_a_reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``is_locked`` of another process holds a shared lock for a moment."""
    (tmp_path / ".lock").touch()
    with (tmp_path / ".lock").open() as reader:
        fcntl.flock(reader, fcntl.LOCK_SH)
        assert not is_locked(tmp_path)
        monkeypatch.setattr(lock.time, "sleep", lambda _: reader.close())
        with run_lock(tmp_path):
            assert is_locked(tmp_path)


def test_the_lock_ends_with_an_error(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), run_lock(tmp_path):
        raise ZeroDivisionError
    assert not is_locked(tmp_path)


def test_places_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "a" / ".lock").mkdir(parents=True)
    message = r"^cannot write .*a/\.lock: a folder of that name is in the way\. Choose another"
    with pytest.raises(StorageError, match=message), run_lock(tmp_path / "a"):
        pass
    assert not is_locked(tmp_path / "a")
    (tmp_path / "file").touch()
    message = r"file/\.lock: a file of that name is in the way\."
    with pytest.raises(StorageError, match=message), run_lock(tmp_path / "file"):
        pass
    assert not is_locked(tmp_path / "file")


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (errno.EACCES, "no permission to write there"),
        (errno.EROFS, "the file system is read-only"),
    ],
)
def test_a_folder_that_is_read_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, reason: str
) -> None:
    def refuse(path: Path, mode: str) -> None:
        raise OSError(code, "no", str(path))

    monkeypatch.setattr(lock, "FileIO", refuse)
    with pytest.raises(StorageError, match=reason), run_lock(tmp_path):
        pass


def test_errors_of_the_block_are_its_own(tmp_path: Path) -> None:
    with pytest.raises(PermissionError), run_lock(tmp_path):
        raise PermissionError(errno.EACCES, "elsewhere")


def test_a_file_system_without_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(file: object, kind: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(lock.fcntl, "flock", refuse)
    _check_that_it_trains_without_a_lock(tmp_path, "a file system")


def test_an_operating_system_without_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "fcntl", None)
    _check_that_it_trains_without_a_lock(tmp_path, "an operating system")


def _check_that_it_trains_without_a_lock(folder: Path, where: str) -> None:
    message = f"^{folder} is on {where} without file locks. Let no second process work there.$"
    with pytest.warns(TrmWarning, match=message), run_lock(folder):
        assert not is_locked(folder)
