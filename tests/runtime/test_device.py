"""Choosing a device, a type and a number of processes."""

import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from trm.config import RunConfig, TRMConfig
from trm.errors import ConfigError
from trm.models import PuzzleSpec, TinyRecursiveModel
from trm.runs import layout
from trm.runtime.device import default_dtype, num_processes, pick_device, resolve_dtype
from trm.training.run_plan import plan_run
from trm.training.train import train

CPU = torch.device("cpu")
TYPES = {"avx512_bf16": "bfloat16", "amx_bf16": "bfloat16", "avx512_f": "float32"}


def test_auto_is_a_device_that_works() -> None:
    torch.empty(1, device=pick_device("auto"))


@pytest.mark.parametrize(
    "name",
    ["gpu", "cuda:99", "meteor:0", "meta", "cuda:-1", "cpu:1", f"cuda:{'9' * 5000}", "\udcff"],
)
def test_a_device_that_is_not_there(name: str) -> None:
    for call in (pick_device, num_processes):
        with pytest.raises(ConfigError) as raised:
            call(name)
        assert re.fullmatch(
            rf"torch here has no {name}; devices: cpu(, \w+:\d+)*\.", str(raised.value)
        )


@pytest.mark.parametrize("command", ["train sudoku --dry-run", "eval", "sweep-eval", "solve 1"])
def test_every_command_names_the_devices(
    fails: Callable[..., str], trained_run: Path, mini_data: Path, command: str
) -> None:
    data = ("--data", mini_data) if command.startswith("train") else ("--ckpt", trained_run)
    text = fails(*command.split(), *data, "--device", "meteor")
    assert text.startswith("torch here has no meteor; devices: cpu")


def test_a_device_that_does_not_work(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: int, device: torch.device) -> None:
        raise RuntimeError("the driver is too old.\nmore" + "x" * 1000)

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch, "empty", fail)
    with pytest.raises(
        ConfigError,
        match=r"^cannot use device cuda:0: the driver is too old\. Use --device cpu\.$",
    ):
        pick_device("cuda")


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
        if count == 8:
            assert pick_device("cuda:7", 2) == torch.device("cuda", 7)
    assert all(device.index is not None for device in chosen)


def test_as_many_processes_as_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {2, 5}, raising=False)
    assert [num_processes("cpu", wanted) for wanted in (None, 1, 2)] == [1, 1, 2]
    with pytest.raises(ConfigError, match=r"^--nproc 3, but the number of CPU cores here is 2\."):
        num_processes("cpu", 3)
    assert num_processes("cpu", 3, oversubscribe=True) == 3


def test_as_many_processes_as_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert [num_processes(name) for name in ("auto", "cuda", "cuda:1", "cpu")] == [2, 2, 1, 1]
    assert num_processes("auto", 1) == 1
    expected = r"^--nproc 3, but the number of cuda devices here is 2\. Use --nproc 2\.$"
    for oversubscribe in (False, True):  # NCCL refuses two processes on one GPU
        with pytest.raises(ConfigError, match=expected):
            num_processes("cuda", 3, oversubscribe)


@pytest.mark.parametrize("capability", TYPES)
def test_the_usual_type_is_one_that_the_processor_computes_in(
    capability: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {capability: True}, raising=False)
    assert default_dtype(CPU) == TYPES[capability]


def test_a_torch_that_cannot_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    assert default_dtype(CPU) == "float32"


def test_a_run_is_of_one_type(tiny: Callable[..., RunConfig], tmp_path: Path) -> None:
    config = tiny("model.forward_dtype=auto", "train.max_steps=1")
    planned = plan_run(config, runs=tmp_path, name="a")
    assert planned.config.model.forward_dtype == default_dtype(CPU)
    run = train(config, runs=tmp_path, name="a").run
    saved = RunConfig.model_validate_json((run / layout.CONFIG_FILE).read_text())
    assert saved.model.forward_dtype == default_dtype(CPU)
    longer = tiny("model.forward_dtype=auto", "train.max_steps=2")
    assert plan_run(longer, resume=str(run)).checkpoint is not None


def test_a_type_that_is_named_is_kept(tiny: Callable[..., RunConfig]) -> None:
    config = tiny("model.forward_dtype=float64")
    assert resolve_dtype(config, CPU) is config


def test_a_model_needs_a_type() -> None:
    with pytest.raises(ConfigError, match="forward_dtype is 'auto', which training decides"):
        TinyRecursiveModel(TRMConfig(forward_dtype="auto"), PuzzleSpec(6, 9))
