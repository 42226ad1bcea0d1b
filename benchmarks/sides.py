"""The worker process of ``speed.py``: measures one job, given as JSON on the command line.

It answers every line on stdin with a line of JSON on stdout: the duration of a step and the peak
memory so far, or an out-of-memory error.
"""

import dataclasses
import json
import resource
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from flops import MODELS, Model
from published import add_to_path
from torch import Tensor

from trm.config import OptimConfig, TRMConfig
from trm.data import Batch
from trm.inference.rollout_pool import Request, RolloutPool
from trm.models import PuzzleSpec, TinyRecursiveModel
from trm.runtime import peak_flops
from trm.runtime.device import compile_network, to_device
from trm.training.optim.adam_atan2 import AdamAtan2
from trm.training.step import TrainState, TrainStep

#: For each size: changes to the published architecture, and the maximum tokens of a puzzle.
SIZES: dict[str, tuple[dict[str, Any], int | None]] = {
    "published": ({}, None),
    "small": ({"hidden_size": 128, "num_heads": 4, "halt_max_steps": 4}, 100),
    "tiny": (
        {"hidden_size": 32, "num_heads": 2, "h_cycles": 2, "l_cycles": 1, "halt_max_steps": 2},
        16,
    ),
}
#: Rows and columns of the matrices that measure the ceiling.
CEILING_MATRIX_SIZE = {"cuda": 8192, "cpu": 2048}
_LR = 1e-4


@dataclass(frozen=True)
class Job:
    """What one process measures.

    Attributes:
        side: "trm", "reference", or "ceiling" (a product of two large matrices).
        phase: "train" or "eval".
        repeats: steps per line on stdin. The first line always takes one step.
        reference: the folder of the published code.
        kernels: the value of ``TRM_KERNELS``.
        largest: whether to double ``batch`` while it fits into memory.
    """

    side: str
    model: str
    size: str
    dtype: str
    phase: str
    device: str
    batch: int
    repeats: int
    compile: bool
    reference: str | None
    kernels: str = "plain"
    largest: bool = False

    @property
    def sized_model(self) -> Model:
        """The model in this size and type."""
        model = next(model for model in MODELS if model.name == self.model)
        changes, tokens = SIZES[self.size]
        config = TRMConfig.model_validate(
            model.config.model_dump() | changes | {"forward_dtype": self.dtype}
        )
        spec = model.spec
        if tokens is not None:
            identifiers = min(spec.num_puzzle_identifiers, 1000)
            spec = PuzzleSpec(spec.vocab_size, min(spec.seq_len, tokens), identifiers)
        run = model.run.model_copy(update={"model": config})
        return dataclasses.replace(model, run=run, spec=spec, batch=self.batch)


def main() -> None:
    job = Job(**json.loads(sys.argv[1]))
    output, sys.stdout = sys.stdout, sys.stderr  # other prints must not mix with the JSON
    try:
        for result in measure_steps(job):
            print(json.dumps(result), file=output, flush=True)
    except torch.OutOfMemoryError as error:
        print(json.dumps({"out_of_memory": str(error)}), file=output, flush=True)


def measure_steps(job: Job) -> Iterator[dict[str, object]]:
    """Yield a ready message, then one measurement for every line on stdin."""
    torch.manual_seed(0)
    sides = {"trm": trm_step, "reference": reference_step, "ceiling": matrix_product}
    step = sides[job.side](job)
    yield {"ready": True}
    for number, _ in enumerate(sys.stdin):
        if number == 1 and job.device == "cuda":
            torch.cuda.reset_peak_memory_stats()  # excludes compilation
        repeats = job.repeats if number else 1
        seconds = time_steps(step, repeats, job.device) / repeats
        yield {"seconds": seconds, "peak_bytes": peak_bytes(job.device)}


def time_steps(step: Callable[[], object], repeats: int, device: str) -> float:
    """Seconds of ``repeats`` steps, until the device has finished them."""
    wait: Callable[[], object] = torch.cuda.synchronize if device == "cuda" else lambda: None
    wait()
    started = time.perf_counter()
    for _ in range(repeats):
        step()
    wait()
    return time.perf_counter() - started


def peak_bytes(device: str) -> int:
    """Peak memory so far: of tensors on the GPU, or of the whole process on the CPU."""
    if device == "cuda":
        return torch.cuda.max_memory_allocated()
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def random_batch(model: Model) -> Batch:
    """A batch that is the same on both sides. It has no padding (token 0), which may be faster."""
    rng = np.random.default_rng(0)
    shape = (model.batch, model.spec.seq_len)
    inputs, labels = (
        rng.integers(1, model.spec.vocab_size, shape, dtype=np.int32) for _ in range(2)
    )
    identifiers = rng.integers(0, model.spec.num_puzzle_identifiers, model.batch, dtype=np.int32)
    rows = np.arange(model.batch)
    return Batch(inputs, labels, identifiers, rows, rows)


def matrix_product(job: Job) -> Callable[[], object]:
    """A function that computes one large matrix product."""
    dtype = getattr(torch, job.dtype)
    return peak_flops.matrix_product(matrix_size(job), torch.device(job.device), dtype)


def matrix_size(job: Job) -> int:
    """Rows and columns of the matrices in :func:`matrix_product`."""
    return 256 if job.size == "tiny" else CEILING_MATRIX_SIZE[job.device]


def trm_step(job: Job) -> Callable[[], object]:
    """A function that runs a training step or an evaluation batch of this package."""
    model, device = job.sized_model, torch.device(job.device)
    generator = torch.Generator().manual_seed(0)
    network = TinyRecursiveModel(model.config, model.spec, generator=generator).to(device)
    batch = random_batch(model)
    compile_network(network, job.compile)
    if job.phase == "eval":
        pool = RolloutPool(network, model.batch)
        return lambda: list(pool.answer([Request((batch,))]))
    state = TrainState.create(network, model.run)
    train_step = TrainStep(state, model.run, total_steps=1000)
    puzzles = to_device(batch, device)
    min_steps = torch.zeros(model.batch, dtype=torch.int32, device=device)
    return lambda: train_step(puzzles, min_steps)


def reference_step(job: Job) -> Callable[[], object]:
    """A function that runs the same with the published code, in the order of its trainer."""
    assert job.reference is not None
    add_to_path(job.reference)
    from models.losses import ACTLossHead  # type: ignore[import-not-found]
    from models.recursive_reasoning.trm import (  # type: ignore[import-not-found]
        TinyRecursiveReasoningModel_ACTV1,
    )

    model = job.sized_model
    with torch.device(job.device):
        network = TinyRecursiveReasoningModel_ACTV1(_reference_config(model))
        head = ACTLossHead(network, "stablemax_cross_entropy")
    batch = random_batch(model)
    host = {
        "inputs": torch.from_numpy(batch.inputs),
        "labels": torch.from_numpy(batch.labels),
        "puzzle_identifiers": torch.from_numpy(batch.puzzle_identifiers),
    }
    forward = torch.compile(head) if job.compile else head
    make = _reference_evaluation if job.phase == "eval" else _reference_training
    return make(head, forward, host, model, job.device)


def _reference_config(model: Model) -> dict[str, Any]:
    config, spec = model.config, model.spec
    return {
        "batch_size": model.batch,
        "seq_len": spec.seq_len,
        "vocab_size": spec.vocab_size,
        "num_puzzle_identifiers": spec.num_puzzle_identifiers,
        "puzzle_emb_ndim": config.puzzle_emb_width,
        "puzzle_emb_len": config.puzzle_emb_len,
        "H_cycles": config.h_cycles,
        "L_cycles": config.l_cycles,
        "H_layers": 0,
        "L_layers": config.l_layers,
        "hidden_size": config.hidden_size,
        "expansion": config.expansion,
        "num_heads": config.num_heads,
        "pos_encodings": config.pos_encodings,
        "mlp_t": config.mlp_t,
        "halt_max_steps": config.halt_max_steps,
        "halt_exploration_prob": config.halt_exploration_prob,
        "forward_dtype": config.forward_dtype,
    }


def _reference_evaluation(
    head: Any, forward: Any, host: dict[str, Tensor], model: Model, device: str
) -> Callable[[], object]:
    head.eval()

    @torch.inference_mode()
    def evaluate() -> Tensor:
        batch = {name: tensor.to(device) for name, tensor in host.items()}
        with torch.device(device):
            carry = head.initial_carry(batch)
        finished = False
        while not finished:
            carry, _, _, outputs, finished = forward(
                carry=carry, batch=batch, return_keys=["preds"]
            )
        answers: Tensor = outputs["preds"].cpu()
        return answers

    return evaluate


def _reference_training(
    head: Any, forward: Any, host: dict[str, Tensor], model: Model, device: str
) -> Callable[[], object]:
    from models.ema import EMAHelper  # type: ignore[import-not-found]
    from models.sparse_embedding import (  # type: ignore[import-not-found]
        CastedSparseEmbeddingSignSGD_Distributed,
    )

    optim = model.run.optim
    embedding_optimizer = CastedSparseEmbeddingSignSGD_Distributed(
        head.model.puzzle_emb.buffers(), lr=optim.puzzle_emb_lr, world_size=1,
        weight_decay=optim.puzzle_emb_weight_decay,
    )  # fmt: skip
    optimizer_step = _reference_optimizer(head, optim, device)
    ema = EMAHelper(mu=optim.ema_rate)
    ema.register(head)
    batch = {name: tensor.to(device) for name, tensor in host.items()}
    with torch.device(device):
        carry = head.initial_carry(batch)

    def train() -> None:
        nonlocal carry
        carry, loss, *_ = forward(carry=carry, batch=batch, return_keys=[])
        (loss / model.batch).backward()
        embedding_optimizer.step()
        embedding_optimizer.zero_grad()
        optimizer_step()
        ema.update(head)

    return train


def _reference_optimizer(head: Any, optim: OptimConfig, device: str) -> Callable[[], None]:
    """A step of the published optimizer on CUDA if it is installed, else of this package's."""
    try:
        from adam_atan2 import AdamATan2
    except ImportError:
        AdamATan2 = None
    if device == "cuda" and AdamATan2 is not None:
        betas = (optim.beta1, optim.beta2)
        published = AdamATan2(
            head.parameters(), lr=_LR, weight_decay=optim.weight_decay, betas=betas
        )

        def published_step() -> None:
            published.step()
            published.zero_grad()

        return published_step
    own = AdamAtan2(dict(head.named_parameters()), optim)

    def own_step() -> None:
        own.step(1.0)
        own.zero_grad()

    return own_step


if __name__ == "__main__":
    main()
