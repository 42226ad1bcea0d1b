"""Disk and memory of this machine.

Writing is atomic: a file or folder is written under another name, synced, then renamed. Everything
unfinished has a hidden name that says which process of which machine is writing it. What a killed
process leaves is removed by the next one that writes into the same folder.
"""

import contextlib
import contextvars
import errno
import hashlib
import os
import re
import shutil
import socket
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from trm.errors import InputError, StorageError

#: One path, or several.
Paths = str | Path | Sequence[str | Path]

#: Read once: reading it changes it for a moment, for all threads.
_UMASK = os.umask(0)
os.umask(_UMASK)

_REASONS = {
    errno.ENOSPC: "no space left on the disk. Free some, or choose another place",
    errno.EDQUOT: "the disk quota is used up. Free some, or choose another place",
    errno.EFBIG: "the file would be larger than allowed. Choose another place",
    errno.EACCES: "no permission to write there. Choose another place",
    errno.EPERM: "no permission to write there. Choose another place",
    errno.EROFS: "the file system is read-only. Choose another place",
    errno.ENOENT: "the folder does not exist and cannot be created. Choose another place",
    errno.EBUSY: "a folder of that name is in the way. Choose another place",
    errno.ENOTEMPTY: "a folder of that name is in the way. Choose another place",
    errno.ENOTDIR: "a part of the path is a file, not a folder. Choose another place",
    errno.EEXIST: "a file of that name is in the way. Choose another place",
    errno.EISDIR: "a folder of that name is in the way. Choose another place",
    errno.ENAMETOOLONG: "the name is too long. Choose a shorter one",
}


def as_paths(paths: Paths) -> tuple[str | Path, ...]:
    """One path or several, as several.

    >>> as_paths("runs/a"), as_paths(["runs/a", "runs/b"])
    (('runs/a',), ('runs/a', 'runs/b'))
    """
    several = [paths] if isinstance(paths, str | os.PathLike) else paths
    return tuple(path if isinstance(path, str) else Path(path) for path in several)


#: Where a container's limit on its memory, its use of memory and the statistics of that are, in
#: versions 2 and 1 of Linux' control groups.
_CGROUPS = (
    ("memory.max", "memory.current", "memory.stat"),
    ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "memory/memory.stat"),
)


_CGROUP_ROOT = Path("/sys/fs/cgroup")


@dataclass(frozen=True)
class Memory:
    """Bytes of memory: in all, and those that are free or would be made free."""

    total: int
    free: int

    def share(self, count: int) -> "Memory":
        """The part of one of ``count`` processes."""
        return Memory(self.total // count, self.free // count)


def machine_memory() -> Memory | None:
    """The memory of this machine or container; None where the system does not say."""
    total, free = _pages("SC_PHYS_PAGES"), _pages("SC_AVPHYS_PAGES")
    if total is None:
        return None
    available = _number_in(Path("/proc/meminfo"), "MemAvailable:")
    free = free if available is None else 1024 * available
    free = total if free is None else free
    for limit_name, used_name, statistics_name in _CGROUPS:
        limit, used = (_number_in(_CGROUP_ROOT / name) for name in (limit_name, used_name))
        if limit is not None:
            total = min(total, limit)
            cached = _number_in(_CGROUP_ROOT / statistics_name, "inactive_file") or 0
            free = min(free, max(0, limit - max(0, (used or 0) - cached)))
    return Memory(total, free)


def _pages(name: str) -> int | None:
    """A number of memory pages, in bytes."""
    try:
        return os.sysconf(name) * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):  # Windows, macOS
        return None


def _number_in(path: Path, name: str = "") -> int | None:
    """The whole number after a name at the start of a line in a file of the system."""
    try:
        found = re.search(rf"^{name}\s*(\d+)", path.read_text(), re.MULTILINE)
    except (OSError, ValueError):
        return None
    return int(found[1]) if found else None


def cache_folder() -> Path:
    """The folder for files that can be rebuilt: ``$XDG_CACHE_HOME/trm`` or ``~/.cache/trm``."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "trm"


@contextlib.contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Turn an ``OSError`` about a full disk or missing permission into a :class:`StorageError`."""
    try:
        yield
    except OSError as error:
        # On a full disk numpy raises an error without a number: "10 requested and 4 written".
        is_full = error.errno is None and "requested and" in str(error)
        reason = _REASONS.get(errno.ENOSPC if is_full else error.errno or 0)
        if reason is None:
            raise
        raise StorageError(f"cannot write {path}: {reason}.") from error


@contextlib.contextmanager
def atomic_folder(path: Path, *, replace: bool = False) -> Iterator[Path]:
    """A new folder to write into; it appears at ``path`` if the block ends without an error.

    Args:
        path: the folder. Several processes may write the same one: the first to end has written it.
        replace: replace an existing folder, also one behind a symbolic link. See also
            :func:`replacing`.

    Raises:
        StorageError: if ``path`` exists, the disk is full or the folder cannot be written; nothing
            is left behind.
    """
    replace = replace or path == _replaceable.get()
    with storage_errors(path):
        path = Path(os.path.realpath(path))  # unlike resolve(), also of a link to itself
        if path.exists() and not (replace and path.is_dir()):
            code = errno.ENOTEMPTY if path.is_dir() else errno.EEXIST
            raise OSError(code, os.strerror(code), str(path))
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary_folder(path.parent) as temporary:
            new = temporary / "new"
            new.mkdir()
            yield new
            for part in [*(p for p in new.rglob("*") if not p.is_symlink()), new]:
                _sync(part)
            if replace and path.exists():
                _replace(new, path)
            else:
                new.rename(path)  # fails if there is a folder now, unless it is empty
            _sync(path.parent)


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[None]:
    """Let :func:`atomic_folder` replace a folder while the block runs, whoever calls it."""
    token = _replaceable.set(path)
    try:
        yield
    finally:
        _replaceable.reset(token)


_replaceable = contextvars.ContextVar[Path | None]("replaceable", default=None)


@contextlib.contextmanager
def temporary_folder(parent: Path | None = None) -> Iterator[Path]:
    """A folder for files that are needed while the block runs.

    Args:
        parent: where to make it; default: the system's folder for temporary files.
    """
    parent = Path(tempfile.gettempdir()) if parent is None else parent
    remove_leftovers(parent)
    folder = Path(tempfile.mkdtemp(prefix=_own_prefix(), dir=parent))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def remove_leftovers(folder: Path, *, of_all: bool = False) -> None:
    """Remove what killed processes of this machine left unfinished in a folder.

    If one was killed while it replaced a folder, the old folder is put back.

    Args:
        folder: the folder. What cannot be removed stays.
        of_all: also of processes on other machines, which are known to be dead.
    """
    with contextlib.suppress(OSError):
        for path in list(folder.iterdir()):
            owner = _LEFTOVER.match(path.name)
            if owner and _is_own(path) and (of_all or _is_dead(owner["machine"], owner["pid"])):
                if path.name.endswith(_OLD):
                    for old in path.iterdir():
                        if not os.path.lexists(folder / old.name):
                            old.rename(folder / old.name)
                with contextlib.suppress(OSError):
                    path.unlink() if path.is_file() else shutil.rmtree(path, ignore_errors=True)


def _machine() -> str:
    """This host and, in a container, its own numbering of processes."""
    namespace = Path("/proc/self/ns/pid")
    number = namespace.stat().st_ino if namespace.exists() else 0
    return hashlib.sha256(f"{socket.gethostname()} {number}".encode()).hexdigest()[:8]


def _own_prefix() -> str:
    return f".trm-{_machine()}-{os.getpid()}-"


_LEFTOVER = re.compile(r"\.trm-(?P<machine>[0-9a-f]{8})-(?P<pid>[0-9]{1,9})-")
_OLD = ".old"


def _is_own(path: Path) -> bool:
    return not hasattr(os, "geteuid") or path.lstat().st_uid == os.geteuid()


def _is_dead(machine: str, pid: str) -> bool:
    """Whether a process is known to be dead. Not on Windows, where asking would end it."""
    if machine != _machine() or os.name == "nt":
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False


@contextlib.contextmanager
def atomic_file(path: Path) -> Iterator[BinaryIO]:
    """A new file to write into; it appears at ``path`` if the block ends without an error.

    A symbolic link stays, and what it leads to is replaced.

    Raises:
        StorageError: if the disk is full or the file cannot be written; an existing file stays.
    """
    with storage_errors(path):
        check_is_file(path)
        path = Path(os.path.realpath(path))
        path.parent.mkdir(parents=True, exist_ok=True)
        remove_leftovers(path.parent)
        handle, name = tempfile.mkstemp(prefix=_own_prefix(), dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            honour_umask(Path(name))
            Path(name).replace(path)
        finally:
            Path(name).unlink(missing_ok=True)


def check_writable(path: Path) -> None:
    """Check that a file can be written, for example before a long computation.

    Raises:
        StorageError: if it cannot.
    """
    with storage_errors(path):
        check_is_file(path)
        path = Path(os.path.realpath(path))
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(prefix=_own_prefix(), dir=path.parent):
            pass


def check_new(path: Path) -> None:
    """Check that a folder can be made, for example before a long computation.

    Raises:
        InputError: if there is something of that name.
        StorageError: if it cannot be made.
    """
    with storage_errors(path), contextlib.suppress(FileNotFoundError):
        path.lstat()
        raise InputError(f"{path} exists already. Name another --out, or remove it.")


def check_is_file(path: Path) -> None:
    """Refuse to replace a folder, a pipe or a device such as /dev/null.

    Raises:
        OSError: if there is one.
    """
    if path.exists() and not path.is_file():
        code = errno.EISDIR if path.is_dir() else errno.EEXIST
        raise OSError(code, os.strerror(code), str(path))


def write_text(path: Path, text: str) -> None:
    """Write a text file; see :func:`atomic_file`."""
    with atomic_file(path) as file:
        file.write(text.encode("utf-8"))


def honour_umask(file: Path) -> None:
    """Give a file the permissions of a new one. Some libraries write files for their owner only."""
    file.chmod(0o666 & ~_UMASK)


def point_to(pointer: Path, target: Path) -> None:
    """Make ``pointer`` a relative symbolic link to ``target``, replacing it in one step.

    Where there are no links, it becomes a text file with the path.
    """
    text = Path(os.path.relpath(target, pointer.parent)).as_posix()
    with storage_errors(pointer):
        remove_leftovers(pointer.parent)
        if pointer.is_dir() and not pointer.is_symlink():
            raise OSError(errno.EISDIR, os.strerror(errno.EISDIR), str(pointer))
        temporary = pointer.with_name(f"{_own_prefix()}{pointer.name}")
        try:
            try:
                temporary.symlink_to(text)
            except OSError:  # on exFAT, on some network drives, without the right on Windows
                temporary.write_text(f"{text}\n", encoding="utf-8")
            temporary.replace(pointer)
        finally:
            temporary.unlink(missing_ok=True)


def _replace(new: Path, path: Path) -> None:
    """Rename ``new`` to ``path``. The old folder is renamed first, and removed afterwards."""
    folder = Path(tempfile.mkdtemp(prefix=_own_prefix(), suffix=_OLD, dir=path.parent))
    old = folder / path.name  # so that remove_leftovers knows where it belongs
    path.rename(old)
    try:
        new.rename(path)
    except OSError:
        old.rename(path)
        folder.rmdir()
        raise
    shutil.rmtree(folder, ignore_errors=True)


def _sync(path: Path) -> None:
    if os.name == "nt":  # which syncs only files that are open for writing
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def size_text(num_bytes: float) -> str:
    """A number of bytes for people.

    >>> [size_text(number) for number in (1000, 2048, 5_300_000, 5 << 30, 1 << 50)]
    ['1000 B', '2.0 KiB', '5.1 MiB', '5.0 GiB', '1,048,576.0 GiB']
    """
    for unit in ("B", "KiB", "MiB"):
        if num_bytes < 1024:
            return f"{num_bytes:.1f} {unit}" if unit != "B" else f"{num_bytes:.0f} B"
        num_bytes /= 1024
    return f"{num_bytes:,.1f} GiB"
