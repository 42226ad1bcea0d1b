"""The arguments and flags that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

from trm import __version__


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"trm {__version__}")
        raise typer.Exit


Version = Annotated[
    bool, typer.Option("--version", callback=_version, is_eager=True, help="Print it, exit.")
]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]
TaskName = Annotated[str, typer.Argument(metavar="TASK", help="A task; see `trm tasks`.")]
Preset = Annotated[str | None, typer.Option(help="A named set of settings of the task.")]
MlpT = Annotated[bool, typer.Option("--mlp-t", help="Mix tokens with an MLP, without positions.")]
Seed = Annotated[int | None, typer.Option(help="Decides weights, data order and exploration.")]
Data = Annotated[
    list[str] | None,
    typer.Option("--data", metavar="DIR", help="Data folder; may be given several times."),
]
Augment = Annotated[
    str | None,
    typer.Option(metavar="stored|online", help="online: a new copy of each puzzle in every pass."),
]
MaxSteps = Annotated[int | None, typer.Option(help="End after so many steps.")]
Epochs = Annotated[int | None, typer.Option(help="End after so many passes over the puzzles.")]
BatchSize = Annotated[int | None, typer.Option(help="Examples in a step.")]
Device = Annotated[str | None, typer.Option(help="auto, cpu, cuda, cuda:1, mps.")]
NoCompile = Annotated[bool, typer.Option("--no-compile", help="No torch.compile on CUDA.")]
ConfigFile = Annotated[
    Path | None, typer.Option("--config", metavar="FILE", help="Settings in TOML.")
]
Assignments = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="A setting, such as model.hidden_size=384."),
]
Checkpoint = Annotated[
    str | None,
    typer.Option("--ckpt", metavar="RUN|CHECKPOINT", help="The newest run's best if left out."),
]
Save = Annotated[
    Path | None, typer.Option(metavar="F", help="Draw the boards into a .png or .svg file.")
]
