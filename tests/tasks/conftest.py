"""Made-up answers."""

from collections.abc import Callable

import numpy as np
import pytest

from trm.tasks.metrics import EvalBatch


@pytest.fixture(scope="session")
def batch() -> Callable[..., EvalBatch]:
    """Answers (batch, seq_len) to as many examples, the last cell of which is not scored."""

    def make(
        answers: list[list[int]], logits: list[float] | None = None, steps: list[int] | None = None
    ) -> EvalBatch:
        tokens = np.array(answers, np.int32).reshape(len(answers), -1)
        rows = np.arange(len(tokens))
        labels = np.ones_like(tokens)
        labels[:, -1] = -100
        return EvalBatch(
            inputs=tokens % 3,
            labels=labels,
            answers=tokens,
            halt_logits=np.array(logits or [0.0] * len(rows), np.float32),
            halt_steps=np.array(steps or [1] * len(rows), np.int32),
            puzzle_identifiers=rows.astype(np.int32),
            examples=rows,
            puzzles=rows,
        )

    return make
