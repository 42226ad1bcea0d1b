"""Checkpoints as they are stored: ours or as the published trainer saves them, here or on the Hub.

Whoever takes a checkpoint by name opens it here.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from trm.checkpoints.compatibility import TrainedOn
from trm.checkpoints.published.checkpoint import find_published, read_published
from trm.checkpoints.published.yaml_config import YAML_FILE
from trm.checkpoints.tensors import check_shapes_match, fill, load_tensor, shapes
from trm.errors import CheckpointError
from trm.hub import parse_name, pull
from trm.models import TinyRecursiveModel
from trm.models.layers import swiglu_width
from trm.runs import checkpoint
from trm.runs.checkpoint import CheckpointConfig, PuzzleNames
from trm.runs.layout import CONFIG_FILE, EVALUATION_FILE, NAMES_FILE, WEIGHTS_FILE
from trm.runs.run_folder import find_checkpoint, is_run

TABLE = "puzzle_embedding.weight"
#: Of a repository with a checkpoint of ours, what is fetched.
_OURS = (WEIGHTS_FILE, CONFIG_FILE, NAMES_FILE, EVALUATION_FILE)
_STEP = re.compile(r"step_?(\d+)")
_TORCH_SUFFIXES = (".pt", ".pth", ".ckpt", ".bin")


@dataclass(frozen=True)
class OpenedCheckpoint:
    """A checkpoint whose weights have not been read yet, or not all.

    Attributes:
        name: what the user called it, or its folder.
        path: its folder, or the published trainer's file.
        names: what the rows of its puzzle embedding stand for, where that is known.
        notes: what a published checkpoint leaves out, and was inferred.
        tensors: those of a published checkpoint, by our names.
    """

    name: str
    path: Path
    config: CheckpointConfig
    names: PuzzleNames | None = None
    notes: tuple[str, ...] = ()
    tensors: Mapping[str, Tensor] | None = field(default=None, repr=False)

    @property
    def trained_on(self) -> TrainedOn:
        """The puzzles that it was trained on."""
        return TrainedOn(self.name, self.config.data, self.names)

    def shapes(self) -> dict[str, list[int]]:
        """The shape of each tensor, by our names."""
        if self.tensors is None:
            return shapes(self.path / WEIGHTS_FILE)
        return {name: list(tensor.shape) for name, tensor in self.tensors.items()}

    @torch.no_grad()
    def fill(
        self,
        targets: Mapping[str, Tensor],
        shares: Mapping[str, tuple[int, slice]] | None = None,
    ) -> None:
        """Copy every tensor into the one of its name; see :func:`trm.checkpoints.tensors.fill`.

        Raises:
            CheckpointError: if names or shapes differ, or a number is not finite.
        """
        if self.tensors is None:
            fill(targets, self.path / WEIGHTS_FILE, shares)
        else:
            check_shapes_match(targets, self.shapes(), self.path, shares)
            for name, target in targets.items():
                rows = shares[name][1] if shares and name in shares else slice(None)
                target.copy_(self.tensors[name][rows])
        for name, target in targets.items():
            if not target.isfinite().all():
                raise CheckpointError(
                    f"{self.path}: {name} has numbers that are not finite. Use another checkpoint."
                )

    def model(self, device: torch.device | str = "cpu") -> TinyRecursiveModel:
        """The network, with its weights.

        Raises:
            CheckpointError: if the weights are damaged or do not fit the configuration.
        """
        model = self._new_model()
        self.fill(model.state_dict())
        return model.to(device)

    def _new_model(self) -> TinyRecursiveModel:
        """The network without its weights; made only if its tensors are those that are stored."""
        model, spec, found = self.config.run.model, self.config.spec, self.shapes()
        last = f"core.layers.{model.l_layers - 1}.mlp.down.weight"
        if self._has_its_sizes():
            return TinyRecursiveModel(model, spec, init_weights=False)
        try:
            with torch.device("meta"):  # which takes a second when first used
                if last not in found:  # known before so many layers are made
                    check_shapes_match({last: torch.empty(0)}, {}, self.path)
                check_shapes_match(TinyRecursiveModel(model, spec).state_dict(), found, self.path)
            return TinyRecursiveModel(model, spec, init_weights=False)
        except (RuntimeError, OverflowError, TypeError) as error:  # of sizes beyond 64 bits
            raise CheckpointError(
                f"{self.path}: its {CONFIG_FILE} makes a model too large to describe. Use another "
                "checkpoint."
            ) from error

    def _has_its_sizes(self) -> bool:
        """Whether the configuration makes no model larger than the one that is stored."""
        model, spec, found = self.config.run.model, self.config.spec, self.shapes()
        hidden, last = model.hidden_size, f"core.layers.{model.l_layers - 1}.mlp.down.weight"
        width = swiglu_width(hidden, model.expansion, model.swiglu_multiple)
        table = [spec.num_puzzle_identifiers, model.puzzle_emb_width]
        return (
            found.get("output_head.weight") == [spec.vocab_size, hidden]
            and found.get(TABLE) == (table if model.puzzle_emb_width else None)
            and found.get(last) == [hidden, width]
            and model.prefix_len + spec.seq_len < 4096
        )

    def puzzle_embedding(self) -> Tensor | None:
        """The table (num_puzzle_identifiers, width), None if there is none."""
        if TABLE not in self.shapes():
            return None
        if self.tensors is not None:
            return self.tensors[TABLE]
        return load_tensor(self.path / WEIGHTS_FILE, TABLE)


def open_checkpoint(
    name: str | Path | None = None, *, task: str | None = None, runs_folder: Path = Path("runs")
) -> OpenedCheckpoint:
    """Find a checkpoint, and read all of it but the weights.

    Args:
        name: a run folder (its best checkpoint is meant), a checkpoint folder, a file or folder of
            the published trainer, or ``USER/NAME[@REVISION]`` of the Hub; None for the newest run.
        task: of a published checkpoint that does not say which it was trained for.
        runs_folder: where to look for the newest run.

    Raises:
        CheckpointError: if there is none, or it is damaged.
        HubError: if it cannot be fetched.
    """
    text = None if name is None else str(name)
    path, shown = locate(text, runs_folder)
    if not (path / WEIGHTS_FILE).is_file():
        found = read_published(path, task)
        return OpenedCheckpoint(
            shown, found.file, found.config, found.names, found.notes, found.weights
        )
    config = checkpoint.read_config(path)
    if task not in (None, config.run.task):
        raise CheckpointError(f"{shown} was trained for task {config.run.task}, not {task}.")
    return OpenedCheckpoint(shown, path, config, checkpoint.read_puzzle_names(path))


def locate(name: str | None, runs_folder: Path = Path("runs")) -> tuple[Path, str]:
    """The folder or file that is meant, fetched if it is on the Hub, and what to call it.

    Raises:
        CheckpointError: if there is none.
        HubError: if it cannot be fetched.
    """
    on_hub = None if name is None else parse_name(name)
    here = name is None or Path(name).exists() or Path(name).parent.is_dir()
    if on_hub is not None and not here:
        return pull(on_hub, lambda files: _wanted(files, str(on_hub))), str(on_hub)
    if name is not None and not _has_ours(Path(name)) and find_published(Path(name)):
        return Path(name), name
    found = find_checkpoint(name, runs_folder)
    return found, str(found)


def _has_ours(path: Path) -> bool:
    return is_run(path) or (path / WEIGHTS_FILE).is_file()


def _wanted(files: Sequence[str], name: str) -> list[str]:
    """What to fetch of a repository: a checkpoint of ours, or the newest published one.

    Raises:
        CheckpointError: if it has neither.
    """
    if {WEIGHTS_FILE, CONFIG_FILE} <= set(files):
        return [file for file in _OURS if file in files]
    likely = [file for file in files if Path(file).suffix in ("", *_TORCH_SUFFIXES)]
    steps = {file: _STEP.search(Path(file).name) for file in likely}
    found = [(int(step[1]), file) for file, step in steps.items() if step]
    found = found or [(0, file) for file in likely if file.endswith(_TORCH_SUFFIXES)]
    if not found:
        raise CheckpointError(
            f"{name} holds no TRM: neither {WEIGHTS_FILE} with {CONFIG_FILE} nor a file step_N of "
            "the published trainer. Name another repository."
        )
    beside = (YAML_FILE, "identifiers.json")
    return [max(found)[1], *(file for file in files if Path(file).name in beside)]
