"""The configurations that ``equivalence.py`` compares: small models, and data that trm generates.

Each takes a CPU minutes. The data are in the published layout, which both codes read.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trm import build_data
from trm.config import DataConfig, EvalConfig, OptimConfig, RunConfig, TrainConfig
from trm.data import Dataset
from trm.tasks.registry import get_task


@dataclass(frozen=True)
class Case:
    """A configuration.

    Attributes:
        task: the name of the task.
        data: the options of its data.
        model: settings of the model that differ from the kind's defaults.
        batch_size: rows of a training step.
        paired_batch_size: rows of a paired step, which is in float64 and taken four times.
    """

    task: str
    data: dict[str, Any]
    model: dict[str, Any]
    batch_size: int = 32
    paired_batch_size: int = 8

    def run_config(self, steps: int, *, seed: int = 0, dtype: str = "float32") -> RunConfig:
        """The settings of a run of ``steps`` steps."""
        return RunConfig(
            task=self.task,
            model={**self.model, "forward_dtype": dtype},
            optim=OptimConfig(**_OPTIM),
            train=TrainConfig(
                batch_size=self.batch_size,
                max_steps=steps,
                seed=seed,
                device="cpu",
                log_every_steps=10,
                eval_every_steps=-(-steps // 4),
                save_every_steps=steps,
            ),
            data=DataConfig(),
            eval=EvalConfig(batch_size=100, max_examples=10_000),
        )

    def open_data(self, folder: Path) -> Dataset:
        """The data, built if the folder does not exist."""
        if not folder.exists():
            build_data(self.task, out=folder, layout="published", **self.data)
        return get_task(self.task).open_data([folder])


#: A schedule with warm-up and decay, and an average that follows a short run.
_OPTIM = {
    "lr": 2e-3,
    "lr_warmup_steps": 20,
    "lr_min_ratio": 0.1,
    "weight_decay": 0.1,
    "ema_rate": 0.97,
}
_SUDOKU = {"source": "generate", "size": 6, "num_train": 200, "num_test": 200, "num_aug": 5}
_SUDOKU_4X4 = {**_SUDOKU, "size": 4}
_SIZES = {"hidden_size": 64, "num_heads": 2, "halt_max_steps": 4}
_CYCLES = {**_SIZES, "h_cycles": 2, "l_cycles": 2, "puzzle_emb_len": 2}
_MLP = {"mlp_t": True, "pos_encodings": "none"}

CASES = {
    "sudoku-4x4": Case("sudoku", _SUDOKU_4X4, {**_CYCLES, **_MLP}),
    "sudoku-mlp": Case("sudoku", _SUDOKU, {**_CYCLES, **_MLP}),
    "sudoku-att": Case("sudoku", _SUDOKU_4X4, _CYCLES),
    "maze": Case(
        "maze",
        {"source": "generate", "size": 8, "num_train": 200, "num_test": 100, "aug": True},
        _CYCLES,
        batch_size=16,
    ),
    "arc": Case(
        "arc1",
        {"no_concept": True, "num_train": 6, "num_test": 6, "num_aug": 8},
        {**_CYCLES, "hidden_size": 32, "l_cycles": 1},
        batch_size=4,
        paired_batch_size=2,
    ),
    "hrm": Case(
        "sudoku",
        _SUDOKU_4X4,
        {**_SIZES, "kind": "hrm", "h_cycles": 2, "l_cycles": 2, "h_layers": 2, "l_layers": 2},
    ),
    "singlez": Case("sudoku", _SUDOKU_4X4, {**_CYCLES, "kind": "singlez"}),
    "hier6": Case("sudoku", _SUDOKU_4X4, {**_CYCLES, "kind": "hier6", "l_cycles": 6}),
    "transformer": Case("sudoku", _SUDOKU_4X4, {**_SIZES, "kind": "transformer", "h_layers": 4}),
    "direct": Case(
        "sudoku",
        _SUDOKU_4X4,
        {**_SIZES, "kind": "transformer", "h_layers": 4, "halt_max_steps": 1},
    ),
    "trm-continue": Case("sudoku", _SUDOKU_4X4, {**_CYCLES, **_MLP, "act_continue": True}),
    "singlez-continue": Case(
        "sudoku", _SUDOKU_4X4, {**_CYCLES, **_MLP, "kind": "singlez", "act_continue": True}
    ),
    "hier6-continue": Case(
        "sudoku", _SUDOKU_4X4, {**_CYCLES, **_MLP, "kind": "hier6", "act_continue": True}
    ),
}
