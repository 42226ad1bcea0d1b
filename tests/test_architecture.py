"""Who may import whom: the table of the layers, held against the real imports."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import trm

PACKAGE = Path(trm.__file__).parent
#: From top to bottom. A part may import the parts of every later line, and none of its own line.
LAYERS = (
    {"__main__"},
    {"cli"},
    {"commands"},
    {"__init__", "testing"},
    {"comparison", "leaderboard"},
    {"training", "show"},
    {"evaluation", "publish"},
    {"web"},
    {"inference"},
    {"checkpoints"},
    {"runs", "runtime"},
    {"recipes", "datasets", "pictures"},
    {"tasks", "trackers"},
    {"data", "models"},
    {"settings"},
    {"reading"},
    {"config", "hub", "storage"},
    {"download", "hub_names", "html_text", "plugins", "python_calls"},
    {"errors"},
)
#: The types that the hook specifications name.
HOOKED = {"trm.models.base", "trm.tasks.base", "trm.trackers.base"}
MODULES = sorted(PACKAGE.rglob("*.py"))


def part_of(module: str) -> str:
    """``trm.data.split`` belongs to ``data``, ``trm`` itself to ``__init__``."""
    names = module.split(".")
    return names[1] if len(names) > 1 else "__init__"


def name_of(file: Path) -> str:
    parts = file.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts)


def imports(file: Path) -> set[str]:
    """The trm modules that a file imports, anywhere in it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            is_package = (PACKAGE.parent / node.module.replace(".", "/")).is_dir()
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                path = PACKAGE.parent / inner.replace(".", "/")
                is_module = is_package and (path.is_dir() or path.with_suffix(".py").is_file())
                found.add(inner if is_module else node.module)
    return {name for name in found if name.split(".")[0] == "trm"}


def layer_of(part: str) -> int:
    (found,) = (number for number, parts in enumerate(LAYERS) if part in parts)
    return found


@pytest.mark.parametrize("file", MODULES, ids=name_of)
def test_imports_go_down(file: Path) -> None:
    own = part_of(name_of(file))
    allowed = HOOKED if own == "plugins" else set()
    others = {name for name in imports(file) - allowed if part_of(name) != own}
    assert {name for name in others if layer_of(part_of(name)) <= layer_of(own)} == set()


@pytest.mark.parametrize("file", MODULES, ids=name_of)
def test_only_one_module_makes_a_console(file: Path) -> None:
    nodes = ast.walk(ast.parse(file.read_text()))
    calls = [ast.unparse(node.func) for node in nodes if isinstance(node, ast.Call)]
    names = {call.split(".")[-1] for call in calls}
    assert "Console" not in names


def test_a_task_imports_no_other_task() -> None:
    tasks = {path.name for path in (PACKAGE / "tasks").iterdir() if path.is_dir()}
    for file in (PACKAGE / "tasks").rglob("*/*.py"):
        others = tasks - {file.parent.name}
        assert not any(
            name.split(".")[2:3] == [other] for name in imports(file) for other in others
        )


def test_only_the_command_line_prints() -> None:
    for file in MODULES:
        calls = [
            node.func.id
            for node in ast.walk(ast.parse(file.read_text()))
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
        ]
        assert "print" not in calls or file.parent.name == "commands" or file.stem == "cli", file


def test_files_from_outside_are_parsed_by_the_reader() -> None:
    """Only what trm's own processes hand to each other is parsed elsewhere."""
    parsers = {
        f"{module}.{load}" for module in ("json", "tomllib", "np") for load in ("load", "loads")
    }
    found = {
        name_of(file)
        for file in MODULES
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Attribute) and ast.unparse(node) in parsers
    }
    assert found == {"trm.reading", "trm.runtime.worker", "trm.training.run_plan"}


def test_models_import_torch_and_nothing_of_the_rest() -> None:
    program = (
        "import sys, trm.models; print(*sorted(m for m in sys.modules if m.startswith('trm')))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    loaded = {part_of(name) for name in done.stdout.split()}
    assert loaded == {"__init__", "config", "errors", "models", "plugins", "python_calls"}


@pytest.mark.parametrize(
    "arguments", ["--help", "build-data --help", "tasks", "config sudoku", "runs ."]
)
def test_what_needs_no_torch_does_not_import_it(arguments: str) -> None:
    program = (
        f"import sys; from trm.cli import run; code = run({arguments.split()!r});"
        "print([m for m in ('torch', 'numba', 'huggingface_hub') if m in sys.modules], code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "[] 0"


def test_training_imports_the_library_of_the_hub_only_to_push() -> None:
    program = "import sys, trm.training.train; print('huggingface_hub' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout == "False\n"


def test_files_are_short() -> None:
    long = {name_of(file): n for file in MODULES if (n := len(file.read_text().splitlines())) > 400}
    assert long == {}
