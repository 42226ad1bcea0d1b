"""Every command that a page shows runs, in order, and prints what the page shows."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.docs.page_commands import Block, Page, read_page
from tests.docs.page_files import add_arc_files, add_data, add_published
from tests.docs.page_runner import ROOT, Shell
from tests.hub import HubServer
from tests.hub.commands import Commands

DOCS = ROOT / "docs"
FILES = [
    ROOT / "README.md", DOCS / "index.md", DOCS / "tutorial.md",
    *sorted(DOCS.glob("how-to/*.md")), *sorted(DOCS.glob("explanation/*.md")),
    *sorted(DOCS.glob("reference/*.md")), ROOT / "CONTRIBUTING.md",
    *sorted(ROOT.glob("recipes/sudoku-*.toml")), *sorted(ROOT.glob("recipes/maze-*.toml")),
]  # fmt: skip
#: Generated, and pages that test_python_page.py and test_arc_prize.py run. The page of
#: examples/trm-parity runs in tests/system/test_plugin_package.py, where the plugin is installed.
OTHERS = {"cli.md", "settings.md", "use-from-python.md", "arc-prize.md"}
PAGES = [
    page
    for page in map(read_page, FILES)
    if page.path.name not in OTHERS
    and any(b.commands or b.language == "python" for b in page.blocks)
]


def name_of(page: Page) -> str:
    return page.path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_the_commands_of_a_page_run(
    page: Page,
    tmp_path: Path,
    hub: HubServer,
    hub_home: Path,
    hub_process: Commands,
    make_once: Callable[..., Path],
) -> None:
    environment = hub.environment(hub_home, "hf_alice")

    def make(blocks: list[Block]) -> Callable[[Path], None]:
        def fill(folder: Path) -> None:
            folder.mkdir()
            with Shell(folder, hub_process, environment) as shell:
                shell.run_all(blocks)

        return fill

    done = []
    for needed in page.needs:
        file, _, section = needed.partition("#")
        blocks = (read_page(page.path.parent / file) if file else page).in_section(section)
        made = make_once(f"page-{section}", make(blocks))
        shutil.copytree(made, tmp_path, symlinks=True, dirs_exist_ok=True)
        done += blocks
    text = page.path.read_text(encoding="utf-8")
    add_data(hub, tmp_path)
    if "arc1" in text:
        add_arc_files(tmp_path)
    if "Sanjin2024" in text:
        add_published(hub, hub_process, tmp_path)
    with Shell(tmp_path, hub_process, environment) as shell:
        shell.run_all([block for block in page.blocks if block not in done])


def test_a_block_that_is_not_run_says_why() -> None:
    reasons = [
        block.not_run for page in PAGES for block in page.blocks if block.not_run is not None
    ]
    assert all(len(reason.split()) > 1 for reason in reasons), reasons
