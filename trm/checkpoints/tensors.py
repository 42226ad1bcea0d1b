"""Tensors in safetensors files: written, read in part, and refused where they do not fit."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import safetensors
import torch
from safetensors.torch import save_file
from torch import Tensor

from trm.errors import CheckpointError

#: How torch.save begins (a zip archive), and a bare pickle of protocol 2 to 5.
_PICKLES = (b"PK\x03\x04", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")


def save_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write a file.

    Raises:
        OSError: if the disk is full or the place may not be written.
    """
    try:
        save_file({n: t.detach().contiguous() for n, t in tensors.items()}, path)
    except safetensors.SafetensorError as error:
        raise _as_os_error(error) from error


def _as_os_error(error: Exception) -> OSError:
    """safetensors reports a full disk as text: ``... (os error 28)``."""
    code = re.search(r"os error (\d+)", str(error))
    return OSError(int(code.group(1)) if code else 0, str(error))


@torch.no_grad()
def fill(
    targets: Mapping[str, Tensor], path: Path, shares: Mapping[str, tuple[int, slice]] | None = None
) -> None:
    """Copy every tensor of a file into the one of its name.

    Args:
        targets: where to, one for each tensor of the file.
        path: the file.
        shares: for tensors of which only some rows are wanted: how many rows there are, and which.

    Raises:
        CheckpointError: if the file is missing or damaged, or names and shapes differ.
    """
    with _reading(path) as file:
        check_shapes_match(targets, _shapes(file), path, shares)
        for name, target in targets.items():
            rows = shares[name][1] if shares and name in shares else None
            target.copy_(file.get_tensor(name) if rows is None else file.get_slice(name)[rows])


def shapes(path: Path) -> dict[str, list[int]]:
    """The shape of every tensor of a file, without its numbers.

    Raises:
        CheckpointError: if it is missing or damaged.
    """
    with _reading(path) as file:
        return _shapes(file)


def load_tensor(path: Path, name: str) -> Tensor:
    """One tensor of a file.

    Raises:
        CheckpointError: if the file is missing or damaged.
    """
    with _reading(path) as file:
        tensor: Tensor = file.get_tensor(name)
        return tensor


def load_row_slices(path: Path, share: Callable[[int], slice]) -> dict[str, Tensor]:
    """Some rows of every tensor of a file: ``share`` of how many there are.

    Raises:
        CheckpointError: if it is missing or damaged.
    """
    with _reading(path) as file:
        slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118
        return {name: part[share(part.get_shape()[0])] for name, part in slices.items()}


class _reading:  # noqa: N801
    """``safe_open`` as a context, whose errors are ours."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> Any:
        if not self._path.is_file():
            raise CheckpointError(
                f"{self._path}: no such file. Name a whole checkpoint, such as RUN/best."
            )
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
            if file.read(4).startswith(_PICKLES):
                return CheckpointError(
                    f"{self._path} is a pickle, which could run code; trm reads safetensors only. "
                    "Name a checkpoint that trm wrote."
                )
        return CheckpointError(
            f"{self._path} is damaged or cut short: {error}. Use another checkpoint."
        )


def _shapes(file: Any) -> dict[str, list[int]]:
    return {name: file.get_slice(name).get_shape() for name in file.keys()}  # noqa: SIM118


def check_shapes_match(
    targets: Mapping[str, Tensor],
    found: Mapping[str, list[int]],
    path: Path | str,
    shares: Mapping[str, tuple[int, slice]] | None = None,
    *,
    settings: str = "config.json",
    way_out: str = "Restore the config.json the weights were saved with.",
) -> None:
    """Refuse tensors of other names or shapes than their targets; see :func:`fill`.

    Args:
        targets: where to.
        found: the shapes that are stored.
        path: where they are stored.
        shares: as of :func:`fill`.
        settings: what says which targets there are.
        way_out: what to do where they differ.

    Raises:
        CheckpointError: naming the first that differs.
    """
    expected = {name: list(tensor.shape) for name, tensor in targets.items()}
    expected |= {n: [count, *expected[n][1:]] for n, (count, _) in (shares or {}).items()}
    for name, shape in expected.items():
        if name not in found:
            raise CheckpointError(
                f"{path} lacks the tensor {name}, which {settings} asks for. {way_out}"
            )
        if found[name] != shape:
            raise CheckpointError(
                f"{path}: {name} is {tuple(found[name])}, but {settings} makes it "
                f"{tuple(shape)}. {way_out}"
            )
    extra = sorted(found.keys() - expected.keys())
    if extra:
        raise CheckpointError(
            f"{path} has the tensor {extra[0]}, for which {settings} has no place. {way_out}"
        )
