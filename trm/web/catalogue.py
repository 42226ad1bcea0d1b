"""The models that the page offers: those that were named, or all that are at hand."""

import contextlib
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trm.errors import InputError, TrmError
from trm.inference.model import Model, load
from trm.runs.checkpoint import CheckpointConfig, read_config
from trm.runs.listing import list_runs, run_folders
from trm.runs.run_folder import find_checkpoint, is_run
from trm.runs.shipped import shipped_models

#: The files of the page.
PAGE = Path(__file__).with_name("page")
#: The models that are kept in memory.
_MOST_LOADED = 4


@dataclass(frozen=True)
class OfferedModel:
    """A model that may be chosen. ``name`` is what ``--ckpt`` takes."""

    name: str
    config: CheckpointConfig

    def as_json(self) -> dict[str, Any]:
        """What the page has to know of it."""
        data = self.config.data
        return {
            "name": self.name,
            "task": self.config.run.task,
            "size": data.properties.get("size"),
            "cells": data.seq_len,
            "vocabulary": list(data.vocabulary),
            "steps": self.config.run.model.halt_max_steps,
            "trained": self.config.step,
        }


class Catalogue:
    """The models of the page. Only these can be loaded.

    Args:
        checkpoints: models, or names as for ``--ckpt``; none: the runs in ``runs``, and what comes
            with trm.
        task: the task of a published checkpoint that does not name it.
        device: as for :func:`trm.load`.
        runs: the folder of runs.

    Raises:
        CheckpointError: if one that was named is missing or damaged.
        HubError: if it cannot be downloaded.
    """

    def __init__(
        self,
        checkpoints: Sequence[Model | str] = (),
        *,
        task: str | None = None,
        device: str = "auto",
        runs: Path = Path("runs"),
    ) -> None:
        self._device, self._runs, self._lock = device, runs, threading.Lock()
        self._named: dict[str, Model] = {}
        for one in checkpoints:
            model = one if isinstance(one, Model) else load(one, task=task, device=device)
            self._named[model.name if isinstance(one, Model) else one] = model
        #: By name and checkpoint folder, the one used last at the end.
        self._loaded: OrderedDict[tuple[str, Path], Model] = OrderedDict()

    def models(self) -> list[OfferedModel]:
        """The models, the newest run first."""
        if self._named:
            return [OfferedModel(name, model.checkpoint) for name, model in self._named.items()]
        found = []
        for run in list_runs(self._runs) if self._runs.is_dir() else []:
            if (path := _best_of(run.folder)) is not None:
                with contextlib.suppress(TrmError):  # it is damaged, or was just removed
                    found.append(OfferedModel(str(run.folder), read_config(path)))
        return found + [
            OfferedModel(name, read_config(path)) for name, path in shipped_models().items()
        ]

    def load(self, name: str) -> Model:
        """The model of this name.

        Raises:
            InputError: if the page does not offer it.
            CheckpointError: if it is damaged.
        """
        with self._lock:
            if name in self._named:
                return self._named[name]
            path = None if self._named else self._folder(name)
            if path is None:
                raise InputError(f"{name!r:.99} is not among the models here. Choose another one.")
            key = (name, path)
            if key not in self._loaded:
                self._loaded[key] = load(path, device=self._device)
            self._loaded.move_to_end(key)
            while len(self._loaded) > _MOST_LOADED:
                self._loaded.popitem(last=False)
            return self._loaded[key]

    def _folder(self, name: str) -> Path | None:
        """The checkpoint folder of a model that the page offers."""
        runs = run_folders(self._runs) if self._runs.is_dir() else []
        if name in map(str, runs):
            return _best_of(Path(name))
        return shipped_models().get(name)


def _best_of(run: Path) -> Path | None:
    """The best checkpoint of a run; None if it has none, or if it is damaged."""
    with contextlib.suppress(TrmError):  # the list of runs shows what is wrong with it
        return find_checkpoint(str(run)).resolve() if is_run(run) else None
    return None
