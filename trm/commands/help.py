"""The classes of our commands: ``--help`` with options in panels, and no flag is given twice."""

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import typer
from typer.core import TyperArgument, TyperCommand, TyperGroup

from trm.commands.once import refuse_repeated
from trm.commands.options import PANELS
from trm.show.help_page import Entry, HelpPage, show_help
from trm.show.text import out


class Command(TyperCommand):
    """A command. Its ``epilog`` has examples, a line each."""

    def format_help(self, ctx: Any, formatter: object) -> None:
        show_help(out, help_page(self, ctx))

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse a command line; see :func:`trm.commands.once.refuse_repeated`."""
        _, _, order = self.make_parser(ctx).parse_args(args=list(args))
        refuse_repeated(ctx, order)
        return super().parse_args(ctx, args)


class Group(TyperGroup):
    """A command that has commands."""

    def command_panels(self, ctx: Any) -> Mapping[str, Sequence[str]]:
        """The names of the commands, by the title of their panel."""
        return {"Commands": self.list_commands(ctx)}

    def format_help(self, ctx: Any, formatter: object) -> None:
        show_help(out, help_page(self, ctx))


def usage_hint(error: Any, message: str) -> str:
    """What to type instead of a command line that is wrong, if that is known.

    Args:
        error: click's UsageError.
        message: what it says.
    """
    if message.startswith("No such command"):
        word = message.split("'")[1]
        return f" Type: trm --{word}" if word in ("help", "version") else ""
    command = None if error.ctx is None else error.ctx.command
    if "unexpected extra argument" in message and getattr(command, "name", "") == "solve":
        return ". Several puzzles go into a file, or to trm solve - on stdin, a puzzle a line."
    if "unexpected extra argument" in message and "--ckpt" in _flags(command):
        return f". A run is named with --ckpt {message.split('(')[-1].rstrip(')')}"
    if message.startswith("Missing argument") and message.endswith("'."):
        examples = inspect.cleandoc(getattr(command, "epilog", None) or "").splitlines()
        piped = ", or trm solve - for standard input" * (getattr(command, "name", "") == "solve")
        return f" Such as: {examples[0].split('  ')[0]}{piped}" if examples else ""
    return ""


def _flags(command: Any) -> list[str]:
    return [flag for parameter in getattr(command, "params", ()) for flag in parameter.opts]


def help_page(command: Any, context: typer.Context) -> HelpPage:
    """The page of a :class:`Command` or a :class:`Group`.

    Options without a panel, such as ``--help``, come last.
    """
    usage, commands = [context.command_path, "[OPTIONS]"], {}
    if isinstance(command, Group):
        usage.append(command.subcommand_metavar)
        for title, names in command.command_panels(context).items():
            found: list[Any] = [command.get_command(context, name) for name in names]
            commands[title] = [Entry(one.name, "", _paragraphs(one.help)[0]) for one in found]
    parameters: list[Any] = [one for one in command.get_params(context) if not one.hidden]
    arguments = [one for one in parameters if isinstance(one, TyperArgument)]
    usage += [f"{one.metavar}" if one.required else f"[{one.metavar}]" for one in arguments]
    panels = [getattr(one, "rich_help_panel", None) for one in parameters]
    titles = [title for title in PANELS if title in panels] or ["Options"]
    options: dict[str, list[Entry]] = {title: [] for title in titles}
    for panel, parameter in zip(panels, parameters, strict=True):
        options[panel or titles[-1]].append(_entry(parameter))
    return HelpPage(
        " ".join(usage),
        _paragraphs(command.help),
        commands,
        options,
        examples=inspect.cleandoc(command.epilog or "").splitlines(),
        examples_title="Begin here" if context.parent is None else "Examples",
    )


def _entry(parameter: Any) -> Entry:
    text, is_argument = parameter.help or "", isinstance(parameter, TyperArgument)
    if parameter.required and not is_argument:
        text += " Required."
    elif parameter.show_default and parameter.default not in (None, False, 0):
        text += f" Default: {parameter.default}."
    if is_argument:
        return Entry(parameter.metavar, "", text)
    flags = sorted(parameter.opts, key=len, reverse=True)
    name = "/".join([", ".join(flags), *parameter.secondary_opts])
    return Entry(name, "" if parameter.is_flag else parameter.metavar, text)


def _paragraphs(text: str | None) -> list[str]:
    return [" ".join(one.split()) for one in inspect.cleandoc(text or "").split("\n\n")]
