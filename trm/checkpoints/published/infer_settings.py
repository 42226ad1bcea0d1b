"""The settings of a published checkpoint: the task's, what its files say, what tensors tell."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from torch import Tensor

from trm.checkpoints.published.match_task import TaskMatch, chosen_fit
from trm.checkpoints.published.tensor_names import published_name
from trm.checkpoints.published.torch_file import PublishedTensors, lacks
from trm.checkpoints.published.yaml_config import SWIGLU_MULTIPLE, YAML_FILE, PublishedConfig
from trm.config import GROUPS, ModelConfig, RunConfig, first_problem
from trm.data import DatasetMeta
from trm.errors import CheckpointError
from trm.models import TinyRecursiveModel
from trm.models.layers import swiglu_width
from trm.runs.checkpoint import puzzle_spec
from trm.tasks.base import Task


def describe(
    facts: PublishedTensors, said: PublishedConfig, file: Path, task: str | None = None
) -> tuple[RunConfig, DatasetMeta, tuple[str, ...]]:
    """The settings and the puzzles of a published model, and what was inferred of them.

    Args:
        facts: what its tensors tell.
        said: what its configuration says.
        file: where the tensors are, for messages.
        task: the task's name, where a user gave it.

    Raises:
        CheckpointError: if no task has such puzzles, or several have, or a setting does not fit.
        PluginError: if there is no task of this name.
    """
    fit = chosen_fit(facts, said, file, task)
    inferred, notes = _inferred(facts, said, fit)
    defaults = fit.task.defaults
    groups = {group: {**defaults.get(group, {}), **said.run.get(group, {})} for group in GROUPS}
    model = groups["model"]
    model |= {**inferred, **said.model, "swiglu_multiple": SWIGLU_MULTIPLE}
    if model["puzzle_emb_dim"] == model["hidden_size"]:
        model["puzzle_emb_dim"] = None
    try:
        run = RunConfig.model_validate({"task": fit.task.name, **groups})
    except ValidationError as error:
        raise CheckpointError(
            f"{file}: {first_problem(error)}. Write what it was trained with into an {YAML_FILE} "
            "beside it."
        ) from error
    notes += _defaults(facts, said, run)
    data = fit.data.model_copy(update={"num_puzzle_identifiers": facts.puzzle_rows})
    return run, data, (*fit.notes, *notes, *said.notes)


def check_shapes(
    weights: Mapping[str, Tensor], run: RunConfig, data: DatasetMeta, file: Path
) -> None:
    """Refuse tensors that are not those of the model that the settings make, naming the first.

    Raises:
        CheckpointError: for one that is missing, of another shape, or has no place.
    """
    last = f"core.layers.{run.model.l_layers - 1}.mlp.down.weight"
    if last not in weights:  # known before so many layers are made
        raise lacks(file, last)
    try:
        expected = model_shapes(run, data)
    except (RuntimeError, OverflowError, TypeError) as error:  # of sizes beyond 64 bits
        raise CheckpointError(
            f"{file}: its {YAML_FILE} makes a model too large to describe. Correct it."
        ) from error
    for name, shape in expected.items():
        if name not in weights:
            raise lacks(file, name)
        found = tuple(weights[name].shape)
        if found != shape:
            raise CheckpointError(
                f"{file}: the tensor {published_name(name)} is {found}, but the settings and the "
                f"other tensors make it {shape}. Correct {YAML_FILE}, or get both again."
            )
    extra = next((name for name in weights if name not in expected), None)
    if extra:
        raise CheckpointError(
            f"{file} has the tensor {published_name(extra)}, for which the settings have no "
            f"place. Correct {YAML_FILE}, or get both again."
        )


def model_shapes(run: RunConfig, data: DatasetMeta) -> dict[str, tuple[int, ...]]:
    """The tensors of a model of ours by name, without making them."""
    with torch.device("meta"):
        model = TinyRecursiveModel(run.model, puzzle_spec(data))
    return {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}


def _inferred(
    facts: PublishedTensors, said: PublishedConfig, fit: TaskMatch
) -> tuple[dict[str, Any], list[str]]:
    """Settings of the model that the tensors tell, and phrases for those that nobody said."""
    mixer = "an MLP" if facts.mlp_t else "attention"
    positions = "learned" if facts.learned else "none" if facts.mlp_t else "rope"
    expansion = _expansion(facts, fit.task)
    sizes = f"{facts.num_layers} layers of width {facts.hidden_size} with {mixer}, from the tensors"
    told: dict[str, tuple[Any, str]] = {
        "hidden_size": (facts.hidden_size, sizes),
        "l_layers": (facts.num_layers, sizes),
        "mlp_t": (facts.mlp_t, sizes),
        "pos_encodings": (positions, f"pos_encodings: {positions}, the usual with {mixer}"),
        "expansion": (expansion, f"expansion: {expansion:g}, from the widths of the SwiGLUs"),
        "puzzle_emb_dim": (
            facts.puzzle_width,
            f"puzzle embedding of width {facts.puzzle_width}, from the tensors",
        ),
        "forward_dtype": (
            facts.forward_dtype,
            f"forward_dtype: {facts.forward_dtype}, as the initial answer is stored",
        ),
    }
    if facts.learned:
        told["pos_encodings"] = (positions, "learned positions, from the tensors")
    values = {name: value for name, (value, _) in told.items()}
    if fit.prefix:
        values["puzzle_emb_len"] = fit.prefix
    unsaid = [note for name, (_, note) in told.items() if name not in said.model]
    return values, list(dict.fromkeys(unsaid))


def _defaults(facts: PublishedTensors, said: PublishedConfig, run: RunConfig) -> list[str]:
    """Phrases for what no tensor tells and nobody said."""
    notes = []
    if not facts.mlp_t and "num_heads" not in said.model:
        notes.append(f"heads: {run.model.num_heads}, task default")
    recursion = ("h_cycles", "l_cycles", "halt_max_steps")
    unsaid = [name for name in recursion if name not in said.model]
    if unsaid:
        values = ", ".join(f"{name}: {getattr(run.model, name)}" for name in unsaid)
        notes.append(f"{values}, task default")
    if not said.run:
        notes.append("training settings: task default")
    return notes


def _expansion(facts: PublishedTensors, task: Task) -> float:
    """An expansion that gives the SwiGLUs their widths; rounding leaves a choice."""
    field = ModelConfig.model_fields["expansion"]
    usual = float(task.defaults.get("model", {}).get("expansion", field.default))
    exact = [1.5 * inner / width for width, inner in facts.inner.items()]
    halves = [half / 2 for half in range(1, 33)]
    for expansion in (usual, *halves[1::2], *halves[::2], *exact):
        made = (swiglu_width(width, expansion, SWIGLU_MULTIPLE) for width in facts.inner)
        if list(made) == list(facts.inner.values()):
            return expansion
    return usual  # the tensor whose shape cannot be will be named
