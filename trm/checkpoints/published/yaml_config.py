"""``all_config.yaml`` of the published trainer: read into trm's settings, and written from them."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import PositiveInt, TypeAdapter, ValidationError

from trm.config import DEFAULT_KIND, BlockConfig, groups_of
from trm.errors import CheckpointError
from trm.models import get_model_class, list_model_kinds
from trm.models.layers import swiglu_width
from trm.models.published import PublishedModel
from trm.reading import FileReader
from trm.runs.checkpoint import CheckpointConfig

#: The published code rounds the widths of a SwiGLU up to a multiple of this.
SWIGLU_MULTIPLE = 256
#: Published names at the top level, and trm's settings.
_RUN_SETTINGS = {
    "beta1": "optim.beta1",
    "beta2": "optim.beta2",
    "data_paths": "data.paths",
    "ema": "optim.ema",
    "ema_rate": "optim.ema_rate",
    "epochs": "train.epochs",
    "global_batch_size": "train.batch_size",
    "lr": "optim.lr",
    "lr_min_ratio": "optim.lr_min_ratio",
    "lr_warmup_steps": "optim.lr_warmup_steps",
    "puzzle_emb_lr": "optim.puzzle_emb_lr",
    "puzzle_emb_weight_decay": "optim.puzzle_emb_weight_decay",
    "seed": "train.seed",
    "weight_decay": "optim.weight_decay",
}
#: Settings that the published trainer requires and trm does not have.
_CONSTANT_SETTINGS: dict[str, Any] = {
    "checkpoint_every_eval": True,
    "checkpoint_path": None,
    "data_paths_test": [],
    "eval_interval": None,
    "eval_save_outputs": [],
    "evaluators": [],
    "freeze_weights": False,
    "load_checkpoint": None,
    "min_eval_interval": 0,
    "run_name": None,
}
_LOSSES = {"stablemax_cross_entropy": "stablemax", "softmax_cross_entropy": "softmax"}
#: Published configs omit these settings at their defaults.
_OMITTED_DEFAULTS = {"rms_norm_eps": 1e-5, "rope_theta": 10000.0}
_files = FileReader(CheckpointError, "Get it again, or remove it.")
_MAX_BYTES = 100_000
_MAX_NUMBER = 2**53


@dataclass(frozen=True)
class PublishedConfig:
    """The settings in an ``all_config.yaml``, by trm's names; only those that it states.

    Attributes:
        kind: the kind of the model, None if it is not stated.
        model: settings of the model.
        run: the other groups of settings.
        hints: texts that may name the task: data folders, then the names of project and run.
        seq_len: length of the puzzles; only :func:`write_yaml` writes it.
        notes: a phrase for each thing that was ignored.
    """

    kind: str | None = None
    model: Mapping[str, Any] = field(default_factory=dict)
    run: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    hints: tuple[str, ...] = ()
    seq_len: int | None = None
    notes: tuple[str, ...] = ()


class _Loader(yaml.SafeLoader):
    """YAML without merge keys, each of which could double what is read, and without double keys."""

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """Do not merge. Later, ``<<`` is refused as a key."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Refuse a key that is there twice: YAML takes the last one without a word."""
        mapping: dict[Any, Any] = super().construct_mapping(node, deep=deep)
        if len(mapping) < len(node.value):
            names = Counter(str(key.value) for key, _ in node.value)
            name = short_repr(names.most_common(1)[0][0])
            raise yaml.constructor.ConstructorError(None, None, f"it has {name} twice", None)
        return mapping


def read_yaml(file: Path) -> PublishedConfig:
    """Read an ``all_config.yaml``.

    Raises:
        CheckpointError: if it is damaged, or of another architecture.
    """
    config = _parse(file)
    arch = _mapping(file, "arch", config.get("arch"))
    loss = _mapping(file, "arch.loss", arch.get("loss"))
    kind, published = _kind_of(file, arch.get("name"))
    _check_arch(file, arch, published)
    model = {
        name: _checked_setting(file, f"arch.{theirs}", f"model.{name}", arch[theirs], kind)
        for theirs, name in published.settings.items()
        if theirs in arch
    }
    if published.may_continue and arch.get("no_ACT_continue", True) is not True:
        model["act_continue"] = True
    run: dict[str, dict[str, Any]] = {}
    for theirs, setting in _RUN_SETTINGS.items():
        if theirs in config:
            group, name = setting.split(".")
            value = _checked_setting(file, theirs, setting, config[theirs], kind)
            run.setdefault(group, {})[name] = value
    if "loss_type" in loss:
        loss_type = loss["loss_type"]
        if not isinstance(loss_type, str) or loss_type not in _LOSSES:
            raise CheckpointError(
                f"{file}: arch.loss.loss_type is {short_repr(loss_type)}; trm has "
                f"{' and '.join(_LOSSES)}. Correct it."
            )
        run.setdefault("train", {})["loss"] = _LOSSES[loss_type]
    names = (config.get("project_name"), config.get("run_name"))
    # The path may name the task, but the data are elsewhere on this machine.
    paths = run.pop("data", {}).get("paths") or ()
    return PublishedConfig(
        kind=kind if "name" in arch else None,
        model=model,
        run=run,
        hints=tuple(hint for hint in (*paths, *names) if isinstance(hint, str)),
        seq_len=_checked(file, "seq_len", PositiveInt | None, config.get("seq_len")),
        notes=_ignored(arch, published),
    )


def _parse(file: Path) -> dict[str, Any]:
    text = _files.text(file, _MAX_BYTES)
    try:
        config = yaml.load(text, Loader=_Loader)
    except Exception as error:  # yaml may raise anything if a tag and its value differ
        nested = isinstance(error, RecursionError)
        reason = "it is nested too deeply" if nested else " ".join(str(error).split())[:200]
        raise _files.damaged(file, reason or type(error).__name__) from error
    return _mapping(file, "it", config)


def _mapping(file: Path, name: str, value: object) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise CheckpointError(
            f"{file}: {name} is not a mapping of names to values. Get it again, or remove it."
        )
    return value


def _kind_of(file: Path, network: object) -> tuple[str, PublishedModel]:
    """The kind of model that is published under this name; a TRM without a name."""
    kinds = {
        name: installed.model.published
        for name, installed in list_model_kinds().items()
        if installed.model.published is not None
    }
    if network is None:
        return DEFAULT_KIND, kinds[DEFAULT_KIND]
    for name, published in kinds.items():
        if published.network == network:
            return name, published
    known = ", ".join(published.network.rpartition(".")[2] for published in kinds.values())
    raise CheckpointError(
        f"{file}: arch.name is {short_repr(network)}, a network that trm does not have. It has "
        f"{known}. Name a checkpoint of one of them."
    )


def _check_arch(file: Path, arch: Mapping[str, Any], published: PublishedModel) -> None:
    for name, value in published.fixed.items():
        if arch.get(name, value) != value:
            raise CheckpointError(
                f"{file}: arch.{name} is {short_repr(arch[name])}, and {published.network} has "
                f"{value}. Name a checkpoint of such a model."
            )


def _checked_setting(file: Path, published: str, setting: str, value: object, kind: str) -> Any:
    """The value of a setting, with the setting's type and in its range."""
    group, name = setting.split(".")
    info = groups_of(kind)[group].model_fields[name]
    allowed: Any = Annotated[info.annotation, *info.metadata] if info.metadata else info.annotation
    return _checked(file, published, allowed, value)


def _checked(file: Path, name: str, kind: Any, value: object) -> Any:
    try:
        checked = TypeAdapter(kind).validate_python(value)
    except ValidationError as error:
        raise CheckpointError(
            f"{file}: {name} = {short_repr(value)}: {error.errors()[0]['msg']}. Correct it."
        ) from error
    if isinstance(checked, int | float) and not abs(checked) < _MAX_NUMBER:  # also refuses NaN
        raise CheckpointError(
            f"{file}: {name} = {short_repr(value)}: not a number that makes sense. Correct it."
        )
    return checked


def short_repr(value: object) -> str:
    """A value from a foreign file, short enough for a message; only the type of a large one."""
    if isinstance(value, int) and abs(value) >= _MAX_NUMBER:
        return "a huge number"
    simple = value is None or isinstance(value, str | int | float)
    text = repr(value) if simple else f"a {type(value).__name__}"
    return text if len(text) <= 100 else f"{text[:100]}..."


def _ignored(arch: Mapping[str, Any], published: PublishedModel) -> tuple[str, ...]:
    notes = []
    known = {"name", "loss", *published.settings, *published.fixed, *published.without_effect}
    known |= {"no_ACT_continue"} if published.may_continue else set()
    unknown = [name for name in arch if name not in known]
    if unknown:
        more = f" and {len(unknown) - 1} more" if unknown[1:] else ""
        notes.append(
            f"arch has {short_repr(unknown[0])}{more}: ignored, as the published code does"
        )
    return tuple(notes)


def write_yaml(config: CheckpointConfig) -> str:
    """The ``all_config.yaml`` of a checkpoint of trm.

    It also states the puzzles' length if no tensor shows it; the published code reads the data.

    Raises:
        CheckpointError: for a model that the published code cannot express.
    """
    run, model = config.run, config.run.model
    published = get_model_class(model.kind).published
    if published is None or not isinstance(model, BlockConfig):
        raise CheckpointError(
            f"the published code has no model of kind {model.kind}. Export a model of another kind."
        )
    _check_expressible(config, model, published)
    arch = {theirs: getattr(model, name) for theirs, name in published.settings.items()}
    arch = {name: value for name, value in arch.items() if _OMITTED_DEFAULTS.get(name) != value}
    arch["puzzle_emb_ndim"] = model.puzzle_emb_width
    if "puzzle_emb_len" in arch and not model.puzzle_emb_width:
        arch["puzzle_emb_len"] = 0  # or the published code would add these tokens all the same
    losses = {name: theirs for theirs, name in _LOSSES.items()}
    arch |= {
        "name": published.network,
        "loss": {"name": "losses@ACTLossHead", "loss_type": losses[run.train.loss]},
        **published.fixed,
        **{name: value for name, value in published.without_effect.items() if value is not None},
    }
    if published.may_continue:
        arch["no_ACT_continue"] = not model.continues
    written: dict[str, Any] = {}
    for theirs, setting in _RUN_SETTINGS.items():
        group, name = setting.split(".")
        written[theirs] = getattr(getattr(run, group), name)
    written |= {"arch": arch, "data_paths": list(run.data_paths), "project_name": run.task}
    if not model.has_mlp_mixer and model.pos_encodings != "learned":
        written["seq_len"] = config.data.seq_len
    return yaml.safe_dump({**_CONSTANT_SETTINGS, **written})


def _check_expressible(
    config: CheckpointConfig, model: BlockConfig, published: PublishedModel
) -> None:
    """Refuse a model that the published code cannot express.

    Raises:
        CheckpointError: naming the setting.
    """
    if model.forward_dtype == "float64":
        raise CheckpointError(
            "model.forward_dtype is float64, and the published code keeps its weights in float32. "
            "Export a model of another type."
        )
    for name, implied in published.implied.items():
        if (value := getattr(model, name)) != implied:
            raise CheckpointError(
                f"model.{name} is {value}, and the published code has no such setting. Export "
                f"a model trained with {implied}."
            )
    if model.needs_board:
        raise CheckpointError(
            f"model.pos_encodings is {model.pos_encodings}, which the published code does not "
            "have. Export a model trained with learned, rope or none."
        )
    sizes = [model.hidden_size]
    sizes += [model.prefix_len + config.data.seq_len] if model.has_mlp_mixer else []
    for size in sizes:
        width = swiglu_width(size, model.expansion, model.swiglu_multiple)
        published_width = swiglu_width(size, model.expansion, SWIGLU_MULTIPLE)
        if width != published_width:
            raise CheckpointError(
                f"model.swiglu_multiple is {model.swiglu_multiple}, which makes a SwiGLU {width} "
                f"wide; the published code rounds to {SWIGLU_MULTIPLE}, and has {published_width}. "
                f"Export a model trained with model.swiglu_multiple={SWIGLU_MULTIPLE}."
            )
