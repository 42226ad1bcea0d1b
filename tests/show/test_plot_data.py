"""The numbers behind a plot."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from trm.errors import InputError
from trm.show.plot_data import legend_labels, metric_over_steps, pass_at_k_curves, split_suffix

MakeRun = Callable[..., Path]


@pytest.fixture
def make_run(tmp_path: Path) -> MakeRun:
    """A run folder with these evaluations among other records."""

    def make(*evals: dict[str, Any], name: str = "run", more: str = "") -> Path:
        records: list[dict[str, Any]] = [{"event": "train", "step": 1, "exact_accuracy": 0.9}]
        for number, values in enumerate(evals, 1):
            records.append(
                {"event": "eval", "step": 10 * number, "examples": 4, "elapsed_s": 1.5, **values}
            )
            records.append({"event": "checkpoint", "step": 10 * number, "path": "x"})
        (tmp_path / name).mkdir()
        lines = "".join(json.dumps(record) + "\n" for record in records)
        (tmp_path / name / "metrics.jsonl").write_text(lines + more)
        return tmp_path / name

    return make


def refused(call: Callable[..., object], *arguments: object) -> str:
    with pytest.raises(InputError) as caught:
        call(*arguments)
    message = str(caught.value)
    assert "\n" not in message
    assert message.endswith((".", " > eval.json"))
    return message


def test_a_metric_over_the_steps(make_run: MakeRun) -> None:
    run = make_run({"exact_accuracy": 0.25, "mean_steps": 7.5}, {"exact_accuracy": 1.0})
    assert metric_over_steps(run, None) == ("exact_accuracy", [(10, 0.25), (20, 1.0)])
    assert metric_over_steps(run, "exact_accuracy")[1] == [(10, 0.25), (20, 1.0)]
    assert metric_over_steps(run, "mean_steps") == ("mean_steps", [(10, 7.5)])


def test_what_was_not_measured_on_the_test_split_is_marked(make_run: MakeRun) -> None:
    held_out = make_run({"exact_accuracy": 0.25, "split": "validation"}, name="a")
    assert split_suffix(held_out, "exact_accuracy") == " (validation)"
    assert split_suffix(held_out, "train/exact_accuracy") == ""
    for name, split in (("b", {"split": "test"}), ("c", {})):
        assert split_suffix(make_run({"exact_accuracy": 0.5, **split}, name=name), "loss") == ""
        assert split_suffix(held_out.with_name(name), "exact_accuracy") == ""


def test_pass_at_2_is_drawn_where_there_is_one(make_run: MakeRun) -> None:
    run = make_run({"exact_accuracy": 0.25, "pass@2": 0.5})
    assert metric_over_steps(run, None) == ("pass@2", [(10, 0.5)])
    assert metric_over_steps(run, "exact_accuracy") == ("exact_accuracy", [(10, 0.25)])


def test_a_number_that_was_none_is_left_out(make_run: MakeRun) -> None:
    run = make_run({"far": None}, {"far": 0.5}, {"far": True}, {"far": "x"}, {"far": 2})
    assert metric_over_steps(run, "far") == ("far", [(20, 0.5), (50, 2.0)])


def train_lines(*records: dict[str, Any]) -> str:
    return "".join(json.dumps({"event": "train", **record}) + "\n" for record in records)


def test_what_is_logged_in_training_is_drawn_too(make_run: MakeRun) -> None:
    more = train_lines({"step": 2, "loss": 2.5, "eta_s": 9.0}, {"step": 4, "loss": None, "lr": 1})
    run = make_run({"exact_accuracy": 0.25}, more=more)
    assert metric_over_steps(run, "loss") == ("loss", [(2, 2.5)])
    assert metric_over_steps(run, "train/loss") == ("train/loss", [(2, 2.5)])
    assert metric_over_steps(run, "lr") == ("lr", [(4, 1.0)])
    assert metric_over_steps(run, "exact_accuracy")[1] == [(10, 0.25)]
    assert metric_over_steps(run, "train/exact_accuracy") == ("train/exact_accuracy", [(1, 0.9)])


def test_of_two_records_of_a_step_the_later_is_drawn(make_run: MakeRun) -> None:
    """An interrupted run writes some again; the order is that of the steps."""
    lines = train_lines(*({"step": step, "loss": 1.0 + step} for step in (2, 4, 6)))
    again = train_lines(*({"step": step, "loss": 2.0 + step} for step in (2, 4)))
    run = make_run({"exact_accuracy": 0.25}, more=lines + again)
    assert metric_over_steps(run, "loss")[1] == [(2, 4.0), (4, 6.0), (6, 7.0)]


def test_records_of_few_steps_are_joined_with_the_next(make_run: MakeRun) -> None:
    """A run that is stopped records the steps since the last record, which are few and noisy."""
    losses = {10: 4.0, 20: 3.0, 26: 9.0, 30: 1.0, 40: 2.0, 50: 2.0, 52: 7.0}
    lines = train_lines(*({"step": step, "loss": loss} for step, loss in losses.items()))
    run = make_run({"exact_accuracy": 0.25}, more=lines)
    expected = [(10, 4.0), (20, 3.0), (30, (6 * 9 + 4 * 1) / 10), (40, 2.0), (50, 2.0)]
    assert metric_over_steps(run, "loss")[1] == expected


@pytest.mark.parametrize("name", ["exact_acuracy", "elapsed_s", "event", "step", "examples"])
def test_what_is_no_metric_is_refused_with_the_list(make_run: MakeRun, name: str) -> None:
    run = make_run({"exact_accuracy": 0.25, "mean_steps": 7.5})
    message = refused(metric_over_steps, run, name)
    assert f"run has no metric '{name}'. " in message
    assert message.endswith("Known: exact_accuracy, mean_steps, train/exact_accuracy.")


@pytest.mark.parametrize("line", ['{"event": "eval", "st', "3\n", "[]\n", "\n", "null"])
def test_a_line_cut_short_by_a_crash_is_passed_over(make_run: MakeRun, line: str) -> None:
    run = make_run({"exact_accuracy": 0.25}, more=line)
    assert metric_over_steps(run, None)[1] == [(10, 0.25)]


def test_what_is_no_run_is_refused(make_run: MakeRun, tmp_path: Path) -> None:
    assert "/absent is not a run: it has no metrics.jsonl." in refused(
        metric_over_steps, tmp_path / "absent", None
    )
    without = make_run(more=train_lines({"step": 2, "loss": 2.5}))
    for metric in (None, "exact_accuracy", "pass@2"):
        message = refused(metric_over_steps, without, metric)
        assert message.endswith("/run has no evaluation yet. Wait for one, or draw --metric loss.")
    assert metric_over_steps(without, "loss")[1] == [(2, 2.5)]
    assert metric_over_steps(without, "train/exact_accuracy")[1] == [(1, 0.9)]
    (without / "metrics.jsonl").unlink()
    (without / "metrics.jsonl").mkdir()
    assert "/run is not a run: it has no metrics.jsonl." in refused(
        metric_over_steps, without, None
    )


def test_a_trained_run_can_be_drawn(trained_run: Path) -> None:
    name, curve = metric_over_steps(trained_run, None)
    assert name == "exact_accuracy"
    assert [step for step, _ in curve] == [90, 180]
    assert curve[-1][1] > 0.7


def test_pass_at_k_of_the_last_evaluation(make_run: MakeRun) -> None:
    run = make_run({"pass@1": 0.1, "pass@10": 0.3}, {"pass@10": 0.4, "pass@1": 0.2, "loss": 1.0})
    assert pass_at_k_curves(run, "a") == {"a": [(1, 0.2), (10, 0.4)]}
    assert "/bare has no evaluation yet." in refused(pass_at_k_curves, make_run(name="bare"), "a")


def test_pass_at_k_of_a_saved_evaluation(tmp_path: Path) -> None:
    metrics = {"pass@2": {"value": 0.5, "count": 4}, "pass@1": {"value": 0.25}, "x": {"value": 1.0}}
    (tmp_path / "e.json").write_text(json.dumps({"checkpoint": "a", "metrics": metrics}))
    assert pass_at_k_curves(tmp_path / "e.json", "e") == {"e": [(1, 0.25), (2, 0.5)]}


def saved_list(path: Path, *entries: tuple[str, dict[str, float]]) -> Path:
    """A file as ``trm eval --json`` writes it of several checkpoints."""
    reports = [
        {"name": name, "metric": "pass@2", "reported": None, "checkpoint": "c", "step": 1,
         "metrics": {metric: {"value": value, "count": 4} for metric, value in metrics.items()}}
        for name, metrics in entries
    ]  # fmt: skip
    path.write_text(json.dumps(reports))
    return path


def test_pass_at_k_of_several_checkpoints(tmp_path: Path) -> None:
    """A checkpoint of another task has none, and two may have one name."""
    file = saved_list(
        tmp_path / "all.json",
        ("first", {"pass@1": 0.25, "pass@2": 0.5}),
        ("sudoku", {"exact_accuracy": 0.5}),
        ("second", {"pass@1": 0.75}),
        ("first", {"pass@1": 0.125}),
    )
    curves = [[(1, 0.25), (2, 0.5)], [(1, 0.75)], [(1, 0.125)]]
    names = ["first", "second", "first (2)"]
    assert pass_at_k_curves(file, "") == dict(zip(names, curves, strict=True))
    assert list(pass_at_k_curves(file, "all.json")) == [f"all.json {name}" for name in names]


def test_of_several_checkpoints_one_has_to_have_pass_at_k_curves(tmp_path: Path) -> None:
    file = saved_list(tmp_path / "all.json", ("sudoku", {"exact_accuracy": 0.5}))
    assert "/all.json has no pass@k: its task has no voting." in refused(pass_at_k_curves, file, "")


@pytest.mark.parametrize(
    "text", ["", "{", "[3]", "3", "[" * 100_000, '[{"name": "a"}]', '{"metrics": 3}',
             '{"metrics": {"pass@1": 3}}', '{"metrics": {"pass@1": {"value": "x"}}}',
             '{"metrics": {"pass@1": {"value": 1e999}}}'],
)  # fmt: skip
def test_a_file_of_something_else_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "e.json").write_text(text)
    assert "/e.json holds no evaluation: " in refused(pass_at_k_curves, tmp_path / "e.json", "e")


def test_what_is_not_voted_on_has_no_pass_at_k_curves(make_run: MakeRun, tmp_path: Path) -> None:
    assert "/run has no pass@k: its task has no voting." in refused(
        pass_at_k_curves, make_run({"exact_accuracy": 0.5}), "a"
    )
    (tmp_path / "e.json").write_text('{"metrics": {"exact_accuracy": {"value": 0.5}}}')
    assert "/e.json has no pass@k: " in refused(pass_at_k_curves, tmp_path / "e.json", "e")


@pytest.mark.parametrize(
    ("paths", "expected"),
    [
        (["runs/sudoku/a"], ["a"]),
        (["runs/sudoku/a", "runs/sudoku/b"], ["a", "b"]),
        (["runs/sudoku/a", "runs/maze/a"], ["sudoku/a", "maze/a"]),
        (["runs/a", "runs/a/b"], ["a", "a/b"]),
        (["/x/runs/a", "y/a"], ["/x/runs/a", "y/a"]),
        (["."], ["."]),
    ],
)
def test_a_legend_leaves_out_what_all_paths_share(paths: list[str], expected: list[str]) -> None:
    assert legend_labels(list(map(Path, paths))) == expected
