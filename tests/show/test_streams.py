"""Standard streams that are closed, full, or without some characters; and a folder that is gone."""

import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

#: A shell command: what it has to print on stderr. All end with the exit code 1.
FAILING = {
    "trm --version > /dev/full": "trm: error: standard output: No space left on device.",
    "trm tasks > /dev/full": "trm: error: standard output: No space left on device.",
    "trm tasks >&-": "trm: error: standard output: Bad file descriptor.",
    "trm runs nosuch 2>&-": "",
    "mkdir gone; cd gone; rmdir ../gone; trm runs": "trm: error: the current folder was deleted.",
}  # fmt: skip
#: Variables under which all commands print as usual.
ODD = (
    "PYTHONIOENCODING=ascii",
    "LC_ALL=C PYTHONUTF8=0 PYTHONCOERCECLOCALE=0",
    "COLUMNS=0 LINES=0",
    "COLUMNS=1 TERM=dumb",
    "COLUMNS=² LINES=x TERMINAL_WIDTH=x",
)


def test_a_stream_or_folder_that_cannot_be_used_is_one_line(tmp_path: Path) -> None:
    for command, result in run(FAILING, tmp_path).items():
        line, *rest = result.stderr.splitlines() or [""]
        assert line.startswith(FAILING[command]), command
        assert (result.stdout, rest, result.returncode) == ("", [], 1), command


def test_odd_encodings_and_sizes_of_a_terminal_still_print(tmp_path: Path) -> None:
    commands = [f"{odd} trm tasks" for odd in ODD]
    commands.append("COLUMNS=0 trm eval --help")
    for command, result in run(commands, tmp_path).items():
        assert ("built in" in result.stdout) == command.endswith("tasks"), command
        assert ("--max-examples" in result.stdout) == command.endswith("--help"), command
        assert (result.stderr, result.returncode) == ("", 0), command


def test_nobody_reads_the_output(tmp_path: Path) -> None:
    (result,) = run(["trm tasks | true"], tmp_path).values()
    assert (result.stdout, result.stderr) == ("", "")


def test_what_libraries_log_is_escaped(tmp_path: Path) -> None:
    code = "import logging, trm.show.streams as s; s.prepare_streams(); logging.error('%s', '\x1b')"
    command = f'"{sys.executable}" -c "{code}"'
    assert run([command], tmp_path)[command].stderr == "ERROR:root:\\x1b\n"


def run(commands: Iterable[str], folder: Path) -> dict[str, "subprocess.CompletedProcess[str]"]:
    """Run shell commands in which ``trm`` is this trm, all at once."""
    trm = f'trm() {{ "{sys.executable}" -m trm "$@"; }}; '
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    processes = {
        command: subprocess.Popen(
            ["sh", "-c", trm + command], cwd=folder, env=environment, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )
        for command in commands
    }  # fmt: skip
    outputs = {command: process.communicate(timeout=60) for command, process in processes.items()}
    return {
        command: subprocess.CompletedProcess(command, process.returncode, *outputs[command])
        for command, process in processes.items()
    }
