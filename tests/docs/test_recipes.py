"""The recipes: their numbers agree with the docs, and their commands can be run."""

import json
import re
import statistics
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

import trm
from trm.comparison.grid import read_grid
from trm.config import RunConfig
from trm.evaluation.checkpoint_manifest import ManifestEntry, read_manifest
from trm.hub_names import parse_name
from trm.tasks.arc.evaluator import ArcEvaluator
from trm.tasks.metrics import AccuracyEvaluator

ROOT = Path(__file__).parents[2]
FILE = ROOT / "recipes" / "published.toml"
LOG = ROOT / "docs" / "experiments.md"
ENTRIES = read_manifest(FILE)
HEADLINES = MappingProxyType(
    {
        "sudoku": AccuracyEvaluator.headline,
        "maze": AccuracyEvaluator.headline,
        "arc1": ArcEvaluator.headline,
        "arc2": ArcEvaluator.headline,
    }
)


def name_of(entry: ManifestEntry) -> str:
    return str(entry.ckpt).partition("/")[2]


def build_commands() -> dict[str, tuple[str, dict[str, str]]]:
    """Task and options of each ``trm build-data`` command in the file, by data folder."""
    commands = {}
    for task, options in re.findall(r"^# +trm build-data (\w+) *(.*)$", FILE.read_text(), re.M):
        given = dict(re.findall(r"--(\S+) (\S+)", options))
        commands[given.pop("out", f"data/{task}")] = (task, given)
    return commands


def test_the_file_names_five_checkpoints() -> None:
    names = [entry.ckpt for entry in ENTRIES]
    assert len(set(names)) == len(names) == 5
    assert all(parse_name(str(name)) for name in names)
    assert {entry.task for entry in ENTRIES} == HEADLINES.keys() <= trm.list_tasks().keys()


@pytest.mark.parametrize("entry", ENTRIES, ids=name_of)
def test_the_file_says_how_to_build_the_data(entry: ManifestEntry) -> None:
    (folder,) = entry.data
    task, options = build_commands()[folder]
    assert task == entry.task
    chosen = trm.list_tasks()[task].task.options(options.pop("preset", None), **options)
    # The ARC checkpoints need these puzzle identifiers; the others need all published test puzzles.
    if task in ("arc1", "arc2"):
        assert (chosen.model_dump()["published_order"], chosen.seed) == (True, 42)
    else:
        assert (folder,) == RunConfig(task=task).data_paths
        assert (chosen.source, chosen.model_dump()["num_test"]) == ("hub", None)


@pytest.mark.parametrize("entry", ENTRIES, ids=name_of)
def test_the_metric_is_the_tasks_headline(entry: ManifestEntry) -> None:
    assert entry.metric == HEADLINES[str(entry.task)]
    assert (entry.votes, entry.max_examples, entry.reset_puzzle_embedding) == (1, None, False)


@pytest.mark.parametrize("entry", ENTRIES, ids=name_of)
def test_the_readme_and_the_page_have_the_reported_number(entry: ManifestEntry) -> None:
    (row,) = re.findall(rf"^\|.*\| `{entry.task}` \|(.*)$", (ROOT / "README.md").read_text(), re.M)
    assert entry.reported is not None
    assert f"{100 * entry.reported:.2f}" in [cell.strip() for cell in row.split("|")]
    page = (ROOT / "docs" / "how-to" / "use-a-published-checkpoint.md").read_text()
    data = f"`{entry.data[0]}` | {entry.metric} | {entry.reported:.4f} |"
    assert f"| `{entry.ckpt}` | {entry.task} | {data}" in page


GRIDS = [file for file in sorted(FILE.parent.glob("*.toml")) if "[[rows]]" in file.read_text()]
RECIPES = sorted(set(FILE.parent.glob("*.toml")) - {FILE, *GRIDS})


@pytest.mark.parametrize("file", GRIDS, ids=lambda file: file.stem)
def test_a_grid_is_complete(file: Path) -> None:
    grid = read_grid(file)
    configs = [grid.config(row) for row in grid.rows]
    assert len({config.model_dump_json() for config in configs}) == len(configs)
    build, compare = re.findall(r"^#   (trm .*)$", file.read_text(), re.M)
    (folder, *_) = configs[0].data.paths or [""]
    options = f"--source generate .* --out {folder}" if folder else f"--preset {grid.preset}"
    assert re.match(rf"trm build-data {grid.task} {options}\b", build)
    assert compare == f"trm compare recipes/{file.name}"


def test_the_ablations_at_equal_time_are_those_with_equal_examples() -> None:
    examples, time = (
        read_grid(FILE.parent / f"{name}.toml") for name in ("ablations-6x6", "ablations-6x6-time")
    )
    assert (examples.rows, examples.seeds) == (time.rows, time.seeds)
    for one, other in zip(examples.rows, time.rows, strict=True):
        configs = [examples.config(one), time.config(other)]
        assert configs[0].model == configs[1].model
        assert (configs[0].optim, configs[0].data) == (configs[1].optim, configs[1].data)
        assert configs[0].train.batch_size == configs[1].train.batch_size


def ablations(number: int) -> tuple[dict[str, list[str]], list[Any]]:
    """The cells of the first or second table of the page, by row, and the rows of its runs."""
    name = ("ablations-6x6", "ablations-6x6-time")[number]
    docs = ROOT / "docs"
    found = json.loads((docs / "pictures" / f"{name}.json").read_text())
    budget = read_grid(FILE.parent / f"{name}.toml").budget
    assert found["budget"] == {budget.unit: budget.amount}
    text = (docs / "explanation" / "ablations.md").read_text().split("## With equal time")[number]
    lines = [line.strip("| ").split("|") for line in text.splitlines() if "| 0." in line]
    shown = {line[0].strip(): [cell.strip() for cell in line[1:]] for line in lines}
    assert len(shown) == len(found["rows"])
    return shown, found["rows"]


def test_the_table_of_ablations_is_that_of_their_runs() -> None:
    shown, rows = ablations(0)
    for row in rows:
        operations = statistics.fmean(run["training_flops"] for run in row["runs"]) / 1e12
        cells = [*accuracy_and_p(row), f"{operations:.2f}", f"{row['parameters']:,}"]
        assert shown[row["name"]][:4] == cells


def test_the_table_of_equal_time_is_that_of_its_runs() -> None:
    (shown, rows), (_, equal_examples) = ablations(1), ablations(0)
    for row, other in zip(rows, equal_examples, strict=True):
        steps = statistics.fmean(run["steps"] for run in row["runs"])
        cells = [*accuracy_and_p(row), f"{steps:.0f}", f"{other['mean']:.3f}"]
        assert shown[row["name"]] == cells


def accuracy_and_p(row: Any) -> list[str]:
    mean = f"{row['mean']:.3f}"
    accuracy = f"{mean} ± {row['spread']:.3f}" if row["mean"] else mean
    if row["against_first"] is None:
        return [accuracy, ""]
    p = row["against_first"]["p_holm"]
    return [accuracy, "< 0.001" if p < 0.001 else f"{p:.3f}"]


def test_the_grid_of_parts_is_that_of_the_log() -> None:
    grid = read_grid(FILE.parent / "compare-parts-6x6.toml")
    assert grid.config(grid.rows[0]) == trm.run_config(
        grid.task, preset=grid.preset, settings={"train.eval_every_steps": 0}
    )
    results = LOG.read_text().partition("| part | time of a step |")[2].partition("\n\n")[0]
    shown = re.findall(r"^\| ([^|]+) \| [\d.]+ \| \d+ \|", results, re.M)
    assert [row.name for row in grid.rows] == shown


@pytest.mark.parametrize("file", RECIPES, ids=lambda file: file.stem)
def test_a_recipe_is_complete(file: Path) -> None:
    config = trm.run_config(config_file=file)
    assert file.stem.startswith(config.task)
    text = file.read_text()
    *builds, train, evaluate = re.findall(r"^#   (trm .*)$", text, re.M)
    assert builds
    assert all(build.startswith(f"trm build-data {config.task}") for build in builds)
    assert train == f"trm train --config recipes/{file.name}"
    assert evaluate.startswith("trm eval")
    # Either every measured value is given, or none.
    names = ("result", "hardware", "time", "seeds")
    lines = [re.findall(rf"^# {name} +(.+)$", text, re.M) for name in names]
    assert all(len(values) == 1 for values in lines)
    values = [value for (value,) in lines]
    assert values == ["not measured yet", "-", "-", "-"] or "-" not in values


def test_the_published_recipe_equals_the_defaults_of_the_task() -> None:
    published = trm.run_config(config_file=FILE.parent / "sudoku-published.toml")
    assert published == trm.run_config("sudoku", mlp_t=True)


@pytest.mark.parametrize("preset", ["fast", "strong"])
def test_a_recipe_of_a_preset_equals_that_preset(preset: str) -> None:
    recipe = trm.run_config(config_file=FILE.parent / f"sudoku-{preset}.toml")
    assert recipe == trm.run_config("sudoku", preset=preset)
