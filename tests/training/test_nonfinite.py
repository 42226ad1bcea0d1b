"""Steps whose loss or gradient is not finite: reported, skipped, and never learned from."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from trm.config import RunConfig
from trm.errors import TrainingError
from trm.models import StepLoss, TinyRecursiveModel
from trm.runs.best_and_last import checkpoint_path
from trm.training import step as step_module
from trm.training.train import train

Tiny = Callable[..., RunConfig]
EVERY_STEP = ("train.save_every_steps=1", "train.keep_checkpoints=10")


@pytest.fixture
def breaks_at(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Make the loss of some steps of a run infinite."""
    true_loss = step_module.step_loss

    def install(*steps: int) -> None:
        taken: list[int] = []

        def loss(*arguments: Any, **named: Any) -> StepLoss:
            taken.append(1)
            found = true_loss(*arguments, **named)
            return found._replace(total=found.total * torch.inf) if len(taken) in steps else found

        monkeypatch.setattr(step_module, "step_loss", loss)

    return install


def fit(config: RunConfig, folder: Path) -> Path:
    return train(config, runs=folder, name="a").run


def weights(run: Path, number: int) -> dict[str, torch.Tensor]:
    return load_file(checkpoint_path(run, number) / "training_state/weights.safetensors")


def lines(run: Path, event: str) -> list[dict[str, Any]]:
    found = map(json.loads, (run / "metrics.jsonl").read_text().splitlines())
    return [record for record in found if record["event"] == event]


def test_a_nonfinite_step_is_skipped(
    tiny: Tiny, tmp_path: Path, breaks_at: Callable[..., None]
) -> None:
    breaks_at(3)
    run = fit(tiny("train.skip_nonfinite=2", *EVERY_STEP), tmp_path)
    before, after, later = (weights(run, number) for number in (2, 3, 4))
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert not any(torch.equal(after[n], later[n]) for n in after if "halt_head" not in n)
    assert [(w["step"], w["message"]) for w in lines(run, "warning")] == [
        (3, "loss or gradient not finite at step 3, with puzzle identifiers 0: skipped, 1 of 2")
    ]
    trained = {record["step"]: record["loss"] for record in lines(run, "train")}
    assert [number for number, loss in trained.items() if loss is None] == [3]
    progress = checkpoint_path(run, 6) / "training_state/progress.json"
    assert json.loads(progress.read_text())["left_out"] == 1


def test_a_run_that_skipped_a_step_can_be_interrupted(
    tiny: Tiny, tmp_path: Path, breaks_at: Callable[..., None]
) -> None:
    config = tiny("train.skip_nonfinite=1", *EVERY_STEP)
    breaks_at(3)
    whole = fit(config, tmp_path / "whole")
    breaks_at(3)
    calls: list[int] = []
    stop = lambda: calls.append(1) or len(calls) == 4  # type: ignore[func-returns-value] # noqa: E731
    assert train(config, runs=tmp_path / "cut", name="a", should_stop=stop).step == 4
    breaks_at()
    cut = fit(config, tmp_path / "cut")
    expected, found = weights(whole, 6), weights(cut, 6)
    assert all(torch.equal(expected[name], found[name]) for name in expected)


def test_too_many_are_an_error(tiny: Tiny, tmp_path: Path, breaks_at: Callable[..., None]) -> None:
    breaks_at(2, 4, 5)
    message = (
        r"^loss or gradient not finite at step 4, with puzzle identifiers 0, after 1 others\. "
        r"Lower optim\.lr\. The last good checkpoint is .*step-000003\.$"
    )
    with pytest.raises(TrainingError, match=message):
        fit(tiny("train.skip_nonfinite=1", *EVERY_STEP), tmp_path)


def test_the_error_names_the_first_nonfinite_step_between_two_logged_lines(
    tiny: Tiny, tmp_path: Path, breaks_at: Callable[..., None]
) -> None:
    breaks_at(3, 5)
    with pytest.raises(TrainingError, match="not finite at step 3, with puzzle identifiers 0"):
        fit(tiny("train.log_every_steps=6"), tmp_path)
    assert not list(tmp_path.rglob("*.safetensors"))


def test_rows_with_nonfinite_latents_start_anew(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a weight that was spoiled for one step would leave them."""
    true_forward, taken = TinyRecursiveModel.forward, []

    def forward(self: TinyRecursiveModel, *arguments: Any) -> Any:
        found = true_forward(self, *arguments)
        if not torch.is_grad_enabled():  # the measurement of the speed
            return found
        taken.append(1)
        if len(taken) == 2:
            found.state.latent[0, 0, 0] = torch.nan
            return found._replace(logits=found.logits * torch.nan)
        return found

    monkeypatch.setattr(TinyRecursiveModel, "forward", forward)
    run = fit(tiny("train.skip_nonfinite=1", "model.halt_max_steps=9", *EVERY_STEP), tmp_path)
    at_fault = load_file(checkpoint_path(run, 2) / "training_state/rollout.safetensors")
    assert at_fault["halted"].tolist() == [True] + [False] * 7
    last = load_file(checkpoint_path(run, 6) / "training_state/rollout.safetensors")
    assert all(tensor.isfinite().all() for tensor in last.values())
    assert last["steps"].tolist() == [4] + [6] * 7
