"""One supervision step as a file of its own, for programs that have no trm: ONNX, or torch's.

A folder holds two programs, ``model`` and ``initial_state``, each ``.onnx`` or ``.pt2``, beside
the checkpoint's ``config.json`` and, where puzzles have names, ``identifiers.npy``. To solve
puzzles, ask ``initial_state`` for the state to begin with, then give ``model`` the puzzles and
its own last state again and again, ``run.model.halt_max_steps`` times or until the halting logits
are above 0; the answer is the largest logit of each cell. P is the length of the prefix that
``initial_state`` gives the states, any batch size will do:

==================  ========================  =======  =========================================
input of ``model``  shape                     type     what
==================  ========================  =======  =========================================
tokens              (batch, seq)              int32    places in ``data.vocabulary``
puzzle_identifiers  (batch,)                  int32    places in ``identifiers.npy``; 0 without
answer, latent      (batch, P + seq, hidden)  float32  the state; of ``initial_state`` at first
==================  ========================  =======  =========================================

==================  ========================  =======  =========================================
output              shape                     type     what
==================  ========================  =======  =========================================
next_answer         (batch, P + seq, hidden)  float32  the new state, as ``answer`` of the next
next_latent         (batch, P + seq, hidden)  float32  step, and as its ``latent``
logits              (batch, seq, vocab)       float32  of each cell's token
halt_logits         (batch,)                  float32  above 0: the model holds that it is done
==================  ========================  =======  =========================================

``initial_state`` takes ``tokens`` and gives ``answer`` and ``latent``.
"""

import contextlib
import importlib
import io
import logging
import math
import shutil
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import ModuleType

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.export import ExportedProgram

from trm.checkpoints.opened import open_checkpoint
from trm.errors import CheckpointError, ConfigError, InputError
from trm.models import LatentState, TinyRecursiveModel
from trm.models.layers import Hidden
from trm.runs.layout import CONFIG_FILE, NAMES_FILE
from trm.storage import atomic_folder

#: How far an output may be from the model's, as a share of the model's largest number in it.
TOLERANCE = 1e-3

_TRACED_BATCH, _CHECKED_BATCH = 3, 2  # unlike, for the files have to take batches of any size

#: An exported program, opened.
Program = Callable[..., Sequence[Tensor]]


def export_onnx(checkpoint: Path, out: Path) -> float:
    """Write ``model.onnx`` and ``initial_state.onnx``, and hold them against the model.

    The weights are those of ``model.safetensors``, averaged if training averaged them. All is
    computed in float32, whatever ``model.forward_dtype`` says. Weights of more than 1.5 GiB (ARC)
    are in ``model.onnx.data``, which has to stay beside ``model.onnx``.

    Args:
        checkpoint: a checkpoint folder.
        out: a new folder, which appears whole or not at all.

    Returns:
        The largest difference between an output in ONNX Runtime and in the model.

    Raises:
        ConfigError: if one of the packages of ``trm[onnx]`` is not installed.
        InputError: if ``out`` exists.
        CheckpointError: if the checkpoint is damaged, or the files compute something else.
        StorageError: if the disk is full or the place may not be written.
    """
    runtime = [_needed(name) for name in ("onnx", "onnxscript", "onnxruntime")][-1]

    def save(program: ExportedProgram, part: _Part, file: Path) -> None:
        torch.onnx.export(
            program,
            (),
            file,
            input_names=part.inputs,
            output_names=part.outputs,
            dynamic_shapes={name: {0: "batch"} for name in part.inputs},
            dynamo=True,
            external_data=False,  # but where it is too much for one file
            verbose=False,
        )

    def load(file: Path) -> Program:
        session = runtime.InferenceSession(file, providers=["CPUExecutionProvider"])
        names = [value.name for value in session.get_inputs()]

        def run(*inputs: Tensor) -> list[Tensor]:
            arrays = {name: x.numpy() for name, x in zip(names, inputs, strict=True)}
            return [torch.from_numpy(array) for array in session.run(None, arrays)]

        return run

    return _export(checkpoint, out, ".onnx", save, load)


def export_torch(checkpoint: Path, out: Path) -> float:
    """Write ``model.pt2`` and ``initial_state.pt2``, for ``torch.export.load``.

    As :func:`export_onnx`, but nothing beside torch is needed, to write or to use them. They hold
    no pickles.

    Args:
        checkpoint: a checkpoint folder.
        out: a new folder, which appears whole or not at all.

    Returns:
        The largest difference between an output of the exported program and of the model.

    Raises:
        InputError: if ``out`` exists.
        CheckpointError: if the checkpoint is damaged, or the files compute something else.
        StorageError: if the disk is full or the place may not be written.
    """

    def save(program: ExportedProgram, part: _Part, file: Path) -> None:
        program.example_inputs = None  # which would be pickled
        written = io.BytesIO()  # for a full disk would end the process inside torch
        torch.export.save(program, written)
        file.write_bytes(written.getbuffer())

    def load(file: Path) -> Program:
        return torch.export.load(file).module()

    return _export(checkpoint, out, ".pt2", save, load)


class _Part(nn.Module):
    """What becomes a file."""

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


class _Step(_Part):
    inputs = ("tokens", "puzzle_identifiers", "answer", "latent")
    outputs = ("next_answer", "next_latent", "logits", "halt_logits")

    def __init__(self, model: TinyRecursiveModel) -> None:
        super().__init__()
        self.model = model

    def forward(
        self,
        tokens: Int[Tensor, "batch seq"],
        puzzle_identifiers: Int[Tensor, " batch"],
        answer: Hidden,
        latent: Hidden,
    ) -> tuple[Hidden, Hidden, Float[Tensor, "batch seq vocab"], Float[Tensor, " batch"]]:
        rows = self.model.puzzle_vectors(puzzle_identifiers.to(torch.int64))  # as ONNX demands
        embedded = self.model.embed(tokens, rows)
        state, logits, halt_logits = self.model(LatentState(answer, latent), embedded)
        return *state, logits, halt_logits


class _InitialState(_Part):
    inputs = ("tokens",)
    outputs = LatentState._fields

    answer_init: Tensor
    latent_init: Tensor

    def __init__(self, model: TinyRecursiveModel) -> None:
        super().__init__()
        for name, part in model.initial_state(1)._asdict().items():
            self.register_buffer(f"{name}_init", part.contiguous())

    def forward(self, tokens: Int[Tensor, "batch seq"]) -> tuple[Hidden, Hidden]:
        shape = (tokens.shape[0], -1, -1)
        return (
            self.answer_init.expand(shape).contiguous(),
            self.latent_init.expand(shape).contiguous(),
        )


def _export(
    checkpoint: Path,
    out: Path,
    ending: str,
    save: Callable[[ExportedProgram, _Part, Path], None],
    load: Callable[[Path], Program],
) -> float:
    """Trace and save both parts, load them again, and compare them with the model."""
    if out.exists():
        raise InputError(f"{out} exists already. Name another folder.")
    model = open_checkpoint(checkpoint).model()
    model.dtype = torch.float32
    model.float().eval().requires_grad_(False)
    step, start = _Step(model), _InitialState(model)
    puzzles = _random_puzzles(model, _TRACED_BATCH)
    with atomic_folder(out) as folder, torch.no_grad(), _quiet():
        files = {step: folder / f"model{ending}", start: folder / f"initial_state{ending}"}
        examples = {step: (*puzzles, *start(puzzles[0])), start: puzzles[:1]}
        for part, file in files.items():
            save(_trace(part, examples[part]), part, file)
        for name in (CONFIG_FILE, NAMES_FILE):
            if (checkpoint / name).is_file():
                shutil.copyfile(checkpoint / name, folder / name)
        return _largest_difference(step, start, *map(load, files.values()))


def _trace(part: _Part, example: tuple[Tensor, ...]) -> ExportedProgram:
    batch = torch.export.Dim("batch", max=2**31 - 1)
    shapes = {name: {0: batch} for name in part.inputs}
    return torch.export.export(part, example, dynamic_shapes=shapes, strict=False)


def _random_puzzles(model: TinyRecursiveModel, batch_size: int) -> tuple[Tensor, Tensor]:
    """Tokens (batch, seq) and identifiers (batch,), the same ones every time."""
    spec, generator = model.spec, torch.Generator().manual_seed(0)
    shape = (batch_size, spec.seq_len)
    return (
        torch.randint(spec.vocab_size, shape, generator=generator, dtype=torch.int32),
        torch.randint(
            spec.num_puzzle_identifiers, shape[:1], generator=generator, dtype=torch.int32
        ),
    )


def _largest_difference(
    step: _Step, start: _InitialState, exported_step: Program, exported_start: Program
) -> float:
    """All supervision steps of random puzzles, each one from where the model's last one ended.

    Not from where the exported one ended: a difference of rounding may grow along the recursion
    until two answers have little in common, though neither is wrong.
    """
    puzzles = _random_puzzles(step.model, _CHECKED_BATCH)
    state = start(puzzles[0])
    largest = _difference(start.outputs, exported_start(puzzles[0]), state)
    for _ in range(step.model.config.halt_max_steps):
        expected = step(*puzzles, *state)
        found = exported_step(*puzzles, *state)
        largest = max(largest, _difference(step.outputs, found, expected))
        state = expected[:2]
    return largest


def _difference(names: Sequence[str], found: Sequence[Tensor], expected: Sequence[Tensor]) -> float:
    """The largest one between the outputs of these names.

    Raises:
        CheckpointError: if one is not of the right shape, too large, or not a number.
    """
    largest = 0.0
    for name, ours, theirs in zip(names, expected, found, strict=True):
        alike = ours.shape == theirs.shape
        difference = float((ours - theirs).abs().max()) if alike else math.inf
        allowed = TOLERANCE * max(1.0, float(ours.abs().max()))
        if not difference <= allowed:  # which is so for what is not a number, too
            raise CheckpointError(
                f"the exported model's {name} differs by {difference:.2g} from the model's, where "
                f"{allowed:.2g} would be rounding. Try another version of torch, or of onnxruntime."
            )
        largest = max(largest, difference)
    return largest


def _needed(name: str) -> ModuleType:
    """Import one of the packages of ``trm[onnx]``."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name:
            raise
        raise ConfigError(
            f'{name}, which exporting to ONNX needs, is not installed. Run: pip install "trm[onnx]"'
        ) from None


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep to itself what the exporters tell those who develop them."""
    disabled = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)
