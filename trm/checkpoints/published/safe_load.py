"""Files of ``torch.save``: read without running anything in them.

Such a file is a pickle, which could run code, and mostly a zip archive around it. torch's
weights-only loader refuses everything but tensors and plain values. It trusts the archive, though:
it takes compressed numbers for plain ones and passes over checksums. So the archive is checked
first.
"""

import os
import re
import struct
import warnings
import zipfile
from pathlib import Path
from typing import BinaryIO

import torch

from trm.checkpoints.tensors import PICKLE_STARTS, ZIP_START
from trm.errors import CheckpointError
from trm.reading import FileReader

_files = FileReader(CheckpointError, "Get it again, or name another file.")
_CHUNK_BYTES = 1 << 20


def is_torch_file(file: Path) -> bool:
    """Whether the first bytes are those of ``torch.save``: a zip with a pickle, or a bare pickle.

    Raises:
        CheckpointError: if it cannot be read.
    """
    with _files.open(file) as opened, _files.parsing(file):
        start = opened.read(512)
    if not start.startswith(ZIP_START):
        return start.startswith(PICKLE_STARTS)
    name_length = int.from_bytes(start[26:28], "little")
    return start[30 : 30 + name_length].endswith(b"data.pkl")


def load(file: Path) -> object:
    """The content of a file of ``torch.save``; its tensors stay on the disk until they are used.

    Raises:
        CheckpointError: if the file is damaged or would run code.
    """
    with _files.open(file) as opened, _files.parsing(file):
        is_zip = opened.read(len(ZIP_START)) == ZIP_START
        if is_zip:
            _check_archive(opened)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch warns about pickles that it may not understand
            return torch.load(str(file), map_location="cpu", weights_only=True, mmap=is_zip)
    except Exception as error:  # torch raises errors of any class for a damaged pickle
        code = re.search(r"GLOBAL ([\w.]+)", str(error))
        if code:
            raise CheckpointError(
                f"{file} would run code to be read ({code[1][:100]}); nothing in it was run. Name "
                "a file that holds only tensors, as torch.save writes for a state_dict."
            ) from error
        raise CheckpointError(
            f"{file} is damaged, cut short, or not a state_dict that torch.save wrote; nothing in "
            "it was run. Get it again."
        ) from error


def _check_archive(file: BinaryIO) -> None:
    """Refuse a zip archive that ``torch.save`` would not write.

    Raises:
        ValueError: saying what is wrong.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            members = archive.infolist()
            if len({member.filename for member in members}) < len(members):
                raise ValueError("two of its parts have one name")
            for member in members:
                if member.flag_bits & 1 or member.compress_type != zipfile.ZIP_STORED:
                    raise ValueError(
                        f"its part {member.filename!r} is compressed or encrypted, and torch.save "
                        "does neither"
                    )
            if sum(member.file_size for member in members) > os.fstat(file.fileno()).st_size:
                raise ValueError("it is cut short: its parts have more bytes than the file")
            changed = [member for member in members if not _checksum_is_right(archive, member)]
            # torch can be told to write no checksums: then all of them are wrong.
            if changed and len(changed) < sum(member.file_size > 0 for member in members):
                raise ValueError(f"its part {changed[0].filename!r} does not have its checksum")
    except (zipfile.BadZipFile, NotImplementedError, OverflowError, EOFError) as error:
        raise ValueError(f"it is cut short, or not a state_dict of torch.save: {error}") from error
    except struct.error as error:
        raise ValueError("it is not a zip archive as torch.save writes it") from error


def _checksum_is_right(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bool:
    try:
        with archive.open(member) as part:
            while part.read(_CHUNK_BYTES):
                pass
    except zipfile.BadZipFile as error:
        if "CRC" in str(error):
            return False
        raise
    return True
