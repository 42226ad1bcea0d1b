"""The command ``solve``: show the solution of a puzzle, or solve a file of any length."""

import io
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer

from trm.commands import options as opt
from trm.errors import InputError
from trm.inference.options import SolveOptions
from trm.show.text import notes, out

if TYPE_CHECKING:
    from trm.inference.model import Model
    from trm.inference.solve_file import SolveFileResult

app = typer.Typer()


@app.command()
@opt.with_inference_flags(SolveOptions)
def solve(
    puzzle: Annotated[str, typer.Argument(metavar="PUZZLE|FILE|-", help="- reads from stdin.")],
    ckpt: opt.Checkpoint = None,
    task: opt.PublishedTask = None,
    device: opt.Device = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a puzzle.")] = False,
    *,
    options: dict[str, Any],
    save: opt.Save = None,
    answers: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="F",
            help="Write answers to this .csv or .jsonl file, or resume it.",
        ),
    ] = None,
    batch_size: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Puzzles at a time, with --out: 16 on a CPU or 64."),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Start the file of --out again.")
    ] = False,
) -> None:
    """Solve puzzles, and show the board as it changes from step to step."""
    from trm.inference.model import load
    from trm.show.board_pictures import check_picture_path

    _check_flags(answers, {"--json": as_json, "--save": save is not None},
                 {"--batch-size": batch_size is not None, "--overwrite": overwrite})  # fmt: skip
    SolveOptions.of(**options)  # an error before a model is loaded
    if save is not None:
        check_picture_path(save)
    model = load(ckpt, task=task, device=device or "auto")
    if model.notes:
        notes.print(f"{model.name}: inferred {'; '.join(model.notes)}")
    if answers is None:
        _show(model, puzzle, options, as_json, save)
    else:
        _solve_file(model, puzzle, options, answers, batch_size, overwrite)


def _check_flags(
    answers: Path | None, without_out: dict[str, bool], with_out: dict[str, bool]
) -> None:
    """Refuse flags that need ``--out``, or contradict it, before a model is loaded."""
    from trm.inference.answer_file import check_answer_path

    if answers is not None:
        check_answer_path(answers)
    for flag, given in (with_out if answers is None else without_out).items():
        if given and answers is None:
            raise InputError(f"{flag} is for a file of answers. Name one with --out.")
        if given:
            raise InputError(f"{flag} shows answers, --out writes them. Leave one of them out.")


def _show(
    model: "Model", argument: str, options: dict[str, Any], as_json: bool, save: Path | None
) -> None:
    """Solve puzzles one by one, and show each."""
    from trm.show.board_pictures import save_pictures
    from trm.show.solution import show_solution_steps, solution_summary

    text, name = _puzzle_text(_source(argument))
    solutions = []
    puzzles = model.parse(text, name)
    for puzzle in puzzles:
        model.identifier(puzzle)  # an error before anything is shown
    for puzzle in puzzles:
        if as_json:
            (solution,) = model.solve_batch([puzzle], **options)
            print(json.dumps(solution.as_json()))  # noqa: T201
        else:
            steps = model.solve_steps(puzzle, **options)
            solution = show_solution_steps(
                out, model.task, puzzle, steps, SolveOptions.of(**options)
            )
            out.print(solution_summary(solution))
        solutions.append(solution)
    if save is not None:
        save_pictures(save, [picture for solution in solutions for picture in solution.pictures()])


def _solve_file(
    model: "Model",
    argument: str,
    options: dict[str, Any],
    answers: Path,
    batch_size: int | None,
    overwrite: bool,
) -> None:
    """Solve a file, and print a summary."""
    from trm.inference.solve_file import solve_file
    from trm.show.progress import SolvingView

    source = _source(argument)
    try:
        with SolvingView(notes) as progress:
            result = solve_file(
                model, source=source, out=answers,
                batch_size=batch_size, overwrite=overwrite, on_progress=progress, **options,
            )  # fmt: skip
    except KeyboardInterrupt:
        notes.print(f"stopped; the same command resumes {answers}")
        raise
    out.print(f"{answers}: {_summary(result)}")


def _summary(result: "SolveFileResult") -> str:
    """The content of a file of answers, on one line."""
    parts = ["1 puzzle" if result.num_solved == 1 else f"{result.num_solved:,} puzzles"]
    if result.resumed_from:
        parts[0] += f" ({result.resumed_from:,} were there already)"
    if result.num_valid is not None:
        parts.append(f"{result.num_valid:,} valid ({result.num_valid / result.num_solved:.1%})")
    if result.num_correct is not None:
        known = (
            "" if result.num_labelled == result.num_solved else f" of {result.num_labelled:,} known"
        )
        share = result.num_correct / result.num_labelled
        parts.append(f"{result.num_correct:,}{known} correct ({share:.1%})")
    return ", ".join(parts)


def _source(argument: str) -> Path | TextIO:
    """The source that the argument means: stdin, a file, or the puzzle itself."""
    if argument == "-":
        return sys.stdin
    path = Path(argument)
    try:
        path.stat()
    except FileNotFoundError:
        if "/" in argument or path.suffix[1:].isalpha():
            raise InputError(f"{argument}: no such file. Name one, or give a puzzle.") from None
    except OSError:
        pass  # this cannot be the name of a file
    else:
        return path
    return io.StringIO(argument)


def _puzzle_text(source: Path | TextIO) -> tuple[str, str]:
    """The text of a source, and the name of its file without the extension."""
    if not isinstance(source, Path):
        return source.read(), ""
    try:
        return source.read_text(encoding="utf-8"), source.stem
    except UnicodeDecodeError:
        raise InputError(f"{source} is not a text file. Name one with a puzzle a line.") from None
    except OSError as error:
        raise InputError(f"cannot read {source}: {error.strerror}. Name another file.") from error
