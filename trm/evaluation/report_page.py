"""The page of HTML that shows the answers of an evaluation: ``trm eval --report``."""

from collections.abc import Mapping
from pathlib import Path

from trm.data import Dataset
from trm.storage import write_text
from trm.tasks.metrics import Evaluator


def page_in(folder: str | Path) -> Path:
    """The page in the folder of a report."""
    return Path(folder) / "index.html"


def write_page(
    folder: str | Path,
    evaluator: Evaluator,
    dataset: Dataset,
    split: str,
    title: str,
    facts: Mapping[str, str],
) -> None:
    """Write the page.

    Args:
        folder: it may exist; only the page in it is replaced.
        evaluator: with all answers. Its task has a report.
        dataset: the data that was evaluated.
        split: of the data, ``test`` or ``validation``.
        title: which model or models.
        facts: more about the evaluation, by name. Those about the data are added.

    Raises:
        StorageError: if it cannot be written.
    """
    data = f"{dataset.path}, {split} split, digest {dataset.meta.digest[:12]}"
    # The puzzles of the validation split are training puzzles, with all of their examples.
    train = dataset.splits.get("train") if split == "test" else None
    page = evaluator.report(title, {**facts, "data": data}, train)
    assert page is not None  # Evaluator.check_has was asked
    write_text(page_in(folder), page)
