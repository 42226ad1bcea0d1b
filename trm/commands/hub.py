"""The commands with which checkpoints travel: ``push-hub``, ``import`` and ``export``."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from trm.commands import options as opt

app = typer.Typer()
out = Console(soft_wrap=True, highlight=False)

NewFolder = Annotated[Path, typer.Option("--out", metavar="DIR", help="The new folder.")]


@app.command("push-hub")
def push_hub(
    repo: Annotated[str, typer.Option(metavar="USER/NAME", help="Made if there is none.")],
    ckpt: opt.Checkpoint = None,
    private: Annotated[bool, typer.Option("--private", help="Make it a private one.")] = False,
    revision: Annotated[str | None, typer.Option(help="Write to this branch.")] = None,
    tag: Annotated[str | None, typer.Option(help="Mark what was uploaded with it.")] = None,
    licence: Annotated[
        str, typer.Option("--license", help="Of the weights, as the Hub abbreviates it.")
    ] = "mit",
    with_training_state: Annotated[
        bool, typer.Option("--with-training-state", help="Also what is needed to train on.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Write the folder, show what would go, exit.")
    ] = False,
    folder: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="For --dry-run: hub/USER/NAME.")
    ] = None,
) -> None:
    """Publish a checkpoint on the Hugging Face Hub, with a model card."""
    from trm.publish.push import push_hub as push
    from trm.publish.push import repository
    from trm.show.tables import files_table

    where = None
    if dry_run:
        where = folder or Path("hub") / repository(repo, revision).repo
    pushed = push(
        ckpt, repo=repo, private=private, revision=revision, tag=tag, licence=licence,
        with_training_state=with_training_state, dry_run=where,
    )  # fmt: skip
    out.print(files_table(pushed.files))
    if pushed.folder is not None:
        out.print(f"{pushed.checkpoint} as {pushed.repo} would get it is in {pushed.folder}")
    else:
        out.print(f"pushed {pushed.checkpoint}: {pushed.url}")
        out.print(f"next: trm eval --ckpt {pushed.repo}")


@app.command("import")
def import_(
    source: Annotated[
        str, typer.Argument(metavar="PATH|USER/NAME", help="A file step_N, or where one is.")
    ],
    folder: NewFolder,
    task: opt.PublishedTask = None,
) -> None:
    """Make a checkpoint of one that the published trainer saved."""
    from trm.publish.import_export import import_checkpoint

    found = import_checkpoint(source, out=folder, task=task)
    for note in found.notes:
        out.print(f"inferred: {note}", markup=False)
    out.print(f"{folder}: {found.config.run.task}, step {found.config.step:,}", markup=False)


@app.command()
def export(
    folder: NewFolder,
    kind: Annotated[opt.Kind, typer.Option("--format", help="What to write.")],
    ckpt: opt.Checkpoint = None,
) -> None:
    """Write a checkpoint for the published trainer, for ONNX or for torch.export."""
    from trm.publish.import_export import export_checkpoint

    difference = export_checkpoint(ckpt, kind=kind, out=folder)
    checked = "" if difference is None else f", its logits within {difference:.1e} of torch's"
    out.print(f"wrote {folder}{checked}", markup=False)
