"""The task of a published checkpoint, and how long its puzzles are."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from trm.checkpoints.published.torch_file import PublishedTensors
from trm.checkpoints.published.yaml_config import YAML_FILE, PublishedConfig, shown
from trm.config import ModelConfig
from trm.data import DatasetMeta
from trm.errors import CheckpointError
from trm.tasks.base import Task
from trm.tasks.registry import get_task, list_tasks

#: Lengths of puzzles that a task is asked for, where it names none.
_LENGTHS = range(1, 4097)


@dataclass(frozen=True)
class TaskMatch:
    """A task whose puzzles these are, their description and the tokens before them, P."""

    task: Task
    data: DatasetMeta
    prefix: int
    notes: tuple[str, ...]


def chosen_fit(
    facts: PublishedTensors, said: PublishedConfig, file: Path, name: str | None
) -> TaskMatch:
    """The task that was given, or is named by the configuration, or the only one that fits."""
    if name is not None:
        fits = _fits([get_task(name)], facts, said)
    else:
        tasks = [installed.task for installed in list_tasks().values()]
        for hint in said.hints:
            named = _fits([task for task in tasks if _mentions(hint, task)], facts, said)
            if len(named) == 1:
                return _noted(named[0], f"task {named[0].task.name}, from {shown(hint)}")
        fits = _fits(tasks, facts, said)
    if len(fits) > 1:
        names = " or ".join(fit.task.name for fit in fits)
        raise CheckpointError(
            f"{file} has {facts.vocab_size} kinds of tokens: it could be of task {names}. "
            "Say which: --task."
        )
    if not fits:
        raise _no_fit(facts, said, file, name)
    if name is not None:
        return fits[0]
    return _noted(fits[0], f"vocabulary of {facts.vocab_size} tokens: {fits[0].task.name}")


def _noted(fit: TaskMatch, note: str) -> TaskMatch:
    return replace(fit, notes=(note, *fit.notes))


def _no_fit(
    facts: PublishedTensors, said: PublishedConfig, file: Path, name: str | None
) -> CheckpointError:
    whose = f"task {name}" if name else "any installed task"
    way = "Name another --task" if name else "Install the plugin of its task"
    if facts.num_tokens is None and said.seq_len is None:
        where = ", and how many cells is in no file"
        way += f", or write seq_len: CELLS into an {YAML_FILE} beside it"
    else:
        where = f" and {said.seq_len or facts.num_tokens} cells"
        where += "" if said.seq_len else ", the puzzle embedding's among them"
    return CheckpointError(
        f"{file} has {facts.vocab_size} kinds of tokens{where}: these are no puzzles of {whose}. "
        f"{way}."
    )


def _mentions(text: str, task: Task) -> bool:
    """Whether a folder or project is called after a task, such as arc1 in arc1concept."""
    names = (
        re.escape(name).replace(r"\-", "[-_ ]?") for name in (task.name, *task.published_names)
    )
    return any(re.search(f"(?<![a-z0-9]){name}(?![0-9])", text.lower()) for name in names)


def _fits(tasks: Iterable[Task], facts: PublishedTensors, said: PublishedConfig) -> list[TaskMatch]:
    """The tasks whose puzzles these can be: of the length they publish, or else of another."""
    tasks = list(tasks)
    usual = [_fit(task, facts, said, task.published_seq_len) for task in tasks]
    if not any(usual):
        usual = [_fit(task, facts, said, _only_length(task, facts.vocab_size)) for task in tasks]
    return [fit for fit in usual if fit is not None]


def _only_length(task: Task, vocab_size: int) -> int | None:
    """The length of all puzzles that a task has with so many tokens, None where it differs."""
    lengths = [n for n in _LENGTHS if task.published_data_meta(vocab_size, n) is not None]
    return lengths[0] if len(lengths) == 1 else None


def _fit(
    task: Task, facts: PublishedTensors, said: PublishedConfig, usual: int | None
) -> TaskMatch | None:
    """How the tensors fit a task's puzzles, None where they do not.

    Args:
        task: the task.
        facts: what the tensors tell.
        said: what the configuration says.
        usual: how long the task's puzzles are, where nothing else tells.
    """
    prefixes = _prefixes(task, facts, said, usual)
    if facts.num_tokens is None:
        length = said.seq_len or usual
        tried = [(length, prefixes[0])] if length else []
    else:
        tried = [(facts.num_tokens - prefix, prefix) for prefix in prefixes]
    for length, prefix in tried:
        data = task.published_data_meta(facts.vocab_size, length) if length > 0 else None
        if data is not None:
            return TaskMatch(task, data, prefix, _length_notes(task, facts, said, length, prefix))
    return None


def _prefixes(
    task: Task, facts: PublishedTensors, said: PublishedConfig, usual: int | None
) -> list[int]:
    """How many tokens may stand before the puzzle's own, the likeliest first."""
    if not said.model.get("puzzle_emb_dim", facts.puzzle_width):
        return [0]
    needed = max(1, -(-facts.puzzle_width // facts.hidden_size))
    stated = said.model.get("puzzle_emb_len")
    if stated is not None:
        return [stated or needed]
    field = ModelConfig.model_fields["puzzle_emb_len"]
    tried = [task.defaults.get("model", {}).get("puzzle_emb_len", field.default), needed]
    if facts.num_tokens and usual:
        tried.append(facts.num_tokens - usual)
    return [prefix for prefix in tried if prefix >= needed]


def _length_notes(
    task: Task, facts: PublishedTensors, said: PublishedConfig, length: int, prefix: int
) -> tuple[str, ...]:
    if facts.num_tokens is None:
        stated = f"{length} cells, as the published puzzles of task {task.name} have"
        notes = () if said.seq_len else (stated,)
        unsaid = prefix and "puzzle_emb_len" not in said.model
        return (*notes, f"puzzle_emb_len: {prefix}, task default") if unsaid else notes
    where = "the MLP's width" if facts.mlp_t else "the positions,"
    less = f" less {prefix} for the puzzle embedding" if prefix else ""
    return (f"{length} cells from {where} {facts.num_tokens}{less}",)
