"""A package of somebody else's that provides a tracker: the example of the documentation."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fresh_plugins import forget_plugins
from trm.config import RunConfig
from trm.trackers import check_trackers, open_trackers
from trm.trackers.registry import list_trackers

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "track.md"


@pytest.fixture
def _installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The example as pip installs it: a module and its metadata."""
    (code,) = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), flags=re.M | re.S)
    (toml,) = re.findall(r"^```toml\n(.*?)^```", PAGE.read_text(), flags=re.M | re.S)
    (group, name, module) = re.fullmatch(
        r'\[project\.entry-points\."(.+)"\]\n(\S+) = "(\S+)"\n', toml
    ).groups()  # type: ignore[union-attr]
    site = tmp_path / "site"
    about = site / f"{module}-1.2.dist-info"
    about.mkdir(parents=True)
    (site / f"{module}.py").write_text(code)
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.2\n")
    (about / "entry_points.txt").write_text(f"[{group}]\n{name} = {module}\n")
    monkeypatch.syspath_prepend(site)
    forget_plugins()
    yield
    forget_plugins()


@pytest.mark.usefixtures("_installed")
def test_the_example_of_the_documentation_works(tmp_path: Path) -> None:
    assert list_trackers()["csv"].origin == "my-csv 1.2"
    check_trackers(["csv"])
    warnings: list[str] = []
    for step in (0, 1):  # a run, and the same going on
        trackers = open_trackers(["csv"], tmp_path, RunConfig(task="maze"), step, warnings.append)
        trackers({"event": "train", "step": step + 1, "loss": 0.5, "grad_norm": None})
        trackers({"event": "checkpoint", "step": step + 1, "path": "somewhere"})
        trackers.close(finished=bool(step))
    assert warnings == []
    assert (tmp_path / "metrics.csv").read_text() == "1,train/loss,0.5\n2,train/loss,0.5\n"
