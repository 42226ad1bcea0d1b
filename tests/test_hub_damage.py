"""Repositories with foreign, damaged or hostile content: a one-line error, and no code is run."""

import io
import json
import os
import pickle
import re
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load, save

from tests.hub import HubServer
from tests.hub.commands import Online, refused
from tests.made_checkpoints import files_of

RAN = Path(tempfile.gettempdir()) / f"trm-tests-ran-code-{os.getpid()}"
Files = dict[str, bytes]
EVAL = ("eval", "--json", "--device", "cpu", "--max-examples", "4", "--ckpt", "bob/odd")
WEIGHTS = "model.safetensors"
NAME = "core.layers.0.mlp.down.weight"


def config(change: Callable[[dict[str, Any]], object]) -> Callable[[Files], Files]:
    """A changed ``config.json``."""

    def make(files: Files) -> Files:
        raw = json.loads(files["config.json"])
        change(raw)
        return {"config.json": json.dumps(raw).encode()}

    return make


def weights(change: Callable[[dict[str, torch.Tensor]], object]) -> Callable[[Files], Files]:
    """Changed weights."""

    def make(files: Files) -> Files:
        tensors = load(files[WEIGHTS])
        change(tensors)
        return {WEIGHTS: save(tensors)}

    return make


class Runs:
    """Creates a file when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (RAN,)


def spoil(tensors: dict[str, torch.Tensor]) -> None:
    tensors[NAME].view(-1)[3] = float("nan")


def objects() -> bytes:
    file = io.BytesIO()
    np.save(file, np.array([Runs()], dtype=object), allow_pickle=True)
    return file.getvalue()


BERT = b'{"architectures": ["BertModel"], "model_type": "bert", "hidden_size": 768}'
#: A change to the files of a checkpoint, and the error message.
CASES: dict[str, tuple[Callable[[Files], Files], str]] = {
    "of transformers": (
        lambda _: {"config.json": BERT}, r"/config\.json is damaged: step: Field required\."
    ),
    "a list": (lambda _: {"config.json": b"[1]"}, r"/config\.json is damaged: "),
    "empty": (lambda _: {"config.json": b""}, r"damaged: it is not JSON: Expecting value: "),
    "two megabytes": (
        config(lambda raw: raw.update(pad=" " * 2**21)),
        r"/config\.json is damaged: it has 2,\d{3},\d{3} bytes, more than 1,048,576\.",
    ),
    "nested": (
        lambda _: {"config.json": b"[" * 500_000},
        r"/config\.json is damaged: it is nested too deeply\.",
    ),
    "of a newer format": (
        config(lambda raw: raw.update(format_version=999)),
        r"/config\.json has format 999, this trm reads up to 1\. Upgrade trm\.$",
    ),
    "of an unknown task": (
        config(lambda raw: raw["run"].update(task="sudokoo")),
        r"^unknown task 'sudokoo'\. Did you mean 'sudoku'\?",
    ),
    "too wide": (
        config(lambda raw: raw["run"]["model"].update(hidden_size=2**16)),
        r"answer_init is \(32,\), but config\.json makes it \(65536,\)\.",
    ),
    "beyond 64 bits": (
        config(lambda raw: raw["run"]["model"].update(hidden_size=2**70)),
        r"config\.json is damaged: run\.model\.hidden_size: Input should be less than or equal to ",
    ),
    "too deep": (
        config(lambda raw: raw["run"]["model"].update(l_layers=100)),
        r" lacks the tensor core\.layers\.2\.\S+, which config\.json asks for",
    ),
    "too long": (
        config(lambda raw: raw["data"].update(seq_len=2**20)),
        r"core\.layers\.0\.\S+ is \(\d+, 17\), but config\.json makes it ",
    ),
    "of other sizes": (
        config(lambda raw: raw["run"]["model"].update(hidden_size=64)),
        r"answer_init is \(32,\), but config\.json makes it \(64,\)\.",
    ),
    "not finite": (weights(spoil), rf"{NAME} has numbers that are not finite\. Use another check"),
    "one tensor lacks": (
        weights(lambda tensors: tensors.pop(NAME)), rf" lacks the tensor {NAME}, which config\.json"
    ),
    "one tensor more": (
        weights(lambda tensors: tensors.update(x=torch.ones(1))),
        r" has the tensor x, for which config\.json has no place\.",
    ),
    "cut short": (
        lambda files: {WEIGHTS: files[WEIGHTS][:1000]},
        r"/model\.safetensors is damaged or cut short: ",
    ),
    "a pickle": (
        lambda _: {WEIGHTS: pickle.dumps(Runs())},
        r"/model\.safetensors is a pickle, which could run code; trm reads safetensors only\.",
    ),
    "objects as names": (
        lambda _: {"identifiers.npy": objects()}, r"/identifiers\.npy is damaged: "
    ),
}  # fmt: skip


@pytest.fixture
def ran() -> Iterator[Path]:
    """The file that :class:`Runs` would create."""
    RAN.unlink(missing_ok=True)
    yield RAN
    assert not RAN.exists()


@pytest.mark.parametrize("case", CASES)
def test_a_checkpoint_that_is_none(
    hub: HubServer, online: Online, checkpoint: Callable[..., Path], ran: Path, case: str
) -> None:
    files = files_of(checkpoint("c"))
    change, message = CASES[case]
    hub.add_repo("bob/odd", {**files, **change(files)})
    assert re.search(message, refused(online(*EVAL)))


def test_positions_that_no_memory_could_hold(
    hub: HubServer, online: Online, checkpoint: Callable[..., Path]
) -> None:
    rope = ("model.mlp_t=false", "model.pos_encodings=rope")
    files = files_of(checkpoint("c", *rope))
    long = config(lambda raw: raw["data"].update(seq_len=2**44))
    hub.add_repo("bob/odd", {**files, **long(files)})
    assert "config.json makes a model too large for the memory." in refused(online(*EVAL))


def torch_file(value: object) -> bytes:
    file = io.BytesIO()
    torch.save(value, file)
    return file.getvalue()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            pickle.dumps(Runs(), protocol=2),
            r"/step_1 would run code to be read \(getattr\); nothing",
        ),
        (torch_file({"weight": Runs()}), r"/step_1 would run code to be read \(getattr\); nothing"),
        (torch_file([1, 2]), r"/step_1 holds a list, not a state_dict\."),
        (b"no torch file", r": no file of torch\.save is there\."),
    ],
    ids=["a pickle", "a pickle in a zip", "a list", "text"],
)
def test_a_published_checkpoint_that_is_none(
    hub: HubServer, online: Online, ran: Path, content: bytes, message: str
) -> None:
    hub.add_repo("bob/odd", {"step_1": content})
    assert re.search(message, refused(online(*EVAL)))


def test_the_code_would_run() -> None:
    """Unpickling does create the file that the tests above look for."""
    pickle.loads(pickle.dumps(Runs()))
    assert RAN.exists()
    RAN.unlink()
