"""Small damages to files, each drawn from a generator.

A mutator takes a generator of random numbers and the file, and changes the file in place.
"""

import json
import os
import random
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.fuzz import hostile
from tests.fuzz.array_mutators import ARRAY_MUTATORS

Mutator = Callable[[random.Random, Path], None]


def mutators_of(path: Path) -> list[Mutator]:
    """The mutators for a file, those that know its format most often."""
    name = path.name
    special = next(
        (found for suffix, found in _BY_SUFFIX.items() if name.endswith(suffix)), (edit_text,)
    )
    return [*special * 5, edit_bytes, edit_bytes, replace_file, rename_file]


def edit_bytes(rng: random.Random, path: Path) -> None:
    """Flip, cut, double, swap or insert some bytes."""
    content = path.read_bytes()
    ends = sorted(rng.randrange(len(content) + 1) for _ in range(3))
    if rng.random() < 0.3:  # the beginning and the end matter most
        ends = sorted(min(len(content), abs(end - rng.choice((0, len(content))))) for end in ends)
        ends = sorted(min(len(content), end % 64) for end in ends)
    first, middle, last = ends
    head, a, b, tail = content[:first], content[first:middle], content[middle:last], content[last:]
    kind = rng.choice(("flip", "flip", "cut", "end", "double", "swap", "insert", "fill"))
    if kind == "flip":
        changed = bytearray(content)
        for _ in range(rng.choice((1, 1, 4, 30))):
            if changed:
                changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
        content = bytes(changed)
    elif kind == "cut":
        content = head + b + tail
    elif kind == "end":
        content = content[: rng.choice((0, 1, first, len(content) - 1))]
    elif kind == "double":
        content = head + a + a + b + tail
    elif kind == "swap":
        content = head + b + a + tail
    elif kind == "insert":
        content = head + rng.choice(hostile.BYTES) + a + b + tail
    else:
        content = head + bytes([rng.choice((0, 255, 32))]) * len(a) + b + tail
    path.write_bytes(content)


def edit_text(rng: random.Random, path: Path) -> None:
    """Change lines, words, fields, numbers or the encoding of a text."""
    text = path.read_bytes().decode("utf-8", "surrogateescape")
    lines = text.splitlines(keepends=True) or [""]
    row = rng.randrange(len(lines))
    kind = rng.choice(("word", "word", "field", "field", "drop", "double", "swap", "codec", "long"))
    if kind == "word":
        words = list(re.finditer(r"[\w.+-]+", text))
        if words:
            found = rng.choice(words)
            text = text[: found.start()] + _any_text(rng) + text[found.end() :]
    elif kind == "field":
        fields = lines[row].rstrip("\n").split(",")
        fields[rng.randrange(len(fields))] = _any_text(rng)
        lines[row] = ",".join(fields) + "\n"
        text = "".join(lines)
    elif kind == "codec":
        codec = rng.choice(("utf-16", "utf-8-sig", "utf-32", "cp037"))
        path.write_bytes(text.encode("utf-8", "replace").decode().encode(codec, "replace"))
        return
    elif kind == "long":
        lines[row] = lines[row].rstrip("\n") * rng.choice((2, 100, 100_000 // len(text or " ")))
        text = "".join(lines)
    else:
        other = rng.randrange(len(lines))
        if kind == "drop":
            lines[row] = ""
        elif kind == "double":
            lines.insert(other, lines[row])
        else:
            lines[row], lines[other] = lines[other], lines[row]
        text = "".join(lines)
    path.write_bytes(
        text.encode("utf-8", "surrogatepass" if "\ud800" in text else "surrogateescape")
    )


def _any_text(rng: random.Random) -> str:
    return rng.choice(rng.choice((hostile.TEXTS, hostile.NUMBERS, hostile.ODD_NUMBERS)))


def edit_json(rng: random.Random, path: Path) -> None:
    """Replace, retype, nest, drop, double or swap values of a JSON file, or of one of its lines."""
    lines = [path.read_text()] if path.suffix == ".json" else path.read_text().splitlines()
    row = rng.randrange(len(lines))
    lines[row] = edit_json_text(rng, lines[row])
    path.write_bytes("\n".join(lines).encode("utf-8", "surrogatepass"))


def edit_json_text(rng: random.Random, text: str) -> str:
    tree = [json.loads(text)]  # in a list, so that the outermost value can be replaced too
    raw: dict[str, str] = {}  # texts that json.dumps would not write, by their placeholder
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        place, key = rng.choice(_places(tree))
        value = place[key]
        kind = rng.choice(("number", "number", "text", "value", "drop", "swap", "wrap", "rename"))
        if kind == "drop" and place is not tree:
            del place[key]
        elif kind == "swap":
            other, other_key = rng.choice(_places(tree))
            place[key], other[other_key] = json.loads(json.dumps([other[other_key], value]))
        elif kind == "wrap":
            place[key] = rng.choice(([value], {"x": value}, str(value), [value, value]))
        elif kind == "rename" and isinstance(place, dict):
            place[rng.choice(hostile.TEXTS)] = place.pop(key)
        elif kind == "text":
            place[key] = rng.choice(hostile.TEXTS)
        else:
            number = (*hostile.NUMBERS, "NaN", "Infinity", "-Infinity")
            chosen = rng.choice(number if kind == "number" else hostile.JSON_VALUES)
            placeholder = f"placeholder {len(raw)}"
            place[key], raw[f'"{placeholder}"'] = placeholder, chosen
    text = json.dumps(tree[0], ensure_ascii=rng.random() < 0.5)
    for placeholder, chosen in raw.items():
        text = text.replace(placeholder, chosen)
    return text


def _places(tree: Any) -> list[tuple[Any, Any]]:
    """Every value in a tree, as the list or dictionary that has it and its key."""
    found: list[tuple[Any, Any]] = []
    waiting = [tree]
    while waiting:
        part = waiting.pop()
        keys = range(len(part)) if isinstance(part, list) else list(part)
        for key in keys:
            found.append((part, key))
            if isinstance(part[key], list | dict):
                waiting.append(part[key])
    return found


def edit_settings(rng: random.Random, path: Path) -> None:
    """Change a value or a key of a TOML or YAML file."""
    lines = path.read_text().splitlines()
    is_yaml = path.suffix == ".yaml"
    sign = ": " if is_yaml else " = "
    row = rng.choice([n for n, line in enumerate(lines) if sign.strip() in line] or [0])
    key, _, value = lines[row].partition(sign)
    texts = [f'"{text}"' for text in hostile.TEXTS] + list(hostile.TEXTS)
    special = hostile.YAML_VALUES if is_yaml else hostile.TOML_VALUES
    kind = rng.choice(("value", "value", "value", "key", "double", "wrap"))
    if kind == "value":
        value = rng.choice(rng.choice((hostile.NUMBERS, special, texts)))
    elif kind == "key":
        key = rng.choice((*hostile.TEXTS, "a.b.c", "[x]", "[[x]]"))
    elif kind == "wrap":
        value = f"[{value}]"
    else:
        lines.insert(row, lines[row])
    lines[row] = key + sign + value
    path.write_bytes("\n".join(lines).encode("utf-8", "surrogatepass"))


def edit_sums(rng: random.Random, path: Path) -> None:
    """Change a line of a list of checksums."""
    lines = path.read_text().splitlines()
    row = rng.randrange(len(lines))
    digest, _, name = lines[row].partition("  ")
    lines[row] = rng.choice((
        f"{digest}  {rng.choice(hostile.TEXTS)}", f"{digest}  ../{name}", f"{digest} *{name}",
        f"{rng.choice(hostile.TEXTS)}  {name}", f"{digest[:-1]}  {name}", digest, "",
        f"{digest}  /dev/zero", f"{digest.upper()}  {name}", f"{lines[row]}\n{lines[row]}",
    ))  # fmt: skip
    path.write_bytes("\n".join(lines).encode("utf-8", "surrogatepass"))


def replace_file(rng: random.Random, path: Path) -> None:
    """Put something else in the place of a file or folder, or nothing."""
    kind = rng.choice(("nothing", "folder", "pipe", "link", "loop", "zero", "empty", "closed"))
    if kind == "closed" and path.exists():
        path.chmod(0)
        return
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()
    if kind == "folder":
        path.mkdir()
        (path / "x").touch()
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind in ("link", "loop", "zero"):
        path.symlink_to({"link": "missing", "loop": path.name, "zero": "/dev/zero"}[kind])
    elif kind == "empty":
        path.touch()


def rename_file(rng: random.Random, path: Path) -> None:
    """Give a file a hostile name with the same suffix; the names of some files are data."""
    name = rng.choice(hostile.TEXTS) + path.suffix
    fits = "/" not in name and len(name.encode("utf-8", "surrogatepass")) < 200
    target = path.parent / name
    if fits and name.strip(".") and "\ud800" not in name and not os.path.lexists(target):
        path.rename(target)


_BY_SUFFIX: dict[str, tuple[Mutator, ...]] = {
    ".json": (edit_json,), ".jsonl": (edit_json, edit_text), ".toml": (edit_settings,),
    ".yaml": (edit_settings,), "SHA256SUMS": (edit_sums,), **ARRAY_MUTATORS,
}  # fmt: skip
#: By name, as a mutation is written down.
MUTATORS: dict[str, Mutator] = {
    mutator.__name__: mutator
    for mutator in (
        edit_bytes, edit_text, replace_file, rename_file,
        *(special for found in _BY_SUFFIX.values() for special in found),
    )
}  # fmt: skip
