"""The trained models that come with the package, in ``trm/weights``.

Each is a checkpoint folder whose name is that of the model: ``--ckpt sudoku-9x9``.
"""

from pathlib import Path

from trm.runs.layout import WEIGHTS_FILE

FOLDER = Path(__file__).parents[1] / "weights"


def shipped_models() -> dict[str, Path]:
    """The folder of each model, by its name."""
    found = sorted(path.parent for path in FOLDER.glob(f"*/{WEIGHTS_FILE}"))
    return {path.name: path for path in found}


def shipped_hint() -> str:
    """The models that come with the package, for messages; empty if there are none."""
    names = list(shipped_models())
    return f" These come with trm: {', '.join(names)}." if names else ""
