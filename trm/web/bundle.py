"""JavaScript modules as one, for a place that takes a single script, without a tool to build it.

The modules import each other by relative paths, and name what they take:
``import { a, b as c } from "./x.js";``. An import with a plain name, such as
``import page from "./page.html";``, is the text of a file.
"""

import json
import re
from pathlib import Path

_IMPORT = re.compile(
    r'^import (?:\{(?P<names>[^}]*)\}|(?P<text>\w+)) from "(?P<path>\.[^"]+)";$', re.MULTILINE
)
_EXPORT = re.compile(r"^export (?=(?:const|(?:async )?function|class) (?P<name>\w+))", re.MULTILINE)
_OTHER = re.compile(r"^(?:import|export)\b.*|\bimport\s*\(.*|\bimport\.meta\b", re.MULTILINE)
_DEFAULT = "export default "


def bundle(entry: Path) -> str:
    """A module that does what ``entry`` does, with all that it imports inside.

    Each module becomes a function that is called once and gives what the module exports.

    Raises:
        ValueError: if a module has an import or export of another form, or imports itself.
    """
    found: dict[Path, str] = {}
    body = _resolved(entry.resolve(), found, ())
    start, default, end = body.rpartition(_DEFAULT)
    _check(entry, start + end)
    return "\n".join([*found.values(), start + default + end])


def _resolved(path: Path, found: dict[Path, str], above: tuple[Path, ...]) -> str:
    """The source of a module, whose imports are constants. What they name is in ``found``."""
    if path in above:
        raise ValueError(f"{path.name} imports itself")

    def constant(match: re.Match[str]) -> str:
        target = (path.parent / match["path"]).resolve()
        if match["text"]:
            return f"const {match['text']} = {json.dumps(target.read_text(encoding='utf-8'))};"
        if target not in found:
            found[target] = _as_function(target, found, (*above, path))
        return f"const {{{match['names'].replace(' as ', ': ')}}} = {_name(target)};"

    return _IMPORT.sub(constant, path.read_text(encoding="utf-8"))


def _as_function(path: Path, found: dict[Path, str], above: tuple[Path, ...]) -> str:
    source = _resolved(path, found, above)
    names = [match["name"] for match in _EXPORT.finditer(source)]
    source = _EXPORT.sub("", source)
    _check(path, source)
    return f"const {_name(path)} = (() => {{\n{source}\nreturn {{ {', '.join(names)} }};\n}})();"


def _name(path: Path) -> str:
    return f"{path.parent.name}_{path.stem}"


def _check(path: Path, source: str) -> None:
    if other := _OTHER.search(source):
        raise ValueError(f"{path.name} has `{other[0]:.60}`, which cannot be bundled")
