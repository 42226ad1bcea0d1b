"""Devices, memory, records, signals."""

import json
import os
import signal
import time
from pathlib import Path

import pytest
import torch

from trm.config import ModelConfig, OptimConfig, RunConfig, TrainConfig
from trm.errors import ConfigError, StorageError
from trm.models import PuzzleSpec
from trm.runs.metrics_file import MetricsFile
from trm.runtime.device import num_processes, pick_device
from trm.runtime.stop_signals import stop_requests
from trm.training.footprint import footprint


def config(**train: object) -> RunConfig:
    model = ModelConfig(mlp_t=True, pos_encodings="none")
    return RunConfig(task="t", model=model, train=TrainConfig.model_validate(train))


def test_auto_is_a_device_that_works() -> None:
    torch.empty(1, device=pick_device("auto"))


@pytest.mark.parametrize("name", ["gpu", "cuda:99", "meteor:0"])
def test_a_device_that_is_not_there(name: str) -> None:
    with pytest.raises(ConfigError, match=f"cannot use device '{name}'.*Use --device cpu"):
        pick_device(name)


def test_footprint_of_the_published_model() -> None:
    found = footprint(config(batch_size=4), PuzzleSpec(11, 81))
    assert found.num_parameters == 5_028_866
    assert found.num_puzzle_numbers == 512
    assert found.state_bytes == 4 * (5 * 5_028_866 + 512)


def test_activations_grow_with_the_batch_and_weights_do_not() -> None:
    small, large = (footprint(config(batch_size=n), PuzzleSpec(11, 81)) for n in (4, 8))
    shared = 2 * small.activation_bytes - large.activation_bytes  # casts of the weights
    assert 0 < shared < 4 * small.num_parameters
    assert large.state_bytes == small.state_bytes


def test_no_average_takes_less() -> None:
    without = config().model_copy(update={"optim": OptimConfig(ema=False)})
    spec = PuzzleSpec(11, 81)
    saved = footprint(config(), spec).state_bytes - footprint(without, spec).state_bytes
    assert saved == 4 * 5_028_866


def test_muon_remembers_one_number_of_a_weight_of_the_core() -> None:
    muon = config().model_copy(update={"optim": OptimConfig(optimizer="muon")})
    spec = PuzzleSpec(11, 81)
    saved = footprint(config(), spec).state_bytes - footprint(muon, spec).state_bytes
    others = 2 * 11 * 512 + 2 * 513  # embedding and heads
    assert saved == 4 * (5_028_866 - others)


def test_records_beyond_the_checkpoint_and_broken_lines_are_forgotten(tmp_path: Path) -> None:
    file = tmp_path / "metrics.jsonl"
    lines = ['{"event": "train", "step": 5}', '{"event": "train", "step": 6}', '{"event": "tr']
    file.write_text("\n".join(lines))
    MetricsFile(file, after_step=5)({"event": "train", "step": 6, "loss": float("inf")})
    found = [json.loads(line) for line in file.read_text().splitlines()]
    assert [record["step"] for record in found] == [5, 6]
    assert found[1]["loss"] is None


def test_records_need_a_place(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot write"):
        MetricsFile(tmp_path / "file" / "metrics.jsonl")


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["int", "term"]
)
def test_a_signal_asks_to_stop_and_handlers_come_back(number: signal.Signals, code: int) -> None:
    before = signal.getsignal(number)
    with stop_requests() as stop:
        assert not stop()
        os.kill(os.getpid(), number)
        assert stop()
        assert stop.exit_code == code
    assert signal.getsignal(number) == before


def test_a_second_interrupt_ends_it_at_once() -> None:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in the background
    try:
        with stop_requests(), pytest.raises(KeyboardInterrupt):  # noqa: PT012
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_termination_that_comes_by_two_ways_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """A scheduler sends it to all processes, and the launcher passes on its own."""
    ended: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: ended.append(number))
    try:
        with stop_requests() as stop:
            os.kill(os.getpid(), signal.SIGTERM)
            os.kill(os.getpid(), signal.SIGTERM)
            assert (stop(), ended) == (True, [])
            later = time.monotonic() + 2
            monkeypatch.setattr(time, "monotonic", lambda: later)
            os.kill(os.getpid(), signal.SIGTERM)
            assert ended == [signal.SIGTERM]
    finally:
        signal.signal(signal.SIGTERM, before)


def test_each_process_has_the_gpu_of_its_number(monkeypatch: pytest.MonkeyPatch) -> None:
    """With no GPU here, what torch is asked for stands in for one."""
    chosen: list[torch.device] = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch, "empty", lambda *_, device: None)
    monkeypatch.setattr(torch.cuda, "set_device", chosen.append)
    for count, rank, expected in ((1, 0, 0), (1, 3, 0), (8, 0, 0), (8, 5, 5)):
        monkeypatch.setattr(torch.cuda, "device_count", lambda count=count: count)
        for name in ("auto", "cuda"):
            assert pick_device(name, rank) == torch.device("cuda", expected)
    assert pick_device("cuda:7", 2) == torch.device("cuda", 7)
    assert all(device.index is not None for device in chosen)


def test_as_many_processes_as_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    assert (num_processes("cpu"), num_processes("cpu", 3)) == (1, 3)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert [num_processes(name) for name in ("auto", "cuda", "cuda:1", "cpu")] == [2, 2, 1, 1]
    assert num_processes("auto", 1) == 1
    with pytest.raises(ConfigError, match=r"^--nproc 3, but there are 2 GPUs\. Use --nproc 2\.$"):
        num_processes("cuda", 3)
