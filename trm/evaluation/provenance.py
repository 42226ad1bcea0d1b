"""Where the numbers of an evaluation come from: enough to evaluate again, and to compare."""

import hashlib
import importlib.metadata
import shlex
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import ConfigDict, Field

from trm.checkpoints.tensors import weights_digest
from trm.config import MOST_EXAMPLES, MOST_STEPS, Frozen
from trm.data import VALIDATION, Dataset, Split, num_eval_examples
from trm.inference.model import Model
from trm.inference.options import SolveOptions
from trm.runtime.environment import code_commit, device_name
from trm.tasks.base import Task
from trm.tasks.build_command import build_command, recorded_flags

#: A SHA-256 in hexadecimal digits.
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Count = Annotated[int, Field(ge=0, le=2**53)]


class Provenance(Frozen):
    """Where the numbers of an evaluation come from.

    Attributes:
        command: that evaluates again.
        data_command: that builds the data again; None if trm did not build them, or not as one.
        data_folders: that were evaluated.
        subset: the digest of the rows that were answered; see :func:`subset_digest`.
        split_examples: the rows of the whole split: an example counts once for each puzzle of its
            group.
        complete: whether all rows that were asked for were answered; not if time ran out.
        copies: how many puzzles of a group vote on each example, at most; 1 if each example is one
            puzzle.
        max_copies, max_examples, batch_size, reset_puzzle_embedding: of the evaluation.
        weights: the digest of the weights.
        parameters: without the puzzle embedding.
        seed: of the training.
        trained_on: the digest of the data that the model was trained on.
        trained_steps: the supervision steps that the model was trained with.
        own_rule: whether the model's own rule ended answers, see
            :attr:`trm.config.ModelConfig.halts_in_evaluation`.
        version, commit: of trm.
        device, torch, threads, processes: what computed. Equal ones give equal numbers.
    """

    model_config = ConfigDict(strict=True)

    command: str
    data_command: str | None
    data_folders: Annotated[tuple[str, ...], Field(strict=False)]
    subset: Sha256
    split_examples: Count
    complete: bool
    copies: Annotated[int, Field(ge=1, le=2**53)]
    max_copies: Annotated[int, Field(ge=1, le=MOST_STEPS)] | None
    max_examples: Annotated[int, Field(ge=1, le=MOST_STEPS)] | None
    batch_size: Annotated[int, Field(ge=1, le=MOST_EXAMPLES)]
    reset_puzzle_embedding: bool
    weights: Sha256
    parameters: Count
    seed: int
    trained_on: str
    trained_steps: Annotated[int, Field(ge=1, le=2**53)]
    own_rule: bool = False
    version: str
    commit: str | None
    device: str
    torch: str
    threads: Count
    processes: Count

    @property
    def machine(self) -> tuple[str, str, int, int, int]:
        """What decides how numbers are rounded."""
        return self.device, self.torch, self.threads, self.processes, self.batch_size


def subset_digest(rows: NDArray[np.int64], split: str, validation_share: float = 0.0) -> str:
    """A digest of the rows of a split that were answered, in any order.

    Together with the digest of the data it says which puzzles were evaluated.

    >>> import numpy as np
    >>> rows = np.array([3, 1, 2])
    >>> subset_digest(rows, "test") == subset_digest(rows[::-1], "test")
    True

    Args:
        rows: the numbers of :func:`trm.data.eval_rows`.
        split: the name of the split.
        validation_share: the share of the training puzzles in it, if it is ``validation``.
    """
    head = f"{split} {validation_share!r}\n" if split == VALIDATION else f"{split}\n"
    return hashlib.sha256(head.encode() + np.sort(rows).astype("<i8").tobytes()).hexdigest()


def provenance_of(
    model: Model,
    dataset: Dataset,
    chosen: Split,
    split: str,
    paths: tuple[str, ...],
    rows: NDArray[np.int64],
    *,
    complete: bool,
    options: SolveOptions,
    batch_size: int,
    max_examples: int | None,
    max_copies: int | None,
    reset_puzzle_embedding: bool,
    processes: int,
) -> Provenance:
    """The provenance of an evaluation that answered these rows; see :class:`Provenance`."""
    share = model.config.data.validation_share if split == VALIDATION else 0.0
    given = {
        "--task": model.task.name if model.notes else None,  # of a published checkpoint
        "--split": split if split != "test" else None,
        "--max-examples": max_examples,
        "--copies": max_copies,
        "--batch-size": batch_size,
    }
    words = [word for path in paths for word in ("--data", path)]
    words += [f"{w}" for pair in given.items() if pair[1] is not None for w in pair]
    words += ["--reset-puzzle-embedding"] * reset_puzzle_embedding + options.flags.split()
    counts = np.diff(chosen.puzzle_offsets)
    copies = int(counts.max(initial=1))
    network = model.network
    return Provenance(
        command=shlex.join(["trm", "eval", "--ckpt", model.name, *words]),
        data_command=_data_command(model.task, dataset, paths),
        data_folders=paths,
        subset=subset_digest(rows, split, share),
        split_examples=num_eval_examples(chosen),
        complete=complete,
        copies=max(1, copies if max_copies is None else min(copies, max_copies)),
        max_copies=max_copies,
        max_examples=max_examples,
        batch_size=batch_size,
        reset_puzzle_embedding=reset_puzzle_embedding,
        weights=weights_digest(model.network),
        parameters=network.num_parameters,
        seed=model.config.train.seed,
        trained_on=model.checkpoint.data.digest,
        trained_steps=network.config.halt_max_steps,
        own_rule=options.uses_own_rule(network.config),
        version=importlib.metadata.version("trm"),
        commit=code_commit(),
        device=device_name(network.device),
        torch=str(torch.__version__),
        threads=torch.get_num_threads() if network.device.type == "cpu" else 0,
        processes=processes,
    )


def _data_command(task: Task, dataset: Dataset, paths: tuple[str, ...]) -> str | None:
    flags = recorded_flags(task, dataset.meta)
    return None if flags is None else build_command(task, Path(paths[0]), flags)
