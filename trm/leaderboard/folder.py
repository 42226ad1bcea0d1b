"""The results files of a folder, and those that come with the package."""

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path

from trm.errors import InputError
from trm.leaderboard.entry import COLUMNS, Entry, Puzzles, ResultsFile
from trm.reading import FileReader
from trm.storage import write_text

#: In the folder of a project.
FOLDER = Path("leaderboard")
#: Figures that the authors of models report, and of the models that come with the package.
SHIPPED = Path(__file__).with_name("entries")
_READER = FileReader(InputError, "Correct it, or remove it from the folder.")


@dataclass(frozen=True)
class FiledEntry:
    """An entry, and the file that it stands in."""

    entry: Entry
    file: Path


@dataclass(frozen=True)
class Group:
    """Figures of one metric on the same puzzles."""

    puzzles: Puzzles
    metric: str
    entries: tuple[Entry, ...]

    @property
    def is_reported(self) -> bool:
        """Whether others reported the figures: on which puzzles was not checked."""
        return self.puzzles.digest is None

    @property
    def columns(self) -> list[str]:
        """Those in which there is a figure, in their order."""
        used = {entry.column for entry in self.entries}
        return [column for column in COLUMNS if column in used]


@dataclass(frozen=True)
class Leaderboard:
    """The figures of a leaderboard, by the puzzles that they are of."""

    groups: tuple[Group, ...]

    def __repr__(self) -> str:
        count = sum(len(group.entries) for group in self.groups)
        return f"<Leaderboard: {count} figures on {len(self.groups)} sets of puzzles>"

    def as_json(self) -> list[dict[str, object]]:
        """For ``trm leaderboard --json``."""
        return [
            {
                **group.puzzles.model_dump(),
                "metric": group.metric,
                "entries": [
                    {"column": entry.column, **entry.model_dump()} for entry in group.entries
                ],
            }
            for group in self.groups
        ]


def read_leaderboard(folder: str | Path | None = None, *, shipped: bool = True) -> Leaderboard:
    """The figures in a folder: ``trm leaderboard``.

    Args:
        folder: of results files; default: ``leaderboard``, if there is one.
        shipped: also those that come with trm.

    Raises:
        InputError: if the folder is missing or has no figures, or a file is damaged.
    """
    return grouped([filed.entry for filed in read_entries(folder, shipped=shipped)])


def read_entries(folder: str | Path | None = None, *, shipped: bool = True) -> list[FiledEntry]:
    """All entries and their files; see :func:`read_leaderboard`."""
    folders = [SHIPPED] if shipped else []
    if folder is not None or FOLDER.is_dir():
        folders.append(Path(folder or FOLDER))
    if not folders:
        raise InputError(f"{FOLDER}: no such folder. Name one, or make it: trm leaderboard add")
    return [filed for one in folders for filed in _read_folder(one)]


def _read_folder(folder: Path) -> list[FiledEntry]:
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder. Name one with results files.")
    files = sorted(path for path in folder.glob("*.json") if not path.name.startswith("."))
    if not files:
        raise InputError(
            f"{folder} has no results file (*.json). Make one: trm leaderboard add EVAL.json"
        )
    return [
        FiledEntry(entry, file)
        for file in files
        for entry in _READER.model(file, ResultsFile).entries
    ]


def grouped(entries: list[Entry]) -> Leaderboard:
    """Entries by their puzzles; in a group, the best first. Equal entries count once."""
    groups: dict[tuple[str, ...], list[Entry]] = {}
    for entry in entries:
        found = groups.setdefault(entry.group, [])
        if entry not in found:
            found.append(entry)
    made = []
    for _, members in sorted(groups.items()):
        members.sort(key=lambda entry: (-entry.figure.value, entry.model))
        made.append(Group(members[0].puzzles, members[0].figure.metric, tuple(members)))
    return Leaderboard(tuple(made))


def write_entry(entry: Entry, folder: Path, *, overwrite: bool = False) -> Path:
    """Write a results file of one entry, and return its path.

    Raises:
        InputError: if there is a file of that name with another figure.
        StorageError: if it cannot be written.
    """
    file = folder / f"{_file_name(entry)}.json"
    if file.exists() and not overwrite:
        there = _READER.model(file, ResultsFile).entries
        if there == (entry,):
            return file
        raise InputError(
            f"{file} exists already, with {there[0].figure.text}. Replace it with --overwrite, or "
            "name another --name."
        )
    content = ResultsFile(entries=(entry,)).model_dump(mode="json")
    write_text(file, json.dumps(content, indent=2, ensure_ascii=False) + "\n")
    return file


def _file_name(entry: Entry) -> str:
    """Words and a digest: the same for the same model, puzzles and way of thinking."""
    words = [entry.model, entry.column, entry.thinking.flags, entry.figure.metric]
    name = re.sub(r"[^a-z0-9]+", "-", " ".join(words).lower()).strip("-")
    whole = json.dumps([*words, *entry.group])
    return f"{name[:100]}-{hashlib.sha256(whole.encode()).hexdigest()[:12]}"
