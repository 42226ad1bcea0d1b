"""The speed of training and evaluation, and the share of the device's peak."""

import itertools
import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import trm
from trm.config import RunConfig, TRMConfig
from trm.evaluation.evaluate import evaluate
from trm.models import PuzzleSpec, TinyRecursiveModel
from trm.models.flops import eval_step_flops, train_step_flops
from trm.runs import layout
from trm.runtime.peak_flops import PEAKS_FILE, DevicePeak, matrix_product, measure_peak_flops
from trm.runtime.process_group import SINGLE_PROCESS, ProcessGroup
from trm.training.step import METRICS
from trm.training.step_metrics import StepMetrics
from trm.training.train import train

CPU = torch.device("cpu")
DEVICES = [
    CPU,
    pytest.param(
        torch.device("cuda"), marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="GPU")
    ),
]


@pytest.fixture
def model() -> TinyRecursiveModel:
    config = TRMConfig(hidden_size=16, num_heads=1, forward_dtype="float32")
    return TinyRecursiveModel(config, PuzzleSpec(6, 9))


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The cache folder of the machine."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "trm"


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """What the next measurements find."""
    found: list[float] = []
    monkeypatch.setattr(
        "trm.runtime.peak_flops.measure_peak_flops", lambda device, dtype: found.pop(0)
    )
    return found


def spin(seconds: float) -> None:
    """Use up so much time."""
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        pass


@pytest.mark.parametrize("device", DEVICES, ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_the_peak_is_that_of_the_first_product_that_takes_long(
    device: torch.device, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []

    def seconds(product: Callable[[], torch.Tensor]) -> float:
        matrix = product()
        assert matrix.dtype == dtype
        sizes.append(len(matrix))
        is_pause = len(sizes) == 8
        return 9.0 if is_pause else {128: 1e-5, 256: 2e-2}[len(matrix)]

    monkeypatch.setattr("trm.runtime.peak_flops._seconds", seconds)
    assert measure_peak_flops(device, dtype) == 2 * 256**3 / 2e-2
    assert set(sizes) == {128, 256}


@pytest.mark.parametrize("device", DEVICES, ids=str)
def test_measuring_leaves_the_random_numbers_alone(device: torch.device) -> None:
    torch.manual_seed(5)
    expected = torch.rand(3), torch.rand(3, device=device)
    torch.manual_seed(5)
    measure_peak_flops(device, torch.float32)
    assert torch.equal(torch.rand(3), expected[0])
    assert torch.equal(torch.rand(3, device=device), expected[1])


def test_the_matrices_are_random_and_the_same_each_time() -> None:
    first, second = (matrix_product(64, CPU, torch.bfloat16)() for _ in range(2))
    assert torch.equal(first, second)
    assert first.float().std() == pytest.approx(8, rel=0.1)  # of 64 products of normal numbers


def test_the_fastest_product_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    times = itertools.cycle([4e-2, 2e-2, 3e-2])
    monkeypatch.setattr("trm.runtime.peak_flops._seconds", lambda product: next(times))
    assert measure_peak_flops(CPU, torch.float32) == 2 * 128**3 / 2e-2


def test_a_rate_as_operations_and_as_a_share(measured: list[float]) -> None:
    measured.append(4e12)
    assert DevicePeak(CPU, torch.float32).utilization(500.0, step_flops=10**9) == {
        "tflops": 0.5, "mfu": 0.125,
    }  # fmt: skip


def test_the_highest_peak_of_the_machine_is_kept(measured: list[float], cache: Path) -> None:
    measured.extend([4e12, 1e12, 5e12, 1e12])
    peaks = [DevicePeak(CPU, torch.float32).flops for _ in range(3)]
    assert peaks == [4e12, 4e12, 5e12]
    assert DevicePeak(CPU, torch.float64).flops == 1e12
    assert len(json.loads((cache / PEAKS_FILE).read_text())) == 2


def test_no_share_is_above_one(measured: list[float], cache: Path) -> None:
    measured.append(1e12)
    peak = DevicePeak(CPU, torch.float32)
    assert peak.utilization(2000.0, 10**9) == {"tflops": 2.0, "mfu": 1.0}
    assert peak.utilization(1000.0, 10**9)["mfu"] == 0.5
    assert list(json.loads((cache / PEAKS_FILE).read_text()).values()) == [2e12]


@pytest.mark.parametrize("damage", ["", "[]", '{"a": "fast"}', None])
def test_a_cache_that_cannot_be_used_is_done_without(
    measured: list[float], cache: Path, damage: str | None
) -> None:
    measured.append(1e12)
    if damage is None:
        cache.parent.mkdir(parents=True, exist_ok=True)
        cache.write_text("a file, not a folder")
    else:
        cache.mkdir(parents=True)
        (cache / PEAKS_FILE).write_text(damage)
    assert DevicePeak(CPU, torch.float32).flops == 1e12


@pytest.mark.parametrize("group", [SINGLE_PROCESS, ProcessGroup(0, 2)], ids=["alone", "one of two"])
def test_a_window_says_what_each_process_computed(
    model: TinyRecursiveModel, group: ProcessGroup, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trm.runtime.peak_flops.measure_peak_flops", lambda device, dtype: 2e15)
    flops = train_step_flops(model.config, model.spec)
    step_metrics = StepMetrics(model, 0, 0.0, 6, group, lambda step: step * flops)
    for _ in range(3):
        step_metrics.add(None)  # skipped, but computed
    found = step_metrics.summarize(3, 10)
    done = found["samples_per_s"] / group.size * 2 * flops  # the mean of steps 1, 2 and 3
    assert found["tflops"] == pytest.approx(done / 1e12)
    assert found["mfu"] == pytest.approx(done / 2e15)


def test_the_share_of_time_that_went_into_batches(model: TinyRecursiveModel) -> None:
    step_metrics = StepMetrics(model, 0, 0.0, 6, SINGLE_PROCESS, lambda step: 1)
    for _ in range(2):
        with step_metrics.waiting():
            spin(0.01)
        spin(0.01)
        step_metrics.add(torch.zeros(len(METRICS)))
    found = step_metrics.summarize(2, 10)
    seconds = 2 * 6 / found["samples_per_s"]
    assert 0.02 <= found["input_share"] * seconds <= seconds - 0.02
    step_metrics.add(torch.zeros(len(METRICS)))
    assert step_metrics.summarize(3, 10)["input_share"] == 0


def test_a_gpu_that_is_busy_waits_for_nothing(
    model: TinyRecursiveModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With stand-ins for a GPU that takes until the second batch to be done with the first."""
    steps: list[str] = []

    class Event:
        def record(self) -> None:
            steps.append("recorded")

        def query(self) -> bool:
            return len(steps) != 1

    monkeypatch.setattr(TinyRecursiveModel, "device", torch.device("cuda"))
    monkeypatch.setattr("trm.runtime.peak_flops.measure_peak_flops", lambda device, dtype: 1e9)
    monkeypatch.setattr("trm.runtime.peak_flops.device_name", str)
    monkeypatch.setattr(torch.cuda, "Event", Event)
    step_metrics = StepMetrics(model, 0, 0.0, 6, SINGLE_PROCESS, lambda step: 1)
    waited = []
    for step in (1, 2, 3):
        with step_metrics.waiting():
            spin(0.001)
        step_metrics.add(None)
        found = step_metrics.summarize(step, 3)
        waited.append(found["input_share"] > 0)
    assert waited == [True, False, True]


def test_a_run_logs_its_arithmetic(tiny: Callable[..., RunConfig], tmp_path: Path) -> None:
    config = tiny()
    run = train(config, runs=tmp_path, name="a").run
    lines = map(json.loads, (run / layout.METRICS_FILE).read_text().splitlines())
    logged = [record for record in lines if record["event"] == "train"]
    flops = train_step_flops(config.model, PuzzleSpec(6, 16))
    for record in logged:
        assert record["tflops"] == pytest.approx(record["samples_per_s"] * flops / 1e12)
        assert record["mfu"] > 0
        assert 0 < record["input_share"] < 1
    assert len({round(record["tflops"] / record["mfu"], 9) for record in logged}) == 1


@pytest.mark.parametrize("votes", [1, 3])
def test_an_evaluation_counts_the_steps_really_taken(trained_run: Path, votes: int) -> None:
    model = trm.load(trained_run, device="cpu")
    config = model.network.config
    flops = eval_step_flops(config, model.network.spec)
    whole, halted = (
        evaluate(model, batch_size=16, max_examples=20, votes=votes, halt=halt)
        for halt in (None, 0.002)
    )
    counts = []
    for report in (whole, halted):
        assert report.as_json()["speed"] == report.speed
        assert report.speed["samples_per_s"] * report.speed["seconds"] == pytest.approx(20)
        assert report.speed["mfu"] > 0
        counts.append(report.speed["tflops"] * 1e12 * report.speed["seconds"] / flops)
    assert counts[0] == pytest.approx(20 * votes * config.halt_max_steps)
    assert counts[1] < 0.99 * counts[0]
    assert counts[1] == pytest.approx(20 * votes * halted.metrics["mean_steps"].value)
