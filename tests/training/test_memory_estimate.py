"""The memory that a run needs, and what is said if it is not there."""

import re
from itertools import accumulate
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from trm.config import OptimConfig, RunConfig, TrainConfig, TRMConfig
from trm.errors import ConfigError
from trm.models import (
    PuzzleBatch,
    PuzzleSpec,
    TinyRecursiveModel,
    initial_carry,
    replace_halted,
)
from trm.storage import Memory
from trm.training.memory_estimate import check_memory, estimate_memory
from trm.training.step import TrainState, TrainStep, supervision_step

SPEC = PuzzleSpec(11, 81)
GIB = 1 << 30


def config(model: dict[str, Any] | None = None, **train: object) -> RunConfig:
    mixer = TRMConfig(**{"mlp_t": True, "pos_encodings": "none", **(model or {})})
    return RunConfig(task="t", model=mixer, train=TrainConfig.model_validate(train))


def test_memory_of_the_published_model() -> None:
    found = estimate_memory(config(batch_size=4), SPEC)
    assert found.num_parameters == 5_028_866
    assert found.num_puzzle_numbers == 512
    assert found.state_bytes == 4 * (5 * 5_028_866 + 512)


SMALL = {"hidden_size": 32, "num_heads": 2, "swiglu_multiple": 16, "puzzle_emb_len": 1}


@pytest.mark.parametrize(
    "model",
    [
        {"forward_dtype": "float32"},
        {"forward_dtype": "bfloat16", "l_layers": 3, "l_cycles": 1, "h_cycles": 1},
        {"mlp_t": False, "pos_encodings": "rope", "forward_dtype": "float32"},
        {"mlp_t": False, "pos_encodings": "learned", "l_cycles": 2},
        {"swiglu": "normed", "l_cycles": 2},
    ],
    ids=str,
)
@pytest.mark.parametrize("optimizer", ["adam_atan2", "muon"])
def test_the_count_is_what_a_step_keeps(model: dict[str, Any], optimizer: str) -> None:
    """Against the tensors that autograd and the optimizer have, of a small model."""
    settings = config({**SMALL, **model}, batch_size=16)
    settings = settings.model_copy(update={"optim": OptimConfig(optimizer=optimizer)})
    network = TinyRecursiveModel(settings.model, SPEC)
    found = estimate_memory(settings, SPEC)
    moments = TrainState.create(network, settings).optimizer.moments().values()
    assert found.num_parameters == network.num_parameters
    kept = 3 * network.num_parameters + settings.model.puzzle_emb_width
    assert found.state_bytes == 4 * kept + sum(moment.nbytes for moment in moments)
    tokens = torch.ones(16, 81, dtype=torch.int32)
    puzzles = PuzzleBatch(tokens, tokens, torch.zeros(16, dtype=torch.int32))
    assert found.activation_bytes == pytest.approx(saved_bytes(network, puzzles), rel=0.1)


def saved_bytes(model: TinyRecursiveModel, puzzles: PuzzleBatch) -> int:
    """Bytes of the distinct storages that autograd keeps of a supervision step."""
    storages: dict[int, int] = {}
    alive: list[Tensor] = []  # so that no storage's address is used twice
    weights = {parameter.untyped_storage()._cdata for parameter in model.parameters()}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in weights:
            storages[storage._cdata] = storage.nbytes()
        alive.append(tensor)
        return tensor

    carry = replace_halted(model, initial_carry(model, puzzles), puzzles)
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        supervision_step(
            model, carry, model.puzzle_vectors(puzzles.identifiers), None, TrainConfig()
        )
    return sum(storages.values())


@pytest.mark.parametrize(
    "model",
    [
        {"mlp_t": False, "pos_encodings": "rope", "forward_dtype": "bfloat16"},
        {"forward_dtype": "float32"},
    ],
    ids=["attention", "mlp"],
)
def test_a_step_needs_what_is_counted(model: dict[str, Any]) -> None:
    """The most memory at a time in a whole step, with gradients, optimizer and temporaries."""
    settings = config({**SMALL, "h_cycles": 1, **model}, batch_size=16)
    network = TinyRecursiveModel(settings.model, SPEC)
    state = TrainState.create(network, settings)
    step = TrainStep(state, settings, total_steps=2)
    tokens = torch.ones(16, 81, dtype=torch.int32)
    puzzles = PuzzleBatch(tokens, tokens, torch.zeros(16, dtype=torch.int32))
    step(puzzles, None)
    assert state.ema is not None
    assert state.carry is not None
    held = (
        network.state_dict(), state.optimizer.moments(), state.ema.weights, state.carry.tensors()
    )  # fmt: skip
    before = sum(tensor.nbytes for tensors in held for tensor in tensors.values())
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        step(puzzles, None)
    assert profiler.profiler is not None
    events = profiler.profiler.kineto_results.events()  # type: ignore[union-attr]
    changes = [(e.start_ns(), e.nbytes()) for e in events if e.name() == "[memory]"]
    most = max(accumulate(change for _, change in sorted(changes)))
    assert estimate_memory(settings, SPEC).total_bytes == pytest.approx(before + most, rel=0.2)


def test_a_deep_model_is_counted_as_quickly() -> None:
    deep = estimate_memory(config({"l_layers": 100, "l_cycles": 256}), SPEC)
    assert deep.total_bytes > 1000 * GIB


def test_no_average_takes_less() -> None:
    without = config().model_copy(update={"optim": OptimConfig(ema=False)})
    saved = estimate_memory(config(), SPEC).state_bytes - estimate_memory(without, SPEC).state_bytes
    assert saved == 4 * 5_028_866


def check(total: float, free: float | None = None, *, compiled: bool = False, **train: Any) -> Any:
    memory = Memory(int(total * GIB), int((total if free is None else free) * GIB))
    return check_memory(config(**train), SPEC, 1, memory, compiled=compiled, small_presets=["mini"])


def test_what_cannot_fit_is_refused_with_a_way_out() -> None:
    with pytest.raises(ConfigError) as caught:
        check(16)
    message = str(caught.value)
    match = re.fullmatch(
        r"a training step needs about ([\d.]+) GiB of memory, there are 16\.0 GiB\. Use "
        r"--accumulate (\d+), a lower --batch-size or --preset mini\.",
        message,
    )
    assert match, message
    assert float(match[1]) > 16
    assert check(16, accumulate=int(match[2])) is None
    with pytest.raises(ConfigError, match=r"there are 102\.4 MiB\. Use a lower --batch-size or"):
        check(0.1)


def test_what_may_not_fit_is_a_warning() -> None:
    assert check(1000) is None
    assert re.match(r"a training step .*, 10\.0 GiB are free\. If it does not", check(1000, 10))
    assert "--accumulate" in check(16, compiled=True)
    with pytest.raises(ConfigError):
        check(0.1, compiled=True)


def test_an_unknown_memory_is_not_checked() -> None:
    assert check_memory(config(batch_size=10**6), SPEC, 1, None, compiled=False) is None
