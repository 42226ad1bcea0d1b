"""The commands ``push-hub``, ``import`` and ``export``."""

from pathlib import Path
from typing import Annotated

import typer

from trm.commands import options as opt
from trm.show.text import out

app = typer.Typer()

NewFolder = Annotated[Path, typer.Option("--out", metavar="DIR", help="The new folder.")]


@app.command("push-hub")
@opt.with_verbosity
def push_hub(
    repo: Annotated[str, typer.Option(metavar="USER/NAME", help="Created if missing.")],
    ckpt: opt.Checkpoint = None,
    private: Annotated[
        bool, typer.Option("--private", help="Create a private repository.")
    ] = False,
    revision: Annotated[str | None, typer.Option(help="Push to this branch.")] = None,
    tag: Annotated[str | None, typer.Option(help="Tag of the commit.")] = None,
    licence: Annotated[
        str, typer.Option("--license", help="License of the weights, as the Hub abbreviates it.")
    ] = "mit",
    with_training_state: Annotated[
        bool,
        typer.Option("--with-training-state", help="Include what is needed to resume training."),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Write the files to a folder, upload nothing.")
    ] = False,
    folder: Annotated[
        Path | None,
        typer.Option(
            "--out", metavar="DIR", help="The folder of --dry-run; default hub/USER/NAME."
        ),
    ] = None,
) -> None:
    """Push a checkpoint to the Hugging Face Hub, with a model card."""
    from trm.publish import push
    from trm.show.tables import files_table

    dry_run_folder = None
    if dry_run:
        dry_run_folder = folder or Path("hub") / push.parse_repository(repo, revision).repo
    result = push.push_hub(
        ckpt, repo=repo, private=private, revision=revision, tag=tag, licence=licence,
        with_training_state=with_training_state, dry_run=dry_run_folder,
    )  # fmt: skip
    out.print(files_table(result.files))
    if result.folder is not None:
        out.print(f"{result.folder} holds the files of {result.checkpoint} for {result.repo}")
    else:
        out.print(f"pushed {result.checkpoint}: {result.url}")
        out.remark(f"next: trm eval --ckpt {result.repo}")


@app.command("import")
@opt.with_verbosity
def import_(
    source: Annotated[
        str,
        typer.Argument(
            metavar="PATH|USER/NAME", help="A file step_N, its folder, or one on the Hub."
        ),
    ],
    folder: NewFolder,
    task: opt.PublishedTask = None,
) -> None:
    """Import a checkpoint of the published trainer."""
    from trm.publish.import_export import import_checkpoint

    published = import_checkpoint(source, out=folder, task=task)
    for note in published.notes:
        out.remark(f"inferred: {note}")
    out.print(f"{folder}: {published.config.run.task}, step {published.config.step:,}")


@app.command()
@opt.with_verbosity
def export(
    folder: NewFolder,
    kind: Annotated[opt.Kind, typer.Option("--format", help="Format to write.")],
    ckpt: opt.Checkpoint = None,
) -> None:
    """Export a checkpoint to the published trainer, ONNX or torch.export."""
    from trm.publish.import_export import export_checkpoint

    difference = export_checkpoint(ckpt, kind=kind, out=folder)
    accuracy = "" if difference is None else f", its logits within {difference:.1e} of torch's"
    out.remark(f"wrote {folder}{accuracy}")
