"""The command ``solve``: show the solution of a puzzle, or solve a file of any length."""

import contextlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from trm.commands import options as opt
from trm.commands import stdin
from trm.commands.help import Command
from trm.commands.resume_hint import resume_hint
from trm.config import MOST_EXAMPLES
from trm.errors import InputError, TrmError
from trm.inference.options import MOST_EFFORT, SolveOptions
from trm.reading import FileReader
from trm.runs.checkpoint import read_config
from trm.runs.layout import CHECKPOINTS
from trm.runs.run_folder import find_checkpoint, has_runs
from trm.runs.shipped import FOLDER
from trm.show.text import notes, out

if TYPE_CHECKING:
    from trm.inference.model import Model
    from trm.inference.solve_file import SolveFileResult
    from trm.runs.listing import RunSummary

#: How long a terminal shows a step that changes the board, in seconds.
DELAY = 0.3
_NO_FILE = "{}: no such file. Name one, or give a puzzle."
#: Of more puzzles a terminal shows only the answers, unless ``--delay`` is given.
_MOST_SHOWN = 5
#: The exit code if an answer that is shown is not valid.
NOT_VALID = 3
app = typer.Typer()

EXAMPLES = """
trm solve 6.1523.326..4....2...15.3.....1542..        # a 6x6 Sudoku
trm solve puzzles.txt --out answers.csv --until-valid
trm solve - --ckpt USER/NAME --json < puzzles.txt
"""
_READER = FileReader(InputError, "Name a text file with a puzzle a line.", "holds no puzzles")


@app.command(cls=Command, epilog=EXAMPLES)
@opt.with_verbosity
@opt.with_inference_flags(SolveOptions)
def solve(
    puzzle: Annotated[
        str,
        typer.Argument(
            metavar="PUZZLE|FILE|-",
            help="A puzzle, a file of puzzles, or - for stdin.",
            rich_help_panel=opt.BASICS,
        ),
    ],
    ckpt: opt.Checkpoint = None,
    task: opt.PublishedTask = None,
    device: opt.Device = None,
    as_json: Annotated[
        bool, opt.option(opt.OUTPUT, "--json", "Print one JSON object a puzzle.")
    ] = False,
    copies: Annotated[
        int | None,
        opt.option(
            opt.INFERENCE,
            "--copies N",
            "Solve N copies of a task, and vote (ARC).",
            min=1,
            max=MOST_EXAMPLES,
        ),
    ] = None,
    *,
    options: dict[str, Any],
    delay: Annotated[
        float | None,
        opt.option(
            opt.OUTPUT,
            "--delay SECONDS",
            f"Seconds that a step stays: {DELAY}. Over {_MOST_SHOWN} puzzles: no steps.",
            min=0,
            max=60,
        ),
    ] = None,
    save: opt.SaveSolutions = None,
    answers: Annotated[
        Path | None,
        opt.option(opt.OUTPUT, "--out F", "A .csv or .jsonl file of answers: write or resume."),
    ] = None,
    batch_size: Annotated[
        int | None,
        opt.option(
            opt.DEVICES,
            "--batch-size N",
            "Puzzles at a time: 16 on a CPU or 64.",
            min=1,
            max=MOST_EXAMPLES,
        ),
    ] = None,
    overwrite: Annotated[
        bool, opt.option(opt.OUTPUT, "--overwrite", "Start the file of --out again.")
    ] = False,
    skip_invalid: Annotated[
        bool,
        opt.option(
            opt.OUTPUT, "--skip-invalid", "With --out, mark invalid lines and go past them."
        ),
    ] = False,
) -> None:
    """Solve puzzles, and show the board as it changes step by step.

    Where the rules can tell, an answer that is not valid is tried again: a maze with more steps,
    then with several samples; a Sudoku with guesses. If none is valid, the exit code is 3. A file
    of answers (--out) marks such answers, and the exit code is 0.
    """
    from trm.inference.model import load
    from trm.inference.solution import check_solution_path
    from trm.pictures.boards import check_picture_path

    if as_json and delay is not None:
        raise InputError("--delay is for boards, --json shows none. Leave one of them out.")
    _check_flags(answers, {"--json": as_json, "--save": save is not None,
                           "--delay": delay is not None, "--copies": copies is not None},
                 {"--batch-size": batch_size is not None and copies is None,
                  "--overwrite": overwrite, "--skip-invalid": skip_invalid})  # fmt: skip
    SolveOptions.of(**options)  # an error before a model is loaded
    if copies is not None and (delay is not None or options.get("until_valid")):
        flag = "--until-valid" if delay is None else "--delay"
        raise InputError(f"--copies shows no steps, {flag} is for them. Leave one of them out.")
    if save is not None:
        (check_solution_path if copies is None else check_picture_path)(save)
    if ckpt is None and task is None and not has_runs():
        model = _fitting_model(puzzle, device or "auto")
    else:
        model = load(ckpt, task=task, device=device or "auto")
    if model.notes:
        notes.remark(f"{model.name}: inferred {'; '.join(model.notes)}")
    if answers is None and copies is None:
        _show(model, puzzle, options, as_json, delay, save, is_newest=ckpt is None)
        return
    if ckpt is None:
        _remark_newest(model)
    if copies is not None:
        _show_voted(model, puzzle, options | {"copies": copies, "batch_size": batch_size},
                    as_json, save)  # fmt: skip
    elif answers is not None:
        how = {"batch_size": batch_size, "overwrite": overwrite, "skip_invalid": skip_invalid}
        _solve_file(model, puzzle, answers, options | how)


def _fitting_model(argument: str, device: str) -> "Model":
    """The model of the package that reads the puzzles. Standard input stays to be read."""
    from trm.inference.shipped import ENOUGH, fitting_model

    if argument == "-":
        return fitting_model(stdin.read_start(ENOUGH), device)
    path = Path(argument)
    try:
        is_file = path.is_file()
    except (OSError, ValueError):  # it cannot be the name of a file
        is_file = False
    start = argument
    if is_file:
        with _READER.open(path) as file, _READER.parsing(path):
            start = stdin.whole_lines(file.read(ENOUGH), ENOUGH)
    try:
        return fitting_model(start, device)
    except InputError:
        if not is_file and _is_like_a_file(argument):
            raise InputError(_NO_FILE.format(argument)) from None
        raise


def _remark_newest(model: "Model") -> None:
    """Say which model was taken, as none was named."""
    from trm.runs.listing import read_run

    if model.path.parent == FOLDER:
        notes.remark(f"{model.name}, which comes with trm (there is no run in runs/)")
        return
    folder = model.path.parent
    run = read_run(folder.parent if folder.name == CHECKPOINTS else folder)
    step = f"step {model.checkpoint.step:,}"
    if run.step is not None and model.checkpoint.step < run.step:
        step = f"the best, of {step}"
    if run.state != "finished":
        step += f" of {run.total_steps:,}, {run.state}" if run.total_steps else f", {run.state}"
    notes.remark(
        f"{run.folder}, {step} (the newest run with a checkpoint{_better_run(model, run)})"
    )


def _better_run(model: "Model", run: "RunSummary") -> str:
    """What to say if another run has a higher figure, of the same metric on the same puzzles."""
    from trm.runs.listing import list_runs

    own, digest = run.best, model.checkpoint.data.digest
    found = [
        (other.best.value, other.folder)
        for other in list_runs(run.folder.parent)
        if other.best is not None and (own is None or other.best.is_better_than(own))
    ]
    for value, folder in sorted(found, reverse=True):
        with contextlib.suppress(TrmError):
            if read_config(find_checkpoint(str(folder))).data.digest == digest:
                return f"; {folder} is better: {value:.4f}"
    return ""


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
    model: "Model",
    argument: str,
    options: dict[str, Any],
    as_json: bool,
    delay: float | None,
    save: Path | None,
    *,
    is_newest: bool,
) -> None:
    """Solve puzzles one by one, and show each."""
    from trm.inference.solution import save_solutions
    from trm.inference.solve_file import read_puzzles
    from trm.show.solution import show_solution, solution_summary

    source = _source(model, argument)
    text, stem = _puzzle_text(source)
    solutions = []
    puzzles = read_puzzles(model, text, str(source) if stem else "the input", stem)
    for puzzle in puzzles:
        model.identifier(puzzle)  # an error before anything is shown
    if is_newest:
        _remark_newest(model)
    if delay is None and len(puzzles) <= _MOST_SHOWN and not out.is_quiet:
        delay = DELAY
    for number, puzzle in enumerate(puzzles, 1):
        if as_json:
            (solution,) = model.solve_batch([puzzle], **options)
            out.print(json.dumps(solution.as_json()))
        else:
            position = f"{number} of {len(puzzles)}" if len(puzzles) > 1 else ""
            attempts = model.attempts(puzzle, **options)
            solution = show_solution(
                out, model.task, puzzle, attempts, delay=delay, position=position
            )
            out.print_parts(solution_summary(solution))
        solutions.append(solution)
    if save is not None:
        save_solutions(save, solutions)
        notes.remark(f"wrote {save}")
    if any(solution.valid is False for solution in solutions):
        if not SolveOptions(**options).says_how and solutions[0].effort < MOST_EFFORT:
            notes.remark(f"to think longer: --effort {MOST_EFFORT}")
        raise typer.Exit(NOT_VALID)


def _show_voted(
    model: "Model", argument: str, options: dict[str, Any], as_json: bool, save: Path | None
) -> None:
    """Solve copies of each puzzle, and show the answers with the most votes."""
    from trm.evaluation.voted_solution import save_voted, solve_copies
    from trm.inference.solve_file import read_puzzles
    from trm.show.boards import show_voted
    from trm.show.progress import EvaluationView

    source = _source(model, argument)
    text, stem = _puzzle_text(source)
    puzzles = read_puzzles(model, text, str(source) if stem else "the input", stem)
    with EvaluationView(notes) as progress:
        solutions = solve_copies(model, puzzles=puzzles, on_progress=progress, **options)
    for solution in solutions:
        if as_json:
            out.print(json.dumps(solution.as_json()))
        else:
            show_voted(out, solution)
    if save is not None:
        save_voted(solutions, save)
        notes.remark(f"wrote {save}")


def _solve_file(model: "Model", argument: str, answers: Path, options: dict[str, Any]) -> None:
    """Solve a file, and print a summary."""
    from trm.inference.solve_file import solve_file
    from trm.show.progress import SolvingView

    source = _source(model, argument)
    lines = (
        stdin.read_lines() if source is None else [source] if isinstance(source, str) else source
    )
    hint = resume_hint(answers, overwrite=options["overwrite"])
    with hint, SolvingView(notes) as progress:
        result = solve_file(model, source=lines, out=answers, on_progress=progress, **options)
    out.print_parts(f"{answers}:", _summary(result))


def _summary(result: "SolveFileResult") -> str:
    """The content of a file of answers, on one line."""
    count = result.num_solved + result.num_invalid
    parts = ["1 puzzle" if count == 1 else f"{count:,} puzzles"]
    if result.resumed_from:
        parts[0] += f" ({result.resumed_from:,} were there already)"
    if result.num_invalid:
        parts.append(f"{result.num_invalid:,} invalid and not solved")
    if result.num_valid is not None:
        parts.append(f"{result.num_valid:,} valid ({result.num_valid / result.num_solved:.1%})")
    if result.num_correct is not None:
        known = (
            "" if result.num_labelled == result.num_solved else f" of {result.num_labelled:,} known"
        )
        share = result.num_correct / result.num_labelled
        parts.append(f"{result.num_correct:,}{known} correct ({share:.1%})")
    return ", ".join(parts)


def _source(model: "Model", argument: str) -> Path | str | None:
    """What the argument means: a file, a puzzle, or (None) standard input."""
    if argument == "-":
        return None
    path = Path(argument)
    try:
        path.stat()
    except FileNotFoundError:
        if _is_like_a_file(argument) and ("/" in argument or not _is_nearly(model, argument)):
            try:
                model.parse(argument)  # a maze may look like the name of a file
            except InputError:
                raise InputError(_NO_FILE.format(argument)) from None
    except (OSError, ValueError):
        pass  # this cannot be the name of a file
    else:
        return path
    return argument


def _is_like_a_file(argument: str) -> bool:
    return "/" in argument or Path(argument).suffix[1:].isalpha()


def _is_nearly(model: "Model", text: str) -> bool:
    """Whether a text looks like a puzzle with a mistake rather than like the name of a file."""
    data = model.checkpoint.data
    share = sum(character in data.vocabulary for character in text) / len(text)
    return share >= (0.5 if len(text) == data.seq_len else 0.75)


def _puzzle_text(source: Path | str | None) -> tuple[str, str]:
    """The text of a source, and the name of its file without the extension."""
    if isinstance(source, Path):
        return _READER.text(source), source.stem
    if source is not None:
        return source, ""
    return stdin.read_text(), ""
