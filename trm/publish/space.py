"""A Space of the Hub with the page of a model: what ``trm push-hub --space`` uploads."""

from pathlib import Path

import yaml

from trm.publish.export_web import export_web
from trm.runs.checkpoint import read_config
from trm.tasks.registry import get_task

CARD_FILE = "README.md"
_CARD = """---
{header}---

# {title}

A [Tiny Recursive Model](https://arxiv.org/abs/2510.04871) that corrects its own answer step by
step. Its task: {summary} It runs in your browser: the puzzle that you type is sent to nobody.

The page was written by `trm export`. It computes the model with
[onnxruntime-web](https://www.npmjs.com/package/onnxruntime-web), Copyright (c) Microsoft
Corporation, MIT License.
"""


def write_space_folder(
    checkpoint: Path, out: Path, repo: str, *, license: str, onnxruntime: Path | None
) -> None:
    """Write the folder to upload.

    Raises:
        TrmError: see :func:`~trm.publish.export_web.export_web`.
    """
    title, config = repo.split("/")[-1], read_config(checkpoint)
    export_web(checkpoint, out, name=title, onnxruntime=onnxruntime)
    header = {
        "title": title, "sdk": "static", "app_file": "index.html", "license": license,
        "colorFrom": "blue", "colorTo": "yellow", "tags": ["tiny-recursive-model"],
    }  # fmt: skip
    summary = get_task(config.run.task).data_summary(config.data)
    card = _CARD.format(header=yaml.safe_dump(header), title=title, summary=summary)
    (out / CARD_FILE).write_text(card, encoding="utf-8")
