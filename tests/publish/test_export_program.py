"""Exported steps, asked as a program that has no trm would ask them."""

import json
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from numpy.typing import NDArray

from trm.checkpoints.open_checkpoint import open_checkpoint
from trm.config import RunConfig, TRMConfig
from trm.data import DatasetMeta, Position
from trm.errors import CheckpointError, ConfigError, InputError
from trm.inference.rollouts import Rollouts
from trm.models import StepOutput, TinyRecursiveModel
from trm.publish import export_program
from trm.runs import layout
from trm.runs.checkpoint import CheckpointConfig, Progress
from trm.training.checkpoint_snapshot import Snapshot

SMALL = {
    "hidden_size": 32, "num_heads": 2, "l_layers": 1, "h_cycles": 1, "l_cycles": 1,
    "swiglu_multiple": 16, "halt_max_steps": 3,
}  # fmt: skip
#: The network, and how many identifiers its puzzles have.
MODELS: dict[str, tuple[dict[str, object], int]] = {
    "mlp": (
        {"mlp_t": True, "pos_encodings": "none", "puzzle_emb_len": 3, "h_cycles": 2}, 7
    ),
    "rope": (
        {"puzzle_emb_dim": 40, "puzzle_emb_len": 0, "forward_dtype": "float32"}, 1
    ),
    "learned": (
        {"pos_encodings": "learned", "puzzle_emb_dim": 0, "forward_dtype": "float64"}, 1
    ),
}  # fmt: skip
#: How a pickle begins, and what torch.save puts around one.
PICKLES = (b"PK", *(bytes([0x80, protocol]) for protocol in range(2, 6)))
Arrays = tuple[NDArray[np.float32], ...]
Program = Callable[..., Arrays]
Done = tuple["subprocess.CompletedProcess[str]", Path]


def write_checkpoint(folder: Path, settings: dict[str, object], num_puzzles: int) -> Path:
    """A small model for 6 cells of 5 tokens, all of whose weights are random."""
    config = TRMConfig.model_validate({**SMALL, **settings})
    data = DatasetMeta(
        task="sudoku", source="test", seed=0, vocabulary=("<pad>", *"abcd"), seq_len=6,
        num_puzzle_identifiers=num_puzzles,
    )  # fmt: skip
    kept = CheckpointConfig(step=0, run=RunConfig(task="sudoku", model=config), data=data)
    random = torch.Generator().manual_seed(1)
    model = TinyRecursiveModel(config, kept.spec, generator=random)
    weights = dict(model.state_dict())
    for name in ("halt_head.weight", "puzzle_embedding.weight"):  # which start at 0
        if name in weights:
            weights[name].normal_(generator=random)
    names = np.array([f"puzzle-{n}".encode() for n in range(num_puzzles)])
    progress = Progress(step=0, position=Position())
    snapshot = Snapshot(kept, progress, weights, {}, names if num_puzzles > 1 else None)
    snapshot.write(folder)
    return folder


@pytest.fixture(scope="module")
def checkpoints(make_once: Callable[..., Path]) -> Path:
    def fill(folder: Path) -> None:
        for name, (settings, num_puzzles) in MODELS.items():
            write_checkpoint(folder / name, settings, num_puzzles)

    return make_once("export-checkpoints", fill)


@pytest.fixture(scope="module")
def process(checkpoints: Path, make_once: Callable[..., Path]) -> Done:
    """Exporting as users do, in a process of its own, whose last file is too large for the disk."""
    program = (
        "import resource, sys; from pathlib import Path\n"
        "from trm.publish import export_program as ep\n"
        "for path in map(Path, sys.argv[1:]): print(ep.export_onnx(path, Path(path.name)))\n"
        "whole = resource.getrlimit(resource.RLIMIT_FSIZE)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, whole[1]))\n"
        "try: ep.export_torch(path, Path('torch'))\n"
        "except Exception as error: print(type(error).__name__, error)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, whole)\n"  # room for a coverage report
    )
    command = [sys.executable, "-c", program, *(str(checkpoints / name) for name in MODELS)]

    def fill(folder: Path) -> None:
        folder.mkdir()
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)
        folder.with_suffix(".json").write_text(
            json.dumps([done.returncode, done.stdout, done.stderr])
        )

    folder = make_once("export-process", fill)
    ended = json.loads(folder.with_suffix(".json").read_text())
    return subprocess.CompletedProcess(command, *ended), folder


@pytest.fixture(scope="module", params=MODELS)
def checkpoint(request: pytest.FixtureRequest, checkpoints: Path) -> Path:
    return checkpoints / str(request.param)


@pytest.fixture(scope="module", params=["onnx", "pt2"])
def exported(
    request: pytest.FixtureRequest, checkpoint: Path, make_once: Callable[..., Path]
) -> Path:
    if request.param == "onnx":
        done: Done = request.getfixturevalue("process")
        return done[1] / checkpoint.name

    def fill(folder: Path) -> None:
        assert 0 <= export_program.export_torch(checkpoint, folder) < 1e-4

    return make_once(f"exported-{checkpoint.name}", fill)


@pytest.fixture(scope="module")
def programs(exported: Path) -> tuple[Program, Program]:
    """The step and the initial state, for arrays."""
    (step,), (start,) = exported.glob("model.*"), exported.glob("initial_state.*")
    return opened(step), opened(start)


def opened(file: Path) -> Program:
    if file.suffix == ".pt2":
        program = torch.export.load(file).module()
        return lambda *inputs: tuple(x.numpy() for x in program(*map(torch.from_numpy, inputs)))
    session = onnxruntime.InferenceSession(file)
    names = [value.name for value in session.get_inputs()]
    return lambda *inputs: tuple(session.run(None, dict(zip(names, inputs, strict=True))))


@pytest.mark.parametrize("batch_size", [1, 5])
def test_all_steps_are_those_of_the_model(
    programs: tuple[Program, Program], checkpoint: Path, batch_size: int
) -> None:
    step, start = programs
    stored = open_checkpoint(checkpoint)
    model, config = stored.model(), stored.config
    if model.dtype != torch.float64:
        model.dtype = torch.float32
    random = np.random.default_rng(batch_size)
    tokens = random.integers(5, size=(batch_size, 6), dtype=np.int32)
    identifiers = random.integers(
        config.data.num_puzzle_identifiers, size=batch_size, dtype=np.int32
    )
    outputs: list[StepOutput] = []

    model.register_forward_hook(lambda _, __, output: outputs.append(output))
    rollouts = Rollouts(model, batch_size)
    rollouts.start(np.arange(batch_size), tokens, identifiers)
    answer, latent = start(tokens)
    for _ in range(model.config.halt_max_steps):
        expected_logits, halt_logits, _ = rollouts.step()
        answer, latent, logits, halting = step(tokens, identifiers, answer, latent)
        state, expected, *_ = outputs[-1]
        for found, wanted in (
            (answer, state.answer), (latent, state.latent), (logits, expected),
            (halting, halt_logits),
        ):  # fmt: skip
            assert found.dtype == np.float32
            assert found.shape == wanted.shape
            np.testing.assert_allclose(found, wanted.numpy(), rtol=0, atol=1e-4)
        np.testing.assert_array_equal(logits.argmax(-1), expected_logits.argmax(-1))
    assert len(outputs) == 3


def test_the_files(exported: Path, checkpoint: Path) -> None:
    beside = {path.name for path in checkpoint.iterdir()} & {layout.CONFIG_FILE, layout.NAMES_FILE}
    assert (layout.NAMES_FILE in beside) == (checkpoint.name == "mlp")
    for name in beside:
        assert (exported / name).read_bytes() == (checkpoint / name).read_bytes()
    programs = {path for path in exported.iterdir() if path.name not in beside}
    assert {path.stem for path in programs} == {"model", "initial_state"}


@pytest.mark.skipif(torch.__version__ < "2.9", reason="torch pickled weights until then")
def test_nothing_is_pickled(checkpoints: Path, tmp_path: Path) -> None:
    export_program.export_torch(checkpoints / "learned", tmp_path / "out")
    for path in (tmp_path / "out").glob("*.pt2"):
        with zipfile.ZipFile(path) as archive:
            contents = {entry.filename: archive.read(entry) for entry in archive.filelist}
        assert len(contents) > 1
        assert [name for name, found in contents.items() if found.startswith(PICKLES)] == []


def test_a_process_says_nothing_of_its_own(process: Done) -> None:
    done, _ = process
    assert (done.returncode, done.stderr) == (0, "")


def test_a_full_disk_leaves_nothing(process: Done) -> None:
    done, folder = process
    *differences, message = done.stdout.splitlines()
    assert all(0 < float(difference) < 1e-4 for difference in differences)
    assert message == (
        "StorageError cannot write torch: the file would be larger than allowed. "
        "Choose another place."
    )
    assert {path.name for path in folder.iterdir()} == set(MODELS)


def test_the_inputs_and_outputs_of_onnx(
    process: Done,
) -> None:
    session = onnxruntime.InferenceSession(process[1] / "mlp" / "model.onnx")
    assert [(v.name, v.shape, v.type) for v in session.get_inputs()] == [
        ("tokens", ["batch", 6], "tensor(int32)"),
        ("puzzle_identifiers", ["batch"], "tensor(int32)"),
        ("answer", ["batch", 9, 32], "tensor(float)"),
        ("latent", ["batch", 9, 32], "tensor(float)"),
    ]
    assert [(v.name, v.shape, v.type) for v in session.get_outputs()] == [
        ("next_answer", ["batch", 9, 32], "tensor(float)"),
        ("next_latent", ["batch", 9, 32], "tensor(float)"),
        ("logits", ["batch", 6, 5], "tensor(float)"),
        ("halt_logits", ["batch"], "tensor(float)"),
    ]


@pytest.mark.parametrize("exporter", [export_program.export_onnx, export_program.export_torch])
def test_a_folder_that_is_there_is_left_alone(
    exporter: Callable[[Path, Path], float], checkpoints: Path, tmp_path: Path
) -> None:
    (tmp_path / "mine").write_text("mine")
    with pytest.raises(InputError, match=r"exists already\. Name another --out"):
        exporter(checkpoints / "mlp", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_what_computes_something_else_is_not_kept(
    checkpoints: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export_program, "TOLERANCE", -1.0)
    with pytest.raises(CheckpointError, match=r"^the exported model's answer differs by 0 from"):
        export_program.export_torch(checkpoints / "mlp", tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["onnx", "onnxscript", "onnxruntime"])
def test_a_missing_package_is_named(
    name: str, checkpoints: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, name, None)
    message = (
        f"{name} is not installed; exporting to ONNX needs it. Run: pip install onnx onnxscript "
        "onnxruntime"
    )
    with pytest.raises(ConfigError) as caught:
        export_program.export_onnx(checkpoints / "mlp", tmp_path / "out")
    assert str(caught.value) == message
    assert list(tmp_path.iterdir()) == []
