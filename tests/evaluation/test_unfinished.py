"""An evaluation that was interrupted, and is resumed as if nothing had happened."""

import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import trm
from trm.errors import InputError, StorageError
from trm.evaluation.evaluate import evaluate
from trm.evaluation.predictions import Predictions
from trm.evaluation.report import Report

HOW: dict[str, Any] = {"batch_size": 7, "max_examples": 30, "steps": 2}


@pytest.fixture(scope="module")
def model(trained_run: Path) -> trm.Model:
    return trm.load(trained_run, device="cpu")


def interrupted(model: trm.Model, file: Path, at: int, **how: Any) -> Path:
    """Evaluate until so many examples are done; returns the file that is left."""

    def stop(done: int, total: int) -> None:
        if done >= at:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        evaluate(model, save_predictions=file, on_progress=stop, **(HOW | how))
    return file.with_name(f"{file.name}.partial")


def resumed(model: trm.Model, file: Path, **how: Any) -> tuple[int, Report]:
    """Evaluate to the end; returns the number of examples that were known."""
    seen: list[int] = []
    report = evaluate(
        model, save_predictions=file, on_progress=lambda done, _: seen.append(done), **(HOW | how)
    )
    assert not file.with_name(f"{file.name}.partial").exists()
    return seen[0], report


def whole(model: trm.Model, file: Path, **how: Any) -> tuple[bytes, Report]:
    report = evaluate(model, save_predictions=file, **(HOW | how))
    return file.read_bytes(), report


@pytest.mark.parametrize("options", [{}, {"votes": 2}, {"samples": 2}, {"halt": 0.9}], ids=str)
def test_it_ends_like_one_that_was_not_interrupted(
    model: trm.Model, tmp_path: Path, options: dict[str, Any]
) -> None:
    expected, report = whole(model, tmp_path / "a.npz", **options)
    for at in (7, 21):  # twice
        interrupted(model, tmp_path / "b.npz", at, **options)
        assert not (tmp_path / "b.npz").exists()
    known, again = resumed(model, tmp_path / "b.npz", **options)
    assert known == 21
    assert again.metrics == report.metrics
    assert (tmp_path / "b.npz").read_bytes() == expected
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a.npz", "b.npz"]


def test_what_is_damaged_or_cut_short_is_evaluated_again(model: trm.Model, tmp_path: Path) -> None:
    expected, _ = whole(model, tmp_path / "a.npz")
    file = tmp_path / "b.npz"
    content = interrupted(model, file, 28).read_bytes()
    header = content.index(b"\n") + 1
    batch = (len(content) - header) // 4

    def flipped(place: int) -> bytes:
        return content[:place] + bytes([255 - content[place]]) + content[place + 1 :]

    for damaged, known in (
        (content[:9], 0), (content[:header], 0), (content[: header + batch - 1], 0),
        (content[: header + 3 * batch], 21), (content[:-1], 21), (content + b"x" * 999, 28),
        (flipped(header), 0), (flipped(header + 2 * batch + 50), 14),
        (flipped(len(content) - 9), 21),
    ):  # fmt: skip
        file.with_name("b.npz.partial").write_bytes(damaged)
        assert resumed(model, file)[0] == known
        assert file.read_bytes() == expected
        file.unlink()


def test_an_evaluation_that_was_stopped_before_its_file_was_written(
    model: trm.Model, tmp_path: Path
) -> None:
    expected, report = whole(model, tmp_path / "a.npz")
    interrupted(model, tmp_path / "b.npz", 30)
    known, again = resumed(model, tmp_path / "b.npz")
    assert known == 30
    assert again.metrics == report.metrics
    assert again.speed["samples_per_s"] == 0
    assert (tmp_path / "b.npz").read_bytes() == expected


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"halt": 0.9}, "answers with --steps 2, not answers with --steps 2 --halt 0.9"),
        ({"reset_puzzle_embedding": True}, "own puzzle embeddings, not .* mean puzzle embedding"),
    ],
    ids=str,
)  # fmt: skip
def test_another_evaluation_is_not_resumed(
    model: trm.Model, tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    file = tmp_path / "a.npz"
    partial = interrupted(model, file, 7)
    before = partial.read_bytes()
    with pytest.raises(InputError, match=rf"/a\.npz\.partial has .*{message}\. Name .* --overw"):
        resumed(model, file, **change)
    assert partial.read_bytes() == before
    assert resumed(model, file, **change, overwrite=True)[0] == 0


def test_a_finished_file_is_extended_and_nothing_is_computed_twice(
    model: trm.Model, tmp_path: Path
) -> None:
    expected, report = whole(model, tmp_path / "a.npz")
    file = tmp_path / "b.npz"
    whole(model, file, max_examples=12)
    interrupted(model, file, 17, batch_size=5)
    known, again = resumed(model, file)
    assert known == 17
    assert again.metrics == report.metrics
    assert file.read_bytes() == expected


def test_fewer_examples_are_judged_alone_and_no_answer_is_lost(
    model: trm.Model, tmp_path: Path
) -> None:
    expected, _ = whole(model, tmp_path / "a.npz")
    _, few = whole(model, tmp_path / "b.npz", max_examples=12)
    known, report = resumed(model, tmp_path / "a.npz", max_examples=12)
    assert (known, report.num_examples) == (12, 12)
    assert report.metrics == few.metrics
    assert report.remarks == (f"{tmp_path}/a.npz keeps 18 answers to other examples",)
    assert (tmp_path / "a.npz").read_bytes() == expected


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"halt": 0.9}, "answers with --steps 2, not answers with --steps 2 --halt 0.9"),
        ({"reset_puzzle_embedding": True}, "own puzzle embeddings, not .* mean puzzle embedding"),
    ],
    ids=str,
)  # fmt: skip
def test_the_answers_of_another_evaluation_are_not_replaced(
    model: trm.Model, tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    file = tmp_path / "a.npz"
    before, _ = whole(model, file)
    with pytest.raises(InputError, match=rf"/a\.npz has .*{message}\. Name .* --overw"):
        resumed(model, file, **change)
    assert [one.name for one in tmp_path.iterdir()] == ["a.npz"]
    assert file.read_bytes() == before
    assert resumed(model, file, **change, overwrite=True)[0] == 0


def test_a_file_of_an_earlier_version_is_not_extended(model: trm.Model, tmp_path: Path) -> None:
    file = tmp_path / "a.npz"
    whole(model, file, max_examples=5)
    saved = Predictions.load(file)
    info = saved.info.model_copy(update={"weights": ""})
    replace(saved, info=info).save(file)
    with pytest.raises(InputError, match=r"/a\.npz has answers of unknown weights of \S+, not "):
        resumed(model, file)
    file.write_bytes(b"my notes")
    with pytest.raises(
        InputError, match=r"/a\.npz holds no predictions: .*\. Name another file, or"
    ):
        resumed(model, file)


def test_the_time_ends_an_evaluation_and_the_same_call_computes_the_rest(
    model: trm.Model, tmp_path: Path
) -> None:
    _, report = whole(model, tmp_path / "a.npz")
    file, late = tmp_path / "b.npz", {"max_minutes": 1e-6}
    for done in (7, 14, 21, 28):  # one batch each: the time is over before
        known, part = resumed(model, file, **late)
        assert (known, part.num_examples) == (done - 7, done)
        assert part.remarks == (f"answered {done} of 30 examples: the 1e-06 minutes are over",)
    known, again = resumed(model, file, **late)
    assert (known, again.num_examples, again.remarks) == (28, 30, ())
    assert again.metrics == report.metrics
    assert file.read_bytes() == (tmp_path / "a.npz").read_bytes()


def test_the_answers_of_two_models_or_datasets_are_not_mixed(
    model: trm.Model, trained_run: Path, tmp_path: Path, trm: Callable[..., Any]
) -> None:
    partial = interrupted(model, tmp_path / "a.npz", 7)
    other = trained_run / "checkpoints" / "step-000090"
    with pytest.raises(
        InputError, match=r"has answers of \S+/trained\S*, not answers of \S+-000090"
    ):
        evaluate(other, save_predictions=tmp_path / "a.npz", device="cpu", **HOW)
    trm("build-data", "sudoku", "--source", "generate", "--size", "4", "--num-train", "5",
        "--num-test", "20", "--num-aug", "0", "--out", tmp_path / "d")  # fmt: skip
    with pytest.raises(InputError, match=r"has answers to data of digest \w+, not .*"):
        resumed(model, tmp_path / "a.npz", data=[tmp_path / "d"])
    content = partial.read_bytes()
    for damage in (
        b"my notes\n",
        b"{}\n",
        b"[" * 100_000 + b"\n",
        content.replace(b'"split":"test"', b'"split":"x"', 1),
    ):
        partial.write_bytes(damage)
        with pytest.raises(InputError, match=r"/a\.npz\.partial (is not of an inter|has answers)"):
            resumed(model, tmp_path / "a.npz")
        assert partial.read_bytes() == damage


def test_a_file_that_cannot_be_written_is_said_before_the_evaluation(
    model: trm.Model, tmp_path: Path
) -> None:
    (tmp_path / "a.npz.partial").mkdir()
    with pytest.raises(StorageError, match=r"cannot write \S+/a\.npz\.partial: a folder of that"):
        resumed(model, tmp_path / "a.npz")


@pytest.mark.parametrize("size", [10, 1000])
def test_a_full_disk_is_one_error_and_keeps_whole_batches(
    model: trm.Model, tmp_path: Path, size: int
) -> None:
    expected, _ = whole(model, tmp_path / "a.npz")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    previous = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
        with pytest.raises(StorageError, match=r"cannot write \S+/b\.npz\.partial: the file would"):
            evaluate(model, save_predictions=tmp_path / "b.npz", **HOW)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, previous)
    assert (tmp_path / "b.npz.partial").exists() == (size > 100)
    assert (resumed(model, tmp_path / "b.npz")[0] > 0) == (size > 100)
    assert (tmp_path / "b.npz").read_bytes() == expected


def test_ctrl_c_of_several_processes(trained_run: Path, tmp_path: Path) -> None:
    file, partial = tmp_path / "a.npz", tmp_path / "a.npz.partial"
    flags = ["--batch-size", "2", "--steps", "40", "--device", "cpu", "--nproc", "2"]
    command = [sys.executable, "-m", "trm", "eval", "--ckpt", str(trained_run), *flags]
    process = subprocess.Popen(
        [*command, "--oversubscribe", "--max-examples", "60", "--save-predictions", str(file)],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    try:
        end = time.monotonic() + 120
        while not (partial.is_file() and partial.read_bytes().partition(b"\n")[2]):
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < end
            time.sleep(0.05)
        os.killpg(process.pid, signal.SIGINT)
        _, err = process.communicate(timeout=120)
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == 130
    assert err.splitlines()[-1] == f"stopped; the same command resumes {file}"
    assert err.count("stopped") == 1
    assert "Traceback" not in err
    model = trm.load(trained_run, device="cpu")
    assert resumed(model, file, batch_size=2, steps=40, max_examples=60)[0] >= 2
