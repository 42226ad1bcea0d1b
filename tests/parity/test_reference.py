"""The same numbers as the published code, within the tolerances of the reference vectors.

The published code computed the vectors in float32 on the CPU: evaluation, six training steps with
the carry, gradients, both optimizers and the average of the weights. ``trm_act*`` have the continue
loss. ``derived_*`` are ablations of the paper, put together from its blocks. The other files are of
the other models of the published code.
"""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from torch import Tensor

from trm.checkpoints.published.tensor_names import trm_name
from trm.config import OptimConfig, RunConfig, TrainConfig
from trm.data import Batch
from trm.inference.rollout_pool import Request, RolloutPool
from trm.models import (
    PuzzleBatch,
    PuzzleSpec,
    RecursiveModel,
    StepOutput,
    create_model,
    get_model_class,
    initial_carry,
    list_model_kinds,
    replace_halted,
    step_loss,
)
from trm.models.losses import stablemax_cross_entropy
from trm.tasks.metrics import AccuracyEvaluator, EvalBatch
from trm.training.step import METRICS, TrainState, TrainStep, continue_targets, supervision_step

OUR_METRIC = {
    "count": "count",
    "accuracy": "cell_accuracy",
    "exact_accuracy": "exact_accuracy",
    "q_halt_accuracy": "halting_accuracy",
    "steps": "mean_steps",
    "lm_loss": "answer_loss",
    "q_halt_loss": "halting_loss",
    "q_continue_loss": "continue_loss",
}
#: The model of the files that do not name one.
NETWORK = "recursive_reasoning.trm@TinyRecursiveReasoningModel_ACTV1"
OUTPUTS = ("logits", "halt_logits", "continue_logits")
#: What was derived from the published model, as settings.
DERIVED = {
    "separate": {"separate_networks": True},
    "one_step": {"gradient": "one_step"},
}


@dataclass
class Reference:
    """A file of reference vectors: tensors by published name, and the settings.

    ``later`` and ``trained`` are the tolerances of what follows the first training step, and of the
    weights after six. In the files that name no model, differences grow along the recursion.
    """

    tensors: dict[str, Tensor]
    config: RunConfig
    spec: PuzzleSpec
    num_eval_steps: int
    later: float
    trained: float

    @classmethod
    def read(cls, path: Path) -> "Reference":
        with safe_open(path, "pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            meta = file.metadata()
        published, optim = json.loads(meta["config"]), json.loads(meta["optimizer"])
        options = json.loads(meta.get("options", "{}"))
        network = f"recursive_reasoning.{meta['model']}" if "model" in meta else NETWORK
        (kind,) = (
            name
            for name, installed in list_model_kinds().items()
            if installed.model.published and installed.model.published.network == network
        )
        settings = get_model_class(kind).published.settings
        given = settings.keys() & published.keys()
        model = {settings[name]: published[name] for name in given}
        if not published.get("no_ACT_continue", True) or options.get("compute_target_q"):
            model["act_continue"] = True
        model |= {"kind": kind, **DERIVED.get(options.get("derive"), {})}
        config = RunConfig(
            task="reference",
            model=model,
            optim=OptimConfig(
                lr_warmup_steps=0, ema=any(name.startswith("ema.") for name in tensors), **optim
            ),
            train=TrainConfig(batch_size=published["batch_size"]),
        )
        spec = PuzzleSpec(
            published["vocab_size"], published["seq_len"], published["num_puzzle_identifiers"]
        )
        later, trained = (1e-3, 1e-5) if "model" in meta else (2e-2, 3e-5)
        return cls(tensors, config, spec, int(meta["steps"]), later, trained)

    def group(self, prefix: str, ours: Callable[[str], str] = trm_name) -> dict[str, Tensor]:
        """The tensors with a prefix, by our names."""
        named = {n.removeprefix(prefix): t for n, t in self.tensors.items() if n.startswith(prefix)}
        return {ours(name): tensor for name, tensor in named.items()}

    def model(self) -> RecursiveModel:
        model = create_model(self.config.model, self.spec)
        model.load_state_dict(self.group("w."))
        return model

    def batch(self, number: int) -> PuzzleBatch:
        names = ("inputs", "labels", "puzzle_identifiers")
        return PuzzleBatch(*(self.tensors[f"batch.{number}.{name}"] for name in names))

    def train_step(self) -> TrainStep:
        state = TrainState.create(self.model(), self.config)
        return TrainStep(state, self.config, total_steps=1)


@pytest.fixture(scope="module")
def reference(model_file: Path) -> Reference:
    return Reference.read(model_file)


def state_name(published: str) -> str:
    """``z_H`` is the answer, ``z_L3`` the third latent."""
    latent = re.fullmatch(r"z_L(\d?)", published)
    return f"latent_{latent[1]}".removesuffix("_") if latent else "answer"


def test_evaluation(reference: Reference) -> None:
    model, puzzles = reference.model(), reference.batch(0)
    running = torch.ones(len(puzzles.inputs), dtype=torch.bool)
    restarts = model.config.halts_in_evaluation  # a row that ended started again there
    for step, output in enumerate(evaluation_steps(reference)):
        loss = step_loss(output.logits, output.halt_logits, puzzles.labels)
        for name in OUTPUTS:
            expected = reference.tensors.get(f"eval.{step}.{name}")
            if expected is not None:
                ours = getattr(output, name)
                torch.testing.assert_close(ours[running], expected[running], atol=1e-4, rtol=0)
        for name, after in reference.group(f"eval.{step}.state.", state_name).items():
            torch.testing.assert_close(getattr(output.state, name), after, atol=1e-4, rtol=0)
        if restarts:
            running &= ~reference.tensors[f"eval.{step}.halted"].bool()
            continue
        expected_loss = reference.tensors[f"eval.{step}.loss"]
        torch.testing.assert_close(loss.total[None], expected_loss, atol=0, rtol=1e-4)
    if restarts:
        assert not running.all()
        return
    count, rows = loss.scored.sum(), np.arange(len(puzzles.inputs))
    evaluator = AccuracyEvaluator()
    evaluator.update(
        EvalBatch(
            inputs=puzzles.inputs.numpy(),
            labels=puzzles.labels.numpy(),
            answers=output.logits.argmax(-1).to(torch.int32).numpy(),
            halt_logits=output.halt_logits.numpy(),
            halt_steps=np.ones(len(rows), np.int32),
            steps=np.full(len(rows), reference.num_eval_steps, np.float32),
            puzzle_identifiers=puzzles.identifiers.numpy(),
            examples=rows,
            puzzles=rows,
        )
    )
    metrics = {name: metric.value * count for name, metric in evaluator.result().items()}
    metrics |= {"count": count, "answer_loss": loss.answer, "halting_loss": loss.halting}
    for name, our_name in list(OUR_METRIC.items())[:-1]:  # no target in an evaluation
        expected_value = reference.tensors[f"eval.metrics.{name}"].item()
        assert float(metrics[our_name]) == pytest.approx(expected_value, rel=1e-4), name


@torch.no_grad()
def evaluation_steps(reference: Reference) -> Iterator[StepOutput]:
    """All supervision steps of the first batch; no row ends early."""
    model, puzzles = reference.model(), reference.batch(0)
    embedded = model.embed(puzzles.inputs, model.puzzle_vectors(puzzles.identifiers))
    state = model.initial_state(len(puzzles.inputs))
    for _ in range(reference.num_eval_steps):
        output = model(state, embedded)
        state = output.state
        yield output


def test_answers_are_those_of_the_step_at_which_a_row_ends(reference: Reference) -> None:
    names = ("inputs", "labels", "puzzle_identifiers")
    arrays = [reference.tensors[f"batch.0.{name}"].numpy() for name in names]
    rows = np.arange(len(arrays[0]))
    request = Request((Batch(*arrays, rows, rows),))
    (response,) = RolloutPool(reference.model(), len(rows) - 1).answer([request])
    last = reference.num_eval_steps - 1
    never = torch.arange(last + 1)[:, None].expand(-1, len(rows)) == last
    halted = torch.stack(
        [
            reference.tensors.get(f"eval.{step}.halted", never[step]).bool()
            for step in range(last + 1)
        ]
    ).numpy()
    ends = halted.argmax(axis=0)
    assert halted[ends, rows].all()
    assert response.answers.steps.tolist() == (ends + 1).tolist()
    for row, step in enumerate(ends.tolist()):
        logits, halting = (reference.tensors[f"eval.{step}.{name}"][row] for name in OUTPUTS[:2])
        assert response.answers.answers[row].tolist() == logits.argmax(-1).tolist()
        assert response.answers.halt_logits[row] == pytest.approx(halting.item(), abs=1e-4)


def test_every_application_in_the_first_step(reference: Reference) -> None:
    model, puzzles = reference.model(), reference.batch(0)
    seen: list[tuple[str, Tensor]] = []

    def recorded(name: str, apply: Callable[..., Tensor]) -> Callable[..., Tensor]:
        def call(*args: Any) -> Tensor:
            seen.append((name, apply(*args)))
            return seen[-1][1]

        return call

    model.core.apply_network = recorded("L_level", model.core.apply_network)
    model.core.apply_answer_network = recorded("H_level", model.core.apply_answer_network)
    with torch.no_grad():
        embedded = model.embed(puzzles.inputs, model.puzzle_vectors(puzzles.identifiers))
        model(model.initial_state(len(puzzles.inputs)), embedded)
    expected = {n: t for n, t in reference.tensors.items() if n.startswith("trace.")}
    for number, (name, hidden) in enumerate(seen if expected else ()):
        of_call = expected.pop(f"trace.{number:02}.{name}")
        torch.testing.assert_close(hidden[0], of_call, atol=1e-4, rtol=0)
    assert not expected


def test_gradients_of_the_first_step(reference: Reference) -> None:
    model, puzzles = reference.model(), reference.batch(0)
    carry = replace_halted(model, initial_carry(model, puzzles), puzzles)
    rows = model.puzzle_vectors(puzzles.identifiers)
    output = supervision_step(model, carry, rows, None, TrainConfig())
    (output.loss.total / len(puzzles.inputs)).backward()
    ours = {name: p.grad for name, p in model.named_parameters()}
    expected = reference.group("train.0.grad.model.inner.")
    assert ours.keys() == expected.keys()
    pairs = {name: (ours[name], grad) for name, grad in expected.items()}
    if rows is not None:
        pairs["puzzle rows"] = (rows.grad, reference.tensors["train.0.grad.puzzle_emb_rows"])
    for name, (gradient, published) in pairs.items():
        difference = (gradient - published).norm()
        assert difference <= 1e-4 * published.norm(), name


@pytest.fixture(scope="module")
def trained(reference: Reference) -> tuple[list[dict[str, Tensor]], TrainState]:
    """The results of each of six training steps, and the state after them."""
    train_step, records = reference.train_step(), []
    outputs = {}

    def record(model, inputs, output) -> None:
        if not outputs:  # the continue loss takes another step
            outputs.update({name: getattr(output, name).detach() for name in OUTPUTS})

    def with_target(*args: Any) -> Tensor:
        outputs["target_continue"] = continue_targets(*args)
        return outputs["target_continue"]

    train_step.state.model.register_forward_hook(record)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("trm.training.step.continue_targets", with_target)
        for number in range(6):
            outputs.clear()
            sums = train_step(
                reference.batch(number), reference.tensors.get(f"train.{number}.min_halt_steps")
            )
            carry = train_step.state.carry
            metrics = dict(zip(METRICS, sums, strict=True))
            records.append({**outputs, **metrics, "steps": carry.steps, "halted": carry.halted})
    return records, train_step.state


@pytest.mark.parametrize("number", range(6))
def test_training_step(reference: Reference, trained, number: int) -> None:
    ours = trained[0][number]
    prefix = f"train.{number}."
    tolerance = 1e-4 if number == 0 else reference.later
    assert ("target_continue" in ours) == (prefix + "target_continue" in reference.tensors)
    for name in (*OUTPUTS, "target_continue"):
        if prefix + name in reference.tensors:
            torch.testing.assert_close(
                ours[name], reference.tensors[prefix + name], atol=tolerance, rtol=0
            )
    assert torch.equal(ours["halted"], reference.tensors[prefix + "halted"])
    assert torch.equal(ours["steps"], reference.tensors[prefix + "steps"])
    batch_size = reference.config.train.batch_size
    expected = reference.tensors[prefix + "loss"].item() / batch_size
    assert ours["loss"].item() == pytest.approx(expected, rel=1e-4)
    for theirs, our_name in OUR_METRIC.items():
        if f"{prefix}metrics.{theirs}" not in reference.tensors:
            assert our_name == "continue_loss"
            continue
        value = ours[our_name].item() * (batch_size if our_name.endswith("loss") else 1)
        published = reference.tensors[f"{prefix}metrics.{theirs}"].item()
        assert value == pytest.approx(published, rel=1e-4), theirs


def test_weights_after_training(reference: Reference, trained) -> None:
    ours = trained[1].model.state_dict()
    expected = reference.group("after.")
    assert ours.keys() == expected.keys()
    for name, tensor in expected.items():
        tolerance = 0.0 if name.startswith("puzzle_embedding") else reference.trained
        torch.testing.assert_close(ours[name], tensor, atol=tolerance, rtol=0)


def test_average_after_training(reference: Reference, trained) -> None:
    expected = reference.group("ema.")
    if not expected:
        assert trained[1].ema is None
        return
    average = trained[1].ema.weights
    assert average.keys() == expected.keys()
    for name, tensor in expected.items():
        torch.testing.assert_close(average[name], tensor, atol=reference.trained, rtol=0)


def test_stablemax(stablemax_file: Path) -> None:
    with safe_open(stablemax_file, "pt") as file:
        logits, labels, expected = (file.get_tensor(n) for n in ("logits", "labels", "loss"))
    loss = stablemax_cross_entropy(logits, labels)
    torch.testing.assert_close(loss, expected, atol=1e-12, rtol=1e-12)
