"""A board in a notebook that a model solves: ``trm.play``."""

from pathlib import Path
from typing import TYPE_CHECKING

from trm.inference.model import Model
from trm.web.catalogue import Catalogue

if TYPE_CHECKING:
    from trm.web.board_widget import BoardWidget


def play(
    checkpoint: Model | str | Path | None = None, *, task: str | None = None, device: str = "auto"
) -> "BoardWidget":
    """Show a board in a notebook, to type a puzzle into, and watch a model solve it.

    The widget is the page of ``trm web``: each step appears when the kernel has computed it. It
    needs ``pip install anywidget``.

    Args:
        checkpoint: what :func:`trm.load` takes or gives; None: a choice of the runs in ``runs/``,
            the newest first, and the models that come with trm.
        task: the task of a published checkpoint that does not name it.
        device: as for :func:`trm.load`.

    Raises:
        ConfigError: if anywidget is not installed.
        CheckpointError: if the checkpoint is missing or damaged.
        HubError: if it cannot be downloaded.
    """
    from trm.web.board_widget import BoardWidget

    named = [] if checkpoint is None else [checkpoint]
    models = [str(one) if isinstance(one, Path) else one for one in named]
    return BoardWidget(Catalogue(models, task=task, device=device))
