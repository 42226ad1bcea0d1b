"""The network compiles whole, once for each way in which a step uses it, and keeps what is counted.

In a process of its own: the checks of shapes that other tests switch on cannot be compiled.
"""

import os
import subprocess
import sys

PROGRAM = """
import functools
import torch
from torch._dynamo.utils import counters
from trm.config import TRMConfig, RunConfig, TrainConfig
from trm.training.memory_estimate import estimate_memory
from trm.training.step import supervision_step
from trm.models import (
    LatentState, PuzzleBatch, PuzzleSpec, TinyRecursiveModel, replace_halted, initial_carry
)

def build(**settings):
    config = TRMConfig(hidden_size=16, num_heads=2, h_cycles=2, l_cycles=2, swiglu_multiple=16,
                         puzzle_emb_len=2, **settings)
    rng = torch.Generator().manual_seed(0)
    model = TinyRecursiveModel(config, PuzzleSpec(5, 7), generator=rng)
    tokens = torch.randint(1, 5, (4, 7), dtype=torch.int32, generator=rng)
    return model, PuzzleBatch(tokens, tokens, torch.zeros(4, dtype=torch.int32))

def trained(model, puzzles):
    carry = replace_halted(model, initial_carry(model, puzzles), puzzles)
    for _ in range(2):
        model.zero_grad()
        rows = model.puzzle_vectors(puzzles.identifiers)
        min_steps = torch.zeros(4, dtype=torch.int32)
        done = supervision_step(model, carry, rows, min_steps, TrainConfig())
        done.loss.total.backward()
        carry = replace_halted(model, done.carry, puzzles)
    return [done.loss.total, done.logits, rows.grad, *(p.grad for p in model.parameters())]

def kept_bytes(model, puzzles):
    # Bytes of the distinct storages that autograd keeps of a step, but for the weights.
    alive, weights = {}, {p.untyped_storage()._cdata for p in model.parameters()}
    def keep(tensor):
        if tensor.untyped_storage()._cdata not in weights:
            alive[tensor.untyped_storage()._cdata] = tensor
        return tensor
    carry = replace_halted(model, initial_carry(model, puzzles), puzzles)
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        rows = model.puzzle_vectors(puzzles.identifiers)
        supervision_step(model, carry, rows, None, TrainConfig())
    return sum(tensor.untyped_storage().nbytes() for tensor in alive.values())

def answered(model, puzzles):
    with torch.inference_mode():
        embedded = model.embed(puzzles.inputs, model.puzzle_vectors(puzzles.identifiers))
        state = LatentState(*(part.contiguous() for part in model.initial_state(4)))
        for _ in range(2):
            state, *found = model(state, embedded)
        return found

torch.compile = functools.partial(torch.compile, backend="aot_eager", fullgraph=True)
for use, graphs in (trained, 3), (answered, 1):  # without a gradient; from where on it has one
    for settings in {"forward_dtype": "bfloat16"}, {"forward_dtype": "float32", "mlp_t": True}:
        model, puzzles = build(**settings)
        expected = use(model, puzzles)
        model.compile_network()
        counters.clear()
        torch._dynamo.reset()
        for plain, compiled in zip(expected, use(model, puzzles)):
            torch.testing.assert_close(plain, compiled, atol=5e-2, rtol=5e-2)
        assert counters["stats"]["unique_graphs"] == graphs, counters["stats"]
        if use is trained:
            run = RunConfig(task="t", model=model.config, train=TrainConfig(batch_size=4))
            counted = estimate_memory(run, model.spec).compiled_bytes
            assert abs(kept_bytes(model, puzzles) / counted - 1) < 0.2, settings
print("compiled")
"""


def test_the_network_compiles_without_a_graph_break() -> None:
    # Without measuring coverage, which would trace all of the compiler.
    plain = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, env=plain, check=False
    )
    assert done.stdout == "compiled\n", done.stderr
