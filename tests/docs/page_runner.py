"""Runs the commands of pages, as typed, in bash.

In the bash, ``trm`` is a small program that sends its arguments to a process that has loaded trm
already. Runs and data are small: environment variables and flags that the page does not show.
"""

import contextlib
import json
import re
import shutil
import socketserver
import stat
import subprocess
import sys
import tempfile
import threading
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import pytest

from tests.docs.page_commands import Block, Command
from tests.hub.commands import Commands, Done
from trm.commands.solve import NOT_VALID
from trm.models.registry import get_model_class

ROOT = Path(__file__).parents[2]
TOKEN = "hf_alice"  # of the small Hub
#: A file that a page shows; runs with these settings are small already.
SMALL_SETTINGS = "small.toml"
#: The settings of every other run.
SMALL_RUN = {
    "TRM_MODEL__HIDDEN_SIZE": "32", "TRM_MODEL__NUM_HEADS": "2", "TRM_MODEL__H_CYCLES": "1",
    "TRM_MODEL__L_CYCLES": "3", "TRM_MODEL__HALT_MAX_STEPS": "2", "TRM_MODEL__PUZZLE_EMB_LEN": "1",
    "TRM_MODEL__FORWARD_DTYPE": "float32", "TRM_TRAIN__BATCH_SIZE": "2",
    "TRM_TRAIN__MAX_STEPS": "4", "TRM_TRAIN__EVAL_EVERY_STEPS": "4",
    "TRM_OPTIM__LR_WARMUP_STEPS": "0", "TRM_EVAL__MAX_EXAMPLES": "4", "TRM_TRAIN__COMPILE": "false",
}  # fmt: skip
#: The highest values of flags: of runs, evaluations, and data whose counts the page does not show.
MOST_STEPS = {"--max-steps": 20, "--epochs": 2}
MOST_EXAMPLES = {"--max-examples": 8}
MOST_DATA = {
    "sudoku": {"--num-train": 60, "--num-test": 20, "--num-aug": 5},
    "maze": {"--num-train": 12, "--num-test": 8},
    "arc1": {"--num-train": 8, "--num-test": 4, "--num-aug": 3},
    "arc2": {"--num-train": 8, "--num-test": 4, "--num-aug": 3},
}
#: Commands whose output a model decides: its numbers differ between machines.
OF_A_MODEL = (
    "train",
    "compare",
    "eval",
    "solve",
    "sweep-eval",
    "vote",
    "runs",
    "push-hub",
    "import",
)
_NUMBER = re.compile(r"\b[0-9a-f]{7,40}\b|[0-9][0-9,]*(\.[0-9]+)?(e[+-][0-9]+)?")
_TRM = """\
#!{python} -ISE
import json, os, socket, sys
names = [n for n in os.environ if n.startswith(("TRM_", "HF_TOKEN", "WANDB_", "TRACKIO_", "TTY_"))]
given = {{"arguments": sys.argv[1:], "folder": os.getcwd(), "stdin": sys.stdin.read()}}
given["variables"] = {{name: os.environ[name] for name in names}}
with socket.socket(socket.AF_UNIX) as server:  # after stdin: the command that it comes from is done
    server.connect({socket!r})
    server.sendall(json.dumps(given).encode())
    server.shutdown(socket.SHUT_WR)
    code, out, err = json.loads(server.makefile().read())
sys.stdout.write(out)
sys.stdout.flush()
sys.stderr.write(err)
sys.exit(code)
"""
#: Installs nothing, but refuses what trm and its extras do not name, and folders without a package.
_PIP = """\
#!{python} -ISE
import pathlib, re, sys, tomllib
project = tomllib.loads(pathlib.Path({project!r}).read_text())["project"]
extras = project["optional-dependencies"]
lines = sum(extras.values(), project["dependencies"])
packages = [re.match("[a-z]+", line)[0] for line in lines]
words = [word for word in sys.argv[2:] if word != "-e"]
if "--index-url" in words:  # of the builds of torch only
    at = words.index("--index-url")
    assert words[:at] == ["torch"] and words[at + 1 :] == ["https://download.pytorch.org/whl/cpu"]
    del words[at:]
for word in words:
    name, named = re.fullmatch(r"([^\\[]+)(?:\\[(.*)\\])?", word).groups()
    folder = pathlib.Path({project!r}).parent / name
    known = name.startswith("git+") or name in packages or (folder / "pyproject.toml").is_file()
    assert known and set((named or "plot").split(",")) <= set(extras), word
assert sys.argv[1] == "install" and words
"""
#: Makes environments without pip, so that the one above is found in them too.
_PYTHON = """\
#!/bin/bash
if [ "$1 $2" = "-m venv" ]; then set -- "$@" --without-pip; fi
exec {python} "$@"
"""
#: The client of the Hub itself. Without a terminal nobody can log in: the token is a variable.
_HF = """\
#!/bin/bash
if [ "$1 $2" != "auth login" ]; then exec {hf} "$@"; fi
"""


class Shell:
    """Runs blocks in a folder; use it as a context.

    What a command prints is compared with what the page shows. ``...`` there stands for anything.
    Numbers may differ after a command was shortened, and where they come from a model. After a
    shortened training, the outputs of models are not compared.

    Attributes:
        calls: the arguments of each command of trm that was run.
    """

    def __init__(self, folder: Path, commands: Commands, environment: Mapping[str, str]) -> None:
        self.calls: list[list[str]] = []
        self._folder, self._commands, self._environment = folder, commands, environment
        self._flags: list[str] = []
        self._as_shown = self._was_shortened = False
        self._programs = Path(tempfile.mkdtemp())  # the path of a socket has 100 characters at most
        self._server = _Server(str(self._programs / "socket"), self._answer)
        given = {"socket": str(self._programs / "socket"), "python": sys.executable}
        given |= {"project": str(ROOT / "pyproject.toml"), "hf": shutil.which("hf", path=_BIN)}
        programs = {"trm": _TRM, "pip": _PIP, "hf": _HF, "python3": _PYTHON}
        if shutil.which("jq") is None:  # the only program that pages use and tests do not need
            programs["jq"] = "#!/bin/sh\ncat\n"
        for name, program in programs.items():
            file = self._programs / name
            file.write_text(program.format(**given))
            file.chmod(file.stat().st_mode | stat.S_IXUSR)
        for name in ("recipes", "examples"):
            with contextlib.suppress(FileExistsError):
                (folder / name).symlink_to(ROOT / name)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._server.close()
        shutil.rmtree(self._programs)

    def run_all(self, blocks: Iterable[Block]) -> None:
        """Run the commands of blocks, and write the files that they show.

        The test fails at a command that fails, or that prints something else than the page shows.
        """
        for block in blocks:
            if block.not_run is None:
                self.run(block)

    def run(self, block: Block) -> None:
        """Run one block."""
        for command in block.before:
            self._bash(Command(command), replace(block, run_with=""))
        if block.file:
            (self._folder / block.file).write_text(block.text)
        elif block.language == "python":
            done = self._commands.execute(block.text, self._folder, TOKEN, keep_names=True)
            if done.code != 0:
                pytest.fail(f"{_place(block)}\n{block.text}\n{done.err}", pytrace=False)
        for command in block.commands:
            self._bash(command, block)

    def _bash(self, command: Command, block: Block) -> None:
        added = block.run_with.split()
        variables = dict(word.split("=", 1) for word in added if re.match("[A-Z_]+=", word))
        self._flags = [word for word in added if word.partition("=")[0] not in variables]
        self._as_shown = not self._flags and any(line != "..." for line in command.output or ())
        done = subprocess.run(
            ["bash", "-e", "-o", "pipefail", "-c", command.text],
            cwd=self._folder,
            env={**self._environment, **variables, "PATH": f"{self._programs}:/usr/bin:/bin"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
        text = "\n".join(command.output or ())
        expected = 1 if re.search(r"^trm: error: ", text, re.M) else 0
        problem = f"{_place(block)}\n$ {command.text}\n{done.stdout}{done.stderr}"
        code = done.returncode
        if code == NOT_VALID and self._was_shortened:
            code = 0  # a model that hardly trained has no valid answer
        if code != expected:
            pytest.fail(problem, pytrace=False)
        if text:
            self._compare(command, block, Done(code, done.stdout, done.stderr), problem)

    def _compare(self, command: Command, block: Block, done: Done, problem: str) -> None:
        of_a_model = bool(re.search(rf"\btrm ({'|'.join(OF_A_MODEL)})\b", command.text))
        if of_a_model and self._was_shortened and done.code == 0:
            return
        loose = of_a_model or self._was_shortened or bool(block.before)
        pattern = _pattern(command.output or (), loose)
        # Remarks on stderr are shown first, last, or not at all.
        printed = [
            _simple(text, loose) for text in (done.err + done.out, done.out + done.err, done.out)
        ]
        if not any(re.fullmatch(pattern, text) for text in printed):
            shown = "\n".join(command.output or ())
            pytest.fail(f"{problem}\n--- The page shows:\n{shown}", pytrace=False)

    def _answer(self, given: dict[str, Any]) -> Done:
        """Run one command of trm."""
        arguments = self._shorten(given["arguments"])
        self.calls.append(arguments)
        evaluates = arguments[:1] == ["eval"]
        self._was_shortened |= arguments != given["arguments"] and not evaluates
        variables = {"COLUMNS": "80", **given["variables"]}
        token = variables.pop("HF_TOKEN", None) or None
        if arguments[:1] == ["train"] and SMALL_SETTINGS not in arguments:
            variables = {**_small_run(arguments, Path(given["folder"])), **variables}
            self._was_shortened = True
        return self._commands.run(
            arguments, Path(given["folder"]), token, stdin=given["stdin"], variables=variables
        )

    def _shorten(self, arguments: list[str]) -> list[str]:
        command, task = (*arguments, "", "")[:2]
        if command == "train" and SMALL_SETTINGS not in arguments:
            arguments = _limited(arguments, MOST_STEPS, add=False)
        if command == "eval":
            arguments = _limited(arguments, MOST_EXAMPLES, add="--copies" not in arguments)
        if command == "build-data" and not self._as_shown:
            most = MOST_DATA.get(task, {})
            left = {flag: value for flag, value in most.items() if flag not in self._flags}
            arguments = _limited(arguments, left, add=True)
        return _replaced(arguments, self._flags)


class _Server(socketserver.UnixStreamServer):
    """Answers one call after another."""

    def __init__(self, path: str, answer: Any) -> None:
        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                done = answer(json.loads(self.rfile.read()))
                self.wfile.write(json.dumps(done).encode())

        super().__init__(path, Handler)
        self._thread = threading.Thread(target=self.serve_forever, args=(0.01,))
        self._thread.start()

    def close(self) -> None:
        self.shutdown()
        self._thread.join()
        self.server_close()


_BIN = str(Path(sys.executable).parent)


def _small_run(arguments: list[str], folder: Path) -> dict[str, str]:
    """The settings of a small run, without those that its kind of model has not.

    A run that begins with weights has the sizes of these.
    """
    kind = arguments[arguments.index("--model") + 1] if "--model" in arguments else "trm"
    if "--config" in arguments:
        recipe = tomllib.loads((folder / arguments[arguments.index("--config") + 1]).read_text())
        kind = recipe.get("model", {}).get("kind", kind)
        if "init_from" in recipe.get("train", {}):
            return {name: value for name, value in SMALL_RUN.items() if "MODEL" not in name}
    known = get_model_class(kind).config_class.model_fields
    prefix = "TRM_MODEL__"
    return {
        name: value
        for name, value in SMALL_RUN.items()
        if not name.startswith(prefix) or name.removeprefix(prefix).lower() in known
    }


def _limited(arguments: list[str], most: Mapping[str, int], *, add: bool) -> list[str]:
    made = list(arguments)
    for flag, value in most.items():
        if flag in made:
            at = made.index(flag) + 1
            made[at] = str(min(int(made[at]), value))
        elif add:
            made += [flag, str(value)]
    return made


def _replaced(arguments: list[str], flags: list[str]) -> list[str]:
    """Arguments with more flags, which replace the same ones."""
    made = list(arguments)
    for flag in (word for word in flags if word.startswith("--") and word in arguments):
        at = made.index(flag)
        del made[at : at + 2]
    return made + flags


def _place(block: Block) -> str:
    return f"{block.page.relative_to(ROOT)}:{block.line}"


def _simple(text: str, loose: bool) -> str:
    """The text in any width; if ``loose``, with # for any number."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", text)  # of a terminal
    text = re.sub(r"http://127\.0\.0\.1:\d+", "https://huggingface.co", text)
    text = _NUMBER.sub("#", text) if loose else text
    lines = [re.sub(r"\s+|─+", " ", line).strip() for line in text.splitlines()]
    return "\n".join(line for line in lines if line) + "\n"


def _pattern(shown: tuple[str, ...], loose: bool) -> str:
    """What the output has to be: ``...`` stands for anything."""
    text = _simple("\n".join(shown), loose)
    parts = re.split(r"^\.\.\.\n|\.\.\.", text, flags=re.M)
    return "(?s:.*?)".join(map(re.escape, parts))
