"""The models and runs that the page finds by itself."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.web.running import running
from trm.errors import InputError
from trm.runs.shipped import shipped_models
from trm.web.catalogue import Catalogue
from trm.web.run_curves import new_records, runs_json


@pytest.fixture
def runs(trained_run: Path, tmp_path: Path) -> Path:
    """A folder with a trained run, and one that is damaged."""
    shutil.copytree(trained_run, tmp_path / "runs/sudoku/good", symlinks=True)
    shutil.copytree(trained_run, tmp_path / "runs/sudoku/bad", symlinks=True)
    for config in (tmp_path / "runs/sudoku/bad").rglob("config.json"):
        config.write_text("{")
    return tmp_path / "runs"


def test_runs_and_what_comes_with_trm_are_offered(runs: Path) -> None:
    catalogue = Catalogue(device="cpu", runs=runs)
    good = str(runs / "sudoku/good")
    assert [one.name for one in catalogue.models()] == [good, *shipped_models()]
    assert catalogue.load(good) is catalogue.load(good)
    for name in ("sudoku-6x6", "sudoku-9x9"):
        assert catalogue.load(name).name == name


@pytest.mark.parametrize("name", ["absent", "", "..", "/etc/passwd"])
def test_only_offered_models_are_loaded(runs: Path, name: str) -> None:
    for checkpoints in ([], ["sudoku-6x6"]):
        with pytest.raises(InputError, match=r"is not among the models here\. Choose another"):
            Catalogue(checkpoints, device="cpu", runs=runs).load(name)


def test_few_models_stay_in_memory(trained_run: Path, tmp_path: Path) -> None:
    names = [tmp_path / "runs/sudoku" / letter for letter in "abcdef"]
    for name in names:
        shutil.copytree(trained_run, name, symlinks=True)
    catalogue = Catalogue(device="cpu", runs=tmp_path / "runs")
    first = catalogue.load(str(names[0]))
    for name in names[1:]:
        catalogue.load(str(name))
    assert catalogue.load(str(names[0])) is not first


def test_the_curves_of_a_run(runs: Path) -> None:
    good = str(runs / "sudoku/good")
    with running(runs=runs) as server:
        listed = server.json("api/runs")["runs"]
        assert {one["name"] for one in listed} == {"good", "bad"}
        found = server.json(f"api/records?run={quote(good)}&start=0")
        for query in ("run=absent", f"run={quote(good)}&start=-1", "run=/etc&start=0"):
            assert server.problem(f"api/records?{query}")[0] == 400
    evaluations = [one for one in found["records"] if one["event"] == "eval"]
    assert [one["step"] for one in evaluations] == [90, 180]
    assert evaluations[-1]["exact_accuracy"] > 0.7
    assert any(one["event"] == "train" and "loss" in one for one in found["records"])
    assert not found["more"]


def test_new_records_come_as_they_are_written(runs: Path) -> None:
    good = str(runs / "sudoku/good")
    file = runs / "sudoku/good/metrics.jsonl"
    before = new_records(runs, good, 0)
    assert new_records(runs, good, before["end"])["records"] == []
    line = json.dumps({"event": "train", "step": 181, "loss": 0.5, "name": "x", "bad": None})
    with file.open("a") as stream:
        stream.write(line + "\n" + line[:20])
    more = new_records(runs, good, before["end"])
    assert more["records"] == [{"event": "train", "step": 181, "loss": 0.5}]
    with file.open("a") as stream:
        stream.write(line[20:] + "\nnot JSON\n[]\n")
    again = new_records(runs, good, more["end"])
    assert [one["step"] for one in again["records"]] == [181]
    file.write_text(line + "\n")  # a run that resumed
    assert new_records(runs, good, again["end"])["start"] == 0


def test_long_files_are_thinned(runs: Path) -> None:
    good = str(runs / "sudoku/good")
    lines = [json.dumps({"event": "train", "step": n, "loss": 1 / n}) for n in range(1, 30_001)]
    lines.append(json.dumps({"event": "eval", "step": 30_000, "exact_accuracy": 1.0}))
    (runs / "sudoku/good/metrics.jsonl").write_text("\n".join(lines) + "\n")
    first = new_records(runs, good, 0)
    assert first["more"]
    assert 200 <= len(first["records"]) <= 401
    records, end, more = first["records"], first["end"], True
    while more:
        found = new_records(runs, good, end)
        records, end, more = records + found["records"], found["end"], found["more"]
    assert records[-1] == {"event": "eval", "step": 30_000, "exact_accuracy": 1.0}


def test_a_run_without_records(runs: Path, tmp_path: Path) -> None:
    (runs / "sudoku/good/metrics.jsonl").unlink()
    found = new_records(runs, str(runs / "sudoku/good"), 5)
    assert found == {"start": 0, "end": 0, "more": False, "records": []}
    assert runs_json(tmp_path / "absent") == []


def test_a_damaged_run_is_listed_with_its_problem(runs: Path) -> None:
    problems: Callable[[Any], Any] = {one["name"]: one["problems"] for one in runs_json(runs)}.get
    assert problems("bad")
    assert problems("good") == []
