"""onnxruntime-web, which computes ONNX models in a browser: from a folder, the cache, or npm.

It is one pinned version. What is downloaded must have the digest below, and is kept in the cache.
"""

import hashlib
import io
import tarfile
from pathlib import Path

from trm.download import download
from trm.errors import InputError
from trm.storage import atomic_folder, cache_folder

VERSION = "1.30.0"
ADDRESS = f"https://registry.npmjs.org/onnxruntime-web/-/onnxruntime-web-{VERSION}.tgz"
SHA512 = (
    "ab4cbe26baedba45d2cec05610c71c55fa97db92d19a8b171c5f8269126683ca"
    "590a5cdc57bb2f35ce2b298de32f4d956fb42644c0ecd528a0a91e025c07ca61"
)
#: The scripts and the program for one thread, without a graphics card.
FILES = ("ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm")

_MOST_BYTES = 100 << 20
_SECONDS = 60
#: Where the files are in a folder that is given.
_PLACES = (".", "dist", "onnxruntime-web/dist", "node_modules/onnxruntime-web/dist")
_ADVICE = "Give a folder that has it, such as node_modules: --onnxruntime DIR."


def find_onnxruntime(given: Path | None, *, address: str = ADDRESS, sha512: str = SHA512) -> Path:
    """The folder with :data:`FILES`.

    Args:
        given: a folder with them, the unpacked package, or ``node_modules``; None: the cache, to
            which they are downloaded if they are not there.
        address: of the package.
        sha512: its digest, in hexadecimal digits.

    Raises:
        InputError: if the folder lacks a file, or the download fails or has another digest.
        StorageError: if the cache cannot be written.
    """
    if given is not None:
        places = (given / place for place in _PLACES)
        found = next((one for one in places if _is_whole(one)), None)
        if found is None:
            raise InputError(
                f"--onnxruntime {given}: there is no {' or '.join(FILES)}. Give a folder with both "
                f"files of onnxruntime-web {VERSION}, or leave it out to download them."
            )
        return found
    folder = cache_folder() / f"onnxruntime-web-{VERSION}-{sha512[:8]}"
    if not _is_whole(folder):
        _unpack(_download(address, sha512), folder)
    return folder


def _is_whole(folder: Path) -> bool:
    return all((folder / name).is_file() for name in FILES)


def _download(address: str, sha512: str) -> bytes:
    try:
        content = download(address, most_bytes=_MOST_BYTES, seconds=_SECONDS)
    except OSError as error:
        raise InputError(
            f"onnxruntime-web cannot be downloaded from {address}: {error}. {_ADVICE}"
        ) from error
    found = hashlib.sha512(content).hexdigest()
    if found != sha512:
        raise InputError(
            f"{address} has the digest {found[:16]}..., not {sha512[:16]}.... It was not used. "
            f"{_ADVICE}"
        )
    return content


def _unpack(package: bytes, folder: Path) -> None:
    with (
        tarfile.open(fileobj=io.BytesIO(package)) as archive,
        atomic_folder(folder, replace=True) as new,
    ):
        for name in FILES:
            member = archive.extractfile(f"package/dist/{name}")
            assert member is not None  # the digest says what is in the package
            (new / name).write_bytes(member.read())
