"""The command that answers: ``solve``, a puzzle to look at or a file of any number."""

import io
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TextIO

import typer
from rich.console import Console

from trm.commands import options as opt
from trm.errors import InputError
from trm.inference.options import Solving

if TYPE_CHECKING:
    from trm.inference.model import Model
    from trm.inference.solve_file import SolveFileResult

app = typer.Typer()
out = Console()
#: What is said beside the answers.
notes = Console(stderr=True, soft_wrap=True, highlight=False, markup=False)


@app.command()
def solve(
    puzzle: Annotated[str, typer.Argument(metavar="PUZZLE|FILE|-", help="- reads from stdin.")],
    ckpt: opt.Checkpoint = None,
    task: opt.PublishedTask = None,
    device: opt.Device = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a puzzle.")] = False,
    steps: opt.Steps = None,
    samples: opt.Samples = None,
    noise: opt.Noise = None,
    choose: opt.Choose = None,
    votes: opt.Votes = None,
    halt: opt.Halt = None,
    until_valid: Annotated[
        bool,
        typer.Option("--until-valid", help="End at the first valid board, of whichever sample."),
    ] = False,
    save: opt.Save = None,
    answers: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="F",
            help="Write answers to this .csv or .jsonl file, or go on with it.",
        ),
    ] = None,
    batch_size: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Puzzles at a time, with --out: 16 on a CPU or 64."),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Begin the file of --out anew.")
    ] = False,
) -> None:
    """Solve puzzles, and show the board as it changes from step to step."""
    from trm.inference.model import load
    from trm.show.board_pictures import check_picture_path

    _check_flags(answers, {"--json": as_json, "--save": save is not None},
                 {"--batch-size": batch_size is not None, "--overwrite": overwrite})  # fmt: skip
    given = {"steps": steps, "samples": samples, "noise": noise, "choose": choose, "votes": votes,
             "halt": halt, "until_valid": until_valid}  # fmt: skip
    how = Solving.of(**{name: value for name, value in given.items() if value is not None})
    if save is not None:
        check_picture_path(save)
    model = load(ckpt, task=task, device=device or "auto")
    if model.notes:
        notes.print(f"{model.name}: inferred {'; '.join(model.notes)}")
    if answers is None:
        _show(model, puzzle, how, as_json, save)
    else:
        _solve_file(model, puzzle, how, answers, batch_size, overwrite)


def _check_flags(answers: Path | None, alone: dict[str, bool], beside: dict[str, bool]) -> None:
    """Refuse flags that do not go with ``--out``, or only with it, before a model is loaded."""
    from trm.inference.answer_file import check_answer_path

    if answers is not None:
        check_answer_path(answers)
    for flag, given in (beside if answers is None else alone).items():
        if given and answers is None:
            raise InputError(f"{flag} is for a file of answers. Name one with --out.")
        if given:
            raise InputError(f"{flag} shows answers, --out writes them. Leave one of them out.")


def _show(model: "Model", argument: str, how: Solving, as_json: bool, save: Path | None) -> None:
    """Solve one puzzle after the other, and draw each."""
    from trm.inference.solution import Solution
    from trm.show.board_pictures import save_pictures
    from trm.show.solution import show_solution_steps, solution_summary

    text, name = _puzzle_text(_source(argument))
    solutions = []
    puzzles = model.parse(text, name)
    for given in puzzles:
        model.identifier(given)  # refuse an unknown one before anything is drawn
    for given in puzzles:
        thoughts = model.think(given, **how.given)
        if as_json:
            solution = Solution(model.task, given, tuple(thoughts), how)
            print(json.dumps(solution.as_json()))  # noqa: T201
        else:
            solution = show_solution_steps(out, model.task, given, thoughts, how)
            out.print(solution_summary(solution), highlight=False, soft_wrap=True)
        solutions.append(solution)
    if save is not None:
        save_pictures(save, [drawn for solution in solutions for drawn in solution.pictures()])


def _solve_file(
    model: "Model",
    argument: str,
    how: Solving,
    answers: Path,
    batch_size: int | None,
    overwrite: bool,
) -> None:
    """Solve a file, and say in the end what came out."""
    from trm.inference.solve_file import solve_file
    from trm.show.progress import SolvingView

    source = _source(argument)
    try:
        with SolvingView(Console(stderr=True)) as progress:
            found = solve_file(
                model, source=source, out=answers,
                batch_size=batch_size, overwrite=overwrite, on_progress=progress, **how.given,
            )  # fmt: skip
    except KeyboardInterrupt:
        notes.print(f"stopped; the same command goes on with {answers}")
        raise
    out.print(f"{answers}: {_summary(found)}", highlight=False, soft_wrap=True, markup=False)


def _summary(found: "SolveFileResult") -> str:
    """What is in a file of answers, on one line."""
    parts = ["1 puzzle" if found.num_solved == 1 else f"{found.num_solved:,} puzzles"]
    if found.resumed_from:
        parts[0] += f" ({found.resumed_from:,} were there already)"
    if found.num_valid is not None:
        parts.append(f"{found.num_valid:,} valid ({found.num_valid / found.num_solved:.1%})")
    if found.num_correct is not None:
        known = (
            "" if found.num_labelled == found.num_solved else f" of {found.num_labelled:,} known"
        )
        share = found.num_correct / found.num_labelled
        parts.append(f"{found.num_correct:,}{known} correct ({share:.1%})")
    return ", ".join(parts)


def _source(argument: str) -> Path | TextIO:
    """What the argument means: stdin, a file or the puzzle itself."""
    if argument == "-":
        return sys.stdin
    path = Path(argument)
    try:
        path.stat()
    except FileNotFoundError:
        if "/" in argument or path.suffix[1:].isalpha():
            raise InputError(f"{argument}: no such file. Name one, or give a puzzle.") from None
    except OSError:
        pass  # no name that a file could have
    else:
        return path
    return io.StringIO(argument)


def _puzzle_text(source: Path | TextIO) -> tuple[str, str]:
    """A text with puzzles, and the name of its file without the ending: maybe the puzzle's."""
    if not isinstance(source, Path):
        return source.read(), ""
    try:
        return source.read_text(encoding="utf-8"), source.stem
    except UnicodeDecodeError:
        raise InputError(f"{source} is not a text file. Name one with a puzzle a line.") from None
    except OSError as error:
        raise InputError(f"cannot read {source}: {error.strerror}. Name another file.") from error
