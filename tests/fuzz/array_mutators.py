"""Small damages to files of arrays: ``.npy``, ``.npz``, safetensors and torch files."""

import io
import json
import os
import pickle
import random
import re
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tests.fuzz import hostile

_DTYPES = (
    "<i8", ">i4", "<u1", "<f4", "<f8", "<c16", "|b1", "|S3", "<U2", "<M8[s]", "|V4", "|O",
)  # fmt: skip
_HEADERS = (
    "{'descr': '|u1', 'fortran_order': False, 'shape': (80, 16)", "{'descr': '|u1'}", "[]", "{}",
    "(",
    "{'descr': '|u1', 'fortran_order': False, 'shape': (" + "9" * 5000 + ",)}", "1" * 5000, "'" * 3,
    "{'descr': '|u1', 'fortran_order': False, 'shape': (8000000000,)}", "\x00", "-" * hostile.DEEP,
    "{'descr': '|u1', 'fortran_order': False, 'shape': (-1,)}", "\xff", "(" * hostile.DEEP,
    "{[]: 1}",
    "{'descr': '|u1', 'fortran_order': False, 'shape': (True, 16)}", "__import__('os')", "0_0",
    "{1: 2}",
    "{'descr': [('a', '<i4')], 'fortran_order': False, 'shape': (5,)}", "{}",
    "{'descr': '<f99', 'fortran_order': False, 'shape': (5,)}", "b'x' + 1", "0x" + "f" * 5000,
    "\t  x",
)  # fmt: skip
_EXTREMES = (-1, 0, 1, 2, 5, 6, 127, 128, 200, 255, 2**31 - 1, -(2**31), 2**63 - 1, np.nan, np.inf)


def edit_npy(rng: random.Random, path: Path) -> None:
    """Change values, rows, shape or type of an array, or the text of its header."""
    path.write_bytes(_edit_npy(rng, path.read_bytes()))


def _edit_npy(rng: random.Random, content: bytes) -> bytes:
    if rng.random() < 0.2:
        return _with_header(rng, content)
    array = np.load(io.BytesIO(content))
    out = io.BytesIO()
    np.save(out, _edit_array(rng, array), allow_pickle=True)
    return out.getvalue()


def _with_header(rng: random.Random, content: bytes) -> bytes:
    """Another header, or a damage to the present one."""
    length = int.from_bytes(content[8:10], "little")
    header, rest = content[10 : 10 + length].decode("latin1"), content[10 + length :]
    if rng.random() < 0.6:
        header = rng.choice(_HEADERS)
    else:
        numbers = list(re.finditer(r"\d+|'[^']*'|\(|False", header))
        found = rng.choice(numbers)
        value = rng.choice((*hostile.NUMBERS[:18], "(", ")", "{", "''", "None", "'|O'", "True"))
        header = header[: found.start()] + value + header[found.end() :]
    text = header.encode("latin1", "replace")[:60_000]
    return content[:8] + struct.pack("<H", len(text)) + text + rest


def _edit_array(rng: random.Random, array: Any) -> Any:
    kind = rng.choice(("value", "value", "value", "value", "rows", "shape", "dtype", "all"))
    array = array.copy()
    with np.errstate(all="ignore"):
        if kind == "value" and array.size:
            for _ in range(rng.choice((1, 1, 3))):
                place = rng.choice((0, array.size - 1, rng.randrange(array.size)))
                array.reshape(-1)[place] = _value(rng, array, place)
        elif kind == "rows" and array.ndim:
            rows = len(array)
            return rng.choice((
                lambda: array[:-1], lambda: array[:0], lambda: np.concatenate([array, array]),
                lambda: array[::-1], lambda: array[:1], lambda: np.roll(array, 1, axis=0),
                lambda: np.concatenate([array, array[:1]]), lambda: array[: rows // 2],
            ))()  # fmt: skip
        elif kind == "shape":
            return rng.choice((
                lambda: array.reshape(-1), lambda: array[None], lambda: array[..., None],
                lambda: array.T, lambda: array[..., :-1] if array.ndim else array,
                lambda: np.asfortranarray(array), lambda: np.array(array.reshape(-1)[0]),
                lambda: np.concatenate([array, array], axis=-1) if array.ndim else array,
            ))()  # fmt: skip
        elif kind == "dtype":
            dtype = rng.choice(_DTYPES)
            try:
                return array.astype(dtype)
            except (TypeError, ValueError):
                return np.zeros(array.shape, dtype)
        else:
            array[...] = _value(rng, array, 0)
    return array


def _value(rng: random.Random, array: Any, place: int) -> Any:
    if array.dtype.kind in "SU":
        text = rng.choice(hostile.TEXTS)
        return text if array.dtype.kind == "U" else text.encode("utf-8", "surrogatepass")
    return np.array(rng.choice(_EXTREMES), np.float64).astype(array.dtype)


def edit_npz(rng: random.Random, path: Path) -> None:
    """Change, drop, double or rename a member of an ``.npz`` file, or how it is stored."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    name = rng.choice(sorted(members))
    kind = rng.choice(
        ("edit", "edit", "edit", "about", "drop", "rename", "double", "flags", "bomb")
    )
    method = rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_DEFLATED,
                         zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA))  # fmt: skip
    if kind == "edit":
        members[name] = _edit_npy(rng, members[name])
    elif kind == "about" and "about.npy" in members:
        members["about.npy"] = _edit_about(rng, members["about.npy"])
    elif kind == "drop":
        del members[name]
    elif kind == "rename":
        members[rng.choice(("x.npy", "../x.npy", "x", "\x1b[31m.npy"))] = members.pop(name)
    elif kind == "bomb":
        members[name] = members[name][:10] + bytes(50 << 20)
        method = zipfile.ZIP_DEFLATED
    with zipfile.ZipFile(path, "w", method, compresslevel=1) as archive:
        for member, content in members.items():
            archive.writestr(member, content)
    if kind == "flags":  # in both headers of a member: encrypted, a compression, or a size
        content = bytearray(path.read_bytes())
        for sign, field in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
            start = content.find(sign) + field
            content[start + rng.choice((0, 2, 12, 16))] ^= rng.choice((1, 97, 255))
        path.write_bytes(content)


def _edit_about(rng: random.Random, content: bytes) -> bytes:
    """Change the JSON text that an array of bytes holds."""
    from tests.fuzz.mutators import edit_json_text

    text = edit_json_text(rng, np.load(io.BytesIO(content)).tobytes().decode())
    out = io.BytesIO()
    np.save(out, np.frombuffer(text.encode("utf-8", "surrogatepass"), np.uint8))
    return out.getvalue()


def edit_safetensors(rng: random.Random, path: Path) -> None:
    """Change a field of the header of a safetensors file, its length, or values of a tensor."""
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    header, data = json.loads(content[8 : 8 + length]), bytearray(content[8 + length :])
    names = [name for name in header if name != "__metadata__"]
    kind = rng.choice(("field", "field", "drop", "rename", "length", "data", "data", "json"))
    name = rng.choice(names) if names else ""
    text = None
    if kind == "field" and names:
        header[name][rng.choice(("dtype", "shape", "data_offsets"))] = rng.choice((
            "F32", "BF16", "I64", "BOOL", "F8_E4M3", "x", [], [-1], [0], [16], [1, 1], [2**63],
            None,
            [0, 4], [4, 0], [2**62, 2**62], header[rng.choice(names)]["shape"], 1e999, [[1]],
        ))  # fmt: skip
    elif kind == "drop" and names:
        del header[name]
    elif kind == "rename" and names:
        header[rng.choice((*hostile.TEXTS, rng.choice(names)))] = header.pop(name)
    elif kind == "length":
        length = rng.choice((0, 1, length - 1, length + 1, 2**32, 2**63, 2**64 - 1))
        path.write_bytes(struct.pack("<Q", length) + content[8:])
        return
    elif kind == "data" and data:
        place = rng.randrange(len(data)) & ~3
        data[place : place + 4] = struct.pack("<f", rng.choice((np.nan, np.inf, -1e38, 0, 1e5)))[
            : len(data) - place
        ]
    else:
        from tests.fuzz.mutators import edit_json_text

        text = edit_json_text(rng, json.dumps(header)).encode("utf-8", "surrogatepass")
    text = json.dumps(header).encode("utf-8", "surrogatepass") if text is None else text
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


class _Attack:
    """A pickle of it would make a file when it is loaded."""

    def __reduce__(self) -> Any:
        return os.mkdir, ("pwned",)


def edit_torch(rng: random.Random, path: Path) -> None:
    """Change the state dict of a torch file, wrap it, or write another pickle."""
    state = dict(torch.load(path, weights_only=True))
    name = rng.choice(sorted(state))
    tensor = state[name]
    strange: tuple[Any, ...] = (
        tensor.double(), tensor.to(torch.int64), tensor[None], tensor.reshape(-1), tensor[..., :0],
        tensor * float("nan"), tensor.to(torch.complex64), tensor.to_sparse(), None, 1, "x",
        [tensor],
        {"x": tensor}, tensor.to("meta"), torch.zeros(()), tensor.expand(2, *tensor.shape),
    )  # fmt: skip
    kind = rng.choice(("value", "value", "drop", "rename", "wrap", "other", "pickle"))
    content: Any = state
    if kind == "value":
        state[name] = rng.choice(strange)
    elif kind == "drop":
        del state[name]
    elif kind == "rename":
        state[rng.choice((*hostile.TEXTS[:-1], 1, None, b"x", (1, 2)))] = state.pop(name)
    elif kind == "wrap":
        content = rng.choice((
            {"model": state}, {"state_dict": state, "epoch": 1}, {"model": {"model": state}},
            [state],
            {"ema": state, "model": 1}, {"model_state_dict": {}}, {"optimizer": state}, (state, 1),
        ))  # fmt: skip
    elif kind == "other":
        content = rng.choice(([], {}, None, 1, "x", tensor, {"x": 1}, {1: tensor}, {"": tensor}))
    else:
        with path.open("wb") as file:
            pickle.dump(rng.choice((_Attack(), {"x": _Attack()}, {}, 1)), file)
        return
    torch.save(content, path, _use_new_zipfile_serialization=rng.random() < 0.8)


ARRAY_MUTATORS: dict[str, tuple[Callable[[random.Random, Path], None], ...]] = {
    ".npy": (edit_npy,), ".npz": (edit_npz,), ".safetensors": (edit_safetensors,),
    "step_2": (edit_torch,),
}  # fmt: skip
