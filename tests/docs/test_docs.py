"""The documentation fits the package: generated pages are current, names and links exist."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import trm
from trm.config import setting_names
from trm.plugins import HookSpecs

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
GENERATED = {DOCS / "reference" / "cli.md", DOCS / "reference" / "settings.md"}
PAGES = sorted(DOCS.rglob("*.md"))
FILES = [*PAGES, *(ROOT / f"{name}.md" for name in ("README", "CONTRIBUTING", "CHANGELOG"))]
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]*")


def text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def commands() -> dict[str, set[str]]:
    """Every command of the generated page, with its options."""
    sections = re.split(r"^## trm *", text_of(DOCS / "reference" / "cli.md"), flags=re.M)[1:]
    found = {}
    for section in sections:
        title, _, body = section.partition("\n")
        listed = re.findall(r"^- `(--[^`]+)`", body, flags=re.M)
        found[title.strip()] = {"--help", *OPTION.findall(" ".join(listed))}
    return found


def shown_lines(path: Path) -> list[str]:
    """The ``trm ...`` lines in a page's code blocks, without comments and prompts."""
    blocks = re.findall(r"^```\w*\n(.*?)^```", text_of(path), flags=re.M | re.S)
    joined = "\n".join(blocks).replace("\\\n", " ")
    lines = (line.partition("#")[0].removeprefix("$ ").strip() for line in joined.splitlines())
    calls = [call.strip() for line in lines for call in line.split(" | ")]
    return [call for call in calls if re.match(r"trm [a-z-]", call)]


def test_the_generated_pages_are_current() -> None:
    done = subprocess.run(
        [sys.executable, str(DOCS / "generate.py"), "--check"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_every_command_is_in_a_hand_written_page() -> None:
    written = "\n".join(text_of(path) for path in FILES if path not in GENERATED)
    leaves = {name for name in commands() if name and name != "build-data"}
    assert leaves >= {"train", "eval", "solve", "build-data sudoku"}
    assert [name for name in leaves if f"trm {name}" not in written] == []


def test_every_hook_is_documented() -> None:
    hooks = [name for name in vars(HookSpecs) if name.startswith("trm_")]
    pages = ("write-a-task-plugin.md", "write-a-model-plugin.md")
    page = "".join(text_of(DOCS / "how-to" / name) for name in pages)
    assert hooks
    assert [hook for hook in hooks if hook not in page] == []


def test_every_setting_is_documented() -> None:
    page = text_of(DOCS / "reference" / "settings.md")
    assert [name for name in setting_names() if f"`{name}`" not in page] == []


def test_every_setting_that_a_page_sets_exists() -> None:
    known = {*setting_names(), "model.hiden_size", "KEY"}  # in an error message
    for path in FILES:
        named = set(re.findall(r"--set ([\w.]+)=", text_of(path)))
        assert named <= known, f"{name_of(path)} sets {named - known}"


def test_every_public_name_is_in_the_reference() -> None:
    page = text_of(DOCS / "reference" / "api.md")
    assert [name for name in trm.__all__ if name not in page] == []


def test_the_changelog_has_the_version_of_the_package() -> None:
    versions = re.findall(r"^## \[(\d+\.\d+\.\d+)\]", text_of(ROOT / "CHANGELOG.md"), flags=re.M)
    assert versions[0] == trm.__version__


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_relative_links_have_a_target(path: Path) -> None:
    prose = re.sub(r"^```.*?^```", "", text_of(path), flags=re.M | re.S)
    links = re.findall(r"\]\(([^)\s]+)\)", prose)
    targets = [link.partition("#")[0] for link in links if not re.match(r"[a-z]+:", link)]
    assert [t for t in targets if t and not (path.parent / t).exists()] == []


@pytest.mark.parametrize("path", [p for p in FILES if p not in GENERATED], ids=name_of)
def test_command_lines_name_commands_and_options_that_exist(path: Path) -> None:
    known = commands()
    for line in shown_lines(path):
        words = line.split()[1:]
        depth = 2 if " ".join(words[:2]) in known else 1
        command = " ".join(words[:depth])
        assert command in known, line
        plugin = command == "build-data" and len(words) > 1  # of a plugin's task
        options = known["build-data sudoku"] if plugin else known[command]
        assert set(OPTION.findall(line)) <= options, line


def test_the_tutorial_shows_every_step() -> None:
    shown = {line.split()[1] for line in shown_lines(DOCS / "tutorial.md")}
    assert {"tasks", "build-data", "inspect-data", "train", "eval", "solve"} <= shown


def test_every_page_is_in_the_navigation() -> None:
    navigation = text_of(ROOT / "mkdocs.yml").partition("\nnav:")[2]
    missing = [p for p in PAGES if f" {p.relative_to(DOCS).as_posix()}" not in navigation]
    assert missing == []


def test_every_picture_is_drawn_by_the_script_and_shown_on_a_page() -> None:
    shown = "\n".join(map(text_of, FILES))
    pictures = {
        p.name for p in (DOCS / "pictures").iterdir() if p.suffix in (".svg", ".png", ".gif")
    }
    assert pictures == set(
        re.findall(r'^    "([\w-]+\.\w+)": ', text_of(DOCS / "pictures.py"), re.M)
    )
    assert [name for name in pictures if f"pictures/{name})" not in shown] == []


@pytest.mark.parametrize("path", [p for p in FILES if p.stem != "CHANGELOG"], ids=name_of)
def test_the_files_that_a_page_names_exist(path: Path) -> None:
    files = re.findall(r"\b((?:trm|tests|docs|benchmarks)/[\w/-]+\.py)\b", text_of(path))
    assert [name for name in files if not (ROOT / name).exists()] == []


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_the_names_that_a_page_imports_exist(path: Path) -> None:
    blocks = re.findall(r"^```python\n(.*?)^```", text_of(path), flags=re.M | re.S)
    lines = re.findall(r"^ *(from trm[\w.]* import [\w, ]+)", "\n".join(blocks), flags=re.M)
    for line in lines:
        exec(line, {})


def test_the_files_in_the_word_table_exist() -> None:
    page = text_of(DOCS / "explanation" / "how-it-works.md")
    files = set(re.findall(r"`(trm/[\w/]+\.py)`", page))
    assert len(files) > 5
    assert [file for file in files if not (ROOT / file).is_file()] == []
    for name, file in re.findall(r"`(\w+)`, `(trm/[\w/]+\.py)` \|", page):
        assert re.search(rf"\b(def|class) {name}\b", text_of(ROOT / file)), f"{name} in {file}"
