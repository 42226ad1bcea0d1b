"""The model card: a checkpoint's description, results and use."""

import re
import shlex
from collections.abc import Sequence
from pathlib import Path

import torch
from huggingface_hub import EvalResult, ModelCard, ModelCardData

from trm import settings
from trm.models import TinyRecursiveModel
from trm.runs.checkpoint import CheckpointConfig, Evaluation, read_config, read_evaluation
from trm.tasks.base import Task
from trm.tasks.registry import get_task

_TEMPLATE = """---
{header}
---

# {title}

A [Tiny Recursive Model](https://arxiv.org/abs/2510.04871) of {size} million parameters,
trained with `trm`. Its task, {task}: {summary}

## Use

```python
import trm
model = trm.load("{repo}")
print(model.solve(puzzle).answer)
```

`trm eval --ckpt {repo}` measures it, `trm solve --ckpt {repo} PUZZLE` shows how it thinks.

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


#: What follows a dataset's name, by the split that was evaluated.
_SPLIT_SUFFIXES = {"test": "", "validation": ", held-out training puzzles"}


def model_card(checkpoint: Path, repo: str, license: str = "mit") -> ModelCard:
    """The model card of a checkpoint.

    Args:
        checkpoint: its folder.
        repo: the repository, ``USER/NAME``.
        license: as the Hub abbreviates it.

    Raises:
        CheckpointError: if the checkpoint is damaged.
    """
    config, evaluation = read_config(checkpoint), read_evaluation(checkpoint)
    task = get_task(config.run.task)
    dataset = task.hub_dataset if config.data.source == "hub" else None
    header = ModelCardData(
        license=license,
        library_name="trm",
        tags=["tiny-recursive-model", "arxiv:2510.04871", task.name],
        datasets=[dataset] if dataset else None,
        model_name=repo.split("/")[-1],
        eval_results=_eval_results(evaluation, config, task, dataset) if evaluation else None,
    )
    network, table = _parameter_counts(config)
    text = _TEMPLATE.format(
        header=header.to_yaml(),
        title=repo.split("/")[-1],
        size=f"{network / 1e6:.1f}",
        task=_text(task.name),
        summary=_text(task.summary),
        repo=repo,
        model=_table(("", ""), _model_rows(config, network, table)),
        results=_results_text(evaluation),
        training=_training_text(config, task, dataset),
    )
    return ModelCard(text)


def _parameter_counts(config: CheckpointConfig) -> tuple[int, int]:
    """The number of parameters of the network, and of the puzzle embedding."""
    with torch.device("meta"):
        model = TinyRecursiveModel(config.run.model, config.spec)
    table = model.puzzle_embedding
    return model.num_parameters, 0 if table is None else table.weight.numel()


def _model_rows(config: CheckpointConfig, network: int, table: int) -> list[tuple[str, str]]:
    model, data = config.run.model, config.data
    mixer = "MLP" if model.mlp_t else f"attention, {model.num_heads} heads"
    return [
        ("task", _text(config.run.task)),
        ("architecture", f"TRM, {model.l_layers} layers of width {model.hidden_size}"),
        ("mixer", f"{mixer}; positions: {model.pos_encodings}"),
        ("parameters of the network", f"{network:,}"),
        (
            "parameters of the puzzle embedding",
            f"{table:,} ({data.num_puzzle_identifiers:,} puzzle identifiers)",
        ),
        ("cycles", f"h {model.h_cycles}, l {model.l_cycles}"),
        ("supervision steps", f"{model.halt_max_steps}"),
        ("tokens", f"{data.seq_len} of {data.vocab_size} kinds"),
    ]


def _results_text(evaluation: Evaluation | None) -> str:
    if evaluation is None:
        return "It was not evaluated."
    rows = [
        (_text(_label(name)), f"{value:.4f}", " to ".join(f"{end:.4f}" for end in interval))
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
    evaluation: Evaluation, config: CheckpointConfig, task: Task, dataset: str | None
) -> list[EvalResult]:
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
    ]


def _label(name: str, interval: tuple[float, float] | None = None) -> str:
    words = name.replace("_", " ")
    return f"{words} (95%: {interval[0]:.4f} to {interval[1]:.4f})" if interval else words


def _training_text(config: CheckpointConfig, task: Task, dataset: str | None) -> str:
    data = config.data
    counts = {name: f"{split.groups:,} puzzles" for name, split in data.splits.items()}
    source = _text(data.source)
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
    return f"{_table(('', ''), rows)}\n\n```sh\n{shlex.join(command)}\n```"


def _text(text: str) -> str:
    """Text from outside, such as the name of a source: one line, and neither Markdown nor HTML."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return re.sub(r"[\\`*_{}\[\]<>#~&]", r"\\\g<0>", line)  # _table escapes the | of every cell


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    escaped = [[cell.replace("|", r"\|") for cell in line] for line in lines]
    return "\n".join(f"| {' | '.join(line)} |" for line in escaped)
