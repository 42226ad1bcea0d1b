"""The settings of a published checkpoint: from its configuration, its tensors and its task."""

from pathlib import Path
from typing import Any

from pydantic import ValidationError

from trm.checkpoints.published.file_names import YAML_FILE
from trm.checkpoints.published.match_task import TaskMatch, match_task, model_kind
from trm.checkpoints.published.torch_file import PublishedTensors
from trm.checkpoints.published.yaml_config import SWIGLU_MULTIPLE, PublishedConfig
from trm.config import (
    GROUPS,
    BlockConfig,
    RunConfig,
    first_problem,
    groups_of,
    has_task_defaults,
)
from trm.data import DatasetMeta
from trm.errors import CheckpointError
from trm.models.layers import swiglu_width
from trm.tasks.base import Task

#: The number of layers of each network.
_LAYER_SETTINGS = {"layers": "l_layers", "answer_layers": "h_layers"}


def infer_settings(
    tensors: PublishedTensors, config: PublishedConfig, file: Path, task: str | None = None
) -> tuple[RunConfig, DatasetMeta, tuple[str, ...]]:
    """The settings and the puzzles of a published model.

    What ``all_config.yaml`` states wins over what the tensors show, and that over the task's
    defaults.

    Args:
        tensors: what the tensors show.
        config: what ``all_config.yaml`` states.
        file: the torch file, for messages.
        task: the task's name, if the user gave it.

    Returns:
        The settings, the description of the puzzles, and a phrase for each thing inferred.

    Raises:
        CheckpointError: if no task or several tasks have such puzzles, or a setting is invalid.
        PluginError: if there is no task with this name.
    """
    kind = model_kind(tensors, config)
    if tensors.kind not in (None, kind):
        raise CheckpointError(
            f"{file} has the tensors of a model of kind {tensors.kind}, and {YAML_FILE} says that "
            f"it is of kind {kind}. Correct arch.name, or get both files again."
        )
    match = match_task(tensors, config, file, task)
    inferred, notes = _model_settings(tensors, config, match, kind)
    fields = groups_of(kind)["model"].model_fields
    defaults = dict(match.task.defaults)
    if not has_task_defaults(kind):
        defaults.pop("model", None)
    groups = {group: {**defaults.get(group, {}), **config.run.get(group, {})} for group in GROUPS}
    model = groups["model"]
    model |= {**inferred, **config.model, "swiglu_multiple": SWIGLU_MULTIPLE, "kind": kind}
    if model["puzzle_emb_dim"] == model["hidden_size"]:
        model["puzzle_emb_dim"] = None
    try:
        run = RunConfig.model_validate({"task": match.task.name, **groups})
    except ValidationError as error:
        raise CheckpointError(
            f"{file}: {first_problem(error)}. Write the settings that it was trained with into an "
            f"{YAML_FILE} in its folder."
        ) from error
    if not tensors.mlp_t and "num_heads" not in config.model:
        notes.append(f"heads: {run.model.model_dump()['num_heads']}, task default")
    recursion = ("h_cycles", "l_cycles", "halt_max_steps")
    defaulted = [name for name in recursion if name in fields and name not in config.model]
    if defaulted:
        values = ", ".join(f"{name}: {getattr(run.model, name)}" for name in defaulted)
        notes.append(f"{values}, task default")
    if not config.run:
        notes.append("training settings: task default")
    data = match.data.model_copy(update={"num_puzzle_identifiers": tensors.puzzle_rows})
    return run, data, (*match.notes, *notes, *config.notes)


def _model_settings(
    tensors: PublishedTensors, config: PublishedConfig, match: TaskMatch, kind: str
) -> tuple[dict[str, Any], list[str]]:
    """The model settings that the tensors show, and a note for each that the config omits."""
    mixer = "an MLP" if tensors.mlp_t else "attention"
    numbers = " and ".join(map(str, tensors.num_layers.values()))
    sizes = f"{kind}: {numbers} layers of width {tensors.hidden_size} with {mixer}, "
    sizes += "from the tensors"
    if tensors.learned_positions:
        positions, positions_note = "learned", "learned positions, from the tensors"
    else:
        positions = "none" if tensors.mlp_t else "rope"
        positions_note = f"pos_encodings: {positions}, the usual with {mixer}"
    expansion = _expansion(tensors, match.task)
    fields = groups_of(kind)["model"].model_fields
    inferred: dict[str, tuple[Any, str]] = {
        "hidden_size": (tensors.hidden_size, sizes),
        **{
            _LAYER_SETTINGS[network]: (count, sizes)
            for network, count in tensors.num_layers.items()
        },
        "mlp_t": (tensors.mlp_t, sizes),
        "pos_encodings": (positions, positions_note),
        "expansion": (expansion, f"expansion: {expansion:g}, from the widths of the SwiGLUs"),
        "puzzle_emb_dim": (
            tensors.puzzle_width,
            f"puzzle embedding of width {tensors.puzzle_width}, from the tensors",
        ),
        "forward_dtype": (
            tensors.forward_dtype,
            f"forward_dtype: {tensors.forward_dtype}, as the initial answer is stored",
        ),
    }
    inferred = {name: found for name, found in inferred.items() if name in fields}
    values = {name: value for name, (value, _) in inferred.items()}
    if match.prefix_len and "puzzle_emb_len" in fields:
        values["puzzle_emb_len"] = match.prefix_len
    notes = [note for name, (_, note) in inferred.items() if name not in config.model]
    return values, list(dict.fromkeys(notes))


def _expansion(tensors: PublishedTensors, task: Task) -> float:
    """An expansion that gives the SwiGLUs their widths; because of rounding several may do so."""
    field = BlockConfig.model_fields["expansion"]
    default = float(task.defaults.get("model", {}).get("expansion", field.default))
    exact = [1.5 * inner / width for width, inner in tensors.swiglu_widths.items()]
    halves = [half / 2 for half in range(1, 33)]
    for expansion in (default, *halves[1::2], *halves[::2], *exact):
        widths = [swiglu_width(w, expansion, SWIGLU_MULTIPLE) for w in tensors.swiglu_widths]
        if widths == list(tensors.swiglu_widths.values()):
            return expansion
    return default  # the check of the shapes names the tensor that no expansion explains
