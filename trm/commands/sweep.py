"""The command that compares ways of thinking: ``sweep-eval``."""

import contextlib
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, get_args

import typer
from rich.console import Console

from trm.commands import options as opt
from trm.errors import ConfigError
from trm.inference.options import Choice
from trm.storage import check_writable

if TYPE_CHECKING:
    from trm.evaluation.sweep import Line, Sweep

app = typer.Typer()
out = Console()
#: What is said beside the result, so that standard output has nothing else.
notes = Console(stderr=True, soft_wrap=True, highlight=False, markup=False)

T = TypeVar("T", int, float, str)


def _several(text: str, what: str, example: str) -> Any:
    return typer.Option(metavar=text, help=f"{what}, such as {example}.")


@app.command("sweep-eval")
def sweep_eval(
    ckpt: opt.Checkpoint = None,
    data: opt.Data = None,
    split: opt.Split = None,
    task: opt.PublishedTask = None,
    steps: Annotated[str | None, _several("N,...", "Supervision steps at most", "6,12,24")] = None,
    samples: Annotated[
        str, _several("K,...", "Times that each puzzle is solved", "1,4,16")
    ] = "1,4,16",
    noise: Annotated[
        str | None, _several("S,...", "What disturbs all samples but the first", "0.1,0.3")
    ] = None,
    choose: Annotated[
        str | None, _several("C,...", "How one answer is chosen", "halt,vote,first")
    ] = None,
    votes: Annotated[str, _several("V,...", "Symmetric copies of each puzzle", "1,8")] = "1",
    halt: opt.Halt = None,
    batch_size: opt.EvalBatchSize = None,
    max_examples: opt.MaxExamples = None,
    device: opt.Device = None,
    compiled: opt.Compile = None,
    as_json: Annotated[bool, typer.Option("--json", help="The result as JSON.")] = False,
    as_markdown: Annotated[
        bool, typer.Option("--markdown", help="The result as a Markdown table.")
    ] = False,
    file: Annotated[
        Path | None,
        typer.Option(
            "--out", metavar="F", help="Write this .json file after each evaluation; go on with it."
        ),
    ] = None,
    plot: Annotated[
        Path | None,
        typer.Option(metavar="F", help="Draw accuracy against GFLOP: .png, .svg or .pdf."),
    ] = None,
) -> None:
    """Measure a model in many ways of thinking, and say which is worth it.

    Each line of the result is what trm eval gives with the same flags; on one GPU.
    """
    ways: dict[str, Any] = {
        "steps": _values("--steps", steps, int, "no whole number") or (None,),
        "samples": _values("--samples", samples, int, "no whole number"),
        "noise": _values("--noise", noise, float, "no number") or (None,),
        "choose": _values("--choose", choose, _choice, "none of halt, vote, first") or (None,),
        "votes": _values("--votes", votes, int, "no whole number"),
        "halt": halt,
    }
    if plot is not None:
        from trm.show.plots import check_extension

        check_extension(plot)
        check_writable(plot)
    from trm.evaluation import sweep
    from trm.show.progress import EvaluationView

    sweep.combinations(**ways)  # refuse what is wrong before a model is loaded
    with _told_how_to_go_on(file), EvaluationView(notes) as progress:
        found = sweep.sweep_eval(
            ckpt, **ways, data=tuple(data or ()), split=split or "test", task=task,
            batch_size=batch_size, max_examples=max_examples, out=file, device=device or "auto",
            compiled=compiled, on_line=_say_line, on_progress=progress,
        )  # fmt: skip
    _show(found, _common(ckpt, data, task, max_examples), as_json, as_markdown)
    if plot is not None:
        from trm.show.sweeps import plot_sweep

        plot_sweep(plot, found)
    for written in (file, plot):
        if written is not None:
            notes.print(f"wrote {written}")


@contextlib.contextmanager
def _told_how_to_go_on(file: Path | None) -> Iterator[None]:
    """After Ctrl-C say what the same command will do."""
    try:
        yield
    except KeyboardInterrupt:
        notes.print(
            "stopped; the same command begins anew, with --out it would go on"
            if file is None
            else f"stopped; the same command goes on with {file}"
        )
        raise


def _values(flag: str, text: str | None, kind: Callable[[str], T], what: str) -> tuple[T, ...]:
    """The values of a flag, which have commas between them; none of a flag that was left out."""
    found = []
    for part in text.split(",") if text is not None else ():
        try:
            found.append(kind(part.strip()))
        except ValueError:
            raise ConfigError(
                f"{flag} {text}: {part!r} is {what}. Give such with commas between them."
            ) from None
    return tuple(found)


def _choice(text: str) -> str:
    if text not in get_args(Choice):
        raise ValueError
    return text


def _say_line(sweep: "Sweep", line: "Line", number: int, total: int) -> None:
    from trm.show.sweeps import sweep_line_text

    notes.print(f"{number}/{total} {sweep_line_text(sweep, line)}")


def _common(
    ckpt: str | None, data: Sequence[str] | None, task: str | None, max_examples: int | None
) -> list[str]:
    """The flags of ``trm eval`` that all evaluations share."""
    flags = ["--ckpt", ckpt] if ckpt is not None else []
    flags += [part for folder in data or () for part in ("--data", folder)]
    flags += ["--task", task] if task is not None else []
    return flags + ([] if max_examples is None else ["--max-examples", str(max_examples)])


def _show(sweep: "Sweep", common: Sequence[str], as_json: bool, as_markdown: bool) -> None:
    from trm.show.sweeps import sweep_conclusion, sweep_table
    from trm.show.tables import markdown, split_text

    if as_json:
        out.print_json(json.dumps(sweep.as_json()))
        return
    if as_markdown:
        print(markdown(sweep_table(sweep)))  # noqa: T201
        print()  # noqa: T201
    else:
        what = f"{sweep.checkpoint} on {', '.join(sweep.data)}{split_text(sweep.split)}"
        out.print(what, highlight=False, markup=False)
        out.print(sweep_table(sweep))
    for line in sweep_conclusion(sweep, common):
        out.print(line, highlight=False, soft_wrap=True, markup=False)
