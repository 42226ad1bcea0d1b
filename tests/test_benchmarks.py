"""The benchmarks run, and what they write agrees with itself; not how fast anything is."""

import dataclasses
import importlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from torch.autograd import DeviceType
from torch.autograd.profiler_util import FunctionEvent

from trm import build_data, vote
from trm.runs.checkpoint import CheckpointConfig

Run = Callable[..., str]

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
#: The one command of a GPU, on something else.
EVERYTHING = ("gpu.py", "--device", "cpu", "--tiny", "--only", "sudoku-mlp", "--phase", "train")


def module(name: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A benchmark, to call what is in it."""
    monkeypatch.syspath_prepend(BENCHMARKS)
    return importlib.import_module(name)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    """Run a benchmark with these arguments; gives what it prints."""

    def call(script: str, *arguments: str) -> str:
        monkeypatch.setattr(sys, "argv", [script, *arguments])
        module(script.removesuffix(".py"), monkeypatch).main()
        return capfd.readouterr().out

    return call


def test_counted_operations_of_the_published_models(run: Run) -> None:
    rows = run("flops.py").splitlines()[2:]
    cells = {row.split(" | ")[0].removeprefix("| "): row.split(" | ") for row in rows}
    assert list(cells) == ["sudoku-mlp", "sudoku-att", "maze-att", "arc-att"]
    _, parameters, tokens, application, training, evaluation, *_ = cells["sudoku-mlp"]
    assert (parameters, tokens) == ("5.03 M", "97")
    assert application == "1.22 GFLOP"
    assert training == "42.7 GFLOP"
    assert evaluation == "25.6 GFLOP"


def test_speed_of_a_tiny_model(tmp_path: Path, run: Run) -> None:
    file = tmp_path / "speed.json"
    command = ("speed.py", "--tiny", "--rounds", "1", "--only", "sudoku-mlp", "--dtype", "float32",
               "--json", str(file))  # fmt: skip
    printed = run(*command)
    found = json.loads(file.read_text())
    assert (found["size"], found["device"], found["reference"]) == ("tiny", "cpu", False)
    assert [(row["model"], row["phase"]) for row in found["rows"]] == [
        ("sudoku-mlp", "train"),
        ("sudoku-mlp", "eval"),
    ]
    for row in found["rows"]:
        own = row["trm"]
        assert "reference" not in row
        assert own["rounds_ms"] == [own["ms"]]
        assert own["samples_per_s"] * own["ms"] == pytest.approx(1e3 * row["batch"], rel=0.01)
        share = own["tflops"] / found["ceilings"]["float32"]
        assert own["share_of_ceiling"] == pytest.approx(share, rel=0.01)
        assert own["peak_bytes"] > 50e6  # the interpreter with PyTorch
        assert own["first_s"] > 0
        assert f"{own['samples_per_s']:,.1f}" in printed
    assert run(*command, "--resume") == printed  # nothing is measured again
    assert run("speed.py", "--table", str(file)) == printed


def test_the_largest_batch_is_halved_where_it_does_not_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    speed, rounds = module("speed", monkeypatch), module("rounds", monkeypatch)
    job = next(speed.make_jobs(speed.parse(["--tiny"]), {"train": 1}))
    own = {**vars(job), "trm": {"peak_bytes": speed.machine.device_memory("cpu") // 5}}
    tried: list[int] = []

    def measure_row(job: Any, _rounds: int, _ceiling: float) -> dict[str, Any]:
        tried.append(job.batch)
        if job.batch > fits:
            raise rounds.TooLargeError
        return {"batch": job.batch}

    monkeypatch.setattr(speed, "measure_row", measure_row)
    largest = dataclasses.replace(job, largest=True)
    fits = 4 * job.batch
    row = speed.measure_largest(largest, [own], 1, 1.0)
    assert (row, tried) == ({"batch": fits, "largest": True}, [fits])  # 8 times needs too much
    fits, tried[:] = 2 * job.batch, []
    assert speed.measure_largest(largest, [own], 1, 1.0)["batch"] == fits
    assert tried == [2 * fits, fits]
    fits, tried[:] = job.batch, []
    assert speed.measure_largest(largest, [own], 1, 1.0) == {**own, "largest": True}
    with pytest.raises(rounds.MeasurementError, match="no row with the model's own batch"):
        speed.measure_largest(largest, [], 1, 1.0)


def test_everything_goes_on_where_it_was_killed(tmp_path: Path, run: Run) -> None:
    command = (*EVERYTHING, "--results", str(tmp_path))
    with subprocess.Popen(
        [sys.executable, *command], cwd=BENCHMARKS, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr
        assert next(process.stderr).startswith("sudoku-mlp bfloat16 train, batch 4: ")
        process.kill()
    (speed,) = tmp_path.glob("*.json")
    first = json.loads(speed.read_text())
    assert [row["batch"] for row in first["rows"]] == [4]

    stopped = run(*command, "--minutes", "0")
    assert json.loads(speed.read_text()) == first
    assert "| sudoku-mlp | bfloat16 | training | 4 |" in stopped

    printed = run(*command)
    found = json.loads(speed.read_text())
    assert found["rows"][:1] == first["rows"]
    assert [row.get("largest", False) for row in found["rows"]] == [False, True]
    assert found["rows"][1]["batch"] > 4
    profile = json.loads(speed.with_stem(f"{speed.stem}-profile").read_text())
    assert found["failed"] == profile["failed"] == []
    (row,) = profile["rows"]
    kinds = row["groups"]
    assert sum(kind["share"] for kind in kinds.values()) == pytest.approx(1)
    spent = sum(entry["ms"] for entry in row["names"])
    assert sum(kind["ms"] for kind in kinds.values()) == pytest.approx(spent)
    assert {"matrix products", "normalisation, elementwise", "optimizer"} < set(kinds)
    assert kinds.get("other", {"share": 0})["share"] < 0.05
    assert row["idle_ms"] is None  # of a CPU
    for kind, of in kinds.items():
        assert f"| {kind} | {of['ms']:,.3f} | {of['share']:.1%} |" in printed


def test_everything_says_where_there_is_no_gpu() -> None:
    done = subprocess.run(
        [sys.executable, "gpu.py"], cwd=BENCHMARKS, capture_output=True, text=True, check=False,
        env=os.environ | {"CUDA_VISIBLE_DEVICES": ""},
    )  # fmt: skip
    assert done.returncode == 1
    assert (
        done.stderr == "error: no CUDA device found. Use --device cpu --tiny to try the script.\n"
    )
    assert done.stdout == ""


def test_a_row_that_failed_is_named_and_tried_again_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rows, rounds = module("rows", monkeypatch), module("rounds", monkeypatch)
    parse = module("speed", monkeypatch).parse
    file = tmp_path / "rows.json"
    arguments = parse(["--tiny", "--dtype", "float32", "--json", str(file), "--resume"])
    broken, tried = {"sudoku-mlp"}, []

    def measure(job: Any) -> dict[str, Any]:
        tried.append(f"{job.model} {job.phase}")
        if job.model in broken:
            raise rounds.MeasurementError("no reason")
        return vars(job)

    def go_on() -> list[str]:
        tried.clear()
        found = rows.load_or_start(arguments)
        rows.measure_missing(
            arguments, found, rows.make_jobs(arguments, {"train": 1, "eval": 1}), measure, str
        )
        assert json.loads(file.read_text()) == found
        failed: list[str] = found["failed"]
        return failed

    failed = [f"sudoku-mlp float32 {phase}, batch 4" for phase in ("train", "eval")]
    assert go_on() == failed
    assert tried[0] == "sudoku-mlp train"
    assert len(tried) == 8
    assert f"{failed[0]} failed: no reason\n" in capsys.readouterr().err
    text = file.read_text()
    found = json.loads(text)
    found["rows"] = found["rows"][1:]  # as if it had been cut before one
    file.write_text(json.dumps(found))
    broken.clear()
    assert go_on() == []
    assert tried == ["sudoku-att train", "sudoku-mlp train", "sudoku-mlp eval"]
    found["commit"] = "another"
    file.write_text(json.dumps(found))
    with pytest.raises(
        SystemExit, match=r"measured with another commit\. Move the file to start again"
    ):
        go_on()


def test_a_gpu_is_busy_once_where_it_does_two_things_at_a_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    traced = module("traced", monkeypatch)

    def event(name: str, start: int, end: int, **more: Any) -> FunctionEvent:
        kind = {"device_type": DeviceType.CUDA, **more}
        return FunctionEvent(0, name, 0, start, end, **kind)

    events = [
        event("late", 50, 60),
        event("gemm", 0, 10),
        event("gemm", 5, 20),
        event("copy", 6, 8),
        event("cudaLaunchKernel", 0, 100, device_type=DeviceType.CPU),
        event("a step", 0, 100, is_user_annotation=True),
    ]
    kernels = [event for event in events if traced.is_kernel(event)]
    assert [kernel.name for kernel in kernels] == ["late", "gemm", "gemm", "copy"]
    assert traced.busy_us(kernels) == 30
    times, calls = traced.kernel_times(kernels)
    assert times == {"gemm": 25, "copy": 2, "late": 10}
    assert calls == {"gemm": 2, "copy": 1, "late": 1}


@pytest.mark.parametrize(
    ("name", "kind"),
    {
        "nvjet_hsh_128x256_64x4_1x2_h_bz_coopA_NTN": "matrix products",
        "sm90_xmma_gemm_bf16bf16_bf16f32_f32_tn_n_tilesize128x128x64": "matrix products",
        "void cutlass::Kernel2<cutlass_80_tensorop_bf16_s16816gemm_relu>": "matrix products",
        "triton_tem_fused_mm_3": "matrix products",
        "gated_kernel": "matrix products",
        "void pytorch_flash::flash_fwd_kernel<Flash_fwd_kernel_traits<64>>": "attention",
        "fmha_cutlassB_bf16_aligned_64x64_k64_dropout_sm80": "attention",
        "cudnn_generated_fort_native_sdpa_sm90_flash_fprop_wgmma_f16": "attention",
        "triton_per_fused__to_copy_add_mean_mul_pow_rsqrt_4": "normalisation, elementwise",
        "triton_poi_fused__scaled_dot_product_flash_attention_cat_mul_2":
            "normalisation, elementwise",
        "triton_per_fused_abs_add_div_gather_log_lt_where_5": "loss, softmax",
        "triton_poi_fused_logical_and_0": "normalisation, elementwise",
        "void at::native::(anonymous namespace)::multi_tensor_apply_kernel<>": "optimizer",
        "void at::native::elementwise_kernel<atan2_kernel_cuda>": "optimizer",
        "void at::native::unrolled_elementwise_kernel<direct_copy_kernel_cuda>": "copies, memory",
        "Memcpy HtoD (Pinned -> Device)": "copies, memory",
        "void at::native::vectorized_elementwise_kernel<4, at::native::CUDAFunctor_add<float>>":
            "normalisation, elementwise",
        "aten::addmm": "matrix products",
        "aten::as_strided": "views, autograd",
        "void at_cuda_detail::cub::DeviceRadixSortOnesweepKernel<>": "other",
    }.items(),
)  # fmt: skip
def test_kinds_of_kernels(name: str, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert module("profiler", monkeypatch).kind_of(name) == kind


def test_counted_operations_of_a_checkpoint(checkpoint: Callable[..., Path], run: Run) -> None:
    file = checkpoint("counted", "train.batch_size=24") / "config.json"
    (row,) = run("flops.py", "--config", str(file)).splitlines()[2:]
    task, _, tokens, *_, batch, _ = row.strip("| ").split(" | ")
    prefix = CheckpointConfig.model_validate_json(file.read_text()).run.model.prefix_len
    assert (task, tokens, batch) == ("sudoku", str(4 * 4 + prefix), "24")


def test_made_up_answers_are_voted_on(
    tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    build_data("arc1", out=tmp_path / "d", no_concept=True, num_train=1, num_test=3, num_aug=20)
    count = int(run("vote.py", "--make", str(tmp_path / "d"), str(tmp_path / "a.npz")))
    found = vote(tmp_path / "a.npz").result()
    assert found["exact_accuracy"].count == count >= 3 * 21
    assert 0.1 < float(found["exact_accuracy"]) < 0.9
    measured = module("vote", monkeypatch).run("tasks")
    assert measured[0] > 0
    assert 10e6 < measured[1] < 4e9


def test_answers_are_checked_by_other_means(tmp_path: Path, run: Run) -> None:
    file = tmp_path / "answers.json"
    printed = run("answers.py", "--generate", "3", "--effort", "0", "1", "--json", str(file))
    assert "0 answers marked as valid are wrong" in printed
    rows = json.loads(file.read_text())
    assert [(row["source"], row["effort"], row["count"]) for row in rows] == [
        ("generated", 0, 3), ("generated", 1, 3)
    ]  # fmt: skip
    assert all(row["solved"] <= 3 and row["wrong"] == 0 for row in rows)


def test_a_wrong_answer_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = module("answers", monkeypatch)
    solution = "417369825632158947958724316825437169791586432346912758289643571573291684164875293"
    puzzle = "4.....8.5.3..........7......2.....6.....8.4......1.......6.3.7.5..2.....1.4......"
    assert answers.only_solution(puzzle) == solution
    assert answers.only_solution("." * 81) is None
    assert answers.only_solution("11" + "." * 79) is None
