"""The commands ``push-hub``, ``import`` and ``export``."""

import shlex
from pathlib import Path
from typing import Annotated

import typer

from trm.commands import options as opt
from trm.commands.help import Command
from trm.show.text import out

app = typer.Typer()

NewFolder = Annotated[Path, opt.option(opt.BASICS, "--out DIR", "The new folder.")]

OnnxRuntime = Annotated[
    Path | None,
    opt.option(
        opt.BASICS, "--onnxruntime DIR", "A folder with onnxruntime-web. Default: download it."
    ),
]

PUSH_EXAMPLES = """
trm push-hub --repo USER/NAME                     # the newest run's best
trm push-hub --repo USER/NAME --ckpt runs/sudoku/a --private
trm push-hub --repo USER/NAME --dry-run --out card
trm push-hub --space USER/NAME --ckpt sudoku-6x6  # a page in the browser
"""
EXPORT_EXAMPLES = """
trm export --format onnx --out exported
trm export --format torch-export --ckpt runs/sudoku/a --out exported
trm export --format published --ckpt USER/NAME --out exported
trm export --format web --ckpt sudoku-6x6 --out page
"""
IMPORT_EXAMPLES = """
trm import step_20000 --task sudoku --out imported
trm import USER/NAME --out imported
"""


@app.command("push-hub", cls=Command, epilog=PUSH_EXAMPLES)
@opt.with_verbosity
def push_hub(
    repo: Annotated[
        str | None,
        opt.option(opt.BASICS, "--repo USER/NAME", "The repository; created if missing."),
    ] = None,
    space: Annotated[
        str | None,
        opt.option(
            opt.BASICS, "--space USER/NAME", "A page with the model in the browser, as a Space."
        ),
    ] = None,
    ckpt: opt.Checkpoint = None,
    private: Annotated[
        bool, opt.option(opt.BASICS, "--private", "Create a private repository.")
    ] = False,
    revision: Annotated[
        str | None, opt.option(opt.BASICS, "--revision NAME", "Push to this branch.")
    ] = None,
    tag: Annotated[str | None, opt.option(opt.BASICS, "--tag NAME", "Tag of the commit.")] = None,
    license: Annotated[
        str, opt.option(opt.BASICS, "--license NAME", "License, as the Hub abbreviates it.")
    ] = "mit",
    with_training_state: Annotated[
        bool,
        opt.option(opt.BASICS, "--with-training-state", "Include what resuming the run needs."),
    ] = False,
    onnxruntime: OnnxRuntime = None,
    dry_run: Annotated[
        bool, opt.option(opt.OUTPUT, "--dry-run", "Write the files to a folder, upload nothing.")
    ] = False,
    folder: Annotated[
        Path | None,
        opt.option(opt.OUTPUT, "--out DIR", "The folder of --dry-run. Default: hub/USER/NAME."),
    ] = None,
) -> None:
    """Push a checkpoint to the Hugging Face Hub, with a model card."""
    from trm.publish.push import push_hub
    from trm.show.tables import files_table

    result = push_hub(
        ckpt, repo=repo, space=space, private=private, revision=revision, tag=tag,
        license=license, with_training_state=with_training_state, onnxruntime=onnxruntime,
        dry_run=dry_run, out=folder,
    )  # fmt: skip
    out.print(files_table(result.files))
    if result.folder is not None:
        out.print_parts(f"{result.folder}", "holds the files of", result.checkpoint,
                        f"for {result.repo}")  # fmt: skip
    else:
        out.print_parts(f"pushed {result.checkpoint}:", f"{result.url}")
        if space is None:
            out.remark(f"next: trm eval --ckpt {result.repo}")


@app.command("import", cls=Command, epilog=IMPORT_EXAMPLES)
@opt.with_verbosity
def import_(
    source: Annotated[
        str,
        typer.Argument(
            metavar="PATH|USER/NAME",
            help="A file step_N, its folder, or one on the Hub.",
            rich_help_panel=opt.BASICS,
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


@app.command(cls=Command, epilog=EXPORT_EXAMPLES)
@opt.with_verbosity
def export(
    folder: NewFolder,
    format: Annotated[
        opt.Format, opt.option(opt.BASICS, "--format KIND", "published, onnx, torch-export or web.")
    ],
    ckpt: opt.Checkpoint = None,
    onnxruntime: OnnxRuntime = None,
) -> None:
    """Export to the published trainer, ONNX, torch.export or a web page."""
    from trm.publish.import_export import export_checkpoint

    difference = export_checkpoint(ckpt, format=format, out=folder, onnxruntime=onnxruntime)
    accuracy = "" if difference is None else f", its logits within {difference:.1e} of torch's"
    out.remark(f"wrote {folder}{accuracy}")
    if format == "web":
        out.remark(f"next: python -m http.server --directory {shlex.quote(str(folder))}")
