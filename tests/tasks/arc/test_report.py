"""The page of HTML with the votes on each task."""

import hashlib
import json
import re
from base64 import b64encode
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from trm.data import Split
from trm.tasks.arc.closeness import InputVotes
from trm.tasks.arc.report import find_demonstrations, report_page
from trm.tasks.arc.task import Arc1
from trm.tasks.arc.votes import Candidate
from trm.tasks.metrics import Metric

HOSTILE = "</script><script>alert('&amp;')</script><!--"
RIGHT = bytes([1, 2, 3, 4])


class Page(HTMLParser):
    """The texts of scripts and styles, and the policy."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.current = ""
        self.texts: dict[str, str] = {}
        self.policy = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.append(tag)
        self.current = tag
        if tag == "script" and self.tags.count(tag) == 1:
            self.current = "data"
        given = dict(attrs)
        assert not {"src", "style", "onclick", "onload", "onerror"} & given.keys()
        if given.get("http-equiv") == "Content-Security-Policy":
            self.policy = given["content"]

    def handle_endtag(self, tag: str) -> None:
        self.current = ""

    def handle_data(self, data: str) -> None:
        self.texts[self.current] = self.texts.get(self.current, "") + data

    @property
    def data(self) -> Any:
        return json.loads(self.texts["data"])


def page_of(*voted: InputVotes, title: str = "runs/a", name: str = "one") -> Page:
    demonstrations = {"one": [("12/34", "5")]}
    metrics = {"pass@2": Metric.share(1, 2)}
    return Page(report_page(title, {"data": HOSTILE}, metrics, demonstrations, [(name, voted)]))


def voted(*ranking: tuple[bytes, int], solution: bytes | None = RIGHT) -> InputVotes:
    candidates = [Candidate(key, votes, 0.25) for key, votes in ranking]
    return InputVotes(bytes([1, 1, 0]), candidates, solution)


def test_a_task_has_its_demonstrations_attempts_and_truth() -> None:
    wrong, none = bytes([1, 2, 3, 5]), bytes([0, 0])
    page = page_of(voted((none, 5), (wrong, 3), (RIGHT, 1)), voted(solution=None))
    (task,) = page.data["tasks"]
    assert (task["id"], task["demos"]) == ("one", [["12/34", "5"]])
    first, second = task["tests"]
    assert first["candidates"] == [
        {"grid": "35", "votes": 3, "probability": 0.25, "cells_right": 1, "size_right": True},
        {"grid": "34", "votes": 1, "probability": 0.25, "cells_right": 2, "size_right": True},
        {"grid": "", "votes": 5, "probability": 0.25, "cells_right": 0, "size_right": False},
    ]
    assert (first["status"], first["input"], first["truth"]) == ("solved", "0", "34")
    assert [first[n] for n in ("rank", "votes", "cells", "num_attempts")] == [3, 9, 2, 2]
    assert (second["status"], second["truth"], second["candidates"]) == ("unknown", None, [])
    assert page.data["metrics"] == [["pass@2", "0.5000", "0.0945 to 0.9055", "2"]]


def test_only_the_best_candidates_are_in_the_page() -> None:
    ranking = [(bytes([1, 1, n]), 20 - n) for n in range(9)] + [
        (bytes([1, 2, 0, n]), 1) for n in range(9)
    ]
    (test,) = page_of(voted(*ranking)).data["tasks"][0]["tests"]
    assert (len(test["candidates"]), test["num_candidates"]) == (10, 18)


def test_names_are_text_and_never_markup() -> None:
    tags = page_of(voted()).tags
    page = page_of(voted(), title=HOSTILE, name=HOSTILE)
    assert page.tags == tags
    assert page.texts["title"] == page.texts["h1"] == HOSTILE
    assert page.data["tasks"][0]["id"] == page.data["facts"]["data"] == HOSTILE
    assert page_of(voted(), title="\udc80").texts["title"]  # a file name that is not UTF-8


def test_the_page_may_load_nothing_and_run_only_its_own_script() -> None:
    page = page_of(voted())
    hashes = {}
    for name in ("style", "script"):
        digest = hashlib.sha256(page.texts[name].encode()).digest()
        hashes[name] = f"{name}-src 'sha256-{b64encode(digest).decode()}'"
    assert page.policy.split("; ") == [
        "default-src 'none'", hashes["style"], hashes["script"],
        "base-uri 'none'", "form-action 'none'",
    ]  # fmt: skip
    code = page.texts["script"] + page.texts["style"]
    assert not re.search(r"https?:|innerHTML|insertAdjacentHTML|document\.write|eval\(", code)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A training task, and an evaluation task with two demonstrations."""
    folder = tmp_path_factory.mktemp("source")
    for part, name, row in (("training", "a", [6, 7]), ("evaluation", "b", [8, 9])):
        (folder / part).mkdir()
        pairs = [{"input": [[n, 1], row], "output": [[n, 4, 5]]} for n in range(3)]
        content = {"train": pairs[:2], "test": pairs[2:]}
        (folder / part / f"{name}.json").write_text(json.dumps(content))
    return folder


@pytest.mark.parametrize("layout", ["native", "published"])
def test_demonstrations_are_those_of_the_original_task(
    source: Path, tmp_path: Path, layout: str
) -> None:
    task = Arc1()
    options = task.options(source=str(source), no_concept=True, num_aug=3)
    build = task.build_data if layout == "native" else task.build_published
    build(tmp_path / "data", options, np.random.default_rng(0))
    train: Split = task.open_data([tmp_path / "data"]).split("train")
    found = find_demonstrations(train, {"a", "b"})
    outputs = [f"{n}45" for n in range(3)]
    assert found == {
        "a": [(f"{n}1/67", output) for n, output in enumerate(outputs)],
        "b": [(f"{n}1/89", output) for n, output in enumerate(outputs[:2])],
    }
    assert find_demonstrations(train, {"b"}).keys() == {"b"}
