"""The two sides of ``equivalence.py``: what this package and the published code compute in a step.

Both record it by kind and by the names of trm.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import torch
from published import Batch, PublishedTrainer
from torch import Tensor

from trm.checkpoints.published.tensor_names import trm_name
from trm.config import RunConfig
from trm.data import Dataset
from trm.models import PuzzleBatch, create_model
from trm.runs.checkpoint import puzzle_spec
from trm.training.optim.ema import ema_weights
from trm.training.step import METRICS, TrainState, TrainStep

#: What a step computes: tensors by kind and by name.
Record = dict[str, dict[str, Tensor]]

#: The sums over rows that both codes count, by the published names.
_METRICS = {
    "count": "count",
    "accuracy": "cell_accuracy",
    "exact_accuracy": "exact_accuracy",
    "q_halt_accuracy": "halting_accuracy",
    "steps": "mean_steps",
}
_LOSSES = {
    "lm_loss": "answer_loss",
    "q_halt_loss": "halting_loss",
    "q_continue_loss": "continue_loss",
}
PUZZLE_TABLE = "puzzle_embedding.weight"


class Side(ABC):
    """One of the two codes."""

    @abstractmethod
    def load(self, weights: Mapping[str, Tensor]) -> None:
        """Copy the initial weights."""

    @abstractmethod
    def step(self, batch: Batch, min_steps: Tensor) -> Record:
        """Take a training step.

        Args:
            batch: inputs, labels and puzzle identifiers, int32.
            min_steps: what exploration draws, see :func:`trm.models.should_halt`.
        """

    @abstractmethod
    def evaluate(self, batch: Batch) -> Record:
        """The logits after each supervision step of an evaluation with the averaged weights."""


class OwnSide(Side):
    """This package: :class:`trm.training.step.TrainStep`."""

    def __init__(self, run: RunConfig, dataset: Dataset, total_steps: int) -> None:
        self.model = create_model(run.model, puzzle_spec(dataset.meta, run.model))
        self.run, self.total_steps = run, total_steps
        self._seen: Record = {}
        self._begin()

    def _begin(self) -> None:
        """Start the optimizers and the average from the present weights."""
        self.state = TrainState.create(self.model, self.run)
        self.train_step = TrainStep(self.state, self.run, self.total_steps)

    def load(self, weights: Mapping[str, Tensor]) -> None:
        """See :class:`Side`."""
        self.model.load_state_dict(weights)
        self._begin()
        self._watch()

    def _watch(self) -> None:
        """Keep logits, gradients and learning rates, which a step does not return."""
        optimizer, table = self.state.optimizer, self.model.puzzle_embedding
        step = optimizer.step

        def own_step(scale: float) -> None:
            grads = zip(optimizer.named, optimizer.gradients(), strict=True)
            self._seen["gradients"] = {name: grad.clone() for name, grad in grads}
            step(scale)

        optimizer.step = own_step  # type: ignore[method-assign]
        self.model.register_forward_hook(lambda _model, _args, output: self._see_logits(*output))
        if table is not None:
            update = table.update_

            def own_update(identifiers: Tensor, gradient: Tensor, **settings: float) -> None:
                self._seen["puzzle gradients"] = {"rows": gradient.clone()}
                rate = torch.tensor(settings["lr"], dtype=torch.float64)
                self._seen["learning rates"] = {"puzzles": rate}
                update(identifiers, gradient, **settings)

            table.update_ = own_update  # type: ignore[assignment]

    def _see_logits(self, _state: Any, logits: Tensor, halting: Tensor, going_on: Tensor) -> None:
        found = {"answer": logits, "halt": halting, "continue": going_on}
        # The target of continuing takes a second pass, which is not compared.
        self._seen.setdefault("logits", {n: t.detach().clone() for n, t in found.items()})

    def step(self, batch: Batch, min_steps: Tensor) -> Record:
        """See :class:`Side`."""
        self._seen = {}
        puzzles = PuzzleBatch(batch["inputs"], batch["labels"], batch["puzzle_identifiers"])
        sums = self.train_step(puzzles, min_steps)
        assert sums is not None
        assert self.state.carry is not None
        assert self.state.ema is not None
        named = dict(zip(METRICS, sums, strict=True))
        carry, record = self.state.carry, self._seen
        record["losses"] = {name: named[name] for name in ("loss", *_LOSSES.values())}
        record["metrics"] = {name: named[name] for name in _METRICS.values()}
        record["states"] = carry.latent_state._asdict()
        record["halting"] = {"steps": carry.steps, "halted": carry.halted}
        record["rows"] = carry.puzzles._asdict()
        rate = torch.tensor(self.train_step.learning_rate, dtype=torch.float64)
        record.setdefault("learning rates", {})["network"] = rate
        weights = {name: tensor.clone() for name, tensor in self.model.state_dict().items()}
        table = weights.pop(PUZZLE_TABLE, None)
        record["weights"] = weights
        if table is not None:
            record["puzzle embedding"] = {PUZZLE_TABLE: table}
        record["average"] = {name: t.clone() for name, t in self.state.ema.weights.items()}
        return record

    @torch.no_grad()
    def evaluate(self, batch: Batch) -> Record:
        """See :class:`Side`."""
        model, found = self.model, {}
        with ema_weights(model, self.state.ema):
            vectors = model.puzzle_vectors(batch["puzzle_identifiers"])
            embedded = model.embed(batch["inputs"], vectors)
            state = model.initial_state(len(embedded))
            for step in range(model.config.halt_max_steps):
                state, logits, halt_logits, _ = model(state, embedded)
                found |= {f"answer {step + 1}": logits, f"halt {step + 1}": halt_logits}
        return {"evaluation logits": found}


class PublishedSide(Side):
    """The published code; see :class:`PublishedTrainer`."""

    def __init__(self, trainer: PublishedTrainer) -> None:
        self.trainer = trainer
        self._seen: Record = {}
        self._names = {
            id(parameter): trm_name(name) for name, parameter in trainer.head.named_parameters()
        }
        trainer.head.register_forward_hook(lambda _head, _args, output: self._see_losses(output))
        inner = trainer.head.model.inner
        inner.register_forward_hook(lambda _inner, _args, output: self._see_logits(output))
        for optimizer in trainer.state.optimizers:
            optimizer.register_step_pre_hook(lambda seen, _args, _settings: self._see_grads(seen))

    def load(self, weights: Mapping[str, Tensor]) -> None:
        """See :class:`Side`."""
        self.trainer.load(weights)

    def _see_logits(self, output: tuple[Any, ...]) -> None:
        _, logits, (halting, going_on), *_ = output
        found = {"answer": logits, "halt": halting, "continue": going_on}
        self._seen.setdefault("logits", {n: t.detach().clone() for n, t in found.items()})

    def _see_losses(self, output: tuple[Any, ...]) -> None:
        _, loss, metrics, *_ = output
        size = self.trainer.batch_size
        none = torch.zeros(())
        parts = {ours: metrics.get(theirs, none) / size for theirs, ours in _LOSSES.items()}
        self._seen["losses"] = {"loss": loss.detach() / size, **parts}
        self._seen["metrics"] = {ours: metrics[theirs] for theirs, ours in _METRICS.items()}

    def _see_grads(self, optimizer: torch.optim.Optimizer) -> None:
        (group,) = optimizer.param_groups
        if id(group["params"][0]) in self._names:
            self._seen["gradients"] = {
                self._names[id(p)]: torch.zeros_like(p) if p.grad is None else p.grad.clone()
                for p in group["params"]
            }
        else:
            (rows,) = (p for p in group["params"] if p.requires_grad)
            self._seen["puzzle gradients"] = {"rows": rows.grad.clone()}

    def step(self, batch: Batch, min_steps: Tensor) -> Record:
        """See :class:`Side`."""
        self._seen = {}
        self.trainer.train(batch, min_steps)
        carry, record = self.trainer.state.carry, self._seen
        record["states"] = {_state_name(n): t for n, t in vars(carry.inner_carry).items()}
        record["halting"] = {"steps": carry.steps, "halted": carry.halted}
        data = carry.current_data
        record["rows"] = {
            "inputs": data["inputs"],
            "labels": data["labels"],
            "identifiers": data["puzzle_identifiers"],
        }
        rates = [o.param_groups[0]["lr"] for o in self.trainer.state.optimizers]
        named = {"puzzles": rates[0]} if len(rates) == 2 else {}
        record["learning rates"] = {
            name: torch.tensor(rate, dtype=torch.float64)
            for name, rate in {**named, "network": rates[-1]}.items()
        }
        weights = {name: tensor.clone() for name, tensor in self.trainer.weights().items()}
        table = weights.pop(PUZZLE_TABLE, None)
        record["weights"] = weights
        if table is not None:
            record["puzzle embedding"] = {PUZZLE_TABLE: table}
        shadow = self.trainer.average.shadow
        record["average"] = {trm_name(name): tensor.clone() for name, tensor in shadow.items()}
        return record

    def evaluate(self, batch: Batch) -> Record:
        """See :class:`Side`."""
        found = {}
        for step, outputs in enumerate(self.trainer.evaluate(batch), start=1):
            found |= {f"answer {step}": outputs["logits"], f"halt {step}": outputs["q_halt_logits"]}
        return {"evaluation logits": found}


def _state_name(published: str) -> str:
    """``z_H`` is the answer, ``z_L3`` the third latent."""
    if published == "z_H":
        return "answer"
    return f"latent_{published.removeprefix('z_L')}".removesuffix("_")
