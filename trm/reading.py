"""Reading files that others wrote: a file from outside may be damaged, hostile, or no file at all.

Every way in which that fails ends here, as one :class:`~trm.errors.TrmError` of one line that names
the file. What is returned has the type that it claims; the rest of trm trusts it.
"""

import contextlib
import errno
import json
import math
import os
import re
import stat
import tomllib
import zipfile
import zlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ValidationError

from trm.config import FORMAT_VERSION, first_problem
from trm.errors import TrmError

#: A larger file of text is not read, unless the caller expects one.
MAX_TEXT_BYTES = 64 << 20
#: Opening a pipe would wait for its other end. Windows has no such flag.
_DO_NOT_WAIT = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
_LARGEST_INT = 2**63 - 1
#: The header of a ``.npy`` file with a plain array, as every numpy writes it.
_NPY_HEADER = re.compile(
    r"\s*\{'descr': ?'([<>|=]?[biufSU]\d{1,9})', ?'fortran_order': ?(True|False), ?"
    r"'shape': ?\(((?:\d{1,18}, ?)*\d{0,18})\),? ?\}\s*"
)
_NPY_MAGIC = b"\x93NUMPY"
_MAX_NPY_HEADER_BYTES = 10_000
#: The most that deflate can compress: a member of a zip archive that claims more is damaged.
_MAX_DEFLATE_RATIO = 1033

AnyModel = TypeVar("AnyModel", bound=BaseModel)


@dataclass(frozen=True)
class FileReader:
    """Reads files from outside; see the module.

    Attributes:
        error: the class of its errors.
        advice: the last sentence of its messages: what to do.
        verdict: what a file is whose content is invalid.
    """

    error: type[TrmError]
    advice: str
    verdict: str = "is damaged"

    def open(self, path: Path) -> BinaryIO:
        """Open a regular file. Pipes, devices and folders are refused.

        Raises:
            TrmError: ``error``, if it is missing or cannot be opened.
        """
        try:
            handle = os.open(path, os.O_RDONLY | _DO_NOT_WAIT)
            try:
                if not stat.S_ISREG(os.fstat(handle).st_mode):
                    raise OSError(errno.EINVAL, "it is not a regular file")
                return os.fdopen(handle, "rb")
            except BaseException:
                os.close(handle)
                raise
        except FileNotFoundError as error:
            raise self.error(f"{path}: no such file. {self.advice}") from error
        except OSError as error:
            raise self.error(f"cannot read {path}: {error.strerror}. {self.advice}") from error
        except ValueError as error:  # a name with a NUL character
            raise self.error(f"{str(path)!r} is no name of a file. {self.advice}") from error

    @contextlib.contextmanager
    def parsing(self, path: Path) -> Iterator[None]:
        """Turn what parsing the content of a file raises into an error that names the file.

        Raises:
            TrmError: ``error``.
        """
        try:
            yield
        except ValidationError as error:
            raise self.damaged(path, first_problem(error)) from error
        except RecursionError as error:
            raise self.damaged(path, "it is nested too deeply") from error
        except ValueError as error:
            raise self.damaged(path, str(error)) from error
        except OSError as error:
            raise self.error(f"cannot read {path}: {error.strerror}. {self.advice}") from error

    def damaged(self, path: Path, reason: str) -> TrmError:
        """The error of a file with invalid content."""
        reason = " ".join(reason.split()).removesuffix(".")
        return self.error(f"{path} {self.verdict}: {reason}. {self.advice}")

    def bytes(self, path: Path, max_bytes: int = MAX_TEXT_BYTES) -> bytes:
        """The content of a file of at most ``max_bytes``."""
        with self.open(path) as file, self.parsing(path):
            size = os.fstat(file.fileno()).st_size
            if size > max_bytes:
                raise ValueError(f"it has {size:,} bytes, more than {max_bytes:,}")
            return file.read(size)  # a larger number would be allocated

    def text(self, path: Path, max_bytes: int = MAX_TEXT_BYTES) -> str:
        """The content of a UTF-8 file, with or without a byte order mark."""
        content = self.bytes(path, max_bytes)
        with self.parsing(path):
            return decode(content)

    def json(self, path: Path, max_bytes: int = MAX_TEXT_BYTES, **options: Any) -> Any:
        """The value in a JSON file; see :func:`parse_json`."""
        content = self.bytes(path, max_bytes)
        with self.parsing(path):
            return parse_json(content, **options)

    def toml(self, path: Path) -> dict[str, Any]:
        """The table in a TOML file; see :func:`parse_toml`."""
        content = self.text(path)
        with self.parsing(path):
            return parse_toml(content)

    def model(self, path: Path, kind: type[AnyModel], max_bytes: int = MAX_TEXT_BYTES) -> AnyModel:
        """The value in a JSON file, as a pydantic model. A newer ``format_version`` is refused."""
        raw = self.json(path, max_bytes)
        with self.parsing(path):
            if not isinstance(raw, dict):
                raise ValueError("it is not a JSON object")
            version = raw.get("format_version")
            if isinstance(version, int) and version > FORMAT_VERSION:
                raise self.error(
                    f"{path} has format {version}, this trm reads up to {FORMAT_VERSION}. "
                    "Upgrade trm."
                )
            return kind.model_validate(raw)

    def array(self, path: Path) -> NDArray[Any]:
        """The array in a ``.npy`` file, which stays on disk until it is used."""
        with self.open(path) as file, self.parsing(path):
            header = _NpyHeader.read(file, os.fstat(file.fileno()).st_size)
            array = np.memmap(
                file, header.dtype, "r", header.offset, header.shape, order=header.order
            )
            array.filename = str(path)  # numpy has seen only the open file
            return array

    def archive(
        self, path: Path, names: Collection[str], *, optional: Collection[str] = ()
    ) -> dict[str, NDArray[Any]]:
        """The arrays of these names in a ``.npz`` file. Those in ``optional`` may be missing."""
        with self.open(path) as file, self.parsing(path):
            try:
                with zipfile.ZipFile(file) as archive:
                    there = set(archive.namelist())
                    return {
                        name: _read_member(archive, name)
                        for name in names
                        if name not in optional or f"{name}.npy" in there
                    }
            except zipfile.BadZipFile as error:
                raise ValueError(f"it is not an .npz file, or cut short: {error}") from error
            except (zlib.error, EOFError, NotImplementedError, OverflowError) as error:
                raise ValueError(f"it cannot be decompressed: {error}") from error


def bounded_lines(file: BinaryIO, max_bytes: int) -> Iterator[bytes]:
    """The lines of a file; of a line of more than ``max_bytes`` only a byte more than that."""
    while line := file.readline(max_bytes + 1):
        yield line
        while len(line) > max_bytes and not line.endswith(b"\n"):
            line = file.readline(max_bytes + 1)


def decode(content: bytes) -> str:
    """UTF-8 text without its byte order mark.

    Raises:
        ValueError: if it is not UTF-8.
    """
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"it is not UTF-8 text (byte {error.start})") from error


def parse_json(content: str | bytes, **options: Any) -> Any:
    """The value of a JSON text.

    Args:
        content: the text, or its bytes in UTF-8.
        options: of :func:`json.loads`.

    Raises:
        ValueError: whatever is wrong with it, in one line.
    """
    text = decode(content) if isinstance(content, bytes) else content
    try:
        value = json.loads(text, **options)
        if "\\ud" in text or "\\uD" in text:  # half of a character outside the 16-bit plane
            json.dumps(value, ensure_ascii=False).encode()
    except json.JSONDecodeError as error:
        raise ValueError(f"it is not JSON: {error}") from error
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    except UnicodeEncodeError as error:
        raise ValueError("it has a character (a lone surrogate) that no text may have") from error
    except ValueError as error:
        raise ValueError("it has a number of thousands of digits") from error
    return value


def finite_number(value: Any) -> float | None:
    """A value of a parsed file as a finite number; None if it is something else.

    >>> finite_number(2), finite_number(True), finite_number(10**400), finite_number("2")
    (2.0, None, None, None)
    """
    if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300:
        return float(value)
    return None


def parse_toml(text: str) -> dict[str, Any]:
    """The table of a TOML text. Integers have at most 64 bits, as TOML demands.

    Raises:
        ValueError: whatever is wrong with it, in one line.
    """
    try:
        table = tomllib.loads(text)
        _check_integers(table)
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"it is not TOML: {error}") from error
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    return table


def _check_integers(value: Any) -> None:
    if isinstance(value, int) and abs(value) > _LARGEST_INT:
        raise ValueError("it has an integer of more than 64 bits")
    if isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            _check_integers(part)


@dataclass(frozen=True)
class _NpyHeader:
    """The description of the array in a ``.npy`` file, which fits the size of the file."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    order: Any
    offset: int

    @classmethod
    def read(cls, file: Any, size: int) -> "_NpyHeader":
        """Read the header of a file of this many bytes.

        Numpy's own reader raises errors of a dozen classes for damaged headers, and allocates what
        they claim.

        Raises:
            ValueError: if it is not the header of a plain array, or claims another size.
        """
        start = file.read(len(_NPY_MAGIC) + 2)
        if len(start) < len(_NPY_MAGIC) + 2 or not start.startswith(_NPY_MAGIC):
            raise ValueError("it is not a .npy file")
        length_bytes = 2 if start[-2] == 1 else 4
        length = int.from_bytes(file.read(length_bytes), "little")
        found = _NPY_HEADER.fullmatch(
            file.read(min(length, _MAX_NPY_HEADER_BYTES)).decode("latin1")
        )
        if found is None:
            raise ValueError("its header is not that of a plain array")
        try:
            dtype = np.dtype(found[1])
        except TypeError as error:
            raise ValueError(f"its header names the type {found[1]!r}") from error
        shape = tuple(int(part) for part in found[3].split(",") if part.strip())
        offset = len(start) + length_bytes + length
        if not dtype.itemsize or offset + dtype.itemsize * math.prod(shape) != size:
            raise ValueError(
                f"it has {size:,} bytes, its header tells of an array {shape} of {dtype}"
            )
        return cls(dtype, shape, "F" if found[2] == "True" else "C", offset)


def _read_member(archive: zipfile.ZipFile, name: str) -> NDArray[Any]:
    """One array of a ``.npz`` file."""
    try:
        info = archive.getinfo(f"{name}.npy")
    except KeyError:
        raise ValueError(f"it has no {name}") from None
    if info.flag_bits & 1:
        raise ValueError(f"its {name} is encrypted")
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError(f"its {name} is compressed in a way that numpy does not use")
    if info.file_size > _MAX_DEFLATE_RATIO * info.compress_size:
        raise ValueError(f"its {name} claims {info.file_size:,} bytes, more than it can hold")
    with archive.open(info) as member:
        header = _NpyHeader.read(member, info.file_size)
        content = member.read()
    return np.frombuffer(content, header.dtype).reshape(header.shape, order=header.order)
