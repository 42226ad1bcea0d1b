"""Export one supervision step as an ONNX or torch.export program, which runs without trm.

A folder holds two programs, ``model`` and ``initial_state`` (``.onnx`` or ``.pt2``), with the
checkpoint's ``config.json`` and, if puzzles have names, ``identifiers.npy``. To solve puzzles, call
``initial_state`` for the first state. Then call ``model`` with the puzzles and its own last state,
``run.model.halt_max_steps`` times or until the halting logits are above 0. The answer is the token
with the largest logit in each cell. P is the length of the prefix. The batch may have any size. A
rule of the model's own for halting in evaluations (``model.act_inference``) is not exported.

==================  ========================  =======  =========================================
input of ``model``  shape                     type     what
==================  ========================  =======  =========================================
tokens              (batch, seq)              int32    indices in ``data.vocabulary``
puzzle_identifiers  (batch,)                  int32    indices in ``identifiers.npy``, or 0
answer, latent      (batch, P + seq, hidden)  float32  the state, from ``initial_state`` first
==================  ========================  =======  =========================================

==================  ========================  =======  =========================================
output              shape                     type     what
==================  ========================  =======  =========================================
next_answer         (batch, P + seq, hidden)  float32  the new state: ``answer`` of the next
next_latent         (batch, P + seq, hidden)  float32  step, and its ``latent``
logits              (batch, seq, vocab)       float32  for the token of each cell
halt_logits         (batch,)                  float32  above 0: the model considers it solved
==================  ========================  =======  =========================================

``initial_state`` takes ``tokens`` and returns ``answer`` and ``latent``. The parts of the state are
those of a TRM; another kind of model has its own, named in the same way.
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
from jaxtyping import Int
from torch import Tensor, nn
from torch.export import ExportedProgram

from trm.checkpoints.open_checkpoint import open_checkpoint
from trm.errors import CheckpointError, ConfigError
from trm.models import RecursiveModel
from trm.runs.layout import CONFIG_FILE, NAMES_FILE
from trm.storage import atomic_folder, check_new

#: The largest allowed difference, relative to the largest number in the model's output.
TOLERANCE = 1e-3

_TRACED_BATCH, _CHECKED_BATCH = 3, 2  # different, as the programs must take any batch size

#: A loaded program.
Program = Callable[..., Sequence[Tensor]]


def export_onnx(checkpoint: Path, out: Path) -> float:
    """Write ``model.onnx`` and ``initial_state.onnx``, and compare them with the model.

    The weights are those of ``model.safetensors``: the EMA's, if training used one. Everything is
    computed in float32, whatever ``model.forward_dtype`` is. Weights of more than 1.5 GiB (ARC) go
    to ``model.onnx.data``, which must stay in the same folder as ``model.onnx``.

    Args:
        checkpoint: a checkpoint folder.
        out: the new folder; it appears whole or not at all.

    Returns:
        The largest difference between an output in ONNX Runtime and in the model.

    Raises:
        ConfigError: if one of the packages of the extra ``onnx`` is not installed.
        InputError: if ``out`` exists.
        CheckpointError: if the checkpoint is damaged, or the programs compute something else.
        StorageError: if the disk is full or the folder cannot be written.
    """
    runtime = [_import_package(name) for name in ("onnx", "onnxscript", "onnxruntime")][-1]

    def save(program: ExportedProgram, part: _ProgramModule, file: Path) -> None:
        torch.onnx.export(
            program,
            (),
            file,
            input_names=part.inputs,
            output_names=part.outputs,
            dynamic_shapes={name: {0: "batch"} for name in part.inputs},
            dynamo=True,
            external_data=False,  # torch still uses it for weights too large for one file
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

    Like :func:`export_onnx`, but only torch is needed to write and to use them. They contain no
    pickles.

    Args:
        checkpoint: a checkpoint folder.
        out: the new folder; it appears whole or not at all.

    Returns:
        The largest difference between an output of the exported program and of the model.

    Raises:
        InputError: if ``out`` exists.
        CheckpointError: if the checkpoint is damaged, or the programs compute something else.
        StorageError: if the disk is full or the folder cannot be written.
    """

    def save(program: ExportedProgram, part: _ProgramModule, file: Path) -> None:
        program.example_inputs = None  # they would be pickled
        written = io.BytesIO()  # in memory: on a full disk torch would end the process
        torch.export.save(program, written)
        file.write_bytes(written.getbuffer())

    def load(file: Path) -> Program:
        return torch.export.load(file).module()

    return _export(checkpoint, out, ".pt2", save, load)


class _ProgramModule(nn.Module):
    """A module that becomes one program."""

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


class _StepProgram(_ProgramModule):
    def __init__(self, model: RecursiveModel) -> None:
        super().__init__()
        self.model = model
        state = model.state_fields()
        self.inputs = ("tokens", "puzzle_identifiers", *state)
        self.outputs = (*(f"next_{part}" for part in state), "logits", "halt_logits")

    def forward(
        self,
        tokens: Int[Tensor, "batch seq"],
        puzzle_identifiers: Int[Tensor, " batch"],
        *state: Tensor,
    ) -> tuple[Tensor, ...]:
        rows = self.model.puzzle_vectors(puzzle_identifiers.to(torch.int64))  # as ONNX requires
        embedded = self.model.embed(tokens, rows)
        after, logits, halt_logits, _ = self.model(self.model.state_class(*state), embedded)
        return *after, logits, halt_logits


class _InitialStateProgram(_ProgramModule):
    inputs = ("tokens",)

    def __init__(self, model: RecursiveModel) -> None:
        super().__init__()
        self.outputs = model.state_fields()
        for name, part in zip(self.outputs, model.initial_state(1), strict=True):
            self.register_buffer(f"{name}_init", part.contiguous())

    def forward(self, tokens: Int[Tensor, "batch seq"]) -> tuple[Tensor, ...]:
        shape = (tokens.shape[0], -1, -1)
        inits = (getattr(self, f"{name}_init") for name in self.outputs)
        return tuple(init.expand(shape).contiguous() for init in inits)


def _export(
    checkpoint: Path,
    out: Path,
    ending: str,
    save: Callable[[ExportedProgram, _ProgramModule, Path], None],
    load: Callable[[Path], Program],
) -> float:
    """Trace and save both programs, load them again, and compare them with the model."""
    check_new(out)
    model = open_checkpoint(checkpoint).model()
    model.dtype = torch.float32
    model.float().eval().requires_grad_(False)
    step, start = _StepProgram(model), _InitialStateProgram(model)
    puzzles = _random_puzzles(model, _TRACED_BATCH)
    with atomic_folder(out) as folder, torch.no_grad(), _without_output():
        files = {step: folder / f"model{ending}", start: folder / f"initial_state{ending}"}
        examples = {step: (*puzzles, *start(puzzles[0])), start: puzzles[:1]}
        batch = torch.export.Dim("batch", max=2**31 - 1)
        for part, file in files.items():
            dynamic = [{0: batch} for _ in part.inputs]
            # The state comes as further arguments, whose shapes are a tuple of their own.
            shapes = tuple(dynamic[:2]) + ((tuple(dynamic[2:]),) if dynamic[2:] else ())
            program = torch.export.export(part, examples[part], dynamic_shapes=shapes, strict=False)
            save(program, part, file)
        for name in (CONFIG_FILE, NAMES_FILE):
            if (checkpoint / name).is_file():
                shutil.copyfile(checkpoint / name, folder / name)
        return _largest_difference(step, start, *map(load, files.values()))


def _random_puzzles(model: RecursiveModel, batch_size: int) -> tuple[Tensor, Tensor]:
    """Tokens (batch, seq) and identifiers (batch,), always from the same seed."""
    spec, generator = model.spec, torch.Generator().manual_seed(0)
    shape = (batch_size, spec.seq_len)
    return (
        torch.randint(spec.vocab_size, shape, generator=generator, dtype=torch.int32),
        torch.randint(
            spec.num_puzzle_identifiers, shape[:1], generator=generator, dtype=torch.int32
        ),
    )


def _largest_difference(
    step: _StepProgram, start: _InitialStateProgram, exported_step: Program, exported_start: Program
) -> float:
    """The largest difference over all supervision steps of random puzzles.

    Each step starts from the model's own last state. From the exported program's state, rounding
    differences could grow along the recursion until the answers differ, though neither is wrong.
    """
    puzzles = _random_puzzles(step.model, _CHECKED_BATCH)
    state = start(puzzles[0])
    largest = _difference(start.outputs, exported_start(puzzles[0]), state)
    for _ in range(step.model.config.halt_max_steps):
        expected = step(*puzzles, *state)
        exported = exported_step(*puzzles, *state)
        largest = max(largest, _difference(step.outputs, exported, expected))
        state = expected[: len(state)]
    return largest


def _difference(
    names: Sequence[str], exported: Sequence[Tensor], expected: Sequence[Tensor]
) -> float:
    """The largest difference between the outputs with these names.

    Raises:
        CheckpointError: if a difference is too large or NaN, or the shapes differ.
    """
    largest = 0.0
    for name, output, exported_output in zip(names, expected, exported, strict=True):
        same_shape = output.shape == exported_output.shape
        difference = float((output - exported_output).abs().max()) if same_shape else math.inf
        allowed = TOLERANCE * max(1.0, float(output.abs().max()))
        if not difference <= allowed:  # also true for NaN
            raise CheckpointError(
                f"the exported model's {name} differs by {difference:.2g} from the model's; "
                f"rounding explains at most {allowed:.2g}. Try another version of torch or "
                "onnxruntime."
            )
        largest = max(largest, difference)
    return largest


def _import_package(name: str) -> ModuleType:
    """Import one of the packages of the extra ``onnx``."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name:
            raise
        raise ConfigError(
            f"{name} is not installed; exporting to ONNX needs it. Run: pip install onnx "
            "onnxscript onnxruntime"
        ) from None


@contextlib.contextmanager
def _without_output() -> Iterator[None]:
    """Suppress the messages of the exporters, which are for their developers."""
    disabled = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)
