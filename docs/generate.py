"""Write the generated pages ``reference/cli.md`` and ``reference/settings.md``.

::

    python docs/generate.py            # write the pages
    python docs/generate.py --check    # exit with 1 if a page is not current
"""

import os
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, get_args

import typer
from pydantic.fields import FieldInfo

import trm.plugins
from trm import cli
from trm.commands.help import help_page
from trm.config import GROUPS, RunConfig, TRMConfig
from trm.models import list_model_kinds
from trm.recipes import run_config
from trm.settings import ENV_PREFIX
from trm.tasks.registry import get_task

REFERENCE = Path(__file__).parent / "reference"
trm.plugins.entry_points = lambda group: ()  # installed plugins are ignored

CLI_HEAD = """\
# Command line

<!-- Written by docs/generate.py. Do not edit. -->

What `--help` says, of each command. `python -m trm` is the same as `trm`. A task from a plugin adds
its own `trm build-data TASK`.

| exit code | meaning |
|---|---|
| 0 | success |
| 1 | an error: one line on stderr that begins with `trm: error:` |
| 2 | a mistake in the command line |
| 3 | `trm solve` shows an answer that is not valid |
| 130, 143 | Ctrl-C, SIGTERM; a run saves a checkpoint before it stops |

`trm --debug COMMAND ...` shows the traceback of an error. `-v` and `-q` may stand before the
command or after it. `-q` leaves out progress and remarks: warnings, errors and results remain. `-v`
adds times and speeds.

## Completion

After `trm --install-completion`, and in a new terminal, TAB completes commands and options, and
after them tasks, presets, names of settings, runs, data folders and devices, in bash, zsh, fish and
PowerShell. `trm --show-completion` prints the script without installing it.
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
KINDS_HEAD = """\
## Other kinds of models

`--model KIND`, or `model.kind`, trains another model than a TRM; see
[Write a model plugin](../how-to/write-a-model-plugin.md). Here are the settings that differ from
those of a TRM. The model settings of a task are for a TRM only, and those of a preset apply where
the kind has them.
"""
TASKS_HEAD = """\
## Tasks

The settings of the built-in tasks, bold if they differ from the default. `trm config TASK` shows
all settings.
"""


def cli_page() -> str:
    """The text of ``reference/cli.md``."""
    context = typer.Context(typer.main.get_command(cli.app), info_name="trm")
    context.help_option_names = ["-h", "--help"]
    return "\n".join([CLI_HEAD, *_commands(context)])


def _commands(context: typer.Context) -> Iterator[str]:
    """The sections of a command and the commands that it has."""
    command: Any = context.command
    page = help_page(command, context)
    yield f"## {context.command_path}\n"
    yield from (f"{_plain(text)}\n" for text in page.paragraphs)
    yield _block([page.usage])
    for title, entries in page.commands.items():
        yield f"**{title}**\n"
        for entry in entries:
            name = f"{context.command_path} {entry.name}"
            yield f"- [`{name}`](#{name.replace(' ', '-')}): {_plain(entry.text)}"
        yield ""
    for title, entries in page.options.items():
        shown = [one for one in entries if context.parent is None or "--help" not in one.name]
        if shown:
            yield f"**{title}**\n"
            for entry in shown:
                yield f"- `{f'{entry.name} {entry.value}'.strip()}`: {_plain(entry.text)}"
            yield ""
    if page.examples:
        yield f"{page.examples_title}:\n"
        yield _block(page.examples)
    for names in page.commands.values():
        for name in names:
            child = command.get_command(context, name.name)
            yield from _commands(typer.Context(child, parent=context, info_name=name.name))


def _block(lines: Sequence[str]) -> str:
    return "\n".join(["```text", *lines, "```", ""])


def _plain(text: str) -> str:
    """Text whose characters mean nothing in Markdown."""
    return re.sub(r"[*<\[\]]", r"\\\g<0>", text)


def settings_page() -> str:
    """The text of ``reference/settings.md``."""
    chosen = [_resolved(mlp_t=True), _resolved("mini")]
    groups = (_group(name, chosen) for name in GROUPS)
    return "\n".join([SETTINGS_HEAD, *groups, _kinds(), _tasks()])


def _kinds() -> str:
    """A table for each other kind of model: the settings that differ from those of a TRM."""
    rows, trm = [KINDS_HEAD], TRMConfig.model_fields
    for name, kind in list_model_kinds().items():
        fields = kind.model.config_class.model_fields
        if kind.model.config_class is TRMConfig:
            continue
        lacks = ", ".join(f"`model.{field}`" for field in trm if field not in fields)
        rows += [f"### {name}", "", kind.model.summary, f"It does not have {lacks}.", ""]
        table = ["| setting | type | default | what |", "|---|---|---|---|"]
        for field, info in fields.items():
            same = trm.get(field)
            if field == "kind" or (same is not None and (same.default, same.description) == (
                info.default, info.description,
            )):  # fmt: skip
                continue
            cells = [f"`model.{field}`", _type(info), _value(info.default), info.description or ""]
            table.append("| " + " | ".join(cells) + " |")
        rows += [*table, ""] if len(table) > 2 else []
    return "\n".join(rows)


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
