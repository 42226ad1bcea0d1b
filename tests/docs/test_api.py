"""The calls of ``import trm``: all of them documented, and all of them called in one way."""

import inspect
import os
import pydoc
import re
import subprocess
import sys
from pathlib import Path

import pytest

import trm

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "api.md"
CALLS = [name for name in trm.__all__ if inspect.isfunction(getattr(trm, name))]
#: Parameters that may be given by their place, where it is not the first one alone.
BY_PLACE = {
    "open_data": ["folder", "more"],
    "evaluate": ["checkpoint", "data"],
    "sweep_eval": ["checkpoint", "data"],
}
BY_NAME_ONLY = (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.VAR_KEYWORD)


def parameters(call: object) -> list[inspect.Parameter]:
    assert callable(call)
    return [p for p in inspect.signature(call).parameters.values() if p.name != "self"]


def by_place(call: object) -> list[str]:
    return [p.name for p in parameters(call) if p.kind not in BY_NAME_ONLY]


def test_the_reference_begins_with_exactly_the_public_names() -> None:
    top = PAGE.read_text(encoding="utf-8").partition("\n## ")[0]
    assert sorted(re.findall(r"^\| `(\w+)` \|", top, flags=re.M)) == sorted(trm.__all__)


def test_every_public_name_has_its_docstring_on_the_page() -> None:
    page = PAGE.read_text(encoding="utf-8")
    shown = set(re.findall(r"^::: trm\.(\w+)$", page, flags=re.M))
    assert shown >= {*CALLS, "Model", "Solution", "list_tasks"}


def test_lazy_imports_are_found() -> None:
    assert len(CALLS) > 10
    assert [name for name in trm.__all__ if not getattr(trm, name)] == []
    with pytest.raises(AttributeError, match="module 'trm' has no attribute 'lode'"):
        _ = trm.lode


@pytest.mark.parametrize(
    ("given", "expected"), [({}, "1000"), ({"OMP_WAIT_POLICY": "active"}, "None")]
)
def test_importing_trm_lets_waiting_threads_of_torch_spin_only_briefly(
    given: dict[str, str], expected: str
) -> None:
    unset = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")
    environment = {name: value for name, value in os.environ.items() if name not in unset} | given
    program = "import os, trm; print(os.environ.get('GOMP_SPINCOUNT'))"
    command = [sys.executable, "-c", program]
    assert subprocess.check_output(command, env=environment, text=True).strip() == expected


def test_completion_and_help_offer_the_python_api() -> None:
    assert set(dir(trm)) == {*trm.__all__, "__doc__", "__file__", "__name__", "__path__"}
    page = pydoc.plain(pydoc.render_doc(trm))
    assert [name for name in CALLS if f"\n    {name}(" not in page] == []


@pytest.mark.parametrize("name", CALLS)
def test_all_but_the_first_parameter_is_given_by_name(name: str) -> None:
    placed = by_place(getattr(trm, name))
    assert placed == BY_PLACE.get(name, placed[:1])


def test_solving_takes_its_options_by_name() -> None:
    assert by_place(trm.Model.solve) == ["puzzles"]


@pytest.mark.parametrize("name", CALLS)
def test_a_call_says_what_it_takes_and_what_it_raises(name: str) -> None:
    call = getattr(trm, name)
    text = inspect.getdoc(call) or ""
    assert "Raises:\n" in text
    names = [parameter.name for parameter in parameters(call)]
    described = re.findall(r"^    (\w+): \S", text, flags=re.M)
    if len(names) > 1:
        assert set(names) <= set(described)
