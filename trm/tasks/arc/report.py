"""A page of HTML with the votes on each task: one file, which needs no network.

The parts of the page are in ``report_page``. Its policy allows its own script and style, and
nothing else. What comes from outside is data in a block of JSON, which the script shows as text.
"""

import hashlib
import json
from base64 import b64encode
from collections.abc import Container, Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from string import Template
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trm.data import Split
from trm.tasks.arc.closeness import Closeness, InputVotes, status
from trm.tasks.arc.identifier_names import parse_names
from trm.tasks.arc.notation import COLORS, cropped
from trm.tasks.arc.votes import Candidate, grid_from_key
from trm.tasks.metrics import Metric

#: The candidates of a test input that the page has, at most.
_MAX_CANDIDATES = 10
_PARTS = Path(__file__).with_name("report_page")

#: The demonstrations of each task by its ID: pairs of input and output, as :func:`grid_text`.
Demonstrations = Mapping[str, list[tuple[str, str]]]


def report_page(
    title: str,
    facts: Mapping[str, str],
    metrics: Mapping[str, Metric],
    demonstrations: Demonstrations,
    voted: Iterable[tuple[str, Sequence[InputVotes]]],
) -> str:
    """The page.

    Args:
        title: its title.
        facts: what was evaluated, by name.
        metrics: by name.
        demonstrations: see :func:`find_demonstrations`; a task without any is shown without.
        voted: each task's ID, and its test inputs.
    """
    tasks = [
        {
            "id": name,
            "demos": demonstrations.get(name, []),
            "tests": [_test_json(one) for one in inputs],
        }
        for name, inputs in voted
    ]
    content = {
        "facts": dict(facts),
        "metrics": [[name, *metric.texts] for name, metric in metrics.items()],
        "colors": COLORS,
        "tasks": tasks,
    }
    style, script = (
        (_PARTS / name).read_text(encoding="utf-8") for name in ("page.css", "page.js")
    )
    policy = (
        f"default-src 'none'; style-src {_source(style)}; script-src {_source(script)}; "
        "base-uri 'none'; form-action 'none'"
    )
    # In a block of JSON, "<" may end the block, or begin a comment.
    data = json.dumps(content, separators=(",", ":")).replace("<", r"\u003c")
    page = Template((_PARTS / "page.html").read_text(encoding="utf-8"))
    return page.substitute(
        title=escape(title).encode("ascii", "xmlcharrefreplace").decode(),
        policy=policy,
        style=style,
        script=script,
        data=data,
    )


def find_demonstrations(split: Split, tasks: Container[str]) -> Demonstrations:
    """The demonstrations of tasks in a training split: the examples of their originals.

    Args:
        split: the training split.
        tasks: the IDs of the tasks.
    """
    first = np.asarray(split.puzzle_offsets[:-1])
    names = split.info.get("name")
    if names is None and split.names is not None and split.identifiers is not None:
        names = parse_names(split.names[split.identifiers[first]])[0]
    if names is None:
        return {}
    begins, counts = split.example_range(first)
    found: dict[str, list[tuple[str, str]]] = {}
    for name, begin, count in zip(names.tolist(), begins.tolist(), counts.tolist(), strict=True):
        if (task := name.decode()) in tasks and task not in found:
            found[task] = [
                (_text(split.inputs[row]), _text(split.labels[row]))
                for row in range(begin, begin + count)
            ]
    return found


def grid_text(key: bytes) -> str:
    """A grid as digits, with a slash between rows.

    >>> grid_text(bytes([2, 2, 0, 1, 2, 3]))
    '01/23'
    """
    return "/".join("".join(map(str, row)) for row in grid_from_key(key))


def _text(tokens: NDArray[np.uint8]) -> str:
    grid = cropped(tokens)
    return grid_text(bytes(grid.shape) + grid.tobytes())


def _test_json(voted: InputVotes) -> dict[str, Any]:
    """A test input: its attempts come first, then the other candidates."""
    attempts = voted.attempts
    best = attempts + [one for one in voted.ranking if one not in attempts]
    return {
        "status": status(voted),
        "input": grid_text(voted.given),
        "truth": None if voted.solution is None else grid_text(voted.solution),
        "cells": len((voted.solution or b"")[2:]),
        "rank": voted.rank,
        "votes": voted.num_votes,
        "num_candidates": len(voted.ranking),
        "num_attempts": len(attempts),
        "candidates": [_candidate_json(one, voted) for one in best[:_MAX_CANDIDATES]],
    }


def _candidate_json(candidate: Candidate, voted: InputVotes) -> dict[str, Any]:
    common = {"grid": grid_text(candidate.key), "votes": candidate.votes}
    common["probability"] = round(candidate.probability, 6)
    if voted.solution is None:
        return common
    found = Closeness.of(candidate.key, voted.solution)
    return {**common, "cells_right": found.cells_right, "size_right": found.size_right}


def _source(text: str) -> str:
    """What the policy of a page calls a script or style in it."""
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{b64encode(digest).decode()}'"
