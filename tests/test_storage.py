"""Files and folders are complete or absent, even if writing fails."""

import errno
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from trm import storage
from trm.errors import InputError, StorageError
from trm.storage import (
    atomic_file,
    atomic_folder,
    check_new,
    check_writable,
    point_to,
    remove_leftovers,
    replacing,
    storage_errors,
    write_text,
)

FULL = Path("/dev/full")
needs_full_disk = pytest.mark.skipif(not FULL.exists(), reason="no /dev/full on this system")


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def fill(path: Path, text: str) -> None:
    """Write a folder with one file in a folder."""
    with atomic_folder(path, replace=True) as folder:
        (folder / "part").mkdir()
        (folder / "part" / "file").write_text(text)


def fails_with(code: int) -> Callable[..., None]:
    def fail(*args: object, **options: object) -> None:
        raise OSError(code, os.strerror(code))

    return fail


def test_a_folder_appears_with_its_parents(tmp_path: Path) -> None:
    fill(tmp_path / "a" / "b", "new")
    assert (tmp_path / "a" / "b" / "part" / "file").read_text() == "new"
    assert names(tmp_path / "a") == ["b"]


def test_a_folder_is_not_there_before_the_block_ends(tmp_path: Path) -> None:
    with atomic_folder(tmp_path / "a") as folder:
        assert not (tmp_path / "a").exists()
        assert tmp_path in folder.parents
    assert names(tmp_path) == ["a"]


def test_a_folder_is_replaced_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "a"
    fill(path, "old")
    (path / "other").write_text("old")
    fill(path, "new")
    assert (names(path), names(tmp_path)) == (["part"], ["a"])
    assert (path / "part" / "file").read_text() == "new"


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_block_that_raises_leaves_nothing(tmp_path: Path, error: type[BaseException]) -> None:
    def interrupted(path: Path) -> None:
        with atomic_folder(path, replace=True) as folder:
            (folder / "file").write_text("half")
            raise error("stop")

    with pytest.raises(error, match="stop"):
        interrupted(tmp_path / "new")
    assert names(tmp_path) == []
    fill(tmp_path / "old", "old")
    with pytest.raises(error, match="stop"):
        interrupted(tmp_path / "old")
    assert (names(tmp_path), names(tmp_path / "old")) == (["old"], ["part"])


def test_folders_and_files_obey_the_umask(tmp_path: Path) -> None:
    """In a process of its own, which has it from its start."""
    program = (
        "from pathlib import Path; from trm.storage import atomic_folder, write_text\n"
        "with atomic_folder(Path('folder')): write_text(Path('file'), '')\n"
        "import os; assert os.umask(0) == 0o027"
    )
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, umask=0o027, check=True)
    assert (tmp_path / "folder").stat().st_mode & 0o777 == 0o750
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o640


@needs_full_disk
def test_a_full_disk_leaves_no_folder(tmp_path: Path) -> None:
    def write(path: Path) -> None:
        with atomic_folder(path) as folder:
            (folder / "first").write_text("fits")
            (folder / "second").symlink_to(FULL)
            (folder / "second").write_text("does not fit")

    message = r"^cannot write .*/data: no space left on the disk\. Free some, or choose another"
    with pytest.raises(StorageError, match=message):
        write(tmp_path / "data")
    assert names(tmp_path) == []


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (errno.ENOSPC, r"no space left on the disk\. Free some, or choose another place\.$"),
        (errno.EDQUOT, r"the disk quota is used up\. Free some, or choose another place\.$"),
    ],
)
def test_a_disk_that_is_full_when_synced_keeps_the_old(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, message: str
) -> None:
    fill(tmp_path / "folder", "old")
    write_text(tmp_path / "file", "old")
    monkeypatch.setattr(os, "fsync", fails_with(code))
    with pytest.raises(StorageError, match=f"^cannot write .*/folder: {message}"):
        fill(tmp_path / "folder", "new")
    with pytest.raises(StorageError, match=f"^cannot write .*/file: {message}"):
        write_text(tmp_path / "file", "new")
    assert (tmp_path / "folder" / "part" / "file").read_text() == "old"
    assert (tmp_path / "file").read_text() == "old"
    assert names(tmp_path) == ["file", "folder"]


def test_a_folder_that_cannot_be_put_in_place_leaves_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, rename = tmp_path / "data", Path.rename
    fill(path, "old")

    def no_new_folder(source: Path, target: Path) -> Path:
        if source.name == "new":
            raise OSError(errno.ENOSPC, "full")
        return rename(source, target)

    monkeypatch.setattr(Path, "rename", no_new_folder)
    with pytest.raises(StorageError, match="no space left"):
        fill(path, "new")
    assert (path / "part" / "file").read_text() == "old"
    assert names(tmp_path) == ["data"]


def test_a_path_below_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    for write in (fill, write_text):
        with pytest.raises(StorageError, match=r"/x/data: a part of the path is a file, not a fo"):
            write(tmp_path / "file" / "x" / "data", "")
        with pytest.raises(StorageError, match=r"/file/x: a file of that name is in the way"):
            write(tmp_path / "file" / "x", "")
    assert (tmp_path / "file").read_text() == "mine"


def test_a_file_in_the_place_of_a_folder_stays(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("mine")
    with pytest.raises(StorageError, match=r"/data: a file of that name is in the way\. Choose"):
        fill(tmp_path / "data", "new")
    assert (tmp_path / "data").read_text() == "mine"
    assert names(tmp_path) == ["data"]


def test_a_folder_in_the_place_of_a_file_stays(tmp_path: Path) -> None:
    fill(tmp_path / "file", "mine")
    with pytest.raises(StorageError, match=r"/file: a folder of that name is in the way\. Choose"):
        write_text(tmp_path / "file", "new")
    with pytest.raises(StorageError, match=r"/file: a folder of that name is in the way\. Choose"):
        point_to(tmp_path / "file", tmp_path)
    assert (tmp_path / "file" / "part" / "file").read_text() == "mine"
    assert names(tmp_path) == ["file"]


@pytest.mark.parametrize("writes", [check_writable, lambda path: write_text(path, "new")])
def test_a_device_is_not_replaced_by_a_file(writes: Callable[[Path], None]) -> None:
    with pytest.raises(StorageError, match=r"^cannot write /dev/null: a file of that name is in"):
        writes(Path("/dev/null"))
    assert Path("/dev/null").is_char_device()


def test_what_can_be_written_is_found_out_without_a_trace(tmp_path: Path) -> None:
    check_writable(tmp_path / "deep" / "new")
    assert names(tmp_path / "deep") == []
    write_text(tmp_path / "old", "old")
    check_writable(tmp_path / "old")
    assert (tmp_path / "old").read_text() == "old"
    with pytest.raises(StorageError, match=r"/old/new: a file of that name is in the way"):
        check_writable(tmp_path / "old" / "new")
    with pytest.raises(StorageError, match="a folder of that name is in the way"):
        check_writable(tmp_path / "deep")


@pytest.fixture
def locked() -> Iterator[Path]:
    """A folder that may not be written; root, whom that would not bind, becomes nobody."""
    is_root = os.geteuid() == 0
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o555)
        if is_root:
            os.seteuid(65534)
        yield Path(name)
        if is_root:
            os.seteuid(0)
        Path(name).chmod(0o755)
        assert names(Path(name)) == []


def test_a_place_that_may_not_be_written_is_named(locked: Path) -> None:
    message = r"/data: no permission to write there\. Choose another place\.$"
    for write in (fill, write_text):
        with pytest.raises(StorageError, match=message):
            write(locked / "data", "")
    with pytest.raises(StorageError, match=message):
        point_to(locked / "data", Path("elsewhere"))


@pytest.mark.parametrize("code", [errno.EACCES, errno.EPERM, errno.EROFS])
def test_a_forbidden_place_is_a_storage_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    monkeypatch.setattr(Path, "mkdir", fails_with(code))
    for write in (fill, write_text):
        with pytest.raises(StorageError, match=r"/data: (no permission|.* read-only).* Choose "):
            write(tmp_path / "data", "")
    assert names(tmp_path) == []


def test_a_name_that_is_too_long_is_refused(tmp_path: Path) -> None:
    for write in (fill, write_text):
        with pytest.raises(StorageError, match=r"the name is too long\. Choose a shorter one\.$"):
            write(tmp_path / ("x" * 300), "")


def test_other_system_errors_are_not_disguised() -> None:
    with pytest.raises(ConnectionError), storage_errors(Path("data")):
        raise ConnectionError(errno.ECONNREFUSED, "refused")


def test_a_linked_folder_is_replaced_where_it_is(tmp_path: Path) -> None:
    fill(tmp_path / "disk" / "data", "old")
    (tmp_path / "link").symlink_to(tmp_path / "disk" / "data")
    fill(tmp_path / "link", "new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "disk" / "data" / "part" / "file").read_text() == "new"
    assert (names(tmp_path), names(tmp_path / "disk")) == (["disk", "link"], ["data"])


def test_a_folder_may_hold_links(tmp_path: Path) -> None:
    with atomic_folder(tmp_path / "a") as folder:
        (folder / "dangling").symlink_to("nowhere")
    assert (tmp_path / "a" / "dangling").readlink() == Path("nowhere")


def test_a_file_is_replaced_in_one_step(tmp_path: Path) -> None:
    path = tmp_path / "a" / "file"
    write_text(path, "älter")
    with atomic_file(path) as file:
        file.write(b"new")
        assert path.read_text(encoding="utf-8") == "älter"
    assert path.read_text() == "new"
    assert names(path.parent) == ["file"]


def test_a_file_block_that_raises_leaves_the_old_file(tmp_path: Path) -> None:
    write_text(tmp_path / "file", "old")

    def interrupted(path: Path) -> None:
        with atomic_file(path) as file:
            file.write(b"half")
            raise ValueError("stop")

    for name in ("file", "new"):
        with pytest.raises(ValueError, match="stop"):
            interrupted(tmp_path / name)
    assert (tmp_path / "file").read_text() == "old"
    assert names(tmp_path) == ["file"]


def ended(program: str, *arguments: object, code: int = 9) -> None:
    """Run a program that ends in the middle of writing, as if it were killed."""
    start = "import os, sys; from pathlib import Path; import trm.storage as storage\n"
    done = subprocess.run(
        [sys.executable, "-c", start + program, *map(str, arguments)], check=False
    )
    assert done.returncode == code


WRITES_FOLDER = """
with storage.atomic_folder(Path(sys.argv[1]), replace=True) as folder:
    (folder / "part").mkdir()
    os._exit(9)
"""


def test_a_killed_process_leaves_the_old_in_place(tmp_path: Path) -> None:
    fill(tmp_path / "folder", "old")
    ended(WRITES_FOLDER, tmp_path / "folder")
    assert (tmp_path / "folder" / "part" / "file").read_text() == "old"


WRITES_FILE = """
with storage.atomic_file(Path(sys.argv[1])) as file:
    os._exit(9)
"""


@pytest.mark.parametrize("write", [fill, write_text, lambda path, _: point_to(path, path.parent)])
def test_what_a_killed_process_left_is_removed_by_the_next(
    tmp_path: Path, write: Callable[[Path, str], None]
) -> None:
    for program in (WRITES_FOLDER, WRITES_FILE):
        ended(program, tmp_path / "a")
        assert len(set(names(tmp_path)) - {"b"}) == 1
        write(tmp_path / "b", "")
        assert names(tmp_path) == ["b"]


def test_what_a_living_process_writes_stays(tmp_path: Path) -> None:
    with atomic_folder(tmp_path / "a") as folder:
        write_text(tmp_path / "b", "")
        fill(tmp_path / "c", "")
        (folder / "file").touch()
    assert names(tmp_path / "a") == ["file"]


def test_what_others_left_stays(tmp_path: Path) -> None:
    """Also that of a process on another machine, until it is known to be dead."""
    ended(WRITES_FOLDER, tmp_path / "a")
    (left,) = names(tmp_path)
    machine = left.split("-")[1]
    others = [".a", ".trm-x", ".trm-data-1-x", left.replace(machine, "0" * 8)]
    for name in others:
        (tmp_path / name).mkdir()
    write_text(tmp_path / "b", "")
    assert names(tmp_path) == sorted([*others, "b"])
    remove_leftovers(tmp_path, of_all=True)
    assert names(tmp_path) == sorted([*others[:-1], "b"])


def test_a_folder_is_put_back_if_its_replacement_was_killed(tmp_path: Path) -> None:
    fill(tmp_path / "data", "old")
    program = (
        "rename = Path.rename\n"
        "Path.rename = lambda path, to: os._exit(9) if path.name == 'new' else rename(path, to)\n"
        "with storage.atomic_folder(Path(sys.argv[1]), replace=True): pass"
    )
    ended(program, tmp_path / "data")
    assert not (tmp_path / "data").exists()
    write_text(tmp_path / "other", "")
    assert names(tmp_path) == ["data", "other"]
    assert (tmp_path / "data" / "part" / "file").read_text() == "old"


def test_of_those_who_write_one_folder_the_first_to_end_has_written_it(tmp_path: Path) -> None:
    path = tmp_path / "data"

    def second() -> None:
        with atomic_folder(path) as folder:
            (folder / "file").write_text("second")
            with atomic_folder(path) as first:
                (first / "file").write_text("first")

    with pytest.raises(StorageError, match="/data: a folder of that name is in the way"):
        second()
    assert (path / "file").read_text() == "first"
    with pytest.raises(StorageError, match="is in the way"), atomic_folder(path):
        pytest.fail("it is refused before it is written")
    assert names(tmp_path) == ["data"]


def test_a_caller_may_let_a_folder_be_replaced(tmp_path: Path) -> None:
    fill(tmp_path / "data", "old")
    with replacing(tmp_path / "data"), atomic_folder(tmp_path / "data") as folder:
        (folder / "new").touch()
    assert names(tmp_path / "data") == ["new"]
    with pytest.raises(StorageError, match="is in the way"), atomic_folder(tmp_path / "data"):
        pass


def test_a_new_folder_is_one_that_can_be_made(tmp_path: Path) -> None:
    check_new(tmp_path / "deep" / "new")
    (tmp_path / "dangling").symlink_to("nowhere")
    for name in ("dangling", "."):
        with pytest.raises(
            InputError, match=r"exists already\. Name another --out, or remove it\.$"
        ):
            check_new(tmp_path / name)
    with pytest.raises(StorageError, match="the name is too long"):
        check_new(tmp_path / ("x" * 300))


def test_a_link_points_relatively_and_is_replaced(tmp_path: Path) -> None:
    link = tmp_path / "run" / "best"
    for step in ("step-1", "step-2"):
        target = tmp_path / "run" / "checkpoints" / step
        target.mkdir(parents=True)
        point_to(link, target)
        assert link.readlink() == Path("checkpoints") / step
        assert link.resolve() == target.resolve()
    (tmp_path / "run").rename(tmp_path / "moved")
    assert (tmp_path / "moved" / "best").is_dir()
    assert names(tmp_path / "moved") == ["best", "checkpoints"]


def test_a_link_in_a_folder_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(StorageError, match=r"/file/last: a part of the path is a file"):
        point_to(tmp_path / "file" / "last", tmp_path)


def test_files_of_other_libraries_obey_the_umask(tmp_path: Path) -> None:
    program = (
        "import torch; from pathlib import Path; from trm.checkpoints.tensors import save_tensors\n"
        "save_tensors(Path('file'), {'a': torch.zeros(1)})"
    )
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, umask=0o027, check=True)
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize(
    ("limit", "used", "folder"),
    [("memory.max", "memory.current", ""),
     ("limit_in_bytes", "usage_in_bytes", "memory/memory.")],
)  # fmt: skip
def test_a_container_has_the_memory_of_its_limit(
    limit: str, used: str, folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage, "_CGROUP_ROOT", tmp_path)
    whole = storage.machine_memory()
    assert whole is not None
    assert 0 < whole.free <= whole.total
    statistics = tmp_path / (folder + "stat" if folder else "memory.stat")
    statistics.parent.mkdir(exist_ok=True)
    statistics.write_text("active_file 7\ninactive_file 300\n")
    (tmp_path / (folder + limit)).write_text("10000\n")
    (tmp_path / (folder + used)).write_text("4300\n")
    found = storage.machine_memory()
    assert found == storage.Memory(10_000, 6_000)  # what caches files would be made free
    assert found.share(2) == storage.Memory(5_000, 3_000)
    (tmp_path / (folder + limit)).write_text("max\n")
    unlimited = storage.machine_memory()
    assert unlimited is not None
    assert unlimited.total == whole.total


def test_a_file_behind_a_link_is_replaced_and_the_link_stays(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    link = tmp_path / "link.json"
    link.symlink_to(tmp_path / "disk" / "file.json")
    for text in ("first", "second"):
        check_writable(link)
        write_text(link, text)
        assert (tmp_path / "disk" / "file.json").read_text() == text
        assert link.is_symlink()
    assert [path.name for path in (tmp_path / "disk").iterdir()] == ["file.json"]
