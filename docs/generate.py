"""Write the generated pages ``reference/cli.md`` and ``reference/settings.md``.

::

    python docs/generate.py            # write the pages
    python docs/generate.py --check    # exit with 1 if a page is not current
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

from pydantic.fields import FieldInfo

from trm.config import GROUPS, RunConfig
from trm.recipes import run_config
from trm.settings import ENV_PREFIX
from trm.tasks.registry import get_task

REFERENCE = Path(__file__).parent / "reference"

#: Prints a JSON list of (command, help) pairs. Installed plugins are ignored.
HELP_SCRIPT = """
import contextlib, io, json, sys
import trm.plugins
trm.plugins.entry_points = lambda group: ()
import typer
from trm import cli
sys.argv = ["trm"]

def walk(command, path):
    yield path
    if hasattr(command, "list_commands"):
        context = typer.Context(command)
        for name in sorted(command.list_commands(context)):
            yield from walk(command.get_command(context, name), [*path, name])

pages = []
for path in walk(typer.main.get_command(cli.app), []):
    with contextlib.redirect_stdout(io.StringIO()) as text:
        cli.app([*path, "--help"], standalone_mode=False, prog_name="trm", max_content_width=88)
    pages.append((" ".join(["trm", *path]), text.getvalue()))
print(json.dumps(pages))
"""

#: Gives plain text of one width in every terminal and in CI.
PLAIN_ENVIRONMENT = {
    "COLUMNS": "88",
    "TERMINAL_WIDTH": "88",
    "NO_COLOR": "1",
    "TYPER_USE_RICH": "0",
}
COLOUR_VARIABLES = ("FORCE_COLOR", "PY_COLORS", "GITHUB_ACTIONS")

CLI_HEAD = """\
# Command line

<!-- Written by docs/generate.py. Do not edit. -->

The `--help` of each command. `python -m trm` is the same as `trm`. A task from a plugin adds its
own `trm build-data TASK`.

| exit code | meaning |
|---|---|
| 0 | success |
| 1 | an error: one line on stderr that begins with `trm: error:` |
| 2 | a mistake in the command line |
| 130, 143 | Ctrl-C, SIGTERM; a run saves a checkpoint before it stops |

`trm --debug COMMAND ...` shows the traceback of an error.
"""

SETTINGS_HEAD = f"""\
# Settings

<!-- Written by docs/generate.py. Do not edit. -->

Every setting of a run. *Default* is the default of the published code. *sudoku* and *mini* are the
values of `trm config sudoku --mlp-t` and `trm config sudoku --preset mini`. They are bold if they
differ from the default. *sudoku* is the published Sudoku-Extreme recipe with the MLP mixer. Without
`--mlp-t` and without a preset, `model.mlp_t` is false and `model.pos_encodings` is rope. The
[table of tasks](#tasks) shows the values of the other tasks.

A setting can be given with `--set model.hidden_size=384`, in a TOML file, or as the environment
variable `{ENV_PREFIX}MODEL__HIDDEN_SIZE`. [Settings and presets](../how-to/settings-and-presets.md)
explains which source wins.
"""

TASKS = ("sudoku", "maze", "arc1", "arc2")
TASKS_HEAD = """\
## Tasks

The settings of the built-in tasks, bold if they differ from the default. `trm config TASK` shows
all settings.
"""


def cli_page() -> str:
    """The text of ``reference/cli.md``."""
    environment = {k: v for k, v in os.environ.items() if k not in COLOUR_VARIABLES}
    environment |= PLAIN_ENVIRONMENT
    script = [sys.executable, "-c", HELP_SCRIPT]
    done = subprocess.run(script, env=environment, stdout=subprocess.PIPE, check=True)
    parts = [CLI_HEAD]
    for command, text in json.loads(done.stdout):
        lines = "\n".join(line.rstrip() for line in text.strip().splitlines())
        parts.append(f"## {command}\n\n```text\n{lines}\n```\n")
    return "\n".join(parts)


def settings_page() -> str:
    """The text of ``reference/settings.md``."""
    chosen = [_resolved(mlp_t=True), _resolved("mini")]
    groups = (_group(name, chosen) for name in GROUPS)
    return "\n".join([SETTINGS_HEAD, *groups, _tasks()])


def _tasks() -> str:
    """A table of the settings of each built-in task, and a table of its presets."""
    tasks = [get_task(name) for name in TASKS]
    names = [
        (group, field)
        for group, cls in GROUPS.items()
        for field in cls.model_fields
        if any(field in task.defaults.get(group, {}) for task in tasks)
    ]
    rows = [TASKS_HEAD, "| setting | default | " + " | ".join(TASKS) + " |"]
    rows.append("|---" * (2 + len(tasks)) + "|")
    for group, field in names:
        default = GROUPS[group].model_fields[field].default
        values = [task.defaults.get(group, {}).get(field, default) for task in tasks]
        cells = [_value(v) if v == default else f"**{_value(v)}**" for v in values]
        rows.append("| " + " | ".join([f"`{group}.{field}`", _value(default), *cells]) + " |")
    rows += ["", "| task | preset | what |", "|---|---|---|"]
    rows += [f"| {t.name} | `{n}` | {p.summary} |" for t in tasks for n, p in t.presets.items()]
    return "\n".join([*rows, ""])


def _resolved(preset: str | None = None, *, mlp_t: bool | None = None) -> RunConfig:
    """Settings of ``sudoku``, without those from the environment."""
    given = {n: os.environ.pop(n) for n in list(os.environ) if n.upper().startswith(ENV_PREFIX)}
    try:
        return run_config("sudoku", preset=preset, mlp_t=mlp_t)
    finally:
        os.environ.update(given)


def _group(group: str, chosen: list[RunConfig]) -> str:
    cls = GROUPS[group]
    rows = [
        f"## {group}",
        "",
        (cls.__doc__ or "").strip(),
        "",
        "| setting | type | default | sudoku | mini | what |",
        "|---|---|---|---|---|---|",
    ]
    for name, field in cls.model_fields.items():
        values = [getattr(getattr(config, group), name) for config in chosen]
        cells = [
            f"`{group}.{name}`",
            _type(field),
            _value(field.default),
            *(_value(v) if v == field.default else f"**{_value(v)}**" for v in values),
            field.description or "",
        ]
        rows.append("| " + " | ".join(cells) + " |")
    return "\n".join([*rows, ""])


def _type(field: FieldInfo) -> str:
    """A type and its range, such as ``int > 0`` or ``rope, learned or none``."""
    names = list(_type_names(field.annotation))
    text = f"{', '.join(names[:-1])} or {names[-1]}" if len(names) > 1 else names[0]
    signs = {"gt": "&gt;", "ge": "&ge;", "lt": "&lt;", "le": "&le;"}
    bounds = [
        f"{sign} {getattr(bound, name)}"
        for bound in field.metadata
        for name, sign in signs.items()
        if hasattr(bound, name)
    ]
    return f"{text} {', '.join(bounds)}".strip()


def _type_names(annotation: Any) -> Iterator[str]:
    """The names of the types in a union, without ``None``."""
    arguments = [a for a in get_args(annotation) if a not in (type(None), ...)]
    if not arguments:
        yield annotation.__name__ if isinstance(annotation, type) else str(annotation)
    elif annotation == tuple[str, ...]:
        yield "list of str"
    elif annotation == tuple[tuple[float, int, int], ...]:
        yield "list of lists of float, int, int"
    else:
        for argument in arguments:
            nested = isinstance(argument, type) or get_args(argument)
            yield from _type_names(argument) if nested else [str(argument)]


def _value(value: Any) -> str:
    if value is None or value == ():
        return "unset"
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)


def main(arguments: list[str]) -> int:
    """Write the pages, or check that they are current."""
    pages = {REFERENCE / "cli.md": cli_page(), REFERENCE / "settings.md": settings_page()}
    stale = [
        path
        for path, text in pages.items()
        if not path.is_file() or path.read_text(encoding="utf-8") != text
    ]
    if "--check" in arguments:
        for path in stale:
            print(f"{path} is not current. Run: python docs/generate.py", file=sys.stderr)
        return 1 if stale else 0
    for path in stale:
        path.parent.mkdir(exist_ok=True)
        path.write_text(pages[path], encoding="utf-8")
        print(f"wrote {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
