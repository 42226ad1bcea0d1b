"""The model card: its metadata, its text, and the commands in it."""

import ast
import io
import json
import math
import re
import shlex
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path
from typing import Annotated, Any, get_args

import pytest
from huggingface_hub import ModelCard
from hypothesis import HealthCheck, assume, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from pydantic import ValidationError

from tests.hub import HubServer
from tests.hub.commands import Online
from tests.made_checkpoints import files_of, write_checkpoint
from trm import settings
from trm.checkpoints.open_checkpoint import open_checkpoint
from trm.checkpoints.published.checkpoint import import_published
from trm.cli import run
from trm.config import GROUPS, RunConfig, setting_names
from trm.publish.model_card import model_card
from trm.recipes import resolve_settings
from trm.runs.checkpoint import read_config
from trm.tasks.registry import get_task, list_tasks

Checkpoint = Callable[..., Path]
PUBLISHED = Path(__file__).parents[1] / "parity" / "data" / "published_checkpoint"


def table(card: ModelCard, title: str) -> dict[str, list[str]]:
    """The rows of the table below a title, by their first cell."""
    text = card.content.split(f"\n## {title}\n")[1].split("\n## ")[0]
    rows = [line.strip("|").split("|") for line in text.splitlines() if line.startswith("|")]
    return {row[0].strip(): [cell.strip() for cell in row[1:]] for row in rows[2:]}


def block(card: ModelCard, language: str) -> str:
    """The code in the one block of a language."""
    (found,) = re.findall(rf"```{language}\n(.*?)```", card.content, re.DOTALL)
    return str(found)


def test_the_metadata(checkpoint: Checkpoint) -> None:
    folder = checkpoint("c")
    card = model_card(folder, "alice/demo", "apache-2.0")
    read = ModelCard(str(card))
    found = read.data.to_dict()
    index = found.pop("model-index")
    assert found == {
        "library_name": "trm",
        "license": "apache-2.0",
        "tags": ["tiny-recursive-model", "arxiv:2510.04871", "sudoku"],
    }
    assert read.data.model_name == index[0]["name"] == "demo"
    written = json.loads((folder / "evaluation.json").read_text())
    results = {result.metric_type: result for result in read.data.eval_results or ()}
    assert {name: result.metric_value for name, result in results.items()} == {
        "accuracy": written["metrics"]["exact_accuracy"],
        "mean_steps": written["metrics"]["mean_steps"],
    }
    assert results["accuracy"].metric_name == "exact accuracy (95%: 0.5877 to 0.9323)"
    assert results["mean_steps"].metric_name == "mean steps"
    data = read_config(folder).data
    for result in results.values():
        assert (result.task_type, result.task_name) == ("puzzle-solving", "sudoku")
        assert (result.dataset_type, result.dataset_name) == ("sudoku", "sudoku (generate)")
        assert result.dataset_split == "test"
        assert result.dataset_args == {"digest": data.digest, "examples": 20}


@pytest.mark.parametrize("task", ["sudoku", "maze", "arc1", "arc2"])
def test_data_of_the_hub_is_named(
    checkpoint: Checkpoint, tiny: Callable[..., RunConfig], tmp_path: Path, task: str
) -> None:
    data = read_config(checkpoint("c", source="hub")).data.model_copy(update={"task": task})
    run_config = tiny().model_copy(update={"task": task})
    card = ModelCard(str(model_card(write_checkpoint(tmp_path / "x", run_config, data), "a/b")))
    name = get_task(task).hub_dataset
    assert card.data.datasets == ([name] if name else None)
    shown = f"[{name}](https://huggingface.co/datasets/{name})" if name else "hub"
    assert table(card, "Training")["data"] == [shown]
    for result in card.data.eval_results or ():
        expected = (name, name) if name else (task, f"{task} (hub)")
        assert (result.dataset_type, result.dataset_name) == expected


def test_the_text(checkpoint: Checkpoint) -> None:
    folder = checkpoint("c")
    card = model_card(folder, "alice/demo")
    assert card.content.split("\n\n")[1] == "# demo"
    assert table(card, "Results") == {
        "exact accuracy": ["0.8125", "0.5877 to 0.9323"],
        "mean steps": ["2.2500", ""],
    }
    assert "On 20 examples of the test split, after training step 7," in card.content
    data = read_config(folder).data
    assert table(card, "Training") == {
        "data": ["generate"],
        "digest of the data": [f"`{data.digest}`"],
        "train split": [f"{data.splits['train'].groups:,} puzzles"],
        "test split": ["100 puzzles"],
        "training steps": ["7 of 8 examples"],
    }


@pytest.mark.parametrize(
    ("source", "shown"),
    [
        ("a\n# Title\n\n<b>x</b>", r"a \# Title \<b\>x\</b\>"),
        ("![x](y) `z` | w\\", r"!\[x\](y) \`z\` \| w\\"),
        ("\x1b]0;t\x07 a_b\u2028---", r"\]0;t a\_b ---"),
    ],
)
def test_a_source_is_text_and_no_markup(
    checkpoint: Checkpoint, tmp_path: Path, source: str, shown: str
) -> None:
    folder = checkpoint("c", source=source)
    for digest in ("", "1`</code>2"):
        config = json.loads((folder / "config.json").read_text())
        config["data"]["digest"] = digest
        (folder / "config.json").write_text(json.dumps(config))
        card = model_card(folder, "alice/demo")
        assert f"| {'data' if digest else 'origin'} | {shown} |" in card.content
        titles = re.findall(r"^#.*", card.content, re.MULTILINE)
        assert titles == ["# demo", *(f"## {name}" for name in (
            "Use", "Model", "Results", "Training", "Citation"
        ))]  # fmt: skip
        assert "<" not in card.text.replace(r"\<", "")
        ModelCard(str(card))


def test_held_out_training_puzzles_are_not_called_the_test_split(checkpoint: Checkpoint) -> None:
    folder = checkpoint("c", "data.validation_share=0.1")
    file = folder / "evaluation.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "split": "validation"}))
    card = ModelCard(str(model_card(folder, "alice/demo")))
    assert (
        "On 20 examples of held-out training puzzles (copies of one may be among them), **not** "
        "the test split, after training step 7, "
    ) in card.content
    for result in card.data.eval_results or ():
        assert result.dataset_split == "validation"
        assert result.dataset_name == "sudoku (generate), held-out training puzzles"
    assert len(card.data.eval_results or ()) == 2
    rows = table(card, "Training")
    assert rows["held out to choose the checkpoint by"] == ["0.1 of the train split"]
    assert "--set data.validation_share=0.1" in block(card, "sh")


def test_what_was_not_measured_is_not_claimed(checkpoint: Checkpoint) -> None:
    card = model_card(checkpoint("c", evaluated=False), "alice/demo")
    assert "model-index" not in card.data.to_dict()
    assert "\n## Results\n\nIt was not evaluated.\n" in card.content


@pytest.mark.parametrize(
    ("settings", "names", "mixer"),
    [
        ((), None, "MLP; positions: none"),
        (
            ("model.mlp_t=false", "model.pos_encodings=learned"), None,
            "attention, 2 heads; positions: learned",
        ),
        (("model.puzzle_emb_dim=0",), None, "MLP; positions: none"),
        (("model.l_layers=3",), ["<blank>", *map(str, range(1233))], "MLP; positions: none"),
    ],
    ids=["mlp", "attention", "no embedding", "names"],
)  # fmt: skip
def test_the_parameters_are_counted(
    checkpoint: Checkpoint, settings: tuple[str, ...], names: list[str] | None, mixer: str
) -> None:
    folder = checkpoint("c", *settings, names=names)
    model = open_checkpoint(folder).model()
    rows = table(model_card(folder, "alice/demo"), "Model")
    network = sum(parameter.numel() for parameter in model.parameters())
    count = 0 if model.puzzle_embedding is None else model.puzzle_embedding.weight.numel()
    identifiers = f"{len(names or [0]):,} puzzle identifiers"
    assert rows["parameters of the network"] == [f"{network:,}"]
    assert rows["parameters of the puzzle embedding"] == [f"{count:,} ({identifiers})"]
    assert rows["mixer"] == [mixer]
    assert rows["architecture"] == [f"TRM, {len(model.core.layers)} layers of width 32"]


def resolved(command: list[str]) -> RunConfig:
    """What the command line of ``trm config`` makes of the flags of a ``trm train``."""
    assert command[:2] == ["trm", "train"]
    with redirect_stdout(io.StringIO()) as text:
        assert run(["config", *command[2:], "--json"]) == 0
    return RunConfig.model_validate_json(text.getvalue())


def test_the_command_gives_the_settings(checkpoint: Checkpoint) -> None:
    folder = checkpoint("c", "data.paths=['a b', \"it's\"]", "train.init_from=alice/demo@v1")
    command = shlex.split(block(model_card(folder, "alice/demo"), "sh"))
    assert resolved(command) == read_config(folder).run


@pytest.mark.parametrize("task", ["sudoku", "maze", "arc1", "arc2"])
def test_the_command_of_what_is_usual_is_short(task: str) -> None:
    found = get_task(task)
    presets = {name: preset.settings for name, preset in found.presets.items()}
    for preset in (None, *presets):
        for mlp_t in (None, False, True):
            config = resolve_settings(task, preset, mlp_t, None).config
            command = settings.train_command(config, found.defaults, presets)
            assert len(command) <= 3 + 2 * (preset is not None) + (mlp_t is not None)
            assert resolved(command) == config


def values(name: str) -> st.SearchStrategy[Any]:
    """Values that a setting may have."""
    group, key = name.split(".")
    info = GROUPS[group].model_fields[key]
    kinds = [kind for kind in get_args(info.annotation) if kind is not type(None)]
    optional = type(None) in get_args(info.annotation)
    kind: Any = kinds[0] if optional else info.annotation
    found: st.SearchStrategy[Any] = st.from_type(
        Annotated[kind, *info.metadata] if info.metadata else kind
    ).filter(lambda value: not isinstance(value, float) or math.isfinite(value))
    if optional:  # as a text these values unset the setting
        found = found.filter(lambda value: value not in ("none", "null", ())) | st.none()
    return found


CHOSEN = {
    "model.hidden_size": st.sampled_from([32, 64, 512]),
    "model.num_heads": st.sampled_from([1, 2, 8]),
    "model.puzzle_emb_dim": st.sampled_from([None, 0, 16]),
}
CHANGES = st.fixed_dictionaries(
    {}, optional={**{name: values(name) for name in setting_names()}, **CHOSEN}
)
TASKS = [
    (name, preset) for name, found in list_tasks().items() for preset in (None, *found.task.presets)
]


@given(st.sampled_from(TASKS), st.sampled_from([None, False, True]), CHANGES)
@hypothesis_settings(deadline=None, max_examples=75, suppress_health_check=[HealthCheck.too_slow])
def test_any_settings_have_a_command(
    chosen: tuple[str, str | None], mlp_t: bool | None, changes: dict[str, Any]
) -> None:
    task = get_task(chosen[0])
    nested = resolve_settings(task.name, chosen[1], mlp_t, None).config.model_dump()
    for name, value in changes.items():
        group, key = name.split(".")
        nested[group][key] = value
    try:
        config = RunConfig.model_validate(nested)
    except ValidationError:
        assume(False)
    presets = {name: preset.settings for name, preset in task.presets.items()}
    command = settings.train_command(config, task.defaults, presets)
    assert resolved(shlex.split(shlex.join(command))) == config


def test_the_snippet_runs(hub: HubServer, online: Online, checkpoint: Checkpoint) -> None:
    folder = checkpoint("c", "train.device=auto")
    hub.add_repo("alice/demo", files_of(folder))
    snippet = block(model_card(folder, "alice/demo"), "python")
    assert len(snippet.splitlines()) == 3
    answer = online.program(f"puzzle = '1234341221434321'\n{snippet}")
    assert re.fullmatch(r"[1-4. ]{16}\n", answer)
    names = {node.id for node in ast.walk(ast.parse(snippet)) if isinstance(node, ast.Name)}
    assert names == {"trm", "model", "print", "puzzle"}


def test_an_import_names_its_origin_and_no_command(tmp_path: Path) -> None:
    import_published(PUBLISHED, tmp_path / "c", source="published checkpoint bob/trm | step_65104")
    card = model_card(tmp_path / "c", "alice/demo")
    rows = {name.replace("\\", ""): cells for name, cells in table(card, "Training").items()}
    assert rows["origin"] == ["published checkpoint bob/trm \\", r"step\_65104"]
    assert rows["training steps"] == ["65,104 of 768 examples"]
    assert "digest of the data" not in rows
    assert "```sh" not in card.content
    assert card.data.to_dict()["tags"][-1] == "sudoku"
    assert "It was not evaluated." in card.content
