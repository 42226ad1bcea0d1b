"""The command ``doctor``: what trm finds on this machine."""

import typer

from trm.commands.help import Command
from trm.show.text import out

app = typer.Typer()


@app.command(cls=Command)
def doctor() -> None:
    """Show versions, devices and disk, for a report of a problem."""
    from trm.runtime.diagnostics import diagnose
    from trm.show.fitted_table import Column, FittedTable

    findings = list(diagnose())
    table = FittedTable("", Column("", wraps=True))
    for finding in findings:
        table.add_row(finding.name, finding.value)
        if finding.advice:
            table.add_row("", f"-> {finding.advice}", style="yellow")
    out.print(table)
