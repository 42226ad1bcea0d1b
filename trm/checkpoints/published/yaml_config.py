"""``all_config.yaml`` of the published trainer: read into trm's settings, and written from them."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import PositiveInt, TypeAdapter, ValidationError

from trm.config import GROUPS
from trm.errors import CheckpointError
from trm.models.layers import swiglu_width
from trm.reading import FileReader
from trm.runs.checkpoint import CheckpointConfig

#: The published code rounds the widths of a SwiGLU up to a multiple of this.
SWIGLU_MULTIPLE = 256
_NETWORK = "recursive_reasoning.trm@TinyRecursiveReasoningModel_ACTV1"
#: Published names under ``arch``, and trm's model settings.
_MODEL_SETTINGS = {
    "H_cycles": "h_cycles",
    "L_cycles": "l_cycles",
    "L_layers": "l_layers",
    "expansion": "expansion",
    "forward_dtype": "forward_dtype",
    "halt_exploration_prob": "halt_exploration_prob",
    "halt_max_steps": "halt_max_steps",
    "hidden_size": "hidden_size",
    "mlp_t": "mlp_t",
    "num_heads": "num_heads",
    "pos_encodings": "pos_encodings",
    "puzzle_emb_len": "puzzle_emb_len",
    "puzzle_emb_ndim": "puzzle_emb_dim",
    "rms_norm_eps": "rms_norm_eps",
    "rope_theta": "rope_theta",
}
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
#: Model settings that the published code does not have, and the value that it implies.
_IMPLIED_SETTINGS = {
    "swiglu": "silu",
    "state_init": "fixed",
    "damping": 1.0,
    "separate_networks": False,
    "gradient": "last_cycle",
}
_LOSSES = {"stablemax_cross_entropy": "stablemax", "softmax_cross_entropy": "softmax"}
#: The other names under ``arch`` that the published code knows.
_OTHER_ARCH_NAMES = {"name", "loss", "H_layers", "no_ACT_continue"}
#: Published configs omit these settings at their defaults.
_OMITTED_DEFAULTS = {"rms_norm_eps": 1e-5, "rope_theta": 10000.0}
_files = FileReader(CheckpointError, "Get it again, or remove it.")
_MAX_BYTES = 100_000
_MAX_NUMBER = 2**53


@dataclass(frozen=True)
class PublishedConfig:
    """The settings in an ``all_config.yaml``, by trm's names; only those that it states.

    Attributes:
        model: settings of the model.
        run: the other groups of settings.
        hints: texts that may name the task: data folders, then the names of project and run.
        seq_len: length of the puzzles; only :func:`write_yaml` writes it.
        notes: a phrase for each thing that was ignored.
    """

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
    _check_arch(file, arch)
    model = {
        name: _checked_setting(file, f"arch.{published}", f"model.{name}", arch[published])
        for published, name in _MODEL_SETTINGS.items()
        if published in arch
    }
    if arch.get("no_ACT_continue", True) is not True:
        model["act_continue"] = True
    run: dict[str, dict[str, Any]] = {}
    for published, setting in _RUN_SETTINGS.items():
        if published in config:
            group, name = setting.split(".")
            value = _checked_setting(file, published, setting, config[published])
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
        model=model,
        run=run,
        hints=tuple(hint for hint in (*paths, *names) if isinstance(hint, str)),
        seq_len=_checked(file, "seq_len", PositiveInt | None, config.get("seq_len")),
        notes=_ignored(arch),
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


def _check_arch(file: Path, arch: Mapping[str, Any]) -> None:
    name, layers = arch.get("name", _NETWORK), arch.get("H_layers", 0)
    if name != _NETWORK:
        raise CheckpointError(
            f"{file}: arch.name is {short_repr(name)}, another network than {_NETWORK}, the only "
            "one that trm has. Name a checkpoint of a TRM."
        )
    if layers != 0:
        raise CheckpointError(
            f"{file}: arch.H_layers is {short_repr(layers)}, and a TRM has 0: one network "
            "updates both answer and latent. Name a checkpoint of a TRM."
        )


def _checked_setting(file: Path, published: str, setting: str, value: object) -> Any:
    """The value of a setting, with the setting's type and in its range."""
    group, name = setting.split(".")
    info = GROUPS[group].model_fields[name]
    kind: Any = Annotated[info.annotation, *info.metadata] if info.metadata else info.annotation
    return _checked(file, published, kind, value)


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


def _ignored(arch: Mapping[str, Any]) -> tuple[str, ...]:
    notes = []
    unknown = [name for name in arch if name not in (*_MODEL_SETTINGS, *_OTHER_ARCH_NAMES)]
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
    _check_expressible(config)
    run, model = config.run, config.run.model
    arch = {published: getattr(model, name) for published, name in _MODEL_SETTINGS.items()}
    arch = {name: value for name, value in arch.items() if _OMITTED_DEFAULTS.get(name) != value}
    arch["puzzle_emb_ndim"] = model.puzzle_emb_width
    if not model.puzzle_emb_width:
        arch["puzzle_emb_len"] = 0  # or the published code would add these tokens all the same
    losses = {name: published for published, name in _LOSSES.items()}
    arch |= {
        "name": _NETWORK,
        "loss": {"name": "losses@ACTLossHead", "loss_type": losses[run.train.loss]},
        "H_layers": 0,
        "no_ACT_continue": not model.act_continue,
    }
    written: dict[str, Any] = {}
    for published, setting in _RUN_SETTINGS.items():
        group, name = setting.split(".")
        written[published] = getattr(getattr(run, group), name)
    written |= {"arch": arch, "data_paths": list(run.data_paths), "project_name": run.task}
    if not model.mlp_t and model.pos_encodings != "learned":
        written["seq_len"] = config.data.seq_len
    return yaml.safe_dump({**_CONSTANT_SETTINGS, **written})


def _check_expressible(config: CheckpointConfig) -> None:
    """Refuse a model that the published code cannot express.

    Raises:
        CheckpointError: naming the setting.
    """
    model = config.run.model
    if model.forward_dtype == "float64":
        raise CheckpointError(
            "model.forward_dtype is float64, and the published code keeps its weights in float32. "
            "Export a model of another type."
        )
    for name, implied in _IMPLIED_SETTINGS.items():
        if (value := getattr(model, name)) != implied:
            raise CheckpointError(
                f"model.{name} is {value}, and the published code has no such setting. Export "
                f"a model trained with {implied}."
            )
    if model.pos_encodings == "grid":
        raise CheckpointError(
            "model.pos_encodings is grid, which the published code does not have. Export a model "
            "trained with learned, rope or none."
        )
    sizes = [model.hidden_size]
    sizes += [model.prefix_len + config.data.seq_len] if model.mlp_t else []
    for size in sizes:
        width = swiglu_width(size, model.expansion, model.swiglu_multiple)
        published_width = swiglu_width(size, model.expansion, SWIGLU_MULTIPLE)
        if width != published_width:
            raise CheckpointError(
                f"model.swiglu_multiple is {model.swiglu_multiple}, which makes a SwiGLU {width} "
                f"wide; the published code rounds to {SWIGLU_MULTIPLE}, and has {published_width}. "
                f"Export a model trained with model.swiglu_multiple={SWIGLU_MULTIPLE}."
            )
