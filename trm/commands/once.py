"""No flag and no setting is given twice: the last one would count, silently."""

from typing import Any

import typer
from typer.core import TyperArgument


def refuse_repeated(context: Any, given: list[Any]) -> None:
    """Refuse a flag of one value that is given twice.

    Args:
        context: of the command.
        given: its parameters in the order in which they were given.

    Raises:
        typer.BadParameter: for the first such flag.
    """
    for number, parameter in enumerate(given):
        once = not (parameter.multiple or isinstance(parameter, TyperArgument))
        if once and parameter in given[:number]:
            raise typer.BadParameter(
                "it is given twice. Give it once.", context, param_hint=f"'{parameter.opts[0]}'"
            )


def each_setting_once(assignments: list[str] | None) -> list[str] | None:
    """Refuse ``KEY=VALUE`` of the same key; otherwise return them.

    Raises:
        typer.BadParameter: for the first such key.
    """
    names = [text.partition("=")[0].strip() for text in assignments or ()]
    for number, name in enumerate(names):
        if name in names[:number]:
            raise typer.BadParameter(f"{name} is given twice. Give it once.")
    return assignments
