"""Puzzles as Python programs have them: arrays, tensors, lists of rows, and dictionaries."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import trm
from trm.errors import InputError
from trm.tasks.registry import get_task

ROWS = [[1, 2, 3, 4], [3, 4, 1, 2], [2, 1, 4, 3], [4, 0, 2, 1]]
TEXT = "12343412214340" + "21"
ARRAY = np.array(ROWS)


@pytest.fixture(scope="module")
def model(trained_run: Path) -> trm.Model:
    return trm.load(trained_run, device="cpu")


def puzzle_text(solution: trm.Solution) -> str:
    return solution.task.format(solution.puzzle.tokens)


@pytest.mark.parametrize(
    "given",
    [
        TEXT,
        ROWS,
        ARRAY,
        ARRAY.ravel(),
        ARRAY.astype(float),
        np.where(ARRAY == 0, np.nan, ARRAY),
        torch.tensor(ROWS),
        torch.tensor(ROWS, dtype=torch.float32, requires_grad=True),
        tuple(map(tuple, ROWS)),
        [[str(cell) for cell in row] for row in ROWS],
        [[cell or None for cell in row] for row in ROWS],
        [[str(cell or " ") for cell in row] for row in ROWS],
        [np.array(row) for row in ROWS],
    ],
)
def test_one_board_gives_one_solution(model: trm.Model, given: Any) -> None:
    assert puzzle_text(model.solve(given, steps=1)) == TEXT.replace("0", ".")


@pytest.mark.parametrize(
    "given",
    [
        [TEXT, TEXT],
        np.stack([ARRAY, ARRAY]),
        torch.tensor([ROWS, ROWS]),
        [ROWS, TEXT],
        (ARRAY, torch.tensor(ROWS)),
        (rows for rows in (ROWS, ROWS)),
    ],
)
def test_several_boards_give_a_list(model: trm.Model, given: Any) -> None:
    solutions = model.solve(given, steps=1)
    assert [puzzle_text(one) for one in solutions] == [TEXT.replace("0", ".")] * 2


def test_a_parsed_puzzle_is_a_puzzle(model: trm.Model) -> None:
    (puzzle,) = model.parse(TEXT)
    assert model.solve(puzzle, steps=1).puzzle is puzzle
    assert len(model.solve([puzzle, puzzle], steps=1)) == 2
    first, second = (next(model.solve_steps(given)) for given in (puzzle, ROWS))
    assert (first.board == second.board).all()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (123, r"^123 is no puzzle\. Give text, an array, a list of rows, or a list of such"),
        (None, r"^None is no puzzle\."),
        (b"1234", r"^b'1234' is no puzzle\."),
        (__file__, r"test_given_boards\.py is a file, not a puzzle\. Use trm\.solve_file, or give"),
        (Path("x.csv"), r"^x\.csv is a path\. Use trm\.solve_file, or give its text\.$"),
        ({"a": 1}, r"^a dict is no puzzle of task sudoku\. Give text, an array, or a list of rows"),
        (ARRAY[:3], r"^the board has 3 rows of 4, not 4 rows of 4\. For several boards, give a li"),
        ([*ROWS[:3], [1]], r"^the board has 4 rows of 1 to 4, not 4 rows of 4"),
        (np.zeros((2, 16)), r"^the board has 2 rows of 16, not 4 rows of 4\."),
        ([1, 2], r"^the board has 2 cells, not 4 rows of 4\."),
        (ARRAY + 9, r"^row 1, column 1 is 10, which is no cell\. Give one digit or character\.$"),
        (ARRAY * 1.5, r"^row 1, column 1 is 1\.5, which is no cell\."),
        (ARRAY + 4, r"^the puzzle has '5' in row 1, column 1\. Use the digits 1 to 4"),
        ([TEXT, 3], r"^puzzle 2: 3 is no puzzle\."),
        (
            ["1234", "3412", "2143", "4.21"],
            r'these are the rows of one board, join them: "\\n"\.jo',
        ),
        (np.zeros((1, 1, 4, 4)), r"^puzzle 1: a list is no puzzle of task sudoku\."),
    ],
)
def test_what_is_no_board_is_one_line(model: trm.Model, given: Any, message: str) -> None:
    with pytest.raises(InputError, match=message) as raised:
        model.solve(given)
    assert "\n" not in str(raised.value)


def test_a_maze_has_rows_of_characters() -> None:
    task, properties = get_task("maze"), {"size": 3}
    rows = [list("S.#"), ["#", None, ""], list("#.G")]
    (puzzle,) = task.parse(task.text_of(rows, properties), properties)
    assert task.format(puzzle.tokens) == "S.##..#.G"
    wrong = task.text_of([list("S.."), list("#x."), list("..G")], properties)
    with pytest.raises(InputError, match=r"^line 2, column 2: 'x' is not a cell"):
        task.parse(wrong, properties)


def test_an_arc_puzzle_is_a_dictionary_that_names_its_task() -> None:
    task = get_task("arc1")
    text = task.text_of({"007bbfb7": {"test": [{"input": [[0, 1], [2, 3]]}]}}, {})
    (puzzle,) = task.parse(text, {})
    assert (puzzle.name, task.format(puzzle.tokens)) == ("007bbfb7", "[[0,1],[2,3]]")
    with pytest.raises(
        InputError, match=r"^a grid alone does not say of which task it is\. Give a"
    ):
        task.text_of([[0, 1], [2, 3]], {})
    with pytest.raises(InputError, match=r"^the dictionary is no JSON: Object of type set"):
        task.text_of({"a": {1}}, {})


@pytest.mark.parametrize("several", [False, True])
def test_one_path_is_taken_where_several_are(
    mini_data: Path, trained_run: Path, model: trm.Model, tmp_path: Path, several: bool
) -> None:
    def given(path: Path) -> Any:
        return [path] if several else str(path)

    saved = tmp_path / "a.npz"
    report = trm.evaluate(model, data=given(mini_data), max_examples=4, save_predictions=saved)
    assert report.num_examples == 4
    assert trm.vote(given(saved), data=given(mini_data)).result()["exact_accuracy"].count == 4
    assert trm.open_data(given(mini_data)).meta.task == "sudoku"
    paths = trm.run_config("sudoku", data=given(mini_data)).data.paths
    assert paths == (str(mini_data),)
    sweep = trm.sweep_eval(model, data=given(mini_data), max_examples=4, samples=1)
    assert sweep.data == (str(mini_data),)
    assert trm.plot(given(trained_run), out=tmp_path / "a.svg").is_file()


def test_methods_check_their_arguments_too(model: trm.Model) -> None:
    solution = model.solve(TEXT, steps=1)
    for call, message in (
        (lambda: solution.save(3), r"^save: path is 3\. Give a path\.$"),
        (lambda: model.parse(3), r"^parse: text is 3\. Give a text\.$"),
        (lambda: model.solve(TEXT, batch_size="x"), r"^solve: batch_size is 'x'\. Give a whole"),
        (lambda: model.solve(TEXT, noise=1.0), r"^noise=1 disturbs .* Add samples=2 or more\.$"),
        (
            lambda: model.solve(TEXT, stepz=1),
            r"^there is no option 'stepz' here\. Did you mean 'steps'\? Known: b",
        ),
    ):
        with pytest.raises(trm.TrmError, match=message):
            call()
