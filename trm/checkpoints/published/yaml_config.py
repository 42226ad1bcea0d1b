"""``all_config.yaml`` of the published trainer: read into our settings, and written from them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import PositiveInt, TypeAdapter, ValidationError

from trm.config import GROUPS, RunConfig
from trm.errors import CheckpointError
from trm.models.layers import swiglu_width
from trm.runs.checkpoint import CheckpointConfig

YAML_FILE = "all_config.yaml"
#: The published code rounds the widths of a SwiGLU up to a multiple of this.
SWIGLU_MULTIPLE = 256
_ARCH = "recursive_reasoning.trm@TinyRecursiveReasoningModel_ACTV1"
#: Published names to our settings: those under ``arch``, and those beside it.
_MODEL = {
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
_RUN = {
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
#: What the published trainer asks for beside, and has no counterpart here.
_FIXED: dict[str, Any] = {
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
#: Settings that its network does not have, and what amounts to it.
_NOT_PUBLISHED = {"swiglu": "silu", "state_init": "fixed", "damping": 1.0}
_LOSSES = {"stablemax_cross_entropy": "stablemax", "softmax_cross_entropy": "softmax"}
#: What an ``arch`` may say beside; nothing else has a meaning in the published code.
_OTHER_ARCH = {"name", "loss", "H_layers", "no_ACT_continue"}
#: Published configs leave these out where they are the defaults.
_UNSAID = {"rms_norm_eps": 1e-5, "rope_theta": 10000.0}
_MOST_BYTES = 100_000
_TOO_LARGE = 2**53


@dataclass(frozen=True)
class PublishedConfig:
    """What an ``all_config.yaml`` says.

    Attributes:
        model: settings of the model, by our names; what is not there was not said.
        run: the other groups of settings.
        hints: what may tell the task: data folders, then the names of project and run.
        seq_len: length of the puzzles, which only :func:`write_yaml` notes.
        notes: what was left out.
    """

    model: Mapping[str, Any] = field(default_factory=dict)
    run: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    hints: tuple[str, ...] = ()
    seq_len: int | None = None
    notes: tuple[str, ...] = ()


class _Loader(yaml.SafeLoader):
    """Without merge keys, which can double a short text as often as they stand in it."""

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """Leave ``<<`` where it is: as a key it is refused."""


def read_yaml(file: Path) -> PublishedConfig:
    """Read an ``all_config.yaml``.

    Raises:
        CheckpointError: if it is damaged, or of another architecture.
    """
    config = _parsed(file)
    arch = _mapping(file, "arch", config.get("arch"))
    loss = _mapping(file, "arch.loss", arch.get("loss"))
    _check_arch(file, arch)
    model = {
        ours: _value(file, f"arch.{theirs}", f"model.{ours}", arch[theirs])
        for theirs, ours in _MODEL.items()
        if theirs in arch
    }
    run: dict[str, dict[str, Any]] = {}
    for theirs, name in _RUN.items():
        if theirs in config:
            group, ours = name.split(".")
            run.setdefault(group, {})[ours] = _value(file, theirs, name, config[theirs])
    if "loss_type" in loss:
        run.setdefault("train", {})["loss"] = _loss(file, loss["loss_type"])
    names = (config.get("project_name"), config.get("run_name"))
    # Where the data was tells the task; it is another place here.
    paths = run.pop("data", {}).get("paths") or ()
    return PublishedConfig(
        model=model,
        run=run,
        hints=tuple(hint for hint in (*paths, *names) if isinstance(hint, str)),
        seq_len=_checked(file, "seq_len", PositiveInt | None, config.get("seq_len")),
        notes=_left_out(arch),
    )


def _parsed(file: Path) -> dict[str, Any]:
    try:
        if file.stat().st_size > _MOST_BYTES:
            raise ValueError(f"it has more than {_MOST_BYTES:,} bytes")
        config = yaml.load(file.read_text(encoding="utf-8"), Loader=_Loader)
    except OSError as error:
        raise CheckpointError(f"cannot read {file}: {error.strerror}. Try again.") from error
    except Exception as error:  # yaml raises all kinds of them where a tag and its value differ
        nested = isinstance(error, RecursionError)
        reason = "it is nested too deeply" if nested else " ".join(str(error).split())[:200]
        raise CheckpointError(
            f"{file} is damaged: {reason or type(error).__name__}. Get it again, or do without it."
        ) from error
    return _mapping(file, "it", config)


def _mapping(file: Path, what: str, value: object) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise CheckpointError(
            f"{file}: {what} is no mapping of names to values. Get it again, or do without it."
        )
    return value


def _check_arch(file: Path, arch: Mapping[str, Any]) -> None:
    name, layers = arch.get("name", _ARCH), arch.get("H_layers", 0)
    if name != _ARCH:
        raise CheckpointError(
            f"{file}: arch.name is {shown(name)}, another network than {_ARCH}, the one that trm "
            "has. Name a checkpoint of that."
        )
    if layers != 0:
        raise CheckpointError(
            f"{file}: arch.H_layers is {shown(layers)}, and a TRM has 0: there is one network "
            "for both answer and latent. Name a checkpoint of a TRM."
        )


def _value(file: Path, theirs: str, ours: str, value: object) -> Any:
    """A value of a setting, of the type and in the range that the setting has."""
    group, name = ours.split(".")
    info = GROUPS[group].model_fields[name]
    kind: Any = Annotated[info.annotation, *info.metadata] if info.metadata else info.annotation
    return _checked(file, theirs, kind, value)


def _checked(file: Path, name: str, kind: Any, value: object) -> Any:
    try:
        found = TypeAdapter(kind).validate_python(value)
    except ValidationError as error:
        raise CheckpointError(
            f"{file}: {name} = {shown(value)}: {error.errors()[0]['msg']}. Correct it."
        ) from error
    if isinstance(found, int | float) and not abs(found) < _TOO_LARGE:  # not a number is not, too
        raise CheckpointError(f"{file}: {name} = {shown(value)}: no sensible number. Correct it.")
    return found


def _loss(file: Path, name: object) -> str:
    if not isinstance(name, str) or name not in _LOSSES:
        known = " and ".join(_LOSSES)
        raise CheckpointError(
            f"{file}: arch.loss.loss_type is {shown(name)}; trm has {known}. Correct it."
        )
    return _LOSSES[name]


def shown(value: object) -> str:
    """A value of a foreign file, short enough for a line; of large ones only the kind."""
    if isinstance(value, int) and abs(value) >= _TOO_LARGE:
        return "a huge number"
    simple = value is None or isinstance(value, str | int | float)
    text = repr(value) if simple else f"a {type(value).__name__}"
    return text if len(text) <= 100 else f"{text[:100]}..."


def _left_out(arch: Mapping[str, Any]) -> tuple[str, ...]:
    notes = []
    unknown = [name for name in arch if name not in (*_MODEL, *_OTHER_ARCH)]
    if unknown:
        more = f" and {len(unknown) - 1} more" if unknown[1:] else ""
        notes.append(f"arch has {shown(unknown[0])}{more}: left out, the published code has not")
    if arch.get("no_ACT_continue", True) is not True:
        notes.append("no_ACT_continue: false: left out, as it changes training only")
    return tuple(notes)


def write_yaml(config: CheckpointConfig) -> str:
    """The ``all_config.yaml`` of a checkpoint of ours.

    It also notes the puzzles' length where no tensor tells it; the published code asks the data.

    Raises:
        CheckpointError: for a model that the published code cannot express.
    """
    check_expressible(config)
    run, model = config.run, config.run.model
    arch = {theirs: getattr(model, ours) for theirs, ours in _MODEL.items()}
    arch = {name: value for name, value in arch.items() if _UNSAID.get(name) != value}
    arch["puzzle_emb_ndim"] = model.puzzle_emb_width
    if not model.puzzle_emb_width:
        arch["puzzle_emb_len"] = 0  # the published code would leave room for what is not there
    losses = {ours: theirs for theirs, ours in _LOSSES.items()}
    arch |= {
        "name": _ARCH,
        "loss": {"name": "losses@ACTLossHead", "loss_type": losses[run.train.loss]},
        "H_layers": 0,
        "no_ACT_continue": True,
    }
    written = {name: _setting(run, ours) for name, ours in _RUN.items()}
    written |= {"arch": arch, "data_paths": list(run.data_paths), "project_name": run.task}
    if not model.mlp_t and model.pos_encodings != "learned":
        written["seq_len"] = config.data.seq_len
    return yaml.safe_dump({**_FIXED, **written})


def _setting(run: RunConfig, name: str) -> Any:
    group, key = name.split(".")
    return getattr(getattr(run, group), key)


def check_expressible(config: CheckpointConfig) -> None:
    """Refuse a model that the published code cannot express, naming the setting.

    Raises:
        CheckpointError: if it is one.
    """
    model = config.run.model
    if model.forward_dtype == "float64":
        raise CheckpointError(
            "model.forward_dtype is float64, and the published code keeps its weights in float32. "
            "Export a model of another type."
        )
    for name, published in _NOT_PUBLISHED.items():
        if (value := getattr(model, name)) != published:
            raise CheckpointError(
                f"model.{name} is {value}, and the published code has nothing like it. Export a "
                f"model trained with {published}."
            )
    sizes = [model.hidden_size]
    sizes += [model.prefix_len + config.data.seq_len] if model.mlp_t else []
    for size in sizes:
        ours = swiglu_width(size, model.expansion, model.swiglu_multiple)
        theirs = swiglu_width(size, model.expansion, SWIGLU_MULTIPLE)
        if ours != theirs:
            raise CheckpointError(
                f"model.swiglu_multiple is {model.swiglu_multiple}, which makes a SwiGLU {ours} "
                f"wide; the published code rounds to {SWIGLU_MULTIPLE}, and has {theirs}. "
                f"Export a model trained with model.swiglu_multiple={SWIGLU_MULTIPLE}."
            )
