"""What happens to long runs, really done to short ones."""

import contextlib
import os
import random
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from trm.runs.run_folder import newest_intact_checkpoint

Records = Callable[..., list[dict[str, Any]]]
RUN = "runs/sudoku/a"


@pytest.fixture
def kills(request: pytest.FixtureRequest) -> int:
    """How often to kill: a few times in the tests, twenty times with ``--soak``."""
    return 20 if request.config.getoption("--soak") else 3


def test_a_run_killed_again_and_again_ends_with_the_same_weights(
    trm: Callable[..., Any],
    start: Callable[..., Any],
    tiny_run: tuple[str, ...],
    tmp_path: Path,
    records: Records,
    numbers: Callable[..., Any],
    kills: int,
) -> None:
    steps = 60 + 60 * kills  # more than it takes until the last of them
    command = (*tiny_run, "--max-steps", str(steps), "--set", "train.eval_every_steps=20")
    assert trm(*command, "--run-name", "whole").code == 0
    rng = random.Random(kills)
    killed = 0
    while killed < kills:
        process = start(*command, "--run-name", "a")
        alive = process.read_lines(rng.randrange(1, 45))  # of steps, checkpoints, evaluations
        process.send(signal.SIGKILL)
        code, errors = process.end()
        assert alive, (process.lines, errors)
        assert code == -signal.SIGKILL
        killed += 1
    last = start(*command, "--run-name", "a")
    code, errors = last.end()
    assert code == 0, errors
    whole, found = tmp_path / "runs/sudoku/whole", tmp_path / RUN
    assert numbers(found / "last") == numbers(whole / "last")
    assert numbers(found / "best") == numbers(whole / "best")
    for event in ("train", "eval"):
        assert records(found, event) == records(whole, event)
    assert not list((found / "checkpoints").glob(".*"))  # nothing half-written


def test_one_of_two_processes_is_killed(
    trm: Callable[..., Any],
    start: Callable[..., Any],
    tiny_run: tuple[str, ...],
    tmp_path: Path,
    records: Records,
) -> None:
    exact = [word.replace("float32", "float64") for word in tiny_run] + ["--max-steps", "30"]
    assert trm(*exact, "--run-name", "whole").code == 0
    command = start(*exact, "--run-name", "a", "--nproc", "2", "--max-restarts", "1")
    command.read_until("train step 8/")
    os.kill(command.workers[1], signal.SIGKILL)
    code, errors = command.end()
    assert (code, errors) == (0, ""), command.lines
    found = tmp_path / RUN
    begun = [record["step"] for record in records(found, "start")]
    assert begun[0] == 0
    assert begun[1] >= 5
    assert f"run {RUN}, from step {begun[1]}, on 2 processes\n" in command.lines
    for ours, theirs in zip(
        records(found, "train"), records(tmp_path / "runs/sudoku/whole", "train"), strict=True
    ):
        assert ours["loss"] == pytest.approx(theirs["loss"], rel=1e-9)


def test_a_launcher_that_is_killed_takes_its_processes_along_which_save(
    start: Callable[..., Any],
    tiny_run: tuple[str, ...],
    tmp_path: Path,
    wait_for_end: Callable[..., None],
    records: Records,
) -> None:
    command = start(*tiny_run, "--max-steps", "100000", "--run-name", "a", "--nproc", "2")
    command.read_until("train step 2/")
    handles = [os.pidfd_open(pid) for pid in command.workers.values()]
    command.send(signal.SIGKILL)
    wait_for_end(handles)
    stopped = records(tmp_path / RUN, "end")[-1]
    assert stopped["error"] is None
    whole, _ = newest_intact_checkpoint(tmp_path / RUN)
    assert whole is not None
    assert int(whole.name[5:]) == stopped["step"]


def _wait(condition: Callable[[], Any], what: str) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


def _is_listening(pid: int) -> bool:
    """Whether a process waits for others to connect to it."""
    folder = Path(f"/proc/{pid}")
    with contextlib.suppress(OSError):
        own = {str(handle.readlink()) for handle in (folder / "fd").iterdir()}
        lines = "".join((folder / "net" / name).read_text() for name in ("tcp", "tcp6"))
        words = map(str.split, lines.splitlines())
        return any(w[3] == "0A" and f"socket:[{w[9]}]" in own for w in words)
    return False


@pytest.mark.parametrize("moment", ["before torch is imported", "while they wait for each other"])
def test_processes_end_after_their_launcher_before_they_train(
    start: Callable[..., Any], tiny_run: tuple[str, ...], moment: str
) -> None:
    command = start(*tiny_run, "--max-steps", "100000", "--run-name", "a", "--nproc", "2")
    stopped = set()
    if moment == "before torch is imported":
        _wait(lambda: command.workers, "no process")
    else:
        _wait(lambda: len(command.workers) == 2, "no processes")
        stopped = {command.workers[1]}  # so the first one waits for ever
        os.kill(*stopped, signal.SIGSTOP)
        _wait(lambda: _is_listening(command.workers[0]), "the first process does not wait")
    command.send(signal.SIGKILL)
    _wait(lambda: command.processes == stopped, "a process lives on")
    for pid in stopped:
        os.kill(pid, signal.SIGCONT)
    _wait(lambda: not command.processes, "a process lives on")


def test_processes_end_after_their_launcher_at_ten_moments(
    start: Callable[..., Any],
    tiny_run: tuple[str, ...],
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    if not request.config.getoption("--soak"):
        pytest.skip("takes a minute; with --soak")
    command = (*tiny_run, "--max-steps", "100000", "--nproc", "2")
    began = time.monotonic()
    measured = start(*command, "--run-name", "measured")
    measured.read_until("checkpoint step 5/")
    startup = time.monotonic() - began
    measured.send(signal.SIGKILL)
    for moment in range(10):
        killed = start(*command, "--run-name", str(moment))
        time.sleep(startup * moment / 8)
        killed.send(signal.SIGKILL)
        _wait(lambda killed=killed: not killed.processes, "a process lives on")


def test_a_run_goes_on_when_nobody_reads_what_it_says(
    tiny_run: tuple[str, ...], tmp_path: Path, records: Records
) -> None:
    command = [sys.executable, "-m", "trm", *tiny_run, "--max-steps", "9", "--run-name", "a"]
    with subprocess.Popen(
        [*command, "--nproc", "2"], cwd=tmp_path,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.wait() == 0
    assert [record["step"] for record in records(tmp_path / RUN, "train")] == list(range(1, 10))
    assert records(tmp_path / RUN, "end") == [
        {"event": "end", "step": 9, "finished": True, "error": None}
    ]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_a_run_goes_on_when_what_it_says_cannot_be_written(
    tiny_run: tuple[str, ...], tmp_path: Path, records: Records
) -> None:
    command = [sys.executable, "-m", "trm", *tiny_run, "--max-steps", "5", "--run-name", "a"]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            command, cwd=tmp_path, stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert (done.returncode, done.stderr) == (0, "")
    assert records(tmp_path / RUN, "end")[-1]["finished"]
    assert (tmp_path / RUN / "checkpoints/step-000005").is_dir()


def test_processes_that_die_too_often_are_one_line(
    start: Callable[..., Any], tiny_run: tuple[str, ...], tmp_path: Path, records: Records
) -> None:
    seldom = ["100000" if word == "5" else word for word in tiny_run]  # --save-every
    command = start(
        *seldom, "--max-steps", "100000", "--run-name", "a", "--nproc", "2", "--max-restarts", "0"
    )
    command.read_until("train step 2/")
    os.kill(command.workers[0], signal.SIGKILL)
    code, errors = command.end()
    assert code == 1
    assert re.fullmatch(
        r"trm: error: process 0 failed: Signal 9 \(SIGKILL\) received by PID \d+\. Its log is in "
        r"\S+/logs/\S+\. It had saved nothing yet; start it again\.\n",
        errors,
    ), errors
    assert records(tmp_path / RUN, "end")[-1]["error"] in errors  # for trm runs
    logs = sorted((tmp_path / RUN / "logs").glob("*/attempt_0/*/stderr.log"))
    assert [log.parent.name for log in logs] == ["0", "1"]


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["int", "term"]
)
def test_a_signal_saves_and_the_run_goes_on_with_one_process(
    start: Callable[..., Any],
    tiny_run: tuple[str, ...],
    records: Records,
    tmp_path: Path,
    number: signal.Signals,
    code: int,
) -> None:
    command = start(*tiny_run, "--max-steps", "100000", "--run-name", "a", "--nproc", "2")
    command.read_until("train step 3/")
    if number == signal.SIGTERM:  # which a scheduler sends to all, and the launcher passes on
        for worker in command.workers.values():
            os.kill(worker, number)
    command.send(number)
    said = "stopping after this step; Ctrl-C again to quit now\n"
    assert command.end() == (code, said if number == signal.SIGINT else "")
    found = re.fullmatch(
        r"stopped at step (\d+) of 100000\n"
        r"resume with: trm train sudoku --resume runs/sudoku/a --nproc 2\n",
        "".join(command.lines[-2:]),
    )
    assert found, command.lines
    stopped = int(found[1])
    again = start("train", "sudoku", "--resume", RUN, "--max-steps", str(stopped + 2))
    assert again.end() == (0, "")
    assert again.lines[0] == f"run {RUN}, from step {stopped}\n"
    steps = [record["step"] for record in records(tmp_path / RUN, "train")]
    assert steps == list(range(1, stopped + 3))


def test_a_second_signal_leaves_at_once_and_takes_all_processes_along(
    start: Callable[..., Any],
    tiny_run: tuple[str, ...],
    tmp_path: Path,
    wait_for_end: Callable[..., None],
) -> None:
    command = start(*tiny_run, "--max-steps", "100000", "--run-name", "a", "--nproc", "2")
    command.read_until("train step 2/")
    handles = [os.pidfd_open(pid) for pid in command.workers.values()]
    # Held still, the processes cannot answer the first signal.
    for pid in command.workers.values():
        os.kill(pid, signal.SIGSTOP)
    workers = list(command.workers.values())
    command.send(signal.SIGTERM)
    log = Path(f"/proc/{command.pid}/status")
    assert "State" in log.read_text()
    command.send(signal.SIGTERM)
    for pid in workers:
        os.kill(pid, signal.SIGCONT)
    code, _ = command.end()
    assert code in (143, -signal.SIGTERM)
    wait_for_end(handles)


def test_a_full_disk_while_saving_leaves_the_checkpoint_before(
    tiny_run: tuple[str, ...], tmp_path: Path
) -> None:
    """On a real file system with room for one checkpoint, mounted in a namespace of its own."""
    small, kept = tmp_path / "small", tmp_path / "kept"
    small.mkdir()
    mount = f"mount -t tmpfs -o size=350k none {small}"
    namespace = ["unshare", "--map-root-user", "--mount", "sh", "-c"]
    if subprocess.run([*namespace, mount], capture_output=True, check=False).returncode:
        pytest.skip("this system does not let a test mount a file system")
    train = shlex.join(
        [sys.executable, "-m", "trm", *tiny_run, "--max-steps", "20", "--run-name", "a",
         "--set", "train.eval_every_steps=20", "--out", str(small)]
    )  # fmt: skip
    script = f"{mount} && {train}; code=$?; cp -a {small} {kept}; exit $code"
    done = subprocess.run(
        [*namespace, script], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert "train step 20/20" in done.stdout  # it went on to the end
    assert re.search(
        r"^warning: checkpoint of step 10 was not saved: cannot write \S+step-000010: no space ",
        done.stdout,
        re.MULTILINE,
    ), (done.stdout, done.stderr)
    assert done.returncode == 1  # for there is no checkpoint of what was learned last
    assert re.fullmatch(r"trm: error: cannot write \S+step-000020: no space left .*\n", done.stderr)
    whole, damaged = newest_intact_checkpoint(kept / "sudoku/a")
    assert whole is not None
    assert (whole.name, damaged) == ("step-000005", {})
    assert (kept / "sudoku/a/last").resolve() == whole


def test_a_damaged_checkpoint_is_named_and_the_one_before_used(
    trm: Callable[..., Any],
    start: Callable[..., Any],
    tiny_run: tuple[str, ...],
    tmp_path: Path,
    numbers: Callable[..., Any],
) -> None:
    assert trm(*tiny_run, "--max-steps", "10", "--run-name", "a").code == 0
    run = tmp_path / RUN
    whole = numbers(run / "checkpoints/step-000010")
    file = run / "checkpoints/step-000010/training_state/optimizer.safetensors"
    data = bytearray(file.read_bytes())
    data[-7] ^= 1
    file.write_bytes(data)
    again = start(*tiny_run, "--max-steps", "10", "--run-name", "a")
    assert again.end() == (0, "")
    assert again.lines[0] == (
        "warning: runs/sudoku/a/checkpoints/step-000010/training_state/optimizer.safetensors is "
        "damaged: its checksum differs from SHA256SUMS. It is set aside as damaged-step-000010; "
        "the one before it is used.\n"
    )
    assert again.lines[1] == f"run {RUN}, from step 5\n"
    assert numbers(run / "checkpoints/step-000010") == whole
    assert (run / "checkpoints/damaged-step-000010/SHA256SUMS").is_file()
    assert (run / "best").resolve().is_dir()


def test_a_nonfinite_loss_stops_all_processes_with_one_error(
    start: Callable[..., Any], tiny_run: tuple[str, ...]
) -> None:
    command = start(
        *tiny_run, "--max-steps", "30", "--run-name", "a", "--nproc", "2",
        "--set", "optim.lr=1e35", "--set", "optim.lr_warmup_steps=1",
    )  # fmt: skip
    code, errors = command.end()
    assert code == 1
    assert re.fullmatch(
        r"trm: error: loss or gradient not finite at step 2, with puzzle identifiers 0\. Skip "
        r"such steps with --skip-nonfinite N, or lower optim\.lr\. There is no checkpoint "
        r"yet\.\n",
        errors,
    ), errors


def test_a_second_run_in_one_folder_is_refused_until_the_first_has_died(
    start: Callable[..., Any], tiny_run: tuple[str, ...]
) -> None:
    command = (*tiny_run, "--max-steps", "100000", "--run-name", "a")
    first = start(*command)
    first.read_until("checkpoint step 5/")
    code, errors = start(*command).end()
    assert code == 1
    assert re.fullmatch(
        rf"trm: error: {RUN} is being trained by process {first.pid} on host \S+\. Wait for it, or "
        r"choose another --run-name\.\n",
        errors,
    ), errors
    first.send(signal.SIGKILL)
    first.end()
    third = start(*command)
    assert third.read_until(f"run {RUN}, from step ")
    third.send(signal.SIGKILL)


def test_all_processes_of_srun_wait_for_the_last_checkpoint(
    start: Callable[..., Any], tiny_run: tuple[str, ...], tmp_path: Path, srun: Callable[..., Any]
) -> None:
    tasks = srun(*tiny_run, "--max-steps", "100000", "--run-name", "a")
    tasks[0].read_until("train step 3/")
    tasks[1].send(signal.SIGTERM)  # one of them is enough
    assert tasks[1].end() == (143, "")
    whole, _ = newest_intact_checkpoint(tmp_path / RUN)  # which is there when the first one leaves
    assert whole is not None
    assert tasks[0].end() == (143, "")
    assert tasks[0].lines[-2] == f"stopped at step {int(whole.name[5:])} of 100000\n"


def test_processes_of_different_settings_end_with_the_same_error(
    start: Callable[..., Any], tiny_run: tuple[str, ...], srun: Callable[..., Any]
) -> None:
    tasks = srun(*tiny_run, "--max-steps", "5", "--run-name", "a", TRM_OPTIM__LR=("0.1", "0.2"))
    found = [task.end() for task in tasks]
    assert found[0] == found[1]
    assert found[0][0] == 1
    assert re.fullmatch(
        r"trm: error: optim\.lr is 0\.2 on \S+, 0\.1 in the first process\. Give all the same\.\n",
        found[0][1],
    ), found
