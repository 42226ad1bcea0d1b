"""The training loop: exact resuming, records, evaluation and checkpoints."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from trm.config import RunConfig
from trm.errors import ConfigError, TrainingError
from trm.runs import layout
from trm.runs.listing import read_run
from trm.training.run_plan import RunPlan, plan_run
from trm.training.train import train

Tiny = Callable[..., RunConfig]


def fit(config: RunConfig, folder: Path, stop_after: int | None = None, **plan: Any) -> Path:
    """Train in ``folder/sudoku/a``, stopping as a signal would after so many steps."""
    seen: list[int] = []

    def listen(record: Any) -> None:
        if record["event"] == "train":
            seen.append(record["step"])

    stop = lambda: stop_after is not None and len(seen) + 1 >= stop_after  # noqa: E731
    return train(config, runs=folder, listen=listen, should_stop=stop, **{"name": "a", **plan}).run


def records(run: Path, event: str) -> list[dict[str, Any]]:
    lines = (run / layout.METRICS_FILE).read_text().splitlines()
    found = [json.loads(line) for line in lines]
    timed = ("samples_per_s", "tflops", "mfu", "input_share", "eta_s", "elapsed_s", "path")
    return [
        {name: value for name, value in record.items() if name not in timed}
        for record in found
        if record["event"] == event
    ]


def tensors(run: Path) -> dict[str, torch.Tensor]:
    """Every number of the last checkpoint."""
    last = run / layout.LAST
    return {
        f"{file.relative_to(last)}/{name}": tensor
        for file in sorted(last.rglob("*.safetensors"))
        for name, tensor in load_file(file).items()
    }


@pytest.mark.parametrize("k", [1, 4])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_resumed_equals_uninterrupted_bit_for_bit(
    tiny: Tiny, tmp_path: Path, k: int, dtype: str
) -> None:
    config = tiny(f"model.forward_dtype={dtype}", "model.halt_exploration_prob=0.5")
    whole = fit(config, tmp_path / "whole")
    cut = fit(config, tmp_path / "cut", stop_after=k)
    assert json.loads((cut / layout.LAST / "training_state/progress.json").read_text())["step"] == k
    assert fit(config, tmp_path / "cut") == cut
    expected, found = tensors(whole), tensors(cut)
    assert expected.keys() == found.keys()
    assert [name for name in expected if not torch.equal(expected[name], found[name])] == []
    assert records(cut, "train") == records(whole, "train")
    assert records(cut, "eval") == records(whole, "eval")


def test_a_run_on_new_copies_in_every_pass_can_be_interrupted_too(
    tiny: Tiny, tmp_path: Path
) -> None:
    online = tiny("data.augment=online")
    whole, cut = fit(online, tmp_path / "whole"), fit(online, tmp_path / "cut", stop_after=4)
    assert fit(online, tmp_path / "cut") == cut
    expected, found = tensors(whole), tensors(cut)
    assert [name for name in expected if not torch.equal(expected[name], found[name])] == []
    assert records(cut, "train") == records(whole, "train")
    assert records(whole, "train") != records(fit(tiny(), tmp_path / "stored"), "train")


def test_golden_losses(tiny: Tiny, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """Twenty steps give the committed losses: a refactoring has to leave them alone.

    In float64, where machines agree; write new ones with ``pytest --write-golden``.
    """
    config = tiny("model.forward_dtype=float64", "train.max_steps=20", "train.eval_every_steps=20")
    losses = [record["loss"] for record in records(fit(config, tmp_path), "train")]
    golden = Path(__file__).parent / "golden_losses.json"
    if request.config.getoption("--write-golden"):
        golden.write_text(json.dumps(losses, indent=1) + "\n")
    assert losses == pytest.approx(json.loads(golden.read_text()), rel=1e-5)


def test_a_record_has_what_tells_why_a_run_goes_wrong(tiny: Tiny, tmp_path: Path) -> None:
    run = fit(tiny(), tmp_path)
    lines = (run / layout.METRICS_FILE).read_text().splitlines()
    train = [json.loads(line) for line in lines if '"train"' in line]
    assert [record["step"] for record in train] == [1, 2, 3, 4, 5, 6]
    assert train[0].keys() == {
        "event", "step", "loss", "answer_loss", "halting_loss", "grad_norm", "exact_accuracy",
        "cell_accuracy", "halting_accuracy", "mean_steps", "num_halted", "lr", "samples_per_s",
        "tflops", "mfu", "input_share", "eta_s", "elapsed_s",
    }  # fmt: skip
    assert train[0]["exact_accuracy"] is None  # no row has halted after one step
    assert train[2]["num_halted"] > 0
    assert train[0]["lr"] == pytest.approx(5e-4)
    assert all(record["grad_norm"] > 0 for record in train)


def test_evaluation_uses_the_average_and_leaves_training_alone(tiny: Tiny, tmp_path: Path) -> None:
    often = fit(tiny("train.eval_every_steps=1"), tmp_path / "often")
    once = fit(tiny(), tmp_path / "once")
    assert records(often, "train") == records(once, "train")
    raw = load_file(once / "last/training_state/weights.safetensors")
    average = load_file(once / "last/model.safetensors")
    assert not torch.equal(raw["output_head.weight"], average["output_head.weight"])


def test_without_average_the_weights_themselves_are_published(tiny: Tiny, tmp_path: Path) -> None:
    run = fit(tiny("optim.ema=false"), tmp_path)
    raw = load_file(run / "last/training_state/weights.safetensors")
    published = load_file(run / "last/model.safetensors")
    assert all(torch.equal(raw[name], published[name]) for name in raw)


def test_newest_and_best_checkpoints_are_kept(tiny: Tiny, tmp_path: Path) -> None:
    run = fit(tiny("train.save_every_steps=1", "train.eval_every_steps=3"), tmp_path)
    best = (run / layout.BEST).resolve().name
    kept = {path.name for path in (run / layout.CHECKPOINTS).iterdir()}
    assert kept == {"step-000005", "step-000006", best}
    assert (run / layout.LAST).resolve().name == "step-000006"


def test_a_nonfinite_loss_stops_the_run(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from trm.models import TinyRecursiveModel

    def spoil(self: TinyRecursiveModel, generator: torch.Generator | None = None) -> None:
        for parameter in self.parameters():
            torch.nn.init.constant_(parameter, float("nan"))

    monkeypatch.setattr(TinyRecursiveModel, "reset_parameters", spoil)
    with pytest.raises(TrainingError, match=r"not finite at step 1, with .* lower optim\.lr"):
        fit(tiny(), tmp_path)
    first, line, last = (
        json.loads(line) for line in (tmp_path / "sudoku/a/metrics.jsonl").read_text().splitlines()
    )
    assert (first["event"], first["total_steps"]) == ("start", 6)
    assert first["run_s"] > 5 * first["step_s"] > 0
    assert first["step_s"] == pytest.approx(first["step_flops"] / first["flops_per_s"])
    assert (line["event"], line["loss"]) == ("train", None)
    assert (last["event"], last["finished"]) == ("end", False)
    assert last["error"].startswith("loss or gradient not finite at step 1")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("model.hidden_size=64", r"model\.hidden_size = 32, now it is 64"),
        ("optim.lr=0.5", r"optim\.lr = 0\.001, now it is 0\.5"),
        ("train.seed=5", r"train\.seed = 0, now it is 5"),
        ("data.augment=online", r"data\.augment = stored, now it is online\. To resume it with"),
    ],
)
def test_a_run_resumes_only_with_the_settings_it_began_with(
    tiny: Tiny, tmp_path: Path, change: str, message: str
) -> None:
    fit(tiny(), tmp_path, stop_after=3)
    with pytest.raises(ConfigError, match=message):
        fit(tiny(change), tmp_path)


def test_never_resume_refuses_a_name_that_is_taken(tiny: Tiny, tmp_path: Path) -> None:
    fit(tiny(), tmp_path, stop_after=1)
    with pytest.raises(ConfigError, match=r"exists\. Choose another --run-name"):
        fit(tiny(), tmp_path, resume="never")


def test_a_plan_that_another_process_made_stale_is_refused(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fit(tiny(), tmp_path, stop_after=3)

    def planned(*args: Any, **kwargs: Any) -> RunPlan:
        plan = plan_run(*args, **kwargs)
        monkeypatch.undo()
        fit(tiny(), tmp_path)  # by another process, before this one has the lock
        return plan

    monkeypatch.setattr("trm.training.train.plan_run", planned)
    with pytest.raises(ConfigError, match=r"^another process trained .* Start the command again"):
        fit(tiny(), tmp_path)


def test_a_finished_run_may_resume_with_more_steps(tiny: Tiny, tmp_path: Path) -> None:
    run = fit(tiny(), tmp_path)
    longer = tiny("train.max_steps=8", "optim.lr_min_ratio=0.1")
    assert fit(longer, tmp_path, resume=str(run)) == run
    assert [record["step"] for record in records(run, "train")] == list(range(1, 9))


def test_the_network_is_compiled_for_training_and_evaluation(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a stand-in for the compiler, which cannot compile what other tests check."""
    rows: list[int] = []

    def compiler(refine: Callable[..., Any]) -> Callable[..., Any]:
        def compiled(hidden: torch.Tensor, injected: torch.Tensor) -> Any:
            rows.append(len(hidden))
            return refine(hidden, injected)

        return compiled

    monkeypatch.setattr(torch, "compile", compiler)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", "")  # put back after the test as it was before
    monkeypatch.delenv("TORCHINDUCTOR_CACHE_DIR")
    compiled = fit(tiny("train.compile=true"), tmp_path / "compiled")
    steps = 6 + 3 * 3  # 20 examples by 8 are evaluated in 3 steps each
    assert rows == [8] * steps * 2 * 3  # one shape; h_cycles, l_cycles + 1
    kept = tmp_path / "trm/compile"
    assert kept.is_dir()
    assert os.environ["TORCHINDUCTOR_CACHE_DIR"] == str(kept)
    monkeypatch.undo()
    plain = fit(tiny(), tmp_path / "plain")
    assert records(compiled, "train") == records(plain, "train")
    assert records(compiled, "eval") == records(plain, "eval")


def test_a_run_stopped_in_an_evaluation_evaluates_when_it_resumes(
    tiny: Tiny, tmp_path: Path
) -> None:
    config = tiny("train.eval_every_steps=3", "eval.max_examples=100")
    calls: list[int] = []

    def stop() -> bool:
        """Called after each step, and before each batch of an evaluation."""
        calls.append(1)
        return len(calls) > 5

    result = train(config, runs=tmp_path / "cut", name="a", should_stop=stop)
    assert result.step == 3
    assert records(result.run, "eval") == []
    assert not (result.run / layout.BEST).is_symlink()
    whole = fit(config, tmp_path / "whole")
    resumed = fit(config, tmp_path / "cut")
    assert records(resumed, "eval") == records(whole, "eval")
    assert (resumed / layout.BEST).resolve().name == (whole / layout.BEST).resolve().name
    expected, found = tensors(whole), tensors(resumed)
    assert all(torch.equal(expected[name], found[name]) for name in expected)


def test_nonfinite_weights_are_never_saved(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from trm.training import step

    supervision_step, calls = step.supervision_step, []

    def spoil(*arguments: Any) -> Any:
        calls.append(1)
        done = supervision_step(*arguments)
        factor = float("nan") if len(calls) == 4 else 1.0
        return done._replace(loss=done.loss._replace(total=done.loss.total * factor))

    monkeypatch.setattr(step, "supervision_step", spoil)
    config = tiny("train.save_every_steps=1", "train.log_every_steps=100")
    with pytest.raises(TrainingError, match=r"at step 4, .* last good checkpoint is .*step-000003"):
        fit(config, tmp_path)
    assert not (tmp_path / "sudoku/a/checkpoints/step-000004").exists()


def test_running_out_of_memory_says_what_to_do(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB.\nmore")

    monkeypatch.setattr("trm.training.loop.to_device", full)
    with pytest.raises(TrainingError, match=r"^CUDA out of memory\. .* lower --batch-size\.$"):
        fit(tiny(), tmp_path)


def test_a_run_stopped_at_its_last_step_is_evaluated_when_it_resumes(
    tiny: Tiny, tmp_path: Path
) -> None:
    calls: list[int] = []
    stop = lambda: bool(calls.append(1)) or len(calls) >= 6  # noqa: E731
    result = train(tiny(), runs=tmp_path, name="a", should_stop=stop)
    assert (result.step, result.finished, result.best) == (6, False, None)
    run = fit(tiny(), tmp_path)
    assert [record["step"] for record in records(run, "eval")] == [6]
    with pytest.raises(ConfigError, match="has reached step 6 of 6 already"):
        fit(tiny(), tmp_path)


def test_fewer_steps_than_were_taken_is_an_error(tiny: Tiny, tmp_path: Path) -> None:
    fit(tiny(), tmp_path, stop_after=3)
    with pytest.raises(ConfigError, match="has reached step 3 of 2 already"):
        fit(tiny("train.max_steps=2"), tmp_path)


def test_clipping_changes_only_steps_whose_gradient_is_larger(tiny: Tiny, tmp_path: Path) -> None:
    """An optimizer that ignores a gradient's scale still sees that its steps differ in it."""
    free = fit(tiny(), tmp_path / "free")
    loose = fit(tiny("optim.grad_clip=1e9"), tmp_path / "loose")
    tight = fit(tiny("optim.grad_clip=1e-3"), tmp_path / "tight")
    assert records(free, "train") == records(loose, "train")
    before, after = records(free, "train"), records(tight, "train")
    assert before[0] == after[0]  # which is measured before anything moved
    assert before[-1]["loss"] != after[-1]["loss"]
    assert after[0]["grad_norm"] > 1e-3  # the norm as it was
    name = "optimizer.safetensors"
    (mean,) = (
        value
        for key, value in tensors(tight).items()
        if key.endswith(f"{name}/mean.output_head.weight")
    )
    assert mean.norm() <= 1e-3


def test_an_interrupted_run_without_a_checkpoint_is_broken_off(tiny: Tiny, tmp_path: Path) -> None:
    def interrupt(record: Any) -> None:
        if record["event"] == "train":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(tiny(), runs=tmp_path, name="a", listen=interrupt)
    assert read_run(tmp_path / "sudoku" / "a").state == "broken off"
