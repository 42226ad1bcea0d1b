"""Checks that a kind of model keeps what trm promises of every model, for authors of plugins.

``check_model`` trains, stops, resumes and exports tiny models of 4x4 Sudokus. From a shell:
``python -m trm.testing KIND``, after the plugin is installed.
"""

import importlib.util
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from trm.checkpoints.open_checkpoint import open_checkpoint
from trm.config import ModelConfig, RunConfig
from trm.datasets import build_data
from trm.errors import PluginError, TrmError
from trm.models import (
    Depth,
    PuzzleSpec,
    RecursiveModel,
    StateNoise,
    StepOutput,
    create_model,
    get_model_class,
)
from trm.models.flops import count_flops, eval_step_flops, train_step_flops
from trm.publish.export_program import export_onnx, export_torch
from trm.recipes import run_config
from trm.settings import train_command
from trm.show.text import Terminal, out
from trm.tasks.registry import get_task
from trm.training.train import train

#: 4x4 Sudokus: rows, columns and boxes; tokens from 2 are digits.
_SPEC = PuzzleSpec(
    vocab_size=6,
    seq_len=16,
    num_puzzle_identifiers=3,
    cell_axes=tuple(
        tuple(int(axis) for axis in axes)
        for axes in ("0000111122223333", "0123" * 4, "0011" * 2 + "2233" * 2)
    ),
    interchangeable=(2, 3, 4, 5),
)
#: Small sizes, of which a kind takes those that it has.
_SMALL: Mapping[str, Any] = {
    "hidden_size": 16,
    "num_heads": 2,
    "swiglu_multiple": 8,
    "h_cycles": 2,
    "l_cycles": 2,
    "l_layers": 1,
    "h_layers": 1,
    "puzzle_emb_len": 1,
    "halt_max_steps": 3,
    "forward_dtype": "float32",
}
_STEPS, _STOP = 4, 2


class ConformanceError(AssertionError):
    """A model does not keep a promise. The message names the check."""


@dataclass
class _Case:
    """A kind of model under test, with small settings and a folder to work in."""

    model: type[RecursiveModel]
    settings: dict[str, Any]
    folder: Path
    config: ModelConfig = field(init=False)

    def __post_init__(self) -> None:
        self.config = self.model.config_class(**self.settings)

    def build(self, **changes: Any) -> RecursiveModel:
        """A small model, always with the same weights."""
        config = self.model.config_class(**{**self.settings, **changes})
        model = self.model(config, _SPEC, generator=torch.Generator().manual_seed(0))
        with torch.no_grad():  # zero at first, which would hide what it does
            model.halt_head.weight.normal_(generator=torch.Generator().manual_seed(1))
        return model

    def run(self) -> RunConfig:
        """The settings of a short training run."""
        data = self.folder / "data"
        if not data.exists():
            build_data(
                "sudoku", source="generate", size=4, num_train=24, num_test=8, num_aug=0, out=data
            )
        model = {f"model.{name}": value for name, value in self.settings.items()}
        return run_config(
            "sudoku", model=self.model.name,
            settings={**model, "train.eval_every_steps": _STEPS, "optim.lr": 1e-3},
            batch_size=8, max_steps=_STEPS, device="cpu", data=data, compile=False, seed=1,
        )  # fmt: skip


def _inputs(rows: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(2)
    tokens = torch.randint(_SPEC.vocab_size, (rows, _SPEC.seq_len), generator=generator)
    return tokens.to(torch.int32), torch.arange(rows, dtype=torch.int32) % 3


def _step(
    model: RecursiveModel,
    rows: int = 3,
    depth: Depth | None = None,
    noise: StateNoise | None = None,
) -> StepOutput:
    tokens, identifiers = _inputs(rows)
    embedded = model.embed(tokens, model.puzzle_vectors(identifiers))
    output: StepOutput = model(model.initial_state(rows), embedded, depth, noise)
    return output


def _require(condition: object, message: str) -> None:
    if not condition:
        raise ConformanceError(message)


def _tensors(output: StepOutput) -> list[Tensor]:
    return [*output.state, output.logits, output.halt_logits, output.continue_logits]


def _settings(case: _Case) -> None:
    """The class is installed under its name, and its settings survive JSON."""
    name = case.model.name
    _require(get_model_class(name) is case.model, f"the installed kind {name!r} is another class")
    _require(case.model.config_class().kind == name, "the default of kind is not the name")
    run = RunConfig(task="sudoku", model=case.config)
    _require(RunConfig.model_validate_json(run.model_dump_json()) == run, "JSON changes settings")


def _shapes(case: _Case) -> None:
    """States and outputs have the right shapes, with and without a puzzle embedding."""
    for changes in ({}, {"puzzle_emb_dim": 0}):
        model = case.build(**changes)
        for rows in (1, 3):
            output = _step(model, rows)
            shape = (rows, *model.state_shape)
            for name, part in zip(model.state_fields(), output.state, strict=True):
                _require(part.shape == shape, f"{name} is {tuple(part.shape)}, not {shape}")
                _require(not part.requires_grad, f"{name} is not detached")
            expected = (rows, _SPEC.seq_len, _SPEC.vocab_size)
            _require(output.logits.shape == expected, f"logits are {tuple(output.logits.shape)}")
            _require(output.halt_logits.shape == (rows,), "halt_logits have no number for each row")
            _require(all(part.isfinite().all() for part in _tensors(output)), "it is not finite")


def _determinism(case: _Case) -> None:
    """Equal inputs give equal outputs, and a row does not depend on the others."""
    model = case.build()
    first, again, alone = _step(model), _step(model), _step(model, 1)
    for one, two in zip(_tensors(first), _tensors(again), strict=True):
        _require(torch.equal(one, two), "the same step gives other numbers")
    for one, two in zip(_tensors(first), _tensors(alone), strict=True):
        _require(torch.allclose(one[:1], two, atol=1e-5), "a row depends on the other rows")


def _gradients(case: _Case) -> None:
    """Every weight learns within two supervision steps."""
    model = case.build()
    tokens, identifiers = _inputs(3)
    rows = model.puzzle_vectors(identifiers)
    embedded, state = model.embed(tokens, rows), model.initial_training_state(3)
    total = torch.zeros(())
    for _ in range(2):
        output = model.training_step(state, embedded, lambda logits: logits.square().sum((1, 2)))
        extra = model.extra_losses(output, tokens)
        total = total + output.logits.square().sum() + output.halt_logits.sum()
        total = total + output.continue_logits.sum() + (0 if extra is None else extra.sum())
        state = output.state
    total.backward()  # type: ignore[no-untyped-call]
    without = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    _require(not without, f"no gradient reaches {', '.join(without[:3])}")
    _require(rows is None or rows.grad is not None, "no gradient reaches the puzzle embedding")


def _halting(case: _Case) -> None:
    """The halting logits follow the halting head, and decide for each row."""
    model = case.build()
    _require(model.halt_decision(_step(model)).shape == (3,), "halt_decision is not one per row")
    before = _step(model).halt_logits
    with torch.no_grad():
        model.halt_head.bias[0] += 1
    after = _step(model).halt_logits
    _require(torch.allclose(before + 1, after, atol=1e-5), "halt_logits are not the halting head's")


def _noise(case: _Case) -> None:
    """Noise changes the state, by the generator it is given."""
    model = case.build()

    def noisy(seed: int) -> Tensor:
        noise = StateNoise(0.5, torch.Generator().manual_seed(seed))
        state: Tensor = _step(model, noise=noise).state[0]
        return state

    quiet: Tensor = _step(model).state[0]
    _require(not torch.equal(noisy(0), quiet), "noise has no effect")
    _require(torch.equal(noisy(0), noisy(0)), "noise does not follow its generator")


def _bfloat16(case: _Case) -> None:
    """It computes and learns in bfloat16 too, the type of a GPU."""
    model = case.build(forward_dtype="bfloat16")
    output = _step(model)
    _require(all(part.isfinite().all() for part in _tensors(output)), "it is not finite")
    output.logits.float().sum().backward()  # type: ignore[no-untyped-call]
    found = [p.grad for p in model.parameters() if p.grad is not None]
    _require(all(grad.isfinite().all() for grad in found), "a gradient is not finite")


def _depth(case: _Case) -> str | None:
    """A model with cycles can take fewer of them."""
    if case.config.cycles is None:
        return "skipped: it has no cycles"
    model = case.build()
    deep, shallow = _step(model), _step(model, depth=Depth(1, 1))
    same = torch.equal(deep.logits, shallow.logits)
    _require(case.config.cycles == (1, 1) or not same, "a depth of (1, 1) changes nothing")
    return None


def _flops(case: _Case) -> None:
    """The computed operations are those that torch counts."""
    config = case.config
    forward = count_flops(config, _SPEC, None, False)
    step = count_flops(config, _SPEC, None, True) + forward * config.continues
    both = (eval_step_flops(config, _SPEC), forward), (train_step_flops(config, _SPEC), step)
    for computed, counted in both:
        _require(computed == counted > 0, f"{computed:,} operations computed, {counted:,} counted")


def _compiled(case: _Case) -> None:
    """A compiled model gives what a plain one does, and has its gradients."""
    found, models = [], (case.build(), case.build())
    models[1].compile_network()
    for model in models:
        with torch.no_grad():
            answered = _tensors(_step(model))
        _, logits, halting, _ = _step(model)
        torch.autograd.backward(logits.square().mean() + halting.sum())
        found.append([*answered, *(p.grad for p in model.parameters() if p.grad is not None)])
    for one, two in zip(*found, strict=True):
        _require(torch.allclose(one, two, atol=1e-4), "the compiled model gives other numbers")


def _weights(folder: Path) -> dict[str, Tensor]:
    return dict(open_checkpoint(str(folder)).model().state_dict())


def _same(one: Mapping[str, Tensor], two: Mapping[str, Tensor], tolerance: float = 0.0) -> bool:
    return one.keys() == two.keys() and all(
        torch.allclose(tensor, two[name], rtol=0, atol=tolerance) for name, tensor in one.items()
    )


def _resume(case: _Case) -> None:
    """A run that is stopped and resumed equals one that is not, bit for bit."""
    runs = case.folder / "runs"
    whole = train(case.run(), runs=runs, name="whole").run
    steps = iter(range(_STEPS))
    train(case.run(), runs=runs, name="parts", should_stop=lambda: next(steps) + 1 == _STOP)
    parts = train(case.run(), runs=runs, name="parts").run
    _require(_same(_weights(whole), _weights(parts)), "a resumed run has other weights")


def _processes(case: _Case) -> None:
    """Two processes learn what one does."""
    runs = case.folder / "runs"
    one = train(case.run(), runs=runs, name="one").run
    task = get_task("sudoku")
    command = train_command(case.run(), task.defaults, {})[1:]
    command += ["--nproc", "2", "--oversubscribe", "--out", str(runs), "--run-name", "two"]
    done = subprocess.run(
        [sys.executable, "-m", "trm", *command],
        env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True,
    )  # fmt: skip
    _require(done.returncode == 0, f"two processes fail: {done.stderr.strip()[-300:]}")
    two = runs / "sudoku" / "two"
    _require(_same(_weights(one), _weights(two), 1e-4), "two processes learn other weights")


def _round_trip(case: _Case) -> None:
    """A checkpoint holds the whole model, and exports compute what it does."""
    run = train(case.run(), runs=case.folder / "runs", name="saved").run
    checkpoint = open_checkpoint(str(run))
    loaded = checkpoint.model()
    again = create_model(loaded.config, loaded.spec)
    checkpoint.load_into(again.state_dict())
    tokens = torch.zeros(2, loaded.spec.seq_len, dtype=torch.int32)
    rows = tokens[:, 0]
    with torch.no_grad():
        one, two = (
            model(model.initial_state(2), model.embed(tokens, model.puzzle_vectors(rows))).logits
            for model in (loaded.eval(), again.eval())
        )
    _require(torch.equal(one, two), "the checkpoint does not hold the whole model")
    export_torch(checkpoint.path, case.folder / "torch")


def _onnx(case: _Case) -> str | None:
    """ONNX Runtime computes what torch does."""
    for package in ("onnx", "onnxscript", "onnxruntime"):
        if importlib.util.find_spec(package) is None:
            return f"skipped: {package} is not installed"
    run = train(case.run(), runs=case.folder / "runs", name="onnx").run
    export_onnx(open_checkpoint(str(run)).path, case.folder / "onnx")
    return None


#: The checks, the quick ones first. One that is skipped returns why.
CHECKS: Mapping[str, Callable[[_Case], str | None]] = {
    "settings": _settings,
    "shapes": _shapes,
    "determinism": _determinism,
    "gradients": _gradients,
    "halting": _halting,
    "noise": _noise,
    "bfloat16": _bfloat16,
    "depth": _depth,
    "flops": _flops,
    "resume": _resume,
    "round-trip": _round_trip,
    "onnx": _onnx,
    "compiled": _compiled,
    "processes": _processes,
}


def check_model(
    kind: str | type[RecursiveModel],
    settings: Mapping[str, Any] | None = None,
    *,
    checks: Iterable[str] = tuple(CHECKS),
) -> dict[str, str]:
    """Check an installed kind of model; it takes about a minute.

    Args:
        kind: its name or class.
        settings: of the model, over small sizes.
        checks: keys of ``CHECKS``.

    Returns:
        Why a check was skipped, by its name: that of ONNX, if its packages are not installed.

    Raises:
        ConformanceError: naming the first check that fails, or in which the model raises an error.
        PluginError: if the kind is not installed.
    """
    model = get_model_class(kind) if isinstance(kind, str) else kind
    own = {name: _SMALL[name] for name in model.config_class.model_fields if name in _SMALL}
    with tempfile.TemporaryDirectory() as folder:
        case = _Case(model, {**own, **(settings or {})}, Path(folder))
        skipped = {name: _checked(case, name) for name in checks}
        return {name: why for name, why in skipped.items() if why}


def _checked(case: _Case, name: str) -> str | None:
    where, check = f"{case.model.name}, {name}", CHECKS[name]
    try:
        return check(case)
    except ConformanceError as error:
        raise ConformanceError(f"{where}: {error}") from error
    except PluginError:
        raise
    except Exception as error:  # whatever the model raises
        what, *_ = str(error).splitlines() or [""]
        raise ConformanceError(f"{where}: {type(error).__name__}: {what}") from error


def main(kinds: Sequence[str]) -> int:
    """Check kinds of models, and print what each check found. Returns the exit code."""
    if not kinds:
        Terminal(stderr=True).print("Usage: python -m trm.testing KIND...")
        return 2
    try:
        for kind in kinds:
            for check, function in CHECKS.items():
                skipped = check_model(kind, checks=[check])
                text = skipped.get(check) or (function.__doc__ or "").strip()
                out.print(f"{kind} {check}: {text}")
    except (ConformanceError, TrmError) as error:
        Terminal(stderr=True).print(f"trm: error: {error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
