"""The task of a published checkpoint, and the length of its puzzles."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from trm.checkpoints.published.file_names import YAML_FILE
from trm.checkpoints.published.torch_file import PublishedTensors
from trm.checkpoints.published.yaml_config import PublishedConfig, short_repr
from trm.config.model import DEFAULT_KIND, config_class
from trm.data import DatasetMeta
from trm.errors import CheckpointError
from trm.tasks.base import Task
from trm.tasks.registry import get_task, list_tasks

#: The lengths to try for a task that publishes puzzles of no fixed length.
_LENGTHS = range(1, 4097)


@dataclass(frozen=True)
class TaskMatch:
    """A task that has such puzzles.

    Attributes:
        task: the task.
        data: the description of its puzzles.
        prefix_len: number of tokens before the puzzle's own, P.
        notes: a phrase for each thing that was inferred.
    """

    task: Task
    data: DatasetMeta
    prefix_len: int
    notes: tuple[str, ...]


def model_kind(tensors: PublishedTensors, config: PublishedConfig) -> str:
    """The kind of the model: what the configuration states, else what the tensors show."""
    return config.kind or tensors.kind or DEFAULT_KIND


def match_task(
    tensors: PublishedTensors, config: PublishedConfig, file: Path, name: str | None
) -> TaskMatch:
    """The task that the user gave, or that the configuration names, or the only one that matches.

    Args:
        tensors: what the tensors show.
        config: what ``all_config.yaml`` states.
        file: the torch file, for messages.
        name: the task's name, if the user gave it.

    Raises:
        CheckpointError: if no task matches, or several do.
        PluginError: if there is no task with this name.
    """
    if name is not None:
        matches = _matches([get_task(name)], tensors, config)
    else:
        tasks = [installed.task for installed in list_tasks().values()]
        for hint in config.hints:
            named = _matches([task for task in tasks if _mentions(hint, task)], tensors, config)
            if len(named) == 1:
                note = f"task {named[0].task.name}, from {short_repr(hint)}"
                return replace(named[0], notes=(note, *named[0].notes))
        matches = _matches(tasks, tensors, config)
    if len(matches) > 1:
        names = " or ".join(match.task.name for match in matches)
        raise CheckpointError(
            f"{file} has {tensors.vocab_size} kinds of tokens: it could be of task {names}. "
            "Say which: --task."
        )
    if not matches:
        raise _no_match(tensors, config, file, name)
    if name is not None:
        return matches[0]
    note = f"vocabulary of {tensors.vocab_size} tokens: {matches[0].task.name}"
    return replace(matches[0], notes=(note, *matches[0].notes))


def _no_match(
    tensors: PublishedTensors, config: PublishedConfig, file: Path, name: str | None
) -> CheckpointError:
    whose = f"task {name}" if name else "any installed task"
    advice = "Name another --task" if name else "Install the plugin of its task"
    if tensors.num_tokens is None and config.seq_len is None:
        cells = ", and no file says how many cells"
        advice += f", or write seq_len: CELLS into an {YAML_FILE} in its folder"
    elif config.seq_len:
        cells = f" and {config.seq_len} cells"
    else:
        cells = f" and {tensors.num_tokens} cells, the puzzle embedding's included"
    return CheckpointError(
        f"{file} has {tensors.vocab_size} kinds of tokens{cells}: these are not puzzles of {whose}."
        f" {advice}."
    )


def _mentions(text: str, task: Task) -> bool:
    """Whether a folder or project is named after a task, as arc1concept is after arc1."""
    names = (
        re.escape(name).replace(r"\-", "[-_ ]?") for name in (task.name, *task.published_names)
    )
    return any(re.search(f"(?<![a-z0-9]){name}(?![0-9])", text.lower()) for name in names)


def _matches(
    tasks: Iterable[Task], tensors: PublishedTensors, config: PublishedConfig
) -> list[TaskMatch]:
    """The tasks whose published puzzles match, or else those that match at their only length."""
    tasks = list(tasks)
    matches = [_match(task, tensors, config, task.published_seq_len) for task in tasks]
    if not any(matches):
        matches = [
            _match(task, tensors, config, _only_length(task, tensors.vocab_size)) for task in tasks
        ]
    return [match for match in matches if match is not None]


def _only_length(task: Task, vocab_size: int) -> int | None:
    """The length of a task's puzzles with this vocabulary, None if it has several or none."""
    lengths = [n for n in _LENGTHS if task.published_data_meta(vocab_size, n) is not None]
    return lengths[0] if len(lengths) == 1 else None


def _match(
    task: Task, tensors: PublishedTensors, config: PublishedConfig, default_length: int | None
) -> TaskMatch | None:
    """How the tensors match a task's puzzles, None if they do not.

    Args:
        task: the task.
        tensors: what the tensors show.
        config: what ``all_config.yaml`` states.
        default_length: the length of the task's puzzles, if nothing else determines it.
    """
    prefix_lens = _possible_prefix_lens(task, tensors, config, default_length)
    if tensors.num_tokens is None:
        length = config.seq_len or default_length
        candidates = [(length, prefix_lens[0])] if length else []
    else:
        candidates = [(tensors.num_tokens - prefix, prefix) for prefix in prefix_lens]
    for length, prefix in candidates:
        data = task.published_data_meta(tensors.vocab_size, length) if length > 0 else None
        if data is not None:
            notes = _length_notes(task, tensors, config, length, prefix)
            return TaskMatch(task, data, prefix, notes)
    return None


def _possible_prefix_lens(
    task: Task, tensors: PublishedTensors, config: PublishedConfig, default_length: int | None
) -> list[int]:
    """The possible numbers of tokens before the puzzle's own, the most likely first."""
    if not config.model.get("puzzle_emb_dim", tensors.puzzle_width):
        return [0]
    minimum = max(1, -(-tensors.puzzle_width // tensors.hidden_size))
    configured = config.model.get("puzzle_emb_len")
    if configured is not None:
        return [configured or minimum]
    fields = config_class(model_kind(tensors, config)).model_fields
    if "puzzle_emb_len" not in fields:
        return [minimum]
    default = fields["puzzle_emb_len"].default
    lengths = [task.defaults.get("model", {}).get("puzzle_emb_len", default), minimum]
    if tensors.num_tokens and default_length:
        lengths.append(tensors.num_tokens - default_length)
    return [length for length in lengths if length >= minimum]


def _length_notes(
    task: Task, tensors: PublishedTensors, config: PublishedConfig, length: int, prefix: int
) -> tuple[str, ...]:
    if tensors.num_tokens is not None:
        source = "the MLP's width" if tensors.mlp_t else "the positions,"
        less = f" less {prefix} for the puzzle embedding" if prefix else ""
        return (f"{length} cells from {source} {tensors.num_tokens}{less}",)
    notes = []
    if not config.seq_len:
        notes.append(f"{length} cells, as the published puzzles of task {task.name} have")
    if prefix and "puzzle_emb_len" not in config.model:
        notes.append(f"puzzle_emb_len: {prefix}, task default")
    return tuple(notes)
