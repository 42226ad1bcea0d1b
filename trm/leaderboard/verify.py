"""Evaluating the figures of a leaderboard again."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from trm.checkpoints.tensors import weights_digest
from trm.datasets import open_data
from trm.errors import InputError, TrmError
from trm.evaluation.evaluate import evaluate
from trm.evaluation.provenance import Provenance
from trm.evaluation.report import Report
from trm.inference.model import Model, load
from trm.inference.options import SolveOptions
from trm.leaderboard.entry import Entry, Figure
from trm.leaderboard.folder import FiledEntry, read_entries
from trm.runs.shipped import shipped_models
from trm.storage import Paths, as_paths

State = Literal["exact", "within", "differs", "unchecked"]
#: Where data folders are looked for.
_DATA = Path("data")


@dataclass(frozen=True)
class Verdict:
    """Whether a figure holds.

    Attributes:
        state: ``exact``: the same hits; ``within``: others, but within the interval of the entry,
            computed on another machine; ``differs``: it does not hold; ``unchecked``: weights or
            data are not at hand.
        reason: of the state, in words.
        found: the figure now; None if it was not evaluated.
    """

    entry: Entry
    file: Path
    state: State
    reason: str
    found: Figure | None = None

    @property
    def holds(self) -> bool:
        """Whether it was evaluated and holds."""
        return self.state in ("exact", "within")

    @property
    def text(self) -> str:
        """The verdict in words."""
        word = {"differs": "does not hold", "unchecked": "not checked"}.get(self.state, "holds")
        return f"{word}: {self.reason}"

    def as_json(self) -> dict[str, Any]:
        """For ``trm leaderboard verify --json``."""
        return {
            "model": self.entry.model,
            "column": self.entry.column,
            "file": str(self.file),
            "state": self.state,
            "reason": self.reason,
            "figure": self.entry.figure.model_dump(),
            "found": self.found and self.found.model_dump(),
        }


def verify_leaderboard(
    folder: str | Path | None = None,
    *,
    shipped: bool = True,
    model: str | None = None,
    checkpoint: Paths = (),
    data: Paths = (),
    device: str = "auto",
    on_progress: Callable[[int, int], None] | None = None,
    on_verdict: Callable[[Verdict], None] | None = None,
) -> list[Verdict]:
    """Evaluate the measured figures whose weights are at hand: ``trm leaderboard verify``.

    Args:
        folder: of results files; default: ``leaderboard``, if there is one.
        shipped: also those that come with trm.
        model: only the figures of this model.
        checkpoint: where else to look for weights: runs or checkpoints.
        data: where else to look for data: folders.
        device: the device.
        on_progress: as that of :func:`trm.evaluate`.
        on_verdict: called after each figure.

    Returns:
        A verdict on each measured figure.

    Raises:
        InputError: if there is no such figure, or a file is damaged.
        DataError, CheckpointError: if ``data`` or ``checkpoint`` cannot be used.
    """
    filed = [one for one in read_entries(folder, shipped=shipped)
             if one.entry.status == "measured"]  # fmt: skip
    names = sorted({one.entry.model for one in filed})
    if model is not None and model not in names:
        raise InputError(f"no measured figure is of {model!r}. Name one of: {', '.join(names)}.")
    search = _Search(as_paths(checkpoint), as_paths(data), device)
    search.open_given()
    verdicts = []
    for one in filed:
        if model in (None, one.entry.model):
            verdicts.append(_verify(one, search, on_progress))
            if on_verdict:
                on_verdict(verdicts[-1])
    return verdicts


@dataclass
class _Search:
    """Finds weights and data by their digests. What was opened is remembered.

    Attributes:
        _models: by the digests of their weights.
        _opened: the checkpoints that they are from.
        _digests: of data folders.
    """

    checkpoints: Sequence[str | Path]
    data: Sequence[str | Path]
    device: str
    _models: dict[str, Model] = field(default_factory=dict)
    _opened: set[str] = field(default_factory=set)
    _digests: dict[tuple[str, ...], str] = field(default_factory=dict)

    def open_given(self) -> None:
        """Open what the user named.

        Raises:
            TrmError: if it cannot be opened.
        """
        for checkpoint in self.checkpoints:
            self._keep(str(checkpoint), load(checkpoint, device=self.device))
        for folder in self.data:
            self._digests[(str(folder),)] = open_data(folder).meta.digest

    def model(self, entry: Entry, weights: str) -> Model | str:
        """The model with these weights, or why there is none."""
        if weights in self._models:
            return self._models[weights]
        name = entry.checkpoint or ""
        if name in self._opened:
            return f"{name} has other weights now"
        if name not in shipped_models() and not os.path.lexists(name):
            return f"its weights are not at hand: {name}"
        try:
            self._keep(name, load(name, task=entry.puzzles.task, device=self.device))
        except TrmError as error:
            return f"its weights cannot be loaded: {error}"
        return self.model(entry, weights)

    def _keep(self, name: str, model: Model) -> None:
        self._opened.add(name)
        self._models[weights_digest(model.network)] = model

    def folders(self, entry: Entry, recorded: tuple[str, ...]) -> tuple[str, ...] | None:
        """The folders of the data of an entry; None if they are not at hand."""
        given = tuple(map(str, self.data))
        near = sorted(str(path) for path in _DATA.glob("*")) if _DATA.is_dir() else []
        for folders in (*((one,) for one in given), given, recorded, *((one,) for one in near)):
            if folders and self._digest(folders) == entry.puzzles.digest:
                return folders
        return None

    def _digest(self, folders: tuple[str, ...]) -> str:
        """The digest of data folders; empty if they are no dataset."""
        if folders not in self._digests:
            try:
                self._digests[folders] = open_data(folders).meta.digest
            except TrmError:
                self._digests[folders] = ""
        return self._digests[folders]


def _verify(
    filed: FiledEntry, search: _Search, on_progress: Callable[[int, int], None] | None
) -> Verdict:
    entry, made = filed.entry, filed.entry.provenance
    assert made is not None  # the entry is a measured one
    model = search.model(entry, made.weights)
    if isinstance(model, str):
        return Verdict(entry, filed.file, "unchecked", model)
    folders = search.folders(entry, made.data_folders)
    if folders is None:
        advice = f". Build them: {made.data_command}" if made.data_command else ""
        return Verdict(entry, filed.file, "unchecked", f"its data are not at hand{advice}")
    given = entry.thinking.model_dump(include=set(SolveOptions.model_fields))
    try:
        report = evaluate(
            model,
            data=folders,
            split=entry.puzzles.split,
            batch_size=made.batch_size,
            max_examples=made.max_examples,
            copies=made.max_copies,
            reset_puzzle_embedding=made.reset_puzzle_embedding,
            on_progress=on_progress,
            **given,
        )
    except TrmError as error:
        return Verdict(entry, filed.file, "unchecked", f"it cannot be evaluated: {error}")
    return _compare(filed, report, made)


def _compare(filed: FiledEntry, report: Report, made: Provenance) -> Verdict:
    entry, now = filed.entry, report.provenance
    metric = report.metrics.get(entry.figure.metric)
    if now is None or now.subset != made.subset or metric is None:
        what = "no such metric" if metric is None else "other puzzles"
        return Verdict(entry, filed.file, "differs", f"the same options now give {what}")
    found = Figure(metric=entry.figure.metric, value=metric.value, count=metric.count,
                   interval=metric.interval)  # fmt: skip
    state, reason = _judge(entry.figure, found, is_same_machine=now.machine == made.machine)
    return Verdict(entry, filed.file, state, reason, found)


def _judge(figure: Figure, found: Figure, *, is_same_machine: bool) -> tuple[State, str]:
    if figure.equals(found):
        return "exact", "exactly the same"
    low, high = figure.interval or (figure.value, figure.value)
    if found.count != figure.count:
        return "differs", f"it is of {found.count:,} now, of {figure.count:,} in the file"
    if not low <= found.value <= high:
        return "differs", "outside the interval in the file"
    if is_same_machine:
        return "differs", "within the interval, but a machine like this one gives equal answers"
    return "within", "within the interval, on another machine"
