"""Later sources of settings win, and an error names the source of the bad value."""

import itertools
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from trm import recipes
from trm.config import GROUPS, RunConfig, TrainConfig, TRMConfig, setting_names
from trm.errors import ConfigError
from trm.settings import ResolvedSettings, load


@pytest.fixture
def config_file(tmp_path: Path) -> Callable[[str | bytes], Path]:
    """Write a configuration file with this text."""

    def write(text: str | bytes) -> Path:
        path = tmp_path / "run.toml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


SOURCES = ["task sudoku", "preset tiny", "file", "environment", "--batch-size", "--set"]


def load_from(chosen: tuple[str, ...], folder: Path, values: dict[str, int]) -> ResolvedSettings:
    """Resolve with train.batch_size set by each of the chosen sources."""
    file = folder / "run.toml"
    file.write_text(f"[train]\nbatch_size = {values['file']}\n")
    environment = {"TRM_TRAIN__BATCH_SIZE": str(values["environment"])}
    nested = {name: {"train": {"batch_size": value}} for name, value in values.items()}
    with mock.patch.dict(os.environ, environment if "environment" in chosen else {}):
        return load(
            "sudoku",
            defaults=nested["task sudoku"] if "task sudoku" in chosen else None,
            preset=nested["preset tiny"] if "preset tiny" in chosen else None,
            preset_name="tiny",
            config_file=file if "file" in chosen else None,
            flags={"train.batch_size": (values["--batch-size"], "--batch-size")}
            if "--batch-size" in chosen
            else None,
            assignments=[f"train.batch_size={values['--set']}"] if "--set" in chosen else [],
        )


def test_the_later_source_wins_in_every_combination(tmp_path: Path) -> None:
    values = {source: number for number, source in enumerate(SOURCES, 1)}
    for count in range(len(SOURCES) + 1):
        for chosen in itertools.combinations(SOURCES, count):
            resolved = load_from(chosen, tmp_path, values)
            expected = values[chosen[-1]] if chosen else TrainConfig().batch_size
            assert resolved.config.train.batch_size == expected, chosen
            source = {name: source for name, _, source in resolved.rows()}["train.batch_size"]
            assert source.startswith(chosen[-1] if chosen else "default"), chosen


def test_the_environment_overrides_task_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRM_OPTIM__LR", "0.5")
    resolved = load("sudoku", defaults={"optim": {"lr": 0.25, "beta1": 0.5}})
    assert (resolved.config.optim.lr, resolved.config.optim.beta1) == (0.5, 0.5)
    assert resolved.sources == {
        "optim.lr": "environment TRM_OPTIM__LR",
        "optim.beta1": "task sudoku",
    }


def test_a_later_source_keeps_the_other_settings_of_a_group() -> None:
    resolved = load(
        "maze",
        defaults={"model": {"h_cycles": 1, "l_cycles": 2}},
        preset={"model": {"l_cycles": 4}},
        assignments=["model.halt_max_steps=5"],
    )
    model = resolved.config.model
    assert (model.h_cycles, model.l_cycles, model.halt_max_steps) == (1, 4, 5)
    assert model.hidden_size == TRMConfig().hidden_size
    assert resolved.config.task == "maze"


def test_the_last_of_two_assignments_wins() -> None:
    resolved = load("maze", assignments=["train.seed=1", "train.seed=2"])
    assert resolved.config.train.seed == 2


def test_without_sources_every_row_is_a_default() -> None:
    resolved = load("maze")
    assert resolved.config == RunConfig(task="maze")
    rows = list(resolved.rows())
    assert [name for name, _, _ in rows] == setting_names()
    assert {source for _, _, source in rows} == {"default"}
    assert ("model.hidden_size", 512, "default") in rows


UNKNOWN = r": unknown setting 'train\.batchsize'\. Did you mean 'train\.batch_size'\? Known: "


def test_task_defaults_and_presets_reject_unknown_names() -> None:
    wrong = {"train": {"batchsize": 2}}
    with pytest.raises(ConfigError, match=f"^task maze{UNKNOWN}"):
        load("maze", defaults=wrong)
    with pytest.raises(ConfigError, match=f"^preset tiny{UNKNOWN}"):
        load("maze", preset=wrong, preset_name="tiny")


def test_a_file_rejects_unknown_names(config_file: Callable[[str], Path]) -> None:
    path = config_file("[train]\nbatchsize = 2\n")
    with pytest.raises(ConfigError, match=f"^file {re.escape(str(path))}{UNKNOWN}"):
        load("maze", config_file=path)


def test_flags_and_assignments_reject_unknown_names() -> None:
    with pytest.raises(ConfigError, match=f"^--batchsize{UNKNOWN}"):
        load("maze", flags={"train.batchsize": (2, "--batchsize")})
    with pytest.raises(ConfigError, match=f"^--set train.batchsize{UNKNOWN}"):
        load("maze", assignments=["train.batchsize=2"])


@pytest.mark.parametrize("variable", ["TRM_TRAIN__BATCHSIZE", "trm_train__batchsize"])
def test_an_unknown_variable_is_an_error(monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    monkeypatch.setenv(variable, "2")
    with pytest.raises(ConfigError, match=rf"^unknown environment variable {variable}\. .*Unset"):
        load("maze")


def test_an_unknown_variable_gets_a_suggestion(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRM_TRAIN__BATCH_SIZ", "2")
    with pytest.raises(ConfigError, match=r"Did you mean 'TRM_TRAIN__BATCH_SIZE'\? Unset it; "):
        load("maze")


@pytest.mark.parametrize("variable", ["TRM_MODEL", "TRM_", "TRM_BATCH_SIZE"])
def test_a_variable_names_exactly_one_setting(
    monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, '{"hidden_size": 64}')
    with pytest.raises(ConfigError, match=f"^unknown environment variable {variable}\\."):
        load("maze")


def test_other_variables_are_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRMNL_HIDDEN_SIZE", "64")
    assert load("maze").sources == {}


def test_an_unknown_group_lists_the_groups() -> None:
    message = r"^--set modle.lr: unknown setting 'modle.lr'\. .*Groups: model, optim, train, data, "
    with pytest.raises(ConfigError, match=message):
        load("maze", assignments=["modle.lr=1"])


@pytest.mark.parametrize("text", ["batch_size = 2", "[train.batch]\nsize = 2", "train = 2"])
def test_a_file_needs_a_table_for_each_group(config_file: Callable[[str], Path], text: str) -> None:
    with pytest.raises(ConfigError, match=r"^file .*run\.toml: unknown setting '"):
        load("maze", config_file=config_file(text))


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("train.batch_size=0", r"train.batch_size = 0: Input should be greater than 0\."),
        ("train.batch_size=many", r"train.batch_size = 'many': Input should be a valid integer"),
        ("optim.ema_rate=1", r"optim.ema_rate = 1: Input should be less than 1\."),
        ("train.loss=l2", r"train.loss = 'l2': Input should be 'stablemax' or 'softmax'\."),
        ("model.pos_encodings=None", r"model.pos_encodings = 'None': Input should be 'rope', "),
    ],
)
def test_a_bad_value_names_its_source(assignment: str, message: str) -> None:
    name = assignment.split("=")[0]
    with pytest.raises(ConfigError, match=f"^--set {name}: {message}.*Give another value\\.$"):
        load("maze", assignments=[assignment])


def test_a_bad_value_names_its_source_among_several(
    monkeypatch: pytest.MonkeyPatch, config_file: Callable[[str], Path]
) -> None:
    monkeypatch.setenv("TRM_OPTIM__LR", "-1")
    path = config_file("[optim]\nlr = 1.0\nbeta1 = 0.5\n")
    with pytest.raises(ConfigError, match=r"^environment TRM_OPTIM__LR: optim.lr = -1: "):
        load("maze", config_file=path, defaults={"optim": {"lr": -2.0}})


def test_an_overridden_bad_value_is_ignored() -> None:
    wrong = {"train": {"batch_size": -1}}
    resolved = load("maze", defaults=wrong, assignments=["train.batch_size=2"])
    assert resolved.config.train.batch_size == 2


def test_conflicting_values_are_named_with_their_sources() -> None:
    message = (
        r"^hidden_size 100 is not divisible by num_heads \(task maze: model.num_heads = 8; "
        r"--set model.hidden_size: model.hidden_size = 100\)\. Change one of them\.$"
    )
    with pytest.raises(ConfigError, match=message):
        load("maze", defaults={"model": {"num_heads": 8}}, assignments=["model.hidden_size=100"])


def test_every_message_is_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TRM_TRAIN__EPOCHS", "a\nb")
    with pytest.raises(ConfigError) as caught:
        load("maze")
    assert len(str(caught.value).splitlines()) == 1


def test_text_that_no_file_can_hold_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRM_DATA__PATHS", '["data", "caf\udce9"]')
    message = r"^environment TRM_DATA__PATHS: data\.paths is not UTF-8 text\."
    with pytest.raises(ConfigError, match=message):
        load("maze")


@pytest.mark.parametrize("text", ["[train", "batch_size: 2", b"\xff\xfe"])
def test_a_file_that_is_not_toml_is_named(
    config_file: Callable[[str | bytes], Path], text: str | bytes
) -> None:
    with pytest.raises(ConfigError, match=r"run\.toml cannot be used: it is not (TOML|UTF-8)"):
        load("maze", config_file=config_file(text))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    reasons = {tmp_path / "none.toml": "no such file", tmp_path: "it is not a regular file"}
    for path, reason in reasons.items():
        with pytest.raises(ConfigError, match=rf"{path}: .*{reason}.*\. Name a TOML file with"):
            load("maze", config_file=path)


def test_an_assignment_needs_an_equals_sign() -> None:
    with pytest.raises(ConfigError, match=r"^--set model.mlp_t: no '='\. Write --set model\.hidd"):
        load("maze", assignments=["model.mlp_t"])


@pytest.mark.parametrize(
    ("assignment", "value"),
    [
        ("model.mlp_t=true", True),
        ("optim.lr=3e-4", 3e-4),
        ("optim.lr = 1", 1.0),
        ("train.loss=softmax", "softmax"),
        ('train.loss="softmax"', "softmax"),
        ("train.batch_size=1_000", 1000),
        ('data.paths=["a", "b=c"]', ("a", "b=c")),
        ("model.pos_encodings=none", "none"),
    ],
)
def test_an_assigned_value_is_toml_or_plain_text(assignment: str, value: object) -> None:
    config = load("maze", assignments=[assignment]).config
    group, field = assignment.split("=")[0].strip().split(".")
    assert getattr(getattr(config, group), field) == value


BIG = "9" * 5000


@pytest.mark.parametrize(
    "value",
    [BIG, "0x" + "f" * 5000, "[" * 5000, "{a=" * 5000, "1e30", str(10**18), "-1", "1\nb = 2"],
)
def test_a_number_that_cannot_be_meant_is_an_error(
    monkeypatch: pytest.MonkeyPatch, config_file: Callable[[str], Path], value: str
) -> None:
    for name in ("model.hidden_size", "model.h_cycles", "train.batch_size", "train.max_steps"):
        with pytest.raises(ConfigError, match=f"^--set {name}: {name} = "):
            load("maze", assignments=[f"{name}={value}"])
    monkeypatch.setenv("TRM_MODEL__H_CYCLES", value)
    with pytest.raises(ConfigError, match=r"^environment TRM_MODEL__H_CYCLES: model\.h_cycles = "):
        load("maze")
    monkeypatch.delenv("TRM_MODEL__H_CYCLES")
    with pytest.raises(ConfigError, match=r"run\.toml|unknown setting"):
        load("maze", config_file=config_file(f"[model]\nh_cycles = {value}"))


@pytest.mark.parametrize("value", ["nan", "inf", "-inf"])
def test_numbers_are_finite(value: str) -> None:
    fields = [(f"{g}.{n}", f) for g, cls in GROUPS.items() for n, f in cls.model_fields.items()]
    names = [name for name, field in fields if "float" in str(field.annotation)]
    assert len(names) > 20
    for name in names:
        with pytest.raises(ConfigError, match=rf"^--set {name}: {name}"):
            load("maze", assignments=[f"{name}={value}"])


def test_every_whole_number_has_a_bound_that_its_error_says() -> None:
    fields = [(f"{g}.{n}", f) for g, cls in GROUPS.items() for n, f in cls.model_fields.items()]
    for name in [n for n, f in fields if f.annotation in (int, int | None)]:
        with pytest.raises(ConfigError, match=r"less than or equal to \d+\. Give another value"):
            load("maze", assignments=[f"{name}={2**63}"])
        with pytest.raises(
            ConfigError, match=r"= 1e\+30: .* less than or equal to \d+\. Give anoth"
        ):
            load("maze", assignments=[f"{name}=1e30"])


def test_the_largest_seed_works() -> None:
    seed = RunConfig(task="maze", train=TrainConfig(seed=2**63 - 1)).train.seed
    assert torch.Generator().manual_seed(seed).initial_seed() == seed
    assert np.random.default_rng(seed).integers(2) in (0, 1)


@pytest.mark.parametrize("word", ["none", "null"])
def test_none_unsets_the_value_of_an_earlier_source(
    monkeypatch: pytest.MonkeyPatch, config_file: Callable[[str], Path], word: str
) -> None:
    defaults = {"train": {"max_steps": 5}}
    assigned = load("maze", defaults=defaults, assignments=[f"train.max_steps={word}"])
    assert assigned.config.train.max_steps is None
    path = config_file(f'[train]\nmax_steps = "{word}"\n')
    assert load("maze", defaults=defaults, config_file=path).config.train.max_steps is None
    monkeypatch.setenv("TRM_TRAIN__MAX_STEPS", word)
    assert load("maze", defaults=defaults).config.train.max_steps is None


def test_lists_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRM_DATA__PATHS", '["a", "b"]')
    assert load("maze").config.data_paths == ("a", "b")
    monkeypatch.setenv("TRM_DATA__PATHS", "my data/a")
    assert load("maze").config.data_paths == ("my data/a",)


def test_a_saved_config_reads_back_equal() -> None:
    config = load(
        "maze",
        assignments=["model.mlp_t=true", "optim.lr=1e-5", 'data.paths=["a"]', "train.max_steps=3"],
    ).config
    assert RunConfig.model_validate_json(config.model_dump_json()) == config
    assert config != RunConfig(task="maze")


def test_settings_are_frozen() -> None:
    config = RunConfig(task="maze")
    with pytest.raises(ValidationError, match="frozen"):
        config.task = "sudoku"  # type: ignore[misc]
    with pytest.raises(ValidationError, match="frozen"):
        config.model.hidden_size = 1  # type: ignore[misc]


def test_a_saved_config_with_an_unknown_name_is_rejected() -> None:
    for group, cls in GROUPS.items():
        with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
            RunConfig.model_validate({"task": "maze", group: {"nonsense": 1}})
        with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
            cls.model_validate({"nonsense": 1})


def test_every_setting_is_described() -> None:
    fields = {f"{g}.{n}": f for g, cls in GROUPS.items() for n, f in cls.model_fields.items()}
    assert list(fields) == setting_names()
    assert [name for name, field in fields.items() if not field.description] == []


def test_heads_need_not_divide_the_width_of_an_mlp() -> None:
    with pytest.raises(ValidationError, match="hidden_size 10 is not divisible by num_heads"):
        TRMConfig(hidden_size=10, num_heads=4)
    assert TRMConfig(hidden_size=10, num_heads=4, mlp_t=True).hidden_size == 10


def test_rotary_positions_need_an_even_head_width() -> None:
    with pytest.raises(ValidationError, match="rotary positions need an even head width, not 3"):
        TRMConfig(hidden_size=12, num_heads=4)
    assert TRMConfig(hidden_size=12, num_heads=4, pos_encodings="learned").head_dim == 3


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ({"mlp_t": True, "pos_encodings": "rope2d"}, "turns the heads of attention"),
        (
            {"kind": "transformer", "act_continue": True, "act_enabled": False},
            "act_continue needs act_enabled = true",
        ),
    ],
)
def test_a_setting_without_effect_is_refused(model: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        RunConfig.model_validate({"task": "sudoku", "model": model})


def test_a_puzzle_embedding_must_fit_its_tokens() -> None:
    with pytest.raises(ValidationError, match="puzzle_emb_dim 65 does not fit puzzle_emb_len"):
        TRMConfig(hidden_size=32, puzzle_emb_dim=65, puzzle_emb_len=2)
    assert TRMConfig(hidden_size=32, puzzle_emb_dim=64, puzzle_emb_len=2).prefix_len == 2


@pytest.mark.parametrize(
    ("width", "tokens", "prefix"), [(None, 16, 16), (None, 0, 1), (33, 0, 2), (0, 16, 0), (0, 0, 0)]
)
def test_the_length_of_the_prefix(width: int | None, tokens: int, prefix: int) -> None:
    model = TRMConfig(hidden_size=32, puzzle_emb_dim=width, puzzle_emb_len=tokens)
    assert model.prefix_len == prefix
    assert model.puzzle_emb_width == (32 if width is None else width)


def test_unset_values_derive_from_other_settings() -> None:
    config = RunConfig(task="maze")
    assert config.data_paths == ("data/maze",)
    assert config.eval_batch_size == config.train.batch_size
    changed = load("maze", assignments=["eval.batch_size=7", 'data.paths=["d"]']).config
    assert (changed.data_paths, changed.eval_batch_size) == (("d",), 7)


def test_a_file_may_name_its_task_and_preset(tmp_path: Path) -> None:
    file = tmp_path / "recipe.toml"
    file.write_text('task = "sudoku"\npreset = "mini"\n[train]\nmax_steps = 7\n')
    named = recipes.run_config(config_file=file)
    assert (named.task, named.model.hidden_size, named.train.max_steps) == ("sudoku", 96, 7)
    assert named == recipes.run_config("sudoku", preset="mini", settings={"train.max_steps": 7})
    with pytest.raises(
        ConfigError, match=r"has settings for task sudoku, not maze\. Leave the task"
    ):
        recipes.run_config("maze", config_file=file)
    other = recipes.run_config(preset="8gpu", config_file=file)  # the command line wins
    assert (other.model.hidden_size, other.train.batch_size) == (512, 4608)


def test_a_task_is_required_if_the_file_names_none(tmp_path: Path) -> None:
    file = tmp_path / "settings.toml"
    file.write_text("[train]\nmax_steps = 7\n")
    assert recipes.run_config("sudoku", config_file=file).train.max_steps == 7
    with pytest.raises(ConfigError, match=r"no task given\. Name a task"):
        recipes.run_config(config_file=file)
    file.write_text("task = 3\n")
    with pytest.raises(ConfigError, match=r"settings\.toml: task = 3 is not a name\. Give a name"):
        recipes.run_config(config_file=file)
