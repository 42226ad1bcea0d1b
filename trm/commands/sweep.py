"""The command that compares inference options: ``sweep-eval``."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args

import typer

from trm.commands import options as opt
from trm.commands.help import Command
from trm.commands.resume_hint import resume_hint
from trm.errors import ConfigError
from trm.inference.options import InferenceOptions
from trm.show.text import notes, out
from trm.storage import check_writable

if TYPE_CHECKING:
    from trm.evaluation.sweep import SweepLine, SweepReport

app = typer.Typer()

EXAMPLES = """
trm sweep-eval --max-examples 1000                # 1, 4 and 16 samples
trm sweep-eval --votes 1,8 --steps 8,16,32 --out sweep.json
"""


@app.command("sweep-eval", cls=Command, epilog=EXAMPLES)
@opt.with_verbosity
@opt.with_inference_flags(InferenceOptions, several=True)
def sweep_eval(
    ckpt: opt.Checkpoint = None,
    data: opt.Data = None,
    split: opt.Split = None,
    task: opt.PublishedTask = None,
    *,
    options: dict[str, Any],
    batch_size: opt.EvalBatchSize = None,
    max_examples: opt.MaxExamples = None,
    device: opt.Device = None,
    compile: opt.Compile = None,
    as_json: opt.AsJson = False,
    as_markdown: opt.AsMarkdown = False,
    file: Annotated[
        Path | None,
        opt.option(opt.OUTPUT, "--out F", "Write this .json file as results come, or resume it."),
    ] = None,
    plot: Annotated[
        Path | None,
        opt.option(opt.OUTPUT, "--plot F", "Draw accuracy against GFLOP: .png, .svg or .pdf."),
    ] = None,
) -> None:
    """Compare inference options: which are worth their cost.

    Without flags it compares 1, 4 and 16 samples. Each line of the result is that of trm eval with
    the same flags, on one GPU.
    """
    values = {name: _values(name, text) for name, text in options.items()}
    if plot is not None:
        from trm.pictures.figures import check_extension, check_matplotlib

        check_extension(plot)
        check_matplotlib()
        check_writable(plot)
    from trm.evaluation import sweep
    from trm.show.progress import EvaluationView

    sweep.combinations(**values)  # an error before a model is loaded
    with resume_hint(file, "--out"), EvaluationView(notes) as progress:
        report = sweep.sweep_eval(
            ckpt, data=tuple(data or ()), split=split or "test", task=task,
            batch_size=batch_size, max_examples=max_examples, out=file, device=device or "auto",
            compile=compile, on_line=_print_line, on_progress=progress,
            **values,
        )  # fmt: skip
    _show(report, _common(ckpt, data, task, max_examples), as_json, as_markdown)
    if plot is not None:
        from trm.show.sweeps import plot_sweep

        plot_sweep(plot, report)
    for written in (file, plot):
        if written is not None:
            notes.remark(f"wrote {written}")


def _values(name: str, text: str) -> list[Any]:
    """The values of a flag, separated by commas."""
    kind = InferenceOptions.model_fields[name].annotation
    kind, *_ = [one for one in get_args(kind) if one is not type(None)] or [kind]
    choices = get_args(kind)
    what = {int: "not a whole number", float: "not a number"}.get(
        kind, f"not one of {', '.join(choices)}"
    )
    values = []
    for part in map(str.strip, text.split(",")):
        try:
            values.append(choices[choices.index(part)] if choices else kind(part))
        except ValueError:
            raise ConfigError(
                f"--{name} {text}: {part!r} is {what}. Separate values with commas."
            ) from None
    return values


def _print_line(sweep: "SweepReport", line: "SweepLine", number: int, total: int) -> None:
    from trm.show.sweeps import sweep_line_parts

    if not notes.is_quiet:
        how, result = sweep_line_parts(sweep, line)
        notes.print_parts(f"{number}/{total} {how}", result)


def _common(
    ckpt: str | None, data: Sequence[str] | None, task: str | None, max_examples: int | None
) -> list[str]:
    """The flags of ``trm eval`` that all evaluations share."""
    flags = ["--ckpt", ckpt] if ckpt is not None else []
    flags += [part for folder in data or () for part in ("--data", folder)]
    flags += ["--task", task] if task is not None else []
    return flags + ([] if max_examples is None else ["--max-examples", str(max_examples)])


def _show(sweep: "SweepReport", common: Sequence[str], as_json: bool, as_markdown: bool) -> None:
    from trm.show.fitted_table import markdown
    from trm.show.sweeps import sweep_conclusion, sweep_table
    from trm.show.tables import split_text

    if as_json:
        out.print_json(data=sweep.as_json())
        return
    if as_markdown:
        for text in markdown(sweep_table(sweep)).splitlines():
            out.print(text)
    else:
        data = f"on {', '.join(sweep.data)}{split_text(sweep.split)}"
        out.print_parts(sweep.checkpoint, data)
        out.print(sweep_table(sweep))
    out.print()
    for line in sweep_conclusion(sweep, common):
        out.print(line)
