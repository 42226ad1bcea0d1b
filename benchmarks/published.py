"""The published code, trained by its own trainer on a CPU; ``equivalence.py`` compares it.

Its modules are imported from a folder and stay as they are. What they need and a CPU does not have
is replaced while they run: CUDA, the fused optimizer ``adam_atan2``, and packages for the command
line and logs.
"""

import contextlib
import importlib
import math
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import patch

import torch
import yaml
from torch import Tensor

from trm.checkpoints.published.tensor_names import trm_name
from trm.checkpoints.published.yaml_config import write_yaml
from trm.config import RunConfig
from trm.data import Dataset
from trm.errors import InputError
from trm.models import get_model_class
from trm.runs.checkpoint import CheckpointConfig

Batch = dict[str, Tensor]


class AdamATan2(torch.optim.Optimizer):
    """The update of the CUDA package ``adam_atan2``, written from the formula of its kernel.

    It shares no code with :class:`trm.training.optim.adam_atan2.AdamAtan2`, which it judges.
    """

    def __init__(
        self, params: Any, lr: float, betas: tuple[float, float], weight_decay: float
    ) -> None:
        super().__init__(params, {"lr": lr, "betas": betas, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:
        """Decay the weights, then move them by the arc tangent of the two moments."""
        for group in self.param_groups:
            beta1, beta2 = group["betas"]
            for weight in group["params"]:
                if weight.grad is None:
                    continue
                state = self.state[weight]
                if not state:
                    state.update(t=0, m=torch.zeros_like(weight), v=torch.zeros_like(weight))
                state["t"] += 1
                state["m"] = beta1 * state["m"] + (1 - beta1) * weight.grad
                state["v"] = beta2 * state["v"] + (1 - beta2) * weight.grad.square()
                root = state["v"].sqrt() / math.sqrt(1 - beta2 ** state["t"])
                angle = torch.atan2(state["m"], root) / (1 - beta1 ** state["t"])
                weight.copy_(weight * (1 - group["lr"] * group["weight_decay"]))
                weight.sub_(group["lr"] * angle)


class TorchStandIn:
    """The name ``torch`` in a published module, with some attributes replaced."""

    def __init__(self, **replaced: Any) -> None:
        self.__dict__.update(replaced)

    def __getattr__(self, name: str) -> Any:
        return getattr(torch, name)


def add_to_path(folder: str | Path) -> None:
    """Let the modules of the published code be imported.

    Raises:
        InputError: if the folder is not a checkout of it.
    """
    if not (Path(folder) / "pretrain.py").is_file():
        raise InputError(
            f"{folder} has no pretrain.py. Name a checkout of the published code, "
            "SamsungSAILMontreal/TinyRecursiveModels."
        )
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))


def import_trainer(folder: str | Path) -> ModuleType:
    """Import the published ``pretrain``, with stand-ins for packages that it does not need here.

    Raises:
        InputError: if the folder is not a checkout of the published code.
    """
    add_to_path(folder)

    def keep(*_: Any, **__: Any) -> Callable[[Any], Any]:
        return lambda function: function

    stand_ins = {
        "adam_atan2": {"AdamATan2": AdamATan2},
        "argdantic": {"ArgParser": object},
        "coolname": {},
        "hydra": {"main": keep},
        "omegaconf": {"DictConfig": dict},
        "tqdm": {},
        "wandb": {"run": None},
    }
    installed = {name: sys.modules.get(name) for name in stand_ins}
    for name, attributes in stand_ins.items():
        module = sys.modules[name] = ModuleType(name)
        vars(module).update(attributes)
    try:
        return importlib.import_module("pretrain")
    finally:  # the rest of the process sees what is installed
        for name, module_or_none in installed.items():
            if module_or_none is None:
                del sys.modules[name]
            else:
                sys.modules[name] = module_or_none


class PublishedTrainer:
    """The published model, its optimizers and its average, at step 0.

    Args:
        folder: a checkout of the published code.
        run: the settings. The published code has to be able to express them.
        dataset: in the published layout.
        total_steps: the length of the run.
        wide: compute in float64, also where the published code rounds to float32: its norms, its
            halting logits and its accuracies.

    Attributes:
        head: the loss head around the model.
        state: the state that the published trainer passes from step to step.
        patched: what was changed in the published code to run these settings; empty if nothing.
    """

    def __init__(
        self,
        folder: Path,
        run: RunConfig,
        dataset: Dataset,
        total_steps: int,
        *,
        wide: bool = False,
    ) -> None:
        self.pretrain = import_trainer(folder)
        self.batch_size = run.train.batch_size
        self.config = self.pretrain.PretrainConfig(**_settings(run, dataset, wide))
        self.min_steps: Tensor | None = None
        self.metadata = self.loader("train", 1).metadata
        self._modules = {
            name: importlib.import_module(name)
            for name in ("pretrain", "models.layers", "models.losses",
                         f"models.{self.config.arch.name.split('@')[0]}")
        }  # fmt: skip
        self._replaced = {"rand_like": self._rand_like, "randint_like": self._randint_like}
        if wide:
            self._replaced["float32"] = torch.float64
        created_in = torch.float64 if wide else torch.float32
        default, compile_off = torch.get_default_dtype(), {"DISABLE_COMPILE": "1"}
        torch.set_default_dtype(created_in)
        try:
            with (
                self._on_cpu(wide=False),
                patch.dict("os.environ", compile_off),
                contextlib.redirect_stdout(None),
            ):
                self.state = self.pretrain.init_train_state(self.config, self.metadata, 0, 1)
        finally:
            torch.set_default_dtype(default)
        self.head = self.state.model
        rotary = getattr(self.head.model.inner, "rotary_emb", None)
        if wide and rotary is not None:
            rotary.double()
        self.state.total_steps = total_steps
        self.average = self.pretrain.EMAHelper(mu=run.optim.ema_rate)
        self.average.register(self.head)
        self.patched = self._mend_continue_loss(run)

    def train(self, batch: Batch, min_steps: Tensor | None = None) -> dict[str, float]:
        """Take a training step, and update the average.

        Args:
            batch: from :meth:`loader`.
            min_steps: what exploration draws, see :func:`trm.models.should_halt`; None to let the
                published code draw.

        Returns:
            Its training metrics.
        """
        self.min_steps = min_steps
        self.head.train()
        self._passes = 0
        with self._on_cpu():
            metrics = self.pretrain.train_batch(
                self.config, self.state, batch, self.batch_size, rank=0, world_size=1
            )
        self.average.update(self.head)
        return {name.removeprefix("train/"): float(value) for name, value in metrics.items()}

    @torch.no_grad()
    def evaluate(self, batch: Batch) -> list[dict[str, Tensor]]:
        """The logits after each supervision step of an evaluation, with the averaged weights."""
        head = self.average.ema_copy(self.head).eval()
        vars(head.model.inner).pop("forward", None)  # the mended one, of the original
        steps, finished = [], False
        with self._on_cpu():
            carry = head.initial_carry(batch)
            while not finished:
                keys = ["logits", "q_halt_logits"]
                carry, *_, outputs, finished = head(carry=carry, batch=batch, return_keys=keys)
                steps.append(outputs)
        return steps

    def loader(self, split: str, epochs: int) -> Any:
        """The published dataset, which yields (set, batch, batch size)."""
        config = self.pretrain.PuzzleDatasetConfig(
            seed=self.config.seed,
            dataset_paths=self.config.data_paths,
            global_batch_size=self.batch_size,
            test_set_mode=split == "test",
            epochs_per_iter=epochs,
            rank=0,
            num_replicas=1,
        )
        return self.pretrain.PuzzleDataset(config, split)

    def weights(self, *, averaged: bool = False) -> dict[str, Tensor]:
        """All weights and initial states by the names of trm; the tensors are not copied."""
        head = self.average.ema_copy(self.head) if averaged else self.head
        return {trm_name(name): tensor for name, tensor in head.state_dict().items()}

    @torch.no_grad()
    def load(self, weights: Mapping[str, Tensor]) -> None:
        """Copy weights by the names of trm, and start the average from them."""
        for name, tensor in self.weights().items():
            tensor.copy_(weights[name])
        self.average.register(self.head)

    @contextlib.contextmanager
    def _on_cpu(self, *, wide: bool = True) -> Iterator[None]:
        """Replace what a CPU does not have, while the published code runs."""
        pretrain = TorchStandIn(device=lambda _: torch.device("cpu"))
        others = TorchStandIn(**self._replaced) if wide else torch
        with contextlib.ExitStack() as stack:
            stack.enter_context(patch.object(torch.Tensor, "cuda", lambda tensor: tensor))
            for name, module in self._modules.items():
                torch_name = pretrain if name == "pretrain" else others
                stack.enter_context(patch.object(module, "torch", torch_name))
            yield

    def _rand_like(self, tensor: Tensor) -> Tensor:
        """Decide which rows explore: those with a minimum of steps."""
        if self.min_steps is None:
            return torch.rand_like(tensor)
        return (self.min_steps == 0).to(tensor.dtype)

    def _randint_like(self, tensor: Tensor, **limits: int) -> Tensor:
        if self.min_steps is None:
            return torch.randint_like(tensor, **limits)
        return self.min_steps.to(tensor.dtype)

    def _mend_continue_loss(self, run: RunConfig) -> str:
        """Let the TRM family learn to continue, which the published code cannot do.

        It unpacks five values from the pass that computes the target, which returns three.
        """
        published = get_model_class(run.model.kind).published
        if not (published and published.may_continue and run.model.continues):
            return ""
        inner = self.head.model.inner
        forward = inner.forward

        def padded(*args: Any) -> tuple[Any, ...]:
            self._passes += 1
            result: tuple[Any, ...] = forward(*args)
            return (*result, None, None) if self._passes == 2 else result

        inner.forward = padded
        return (
            "the pass for the target of continuing gives two values more, because the published "
            "code unpacks five values from three and raises an error"
        )


def _settings(run: RunConfig, dataset: Dataset, wide: bool) -> dict[str, Any]:
    """The settings of the published trainer. In float64 it keeps its weights in it, too."""
    model = run.model.model_copy(update={"forward_dtype": "float32"}) if wide else run.model
    data = run.data.model_copy(update={"paths": (str(dataset.path),)})
    run = run.model_copy(update={"model": model, "data": data})
    settings: dict[str, Any] = yaml.safe_load(
        write_yaml(CheckpointConfig(step=0, run=run, data=dataset.meta))
    )
    if wide:
        settings["arch"]["forward_dtype"] = "float64"
    return settings
