"""ConceptARC, which the published runs also train on (README of the TRM repository, ``--subsets``).

These are the 160 tasks in ``corpus/`` of https://github.com/victorvikram/ConceptARC (Moskvichev et
al. 2023; MIT licence). They are read from a folder, or downloaded once.
"""

import hashlib
import io
import tarfile
import zlib
from collections.abc import Mapping
from pathlib import Path, PurePath, PurePosixPath

from trm.download import download
from trm.errors import DataError, InputError
from trm.storage import atomic_file, cache_folder
from trm.tasks.arc.grids import ArcTask
from trm.tasks.arc.task_files import (
    FILES,
    from_bytes,
    read_files,
    read_tasks,
    sort_tasks,
    task_files,
)

COMMIT = "b22ef526b4656679816b7811e78f55cc24d736d7"
URL = f"https://codeload.github.com/victorvikram/ConceptARC/tar.gz/{COMMIT}"
#: The checksum of the corpus files; see :func:`checksum`.
SHA256 = "a3b8580b9f08cc9bf3675e12829774607556bec9a9b14b0a83ece6ba7d799d0e"
CACHED = f"ConceptARC-{COMMIT[:8]}.tar.gz"

_MINIMAL = "MinimalTasks"
_MAX_BYTES = 16 * 2**20
_MAX_UNPACKED_BYTES = 256 * 2**20
_TIMEOUT_SECONDS = 30
_ADVICE = "name a checkout of it with --concept PATH, or leave it out with --no-concept."

Files = Mapping[str, bytes]


def load(path: Path | None) -> list[ArcTask]:
    """The tasks of a folder, or the 160 downloaded ones, in the order of their IDs.

    Args:
        path: a checkout, a folder of JSON files at any depth (without ``MinimalTasks``), or a
            folder with Kaggle's ``arc-agi_concept_challenges.json``; None downloads the tasks.

    Raises:
        InputError: if the folder has no task, or a file that is not an ARC task.
        DataError: if the tasks cannot be downloaded; the message names the alternatives.
    """
    if path is None:
        corpus = _downloaded()
        return sort_tasks(from_bytes(Path(n).stem, text, n) for n, text in corpus.items())
    with FILES.parsing(path):
        is_folder = path.is_dir()
    if not is_folder:
        raise InputError(f"--concept {path}: no such folder. Name one, or use --no-concept.")
    kaggle = path / "arc-agi_concept_challenges.json"
    if kaggle.is_file():
        return read_tasks(kaggle)
    folder = path / "corpus" if (path / "corpus").is_dir() else path
    files = (file for file in task_files(folder) if _MINIMAL not in file.relative_to(folder).parts)
    return read_files(files, folder)


def _is_task(path: PurePath) -> bool:
    """Whether a file is one of the tasks: not minimal, and no part of its path is hidden."""
    return _MINIMAL not in path.parts and not any(part.startswith(".") for part in path.parts)


def checksum(corpus: Files) -> str:
    """SHA-256 of the names and contents of the files, in the order of their names."""
    sha = hashlib.sha256()
    for name, text in sorted(corpus.items()):
        sha.update(f"{name}\0{len(text)}\0".encode())
        sha.update(text)
    return sha.hexdigest()


def _downloaded() -> Files:
    """The corpus from the cache if it is complete, else from the network."""
    cached = cache_folder() / CACHED
    if cached.is_file() and cached.stat().st_size < _MAX_BYTES:
        corpus = read_archive(FILES.bytes(cached))
        if checksum(corpus) == SHA256:
            return corpus
    try:
        archive = download(URL, most_bytes=_MAX_BYTES, seconds=_TIMEOUT_SECONDS)
    except OSError as error:
        raise DataError(
            f"ConceptARC cannot be downloaded from {URL} ({error}). Try again with a network, "
            f"{_ADVICE}"
        ) from error
    corpus = read_archive(archive)
    actual = checksum(corpus)
    if actual != SHA256:
        raise DataError(
            f"{URL} does not hold the expected ConceptARC ({len(corpus)} tasks, SHA-256 "
            f"{actual[:12]}, not {SHA256[:12]}). Try again later, {_ADVICE}"
        )
    with atomic_file(cached) as file:
        file.write(archive)
    return corpus


def read_archive(archive: bytes) -> Files:
    """The files of ``corpus/`` in a tar archive, by name; empty if it is damaged.

    Nothing is unpacked to disk. Links, hidden files and files of more than 16 MiB are ignored. An
    archive of more than 256 MiB, unpacked, counts as damaged.
    """
    corpus = {}
    try:
        unpacker = zlib.decompressobj(wbits=31)  # gzip
        unpacked = unpacker.decompress(archive, _MAX_UNPACKED_BYTES)
        if not unpacker.eof:
            return {}
        with tarfile.open(fileobj=io.BytesIO(unpacked), mode="r:") as tar:
            for member in tar:
                path = PurePosixPath(member.name)
                in_corpus = path.suffix == ".json" and path.parts[1:2] == ("corpus",)
                if in_corpus and _is_task(path) and member.isreg() and member.size < _MAX_BYTES:
                    content = tar.extractfile(member)
                    corpus[path.name] = content.read() if content else b""
    except (tarfile.TarError, EOFError, OSError, ValueError, OverflowError, zlib.error):
        return {}
    return corpus
