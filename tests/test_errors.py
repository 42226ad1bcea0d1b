"""The errors are those that the module draws, and an unknown name is answered with the nearest."""

import inspect
import re

import pytest

from trm import errors
from trm.errors import TrmError, did_you_mean


def test_the_tree_in_the_docstring_is_the_tree_of_classes() -> None:
    assert errors.__doc__ is not None
    drawn = re.findall(r"[├└]── (\w+)  +(\S.*)", errors.__doc__)
    classes = {
        name: cls
        for name, cls in inspect.getmembers(errors, inspect.isclass)
        if cls.__module__ == errors.__name__ and not issubclass(cls, Warning)
    }
    assert sorted(name for name, _ in drawn) == sorted(classes.keys() - {"TrmError"})
    assert {cls.__base__ for name, cls in classes.items() if name != "TrmError"} == {TrmError}
    assert TrmError.__base__ is Exception


def test_the_nearest_name_comes_first_then_all_in_order() -> None:
    answer = did_you_mean("sudokoo", iter(["sudoku", "arc", "maze"]))
    assert answer == "Did you mean 'sudoku'? Known: arc, maze, sudoku."


def test_without_a_near_name_only_the_list_is_given() -> None:
    assert did_you_mean("chess", ["sudoku", "maze"]) == "Known: maze, sudoku."


@pytest.mark.parametrize("known", [[], ()])
def test_without_any_known_name_the_message_says_so(known: list[str]) -> None:
    assert did_you_mean("sudoku", known) == "None is installed."
