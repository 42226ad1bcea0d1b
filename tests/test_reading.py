"""Files from outside: whatever is wrong, one line of the caller's error class names the file."""

import io
import os
import random
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from trm.config import Frozen
from trm.errors import DataError
from trm.reading import FileReader, parse_json, parse_toml

READER = FileReader(DataError, "Build the data again.")


class Pair(Frozen):
    format_version: int = 1
    left: int
    right: int = 0


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "file"


def refused(read: Callable[[Path], object], file: Path) -> str:
    """The message of the error, which is one line and names the file."""
    with pytest.raises(DataError) as error:
        read(file)
    text = str(error.value)
    assert file.name in text
    assert text.isprintable()
    return text


@pytest.mark.parametrize(
    "array",
    [
        np.arange(6).reshape(2, 3),
        np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        np.zeros((0, 3), np.uint8),
        np.array([b"one", b"two"]),
        np.array(["ä", "bc"]),
        np.array(3),
    ],
    ids=lambda array: f"{array.dtype}{array.shape}",
)
def test_arrays_are_read_as_numpy_wrote_them(array: np.ndarray, tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", array)
    np.savez_compressed(tmp_path / "a.npz", first=array, second=array)
    mapped = READER.array(tmp_path / "a.npy")
    unpacked = READER.archive(tmp_path / "a.npz", ["second"])["second"]
    for read in (mapped, unpacked):
        assert (read.dtype, read.shape) == (array.dtype, array.shape)
        np.testing.assert_array_equal(read, array)
    assert isinstance(mapped, np.memmap)


@pytest.mark.parametrize(
    "header",
    [
        "{'descr': '<u1', 'fortran_order': False, 'shape': (8000000000,), }",
        "{'descr': '<u1', 'fortran_order': False, 'shape': (3,), }",
        "{'descr': '<u1', 'fortran_order': False, 'shape': (-4,), }",
        "{'descr': '<u1', 'fortran_order': False, 'shape': 4, }",
        "{'descr': '<f3', 'fortran_order': False, 'shape': (4,), }",
        "{'descr': '|S0', 'fortran_order': False, 'shape': (4,), }",
        "{'descr': '|O', 'fortran_order': False, 'shape': (4,), }",
        "{'descr': [('a', '<i4')], 'fortran_order': False, 'shape': (1,), }",
        "{'descr': '<u1', 'shape': (4,), }",
        "{" * 9000,
        "(" * 200,
        "\x00'",
        "",
    ],
)
def test_headers_of_arrays_that_cannot_be_right(header: str, file: Path) -> None:
    content = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode() + b"1234"
    file.write_bytes(content)
    refused(READER.array, file)
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a.npy", content)
    refused(lambda path: READER.archive(path, ["a"]), file)


@pytest.mark.parametrize("kind", ["npy", "npz"])
def test_damage_of_arrays_has_no_other_error(kind: str, file: Path) -> None:
    """Three bytes changed, cut or doubled: the array is read, or the file is refused."""
    made = io.BytesIO()
    array = np.arange(40).reshape(4, 10)
    np.save(made, array) if kind == "npy" else np.savez_compressed(made, a=array)
    chance = random.Random(0)
    for _ in range(300):
        content = bytearray(made.getvalue())
        for _ in range(3):
            at = chance.randrange(len(content))
            content[at] = chance.randrange(256)
            if chance.random() < 0.2:
                del content[at : at + chance.randrange(20)]
            if chance.random() < 0.2:
                content[at:at] = content[at : at + chance.randrange(20)]
        file.write_bytes(content)
        try:
            np.array(READER.array(file)) if kind == "npy" else READER.archive(file, ["a"])
        except DataError as error:
            assert str(error).isprintable()  # noqa: PT017


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b'{"left": 1', "not JSON"),
        (b"\xff\xfe{}", "not UTF-8"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"left": ' + b"9" * 5000 + b"}", "digits"),
        (b'{"left": "\\ud800"}', "surrogate"),
        (b"[]", "not a JSON object"),
        (b"{}", "left: Field required"),
        (b'{"left": 1, "up": 2}', "up: Extra inputs"),
        (b'{"left": "a\\nb"}', "left: Input should be a valid integer"),
        (b'{"format_version": 9, "left": 1}', "has format 9"),
    ],
)
def test_json_that_is_not_what_it_should_be(content: bytes, problem: str, file: Path) -> None:
    file.write_bytes(content)
    assert problem in refused(lambda path: READER.model(path, Pair), file)


def test_json_as_it_should_be(file: Path) -> None:
    file.write_bytes(b'\xef\xbb\xbf{"left": 4}')
    assert READER.model(file, Pair) == Pair(left=4)
    assert parse_json('"\\ud83d\\ude00"') == "\U0001f600"


@pytest.mark.parametrize(
    "text",
    ["a =", "a = " + "[" * 9000, "a = 0x" + "f" * 5000, ".".join("a" * 9999) + "=1"],
    ids=["cut", "brackets", "hex", "dots"],
)
def test_toml_that_cannot_be_used(text: str, file: Path) -> None:
    with pytest.raises(ValueError, match=r"it (is|has)"):
        parse_toml(text)
    file.write_text(text)
    refused(READER.toml, file)


def test_what_is_no_regular_file_is_not_waited_for(file: Path, tmp_path: Path) -> None:
    os.mkfifo(file)
    for path in (file, tmp_path, tmp_path / "missing", tmp_path / ("n" * 300)):
        refused(READER.bytes, path)
    with pytest.raises(DataError, match="no name of a file"):
        READER.bytes(Path("a\0b"))


def test_large_files_are_refused_before_they_are_read(file: Path) -> None:
    with file.open("wb") as sparse:
        sparse.truncate(1 << 40)
    assert "1,099,511,627,776 bytes" in refused(READER.json, file)


def test_memory_follows_the_size_of_the_file_not_the_limit(file: Path) -> None:
    file.write_text("{}")
    assert READER.json(file, max_bytes=1 << 60) == {}
