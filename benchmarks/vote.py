"""Measure ``trm vote`` over made-up answers to all copies of all ARC tasks: seconds, peak memory.

    python benchmarks/vote.py

It builds the data of ``arc1`` with two seeds, and makes a file of answers to the first build. Three
answers of ten are right; the others have a few wrong cells. The file is voted over with its own
data, and with those of the other build.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from machine import describe_cpu

from trm.data import Split, eval_indices
from trm.evaluation.predictions import Predictions, PredictionsInfo, compact
from trm.tasks.arc.grids import FIRST_COLOR, VOCAB_SIZE
from trm.tasks.metrics import EvalBatch
from trm.tasks.registry import get_task


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--num-test", type=int, default=400, help="evaluation tasks")
    parser.add_argument("--num-aug", type=int, default=1000, help="copies of each")
    parser.add_argument("--make", type=Path, nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.make:
        print(make_answers(*arguments.make))
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for seed in ("0", "1"):
            run("build-data", "arc1", "--no-concept", "--num-train", "1", "--seed", seed,
                "--num-test", str(arguments.num_test), "--num-aug", str(arguments.num_aug),
                "--out", str(folder / seed))  # fmt: skip
        file = folder / "answers.npz"
        # In another process: on Linux, the peak memory of a process includes that of its parent.
        made = [sys.executable, __file__, "--make", str(folder / "0"), str(file)]
        count = int(subprocess.run(made, stdout=subprocess.PIPE, check=True).stdout)
        print(f"{describe_cpu()}; {count:,} answers\n")
        print("| data | seconds | peak memory |\n|---|---:|---:|")
        for seed, title in (("0", "of the file"), ("1", "another build")):
            seconds, peak = run("vote", str(file), "--data", str(folder / seed))
            print(f"| {title} | {seconds:.1f} | {peak / 1e9:.2f} GB |")


def run(*command: str) -> tuple[float, int]:
    """Run a command of trm; returns the seconds and the peak memory in bytes."""
    started = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "trm", *command],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = status  # so that it does not wait
    if status:
        sys.exit(f"trm {' '.join(command)} failed")
    return time.perf_counter() - started, usage.ru_maxrss * 1024


def make_answers(data: Path, file: Path) -> int:
    """Write answers to the test split of a dataset; returns their number."""
    dataset = get_task("arc1").open_data([data])
    split = dataset.split("test")
    info = PredictionsInfo(
        task="arc1", data=(str(data),), digest=dataset.meta.digest, checkpoint="made-up", step=0
    )
    answers = Predictions.of(info, [compact(batch) for batch in batches(split)])
    answers.save(file, split.names)
    return len(answers.answers.answers)


def batches(split: Split) -> Iterator[EvalBatch]:
    """Answers to every example of a split."""
    rng = np.random.default_rng(0)
    for examples, puzzles in eval_indices(split, 8192):
        batch, count = split.make_batch(examples, puzzles), len(examples)
        wrong = (rng.random(batch.labels.shape) < 0.03) & (rng.random((count, 1)) < 0.7)
        colors = rng.integers(FIRST_COLOR, VOCAB_SIZE, batch.labels.shape)
        answers = np.where(wrong & (batch.labels >= FIRST_COLOR), colors, batch.labels)
        yield EvalBatch(
            inputs=batch.inputs,
            labels=batch.labels,
            answers=np.maximum(answers, 0).astype(np.int32),
            halt_logits=rng.normal(size=count).astype(np.float32),
            halt_steps=np.full(count, 3, np.int32),
            steps=np.full(count, 16, np.float32),
            puzzle_identifiers=batch.puzzle_identifiers,
            examples=examples,
            puzzles=puzzles,
        )


if __name__ == "__main__":
    main()
