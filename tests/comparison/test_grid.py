"""Reading a grid: what it says, and errors that name the file and the row."""

import re
from pathlib import Path
from typing import Any

import pytest

from trm.comparison.grid import Budget, read_grid
from trm.comparison.plan import plan_rows, run_length
from trm.errors import ConfigError, TrmError

GRID = """\
task = "sudoku"
preset = "mini"
seeds = [0, 1]
budget = { steps = 4 }
optim.lr = 0.5

[train]
batch_size = 8

[[rows]]
name = "base"

[[rows]]
name = "Muon, slow"
optim.optimizer = "muon"
optim.lr = 0.25
"""


def written(folder: Path, text: str) -> Path:
    file = folder / "g.toml"
    file.write_text(text)
    return file


def test_a_row_has_its_settings_over_those_of_the_file(tmp_path: Path) -> None:
    grid = read_grid(written(tmp_path, GRID))
    assert (grid.task, grid.seeds, grid.budget) == ("sudoku", (0, 1), Budget("steps", 4))
    base, muon = map(grid.config, grid.rows)
    assert (base.optim.lr, base.optim.optimizer, base.train.batch_size) == (0.5, "adam_atan2", 8)
    assert (muon.optim.lr, muon.optim.optimizer, muon.train.batch_size) == (0.25, "muon", 8)
    assert base.model.hidden_size == 96  # of the preset
    assert base.train.eval_every_steps == 0
    assert grid.rows[1].slug == "muon-slow"


def test_the_grid_wins_over_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRM_OPTIM__LR", "0.125")
    monkeypatch.setenv("TRM_MODEL__HIDDEN_SIZE", "32")
    grid = read_grid(written(tmp_path, GRID))
    config = grid.config(grid.rows[0])
    assert (config.optim.lr, config.model.hidden_size) == (0.5, 32)


def test_a_row_may_have_a_preset_and_evaluations(tmp_path: Path) -> None:
    text = GRID.replace('"base"', '"base"\npreset = "fast"\ntrain.eval_every_steps = 2')
    grid = read_grid(written(tmp_path, text))
    config = grid.config(grid.rows[0])
    assert (config.model.hidden_size, config.train.eval_every_steps) == (512, 2)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('task = "sudoku"\n', "", "task is missing. Add it."),
        ('"sudoku"', "1", "task = 1 is not a name. Give a name."),
        ("preset =", "presett =", "unknown name 'presett'. Did you mean 'preset'?"),
        ("[0, 1]", "[0, 0]", "seeds = [0, 0] must be different whole numbers"),
        ("[0, 1]", "[]", "seeds = [] must be different whole numbers"),
        ("[0, 1]", "[true]", "seeds = [True] must be"),
        ("steps = 4", "step = 4", "must have one of steps, examples, flops, minutes"),
        ("steps = 4", "steps = 4.5", "give a whole number."),
        ("steps = 4", "minutes = 0", "give a number above 0."),
        ("steps = 4", "flops = inf", "give a number above 0."),
        ("steps = 4", "steps = 2000000000", "give at most 1,000,000,000."),
        ('name = "base"', 'nam = "base"', "row 1: a row needs a name. Add it."),
        ('"base"', '"muon SLOW"', "rows 'muon SLOW' and 'Muon, slow' have the same name"),
        ('"base"', '"??"', "a name has 1 to 100 characters and a letter"),
        ("optim.optimizer", "lr", "row 2 'Muon, slow': unknown name 'lr'."),
        ("[train]", "[trian]", "unknown name 'trian'. Did you mean 'train'?"),
        ("optim.lr = 0.25", "train.max_steps = 3", "train.max_steps is decided by budget."),
        ("optim.lr = 0.25", "train.seed = 3", "train.seed is decided by seeds."),
        ("batch_size = 8", 'device = "cpu"', "train.device is decided by --device."),
        ("optim.lr = 0.25", "model = 3", "model = 3 is not a table of settings."),
    ],
)
def test_what_is_no_grid(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in GRID
    file = written(tmp_path, GRID.replace(old, new))
    with pytest.raises(ConfigError) as error:
        read_grid(file)
    text = str(error.value)
    assert text.startswith(f"file {file}")
    assert message in text
    assert "\n" not in text


def test_a_grid_needs_two_rows(tmp_path: Path) -> None:
    file = written(tmp_path, GRID.partition('[[rows]]\nname = "Muon')[0])
    with pytest.raises(ConfigError, match=r"rows must be 2 to 1000 \[\[rows\]\] tables"):
        read_grid(file)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("optim.lr = 0.25", "optim.lrr = 1", "row 'Muon, slow': unknown setting 'optim.lrr'. Did"),
        ("optim.lr = 0.25", "optim.lr = -1", "row 'Muon, slow': optim.lr = -1: Input should be"),
        ("optim.lr = 0.25", "train.patience = 3", "patience does nothing without evaluations"),
        ("optim.lr = 0.25", "train.patience = 3\ntrain.eval_every_steps = 2",
         "row 'Muon, slow': train.patience may end a run before its budget."),
        ('"sudoku"', '"sudokoo"', "unknown task 'sudokoo'"),
        ('"mini"', '"minni"', "'minni'"),
        ("optim.lr = 0.5", 'optim.lr = "fast"', "optim.lr = 'fast'"),
    ],
)  # fmt: skip
def test_settings_that_are_refused(tmp_path: Path, old: str, new: str, message: str) -> None:
    file = written(tmp_path, GRID.replace(old, new))
    grid = read_grid(file)
    with pytest.raises(TrmError) as error:
        list(map(grid.config, grid.rows))
    text = str(error.value)
    assert message in text
    assert str(file) in text
    assert "\n" not in text


@pytest.mark.parametrize(
    ("budget", "expected"),
    [
        (Budget("steps", 7), {"max_steps": 7, "max_minutes": None}),
        (Budget("examples", 100), {"max_steps": 12, "max_minutes": None}),
        (Budget("flops", 5000.0), {"max_steps": 9, "max_minutes": None}),
        (Budget("minutes", 1.5), {"max_steps": 10**9, "max_minutes": 1.5}),
    ],
)
def test_the_length_of_a_run(budget: Budget, expected: dict[str, Any]) -> None:
    cost = {"examples": 8, "flops": 550.0}.get(budget.unit, 1)
    assert run_length(budget, cost, "row") == expected


@pytest.mark.parametrize("budget", [Budget("examples", 7), Budget("flops", 1e20)])
def test_a_budget_of_no_step_or_too_many_is_refused(budget: Budget) -> None:
    with pytest.raises(ConfigError, match=r"^here: .* steps of .*Change the budget\.$"):
        run_length(budget, 8, "here")


def test_a_row_of_another_kind_takes_the_file_s_model_settings_that_it_has(tmp_path: Path) -> None:
    path = tmp_path / "kinds.toml"
    path.write_text(
        'task = "sudoku"\nseeds = [0]\nbudget = { steps = 4 }\n'
        "[model]\nhidden_size = 32\nnum_heads = 2\nh_cycles = 1\n"
        '[[rows]]\nname = "trm"\n'
        '[[rows]]\nname = "transformer"\nmodel.kind = "transformer"\n'
        '[[rows]]\nname = "wrong"\nmodel = { kind = "transformer", l_cycles = 2 }\n'
        '[[rows]]\nname = "unknown"\nmodel.kind = "hrmm"\n'
    )
    grid = read_grid(path)
    trm, transformer = map(grid.config, grid.rows[:2])
    assert trm.model.cycles == (1, 6)
    assert next(iter(trm.by_name())) == "model.kind"
    assert "model.l_cycles" not in transformer.by_name()
    assert (transformer.model.kind, transformer.model.hidden_size) == ("transformer", 32)
    for row, message in (
        (grid.rows[2], "row 'wrong': a model of kind transformer has no setting 'model.l_cycles'"),
        (grid.rows[3], "row 'unknown': unknown kind of model 'hrmm'. Did you mean 'hrm'"),
    ):
        with pytest.raises(ConfigError, match=re.escape(message)):
            grid.config(row)


def test_a_setting_of_the_file_that_no_row_has_is_refused(mini_data: Path, tmp_path: Path) -> None:
    path = tmp_path / "unused.toml"
    path.write_text(
        f'task = "sudoku"\nseeds = [0]\nbudget = {{ steps = 4 }}\ndata.paths = "{mini_data}"\n'
        "[model]\nhidden_size = 32\nnum_heads = 2\nh_cycles = 1\nhiden_size = 64\n"
        '[[rows]]\nname = "trm"\nmodel.kind = "trm"\n'
        '[[rows]]\nname = "transformer"\nmodel.kind = "transformer"\n'
    )
    message = r"no row has a setting 'model\.hiden_size'\. Did you mean 'model\.hidden_size'\?"
    with pytest.raises(ConfigError, match=message):
        plan_rows(read_grid(path), tmp_path / "o")
    path.write_text(path.read_text().replace("hiden_size = 64\n", ""))
    assert len(plan_rows(read_grid(path), tmp_path / "o").rows) == 2  # h_cycles is of the first
