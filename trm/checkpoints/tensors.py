"""Tensors in safetensors files: written, read whole or in part, and checked."""

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import safetensors
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from trm.errors import CheckpointError
from trm.reading import FileReader
from trm.storage import honour_umask

_files = FileReader(CheckpointError, "Name a whole checkpoint, such as RUN/best.")
#: The name of the puzzle embedding's table in every checkpoint.
PUZZLE_EMBEDDING = "puzzle_embedding.weight"
_FLOATS = {torch.float16, torch.bfloat16, torch.float32, torch.float64}
#: The first bytes of a zip archive, as torch.save writes, and of a bare pickle (protocol 2 to 5).
ZIP_START = b"PK\x03\x04"
PICKLE_STARTS = (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")


def save_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write a file.

    Raises:
        OSError: if the disk is full or the file cannot be written.
    """
    try:
        save_file({n: t.detach().contiguous() for n, t in tensors.items()}, path)
        honour_umask(path)
    except safetensors.SafetensorError as error:
        # safetensors reports a full disk only as text: "... (os error 28)".
        code = re.search(r"os error (\d+)", str(error))
        raise OSError(int(code[1]) if code else 0, str(error)) from error


@torch.no_grad()
def load_into(
    targets: Mapping[str, Tensor],
    path: Path,
    row_slices: Mapping[str, tuple[int, slice]] | None = None,
) -> None:
    """Copy every tensor of a file into the target with its name.

    Args:
        targets: one tensor for each tensor of the file.
        path: the file.
        row_slices: for tensors that are loaded in part: the number of rows in the file, and the
            rows to load.

    Raises:
        CheckpointError: if the file is missing or damaged, or names, shapes or types differ.
            One type of float is converted to another.
    """
    with _open(path) as file:
        check_shapes(expected_shapes(targets, row_slices), _shapes(file), path)
        for name, target in targets.items():
            rows = row_slices[name][1] if row_slices and name in row_slices else None
            stored = file.get_tensor(name) if rows is None else file.get_slice(name)[rows]
            if stored.dtype != target.dtype and not {stored.dtype, target.dtype} <= _FLOATS:
                raise CheckpointError(
                    f"{path}: {name} is of type {stored.dtype}, not {target.dtype}. Use another "
                    "checkpoint."
                )
            target.copy_(stored)


def load_shapes(path: Path) -> dict[str, list[int]]:
    """The shape of every tensor of a file; the numbers are not read.

    Raises:
        CheckpointError: if the file is missing or damaged.
    """
    with _open(path) as file:
        return _shapes(file)


def load_tensor(path: Path, name: str) -> Tensor:
    """One tensor of a file.

    Raises:
        CheckpointError: if the file is missing or damaged.
    """
    with _open(path) as file:
        tensor: Tensor = file.get_tensor(name)
        return tensor


def load_row_slices(path: Path, slice_of: Callable[[int], slice]) -> dict[str, Tensor]:
    """A slice of the rows of every tensor of a file.

    Args:
        path: the file.
        slice_of: takes a tensor's number of rows, and returns the slice to load.

    Raises:
        CheckpointError: if the file is missing or damaged.
    """
    with _open(path) as file:
        tensors = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118
        return {name: part[slice_of(part.get_shape()[0])] for name, part in tensors.items()}


class _open:  # noqa: N801
    """``safetensors.safe_open`` as a context manager that raises a :class:`CheckpointError`."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> Any:
        _files.open(self._path).close()
        try:
            open_file: Any = safetensors.safe_open
            self._file = open_file(self._path, framework="pt")
            return self._file.__enter__()
        except (safetensors.SafetensorError, OSError) as error:
            raise self._damaged(error) from error

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        self._file.__exit__(kind, error, trace)
        if isinstance(error, (safetensors.SafetensorError, OSError)):
            raise self._damaged(error) from error

    def _damaged(self, error: Exception) -> CheckpointError:
        with self._path.open("rb") as file:
            if file.read(4).startswith((ZIP_START, *PICKLE_STARTS)):
                return CheckpointError(
                    f"{self._path} is a pickle, which could run code; trm reads safetensors only. "
                    "Name a checkpoint that trm wrote."
                )
        return CheckpointError(
            f"{self._path} is damaged or cut short: {error}. Use another checkpoint."
        )


def _shapes(file: Any) -> dict[str, list[int]]:
    return {name: file.get_slice(name).get_shape() for name in file.keys()}  # noqa: SIM118


def expected_shapes(
    targets: Mapping[str, Tensor], row_slices: Mapping[str, tuple[int, slice]] | None = None
) -> dict[str, list[int]]:
    """The shapes that a file must have to be loaded into these targets; see :func:`load_into`."""
    shapes = {name: list(tensor.shape) for name, tensor in targets.items()}
    for name, (num_rows, _) in (row_slices or {}).items():
        shapes[name][0] = num_rows
    return shapes


def check_shapes(
    expected: Mapping[str, Sequence[int]],
    shapes: Mapping[str, Sequence[int]],
    path: Path | str,
    *,
    settings: str = "config.json",
    advice: str = "Restore the config.json the weights were saved with.",
    display_name: Callable[[str], str] = str,
) -> None:
    """Refuse tensors with other names or shapes than expected.

    Args:
        expected: the shapes that the model has.
        shapes: the shapes in the checkpoint.
        path: the checkpoint, for messages.
        settings: what decides the expected shapes, for messages.
        advice: the last sentence of each message.
        display_name: the name of a tensor in messages.

    Raises:
        CheckpointError: naming the first tensor that differs.
    """
    for name, shape in expected.items():
        if name not in shapes:
            raise CheckpointError(
                f"{path} lacks the tensor {display_name(name)}, which {settings} asks for. {advice}"
            )
        if list(shapes[name]) != list(shape):
            raise CheckpointError(
                f"{path}: {display_name(name)} is {tuple(shapes[name])}, but {settings} makes it "
                f"{tuple(shape)}. {advice}"
            )
    extra = sorted(shapes.keys() - expected.keys())
    if extra:
        raise CheckpointError(
            f"{path} has the tensor {display_name(extra[0])}, for which {settings} has no place. "
            f"{advice}"
        )


def weights_digest(model: nn.Module) -> str:
    """A digest of a model's weights. It does not depend on how they are stored."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
