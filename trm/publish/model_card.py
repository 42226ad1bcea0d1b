"""The model card: a checkpoint's description, results and use."""

import re
import shlex
from collections.abc import Sequence
from pathlib import Path

from huggingface_hub import EvalResult, ModelCard, ModelCardData

from trm import settings
from trm.checkpoints.model_shapes import meta_model
from trm.data import SplitCounts
from trm.hub_names import HubName
from trm.runs.checkpoint import (
    CheckpointConfig,
    Evaluation,
    read_config,
    read_evaluation,
    read_puzzle_names,
)
from trm.tasks.base import Task
from trm.tasks.build_command import build_command, recorded_flags
from trm.tasks.registry import get_task

_TEMPLATE = """---
{header}
---

# {title}

A [Tiny Recursive Model](https://arxiv.org/abs/2510.04871) of {size} parameters,
trained with `trm`. Its task, {task}: {summary}

## Use

```python
{snippet}
```

`trm eval --ckpt {repo}` measures it, {solve} shows how it thinks.

## Model

{model}

## Results

{results}

## Training

{training}

## Citation

```bibtex
@misc{{jolicoeurmartineau2025less,
  title = {{Less is More: Recursive Reasoning with Tiny Networks}},
  author = {{Alexia Jolicoeur-Martineau}},
  year = {{2025}},
  eprint = {{2510.04871}},
  archivePrefix = {{arXiv}}
}}
```
"""


#: The longest puzzle that is shown on one line.
_LONGEST_LINE = 90
_SOLVE = "print(model.solve(puzzle).answer)"
#: What follows a dataset's name, by the split that was evaluated.
_SPLIT_SUFFIXES = {"test": "", "validation": ", held-out training puzzles"}


def model_card(checkpoint: Path, name: HubName, license: str = "mit") -> ModelCard:
    """The model card of a checkpoint.

    Args:
        checkpoint: its folder.
        name: the repository and branch that it is pushed to.
        license: as the Hub abbreviates it.

    Raises:
        CheckpointError: if the checkpoint is damaged.
    """
    config, evaluation = read_config(checkpoint), read_evaluation(checkpoint)
    task, title = get_task(config.run.task), name.repo.split("/")[-1]
    dataset = task.hub_dataset if config.data.source == "hub" else None
    header = ModelCardData(
        license=license,
        library_name="trm",
        tags=["tiny-recursive-model", "arxiv:2510.04871", task.name],
        datasets=[dataset] if dataset else None,
        model_name=title,
        eval_results=_eval_results(evaluation, config, task, dataset) or None,
    )
    network, table = _parameter_counts(config)
    puzzle = _example(checkpoint, config, task)
    text = _TEMPLATE.format(
        header=header.to_yaml(),
        title=title,
        size=f"{network / 1e6:.1f} million" if network >= 1e6 else f"{network:,}",
        task=_text(task.name),
        summary=_text(task.data_summary(config.data)),
        repo=name,
        snippet=_snippet(str(name), puzzle),
        solve=_solve_command(str(name), puzzle),
        model=_table(("", ""), _model_rows(config, network, table)),
        results=_results_text(evaluation),
        training=_training_text(config, task, dataset),
    )
    return ModelCard(text)


def _example(checkpoint: Path, config: CheckpointConfig, task: Task) -> str:
    """A puzzle that the model can answer, in the task's notation; empty if there is none."""
    names = read_puzzle_names(checkpoint)
    known = [] if names is None else [name.decode(errors="replace") for name in names.tolist()]
    puzzle = task.example(config.data, known)
    return "" if puzzle is None else task.format_puzzle(puzzle)


def _snippet(repo: str, puzzle: str) -> str:
    """A program that uses the model."""
    lines = ["import trm", f'model = trm.load("{repo}")']
    if not puzzle:
        return "\n".join([*lines, "print(model)"])
    if len(puzzle) <= _LONGEST_LINE:
        return "\n".join([*lines, f"puzzle = {puzzle!r}", _SOLVE])
    starts = range(0, len(puzzle), _LONGEST_LINE)
    parts = [puzzle[start : start + _LONGEST_LINE] for start in starts]
    return "\n".join([*lines, "puzzle = (", *(f"    {part!r}" for part in parts), ")", _SOLVE])


def _solve_command(repo: str, puzzle: str) -> str:
    """The command that shows how the model thinks, as Markdown."""
    argument = shlex.quote(puzzle) if 0 < len(puzzle) <= _LONGEST_LINE else "FILE"
    return f"`trm solve --ckpt {repo} {argument}`"


def _parameter_counts(config: CheckpointConfig) -> tuple[int, int]:
    """The number of parameters of the network, and of the puzzle embedding."""
    model = meta_model(config)
    table = model.puzzle_embedding
    return model.num_parameters, 0 if table is None else table.weight.numel()


def _model_rows(config: CheckpointConfig, network: int, table: int) -> list[tuple[str, str]]:
    model, data = config.run.model, config.data
    return [
        ("task", _text(config.run.task)),
        *((_text(name), _text(value)) for name, value in model.describe().items()),
        ("parameters of the network", f"{network:,}"),
        (
            "parameters of the puzzle embedding",
            f"{table:,} ({data.num_puzzle_identifiers:,} puzzle identifiers)",
        ),
        ("supervision steps", f"{model.halt_max_steps}"),
        ("tokens", f"{data.seq_len} of {data.vocab_size} kinds"),
    ]


def _results_text(evaluation: Evaluation | None) -> str:
    if evaluation is None:
        return "It was not evaluated."
    rows = [
        (
            _text(_label(name)),
            "-" if value is None else f"{value:.4f}",
            " to ".join(f"{end:.4f}" for end in interval),
        )
        for name, value in evaluation.metrics.items()
        for interval in (evaluation.intervals.get(name, ()),)
    ]
    examples = f"{evaluation.examples:,} examples of the test split"
    if evaluation.split != "test":
        examples = (
            f"{evaluation.examples:,} examples of held-out training puzzles (copies of one may be "
            "among them), **not** the test split"
        )
    return (
        f"On {examples}, after training step {evaluation.step:,}, each answered once.\n\n"
        + _table(("metric", "value", "95% interval"), rows)
    )


def _eval_results(
    evaluation: Evaluation | None, config: CheckpointConfig, task: Task, dataset: str | None
) -> list[EvalResult]:
    if evaluation is None:
        return []
    return [
        EvalResult(
            task_type="puzzle-solving",
            task_name=task.name,
            dataset_type=dataset or task.name,
            dataset_name=(dataset or f"{task.name} ({config.data.source})")
            + _SPLIT_SUFFIXES[evaluation.split],
            dataset_split=evaluation.split,
            dataset_args={"digest": config.data.digest, "examples": evaluation.examples},
            metric_type="accuracy" if name == evaluation.headline else name,
            metric_value=value,
            metric_name=_label(name, evaluation.intervals.get(name)),
        )
        for name, value in evaluation.metrics.items()
        if value is not None
    ]


def _label(name: str, interval: tuple[float, float] | None = None) -> str:
    words = name.replace("_", " ")
    return f"{words} (95%: {interval[0]:.4f} to {interval[1]:.4f})" if interval else words


def _training_text(config: CheckpointConfig, task: Task, dataset: str | None) -> str:
    data = config.data
    counts = {name: _counts(split) for name, split in data.splits.items()}
    source = "generated by trm" if data.source == "generate" else _text(data.source)
    if dataset:
        source = f"[{dataset}](https://huggingface.co/datasets/{dataset})"
    digest = "".join(character for character in data.digest if character.isalnum())
    rows = [("data", source), ("digest of the data", f"`{digest}`")] if digest else []
    rows += [(f"{_text(name)} split", count) for name, count in counts.items()]
    if share := config.run.data.validation_share:
        rows += [("held out to choose the checkpoint by", f"{share:g} of the train split")]
    rows += [("training steps", f"{config.step:,} of {config.run.train.batch_size:,} examples")]
    if not digest:
        return _table(("", ""), [("origin", source), *rows])
    presets = {name: preset.settings for name, preset in task.presets.items()}
    command = settings.train_command(config.run, task.defaults, presets)
    commands = [shlex.join(command)]
    flags = recorded_flags(task, data) if data.source.isidentifier() else None
    if flags is not None and len(config.run.data_paths) == 1:
        commands.insert(0, build_command(task, Path(config.run.data_paths[0]), flags))
    text = "\n".join(commands)
    return f"{_table(('', ''), rows)}\n\n```sh\n{text}\n```"


def _counts(split: SplitCounts) -> str:
    more = "" if split.puzzles == split.groups else f" ({split.puzzles:,} with augmentations)"
    return f"{split.groups:,} puzzles{more}"


def _text(text: str) -> str:
    """Text from outside, such as the name of a source: one line, and neither Markdown nor HTML."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return re.sub(r"[\\`*_{}\[\]<>#~&]", r"\\\g<0>", line)  # _table escapes the | of every cell


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    escaped = [[cell.replace("|", r"\|") for cell in line] for line in lines]
    return "\n".join(f"| {' | '.join(line)} |" for line in escaped)
