"""The training and evaluation steps compile whole.

In a process of its own: the checks of shapes that other tests switch on cannot be compiled.
"""

import os
import subprocess
import sys

PROGRAM = """
import torch
from trm.config import ModelConfig
from trm.engine.step import supervise
from trm.models import Puzzles, PuzzleSpec, TinyRecursiveModel, replace_halted, start_rollout

def build(**settings):
    config = ModelConfig(hidden_size=16, num_heads=2, h_cycles=2, l_cycles=2, swiglu_multiple=16,
                         puzzle_emb_len=2, **settings)
    rng = torch.Generator().manual_seed(0)
    model = TinyRecursiveModel(config, PuzzleSpec(5, 7), generator=rng)
    tokens = torch.randint(1, 5, (4, 7), dtype=torch.int32, generator=rng)
    return model, Puzzles(tokens, tokens, torch.zeros(4, dtype=torch.int32))

model, puzzles = build(forward_dtype="bfloat16")
rollout = replace_halted(model, start_rollout(model, puzzles), puzzles)
found = []
for step in (supervise, torch.compile(supervise, backend="aot_eager", fullgraph=True)):
    rows = model.puzzle_rows(puzzles.identifiers)
    done = step(model, rollout, rows, torch.zeros(4, dtype=torch.int32), "stablemax")
    done.loss.total.backward()
    gradients = [p.grad for p in model.parameters()]
    found.append([done.loss.total, done.logits, rows.grad, *gradients])
    model.zero_grad()
for plain, compiled in zip(*found):
    torch.testing.assert_close(plain, compiled, atol=5e-2, rtol=5e-2)

model, puzzles = build(forward_dtype="float32", mlp_t=True)
with torch.inference_mode():
    embedded = model.embed(puzzles.inputs, model.puzzle_rows(puzzles.identifiers))
    state = model.initial_state(4)
    compiled = torch.compile(model, backend="eager", fullgraph=True)(state, embedded)
    torch.testing.assert_close(compiled.logits, model(state, embedded).logits)
print("compiled")
"""


def test_steps_compile_without_a_graph_break() -> None:
    # Without measuring coverage, which would trace all of the compiler.
    plain = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, env=plain, check=False
    )
    assert done.stdout == "compiled\n", done.stderr
