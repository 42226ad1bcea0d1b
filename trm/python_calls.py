"""The calls of ``import trm``: they check the types of their arguments, and name them in errors.

The command line calls the same functions, but in their own modules. Their messages name flags such
as ``--overwrite``. A function of ``import trm`` is wrapped by :func:`python_call`, which shows the
message with ``overwrite=True`` instead. So a message is written once, and nothing needs to know
who called.
"""

import functools
import inspect
import os
import re
import textwrap
import types
from collections.abc import Callable, Iterable, Mapping, Sequence
from numbers import Integral, Real
from pathlib import Path
from typing import Any, Literal, ParamSpec, TypeVar, Union, get_args, get_origin

from trm.errors import InputError, TrmError

P = ParamSpec("P")
R = TypeVar("R")

#: The arguments that are not called what their flags are called.
ARGUMENTS = {
    "ckpt": "checkpoint",
    "no-compile": "compile=False",
    "no-mlp-t": "mlp_t=False",
    "run-name": "name",
}
#: Flags without a value: ``--overwrite`` is ``overwrite=True``.
SWITCHES = {
    *(
        "keep-test-demos",
        "no-concept",
        "overwrite",
        "pass-at-k",
        "private",
        "reset-puzzle-embedding",
    ),
    *("skip-invalid", "unsolved", "until-valid", "with-training-state"),
}
#: Flags that only commands have: most start several processes.
COMMAND_ONLY = {
    *("host", "kinds", "nnodes", "node-rank", "nproc", "oversubscribe", "port", "rdzv-endpoint"),
    "set",
}
#: A whole command, which is typed as it stands.
_COMMAND = r"`[^`]*`|\b(?:trm|pip|tensorboard) [a-z-]+(?:(?!,|;|:|\)|\. |\.?$| or | and ).)*"
#: What may follow a flag as its value: quoted text, numbers, a placeholder, a path, some words, or
#: what ends with a colon.
_VALUE = (
    r"""'[^']*'|"[^"]*"|-?\d+(?:[.,]\d+)*(?:e[-+]?\d+)?\b|[A-Z][A-Z/:]*\b|\w*/\S*\w|\w+\.\w+"""
    r"|(?:auto|cpu|cuda|first|generate|halt|hub|loss|mini|vote)\b|\S+(?=: )"
)
_FLAG = re.compile(
    rf"(?P<command>{_COMMAND})|--set (?P<setting>[\w.]+)=(?P<to>\S*[^\s.,;])"
    rf"|(?<![\w'\"-])--(?P<flag>[a-z][a-z-]*)(?: (?P<value>{_VALUE}))?"
)
#: What types are called in a message, by the type or its name.
_WORDS: dict[Any, str] = {
    str: "a text",
    int: "a whole number",
    float: "a number",
    Mapping: "a dictionary",
    Iterable: "lines",
    Callable: "a function",
    "Model": "a model of trm.load",
    "RunConfig": "settings of trm.run_config",
}


def in_python(message: str) -> str:
    """A message with arguments of Python in place of flags. Whole commands stay as they are.

    >>> in_python("out exists. Name another --out, or replace it with --overwrite.")
    'out exists. Name another `out`, or replace it with overwrite=True.'
    >>> in_python("Give --max-steps 5. Train one: trm train sudoku --max-steps 5")
    'Give max_steps=5. Train one: trm train sudoku --max-steps 5'
    """

    def argument(found: re.Match[str]) -> str:
        if found["setting"]:
            return f'settings={{"{found["setting"]}": {_literal(found["to"])}}}'
        flag, value = found["flag"], found["value"]
        if flag is None or flag in COMMAND_ONLY:
            return found[0]
        name = ARGUMENTS.get(flag, flag.replace("-", "_"))
        if flag in SWITCHES:
            return f"{name}=True" + (f" {value}" if value else "")
        if "=" in name:
            return name
        return f"`{name}`" if value is None else f"{name}={_literal(value)}"

    return _FLAG.sub(argument, message)


def _literal(value: str) -> str:
    """A value of a flag as Python writes it. A placeholder such as ``N`` stays."""
    if re.fullmatch(r"-?\d+(,-?\d+)+", value):
        return f"({value.replace(',', ', ')})"
    is_plain = re.fullmatch(r"""['"].*['"]|-?[\d.]+(e[-+]?\d+)?|[A-Z][A-Z/:]*""", value)
    return value if is_plain else f'"{value}"'


def python_call(call: Callable[P, R]) -> Callable[P, R]:
    """A function that checks its arguments, and whose errors name arguments instead of flags."""

    signature = inspect.signature(call)

    @functools.wraps(call)
    def checked(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            bound = signature.bind(*args, **kwargs)
        except TypeError:
            return call(*args, **kwargs)  # Python's own error names the function
        try:
            check_arguments(call.__name__, bound)
            return call(*bound.args, **bound.kwargs)
        except TrmError as error:
            error.args = (in_python(str(error)),)
            raise

    return checked


def check_arguments(call: str, bound: inspect.BoundArguments) -> None:
    """Check arguments against the annotations of a function.

    Annotations in quotes are not checked. What only behaves like a path or a truth value, such as
    one of NumPy, is replaced by a ``Path`` or a ``bool``.

    Raises:
        InputError: for the first argument of another type.
    """

    def check(name: str, value: object, kind: Any) -> object:
        value = _plain(value, kind)
        if not _fits(value, kind):
            shown = str(value) if isinstance(value, Path) else value
            text = textwrap.shorten(repr(shown), 60, placeholder=" ...") or f"{shown!r:.60}"
            raise InputError(f"{call}: {name} is {text}. Give {_words(kind)}.")
        return value

    for name, value in bound.arguments.items():
        parameter = bound.signature.parameters[name]
        kind = parameter.annotation
        if parameter.kind is parameter.VAR_POSITIONAL:
            bound.arguments[name] = tuple(check(name, part, kind) for part in value)
        elif parameter.kind is parameter.VAR_KEYWORD:  # settings, which are checked later
            bound.arguments[name] = {key: _plain(part, Path) for key, part in value.items()}
        else:
            bound.arguments[name] = check(name, value, kind)


def _plain(value: object, kind: Any) -> object:
    """The value, or the ``Path`` or ``bool`` that it stands for where that type is taken."""
    kinds = get_args(kind) or (kind,)
    if Path in kinds and isinstance(value, os.PathLike) and not isinstance(value, Path):
        return Path(value)
    is_numpy_bool = type(value).__module__ == "numpy" and type(value).__name__ in ("bool", "bool_")
    return bool(value) if bool in kinds and is_numpy_bool else value


def _fits(value: object, kind: Any) -> bool:
    """Whether a value is of an annotated type."""
    origin, parts = get_origin(kind), get_args(kind)
    if kind is Any or kind is inspect.Parameter.empty or isinstance(kind, str | TypeVar):
        return True
    if origin in (Union, types.UnionType):
        return any(_fits(value, part) for part in parts)
    if kind is None or kind is types.NoneType:
        return value is None
    if origin is Literal:
        return isinstance(value, str) and value in parts
    if kind in (int, float):
        return isinstance(value, Integral if kind is int else Real) and not isinstance(value, bool)
    if origin is Sequence:
        if not isinstance(value, Sequence) or isinstance(value, str | bytes):
            return False
        return all(_fits(part, parts[0]) for part in value)
    if origin is Iterable:
        return isinstance(value, Iterable) and not isinstance(value, str | bytes | Mapping)
    if origin is Callable:
        return callable(value)
    return isinstance(value, origin or (os.PathLike if kind is Path else kind))


def _words(kind: Any) -> str:
    """What an annotated type is called in a message."""
    kinds = list(get_args(kind)) if get_origin(kind) in (Union, types.UnionType) else [kind]
    words = []
    if Path in kinds:
        words.append("a path")
        kinds = [kind for kind in kinds if kind not in (str, Path)]
    for kind in kinds:
        origin = get_origin(kind)
        if origin is Literal:
            words += map(repr, get_args(kind))
        elif kind is bool:
            words += ["True", "False"]
        elif origin is Sequence:
            words.append("several in a list" if words else "a list")
        elif kind is not types.NoneType:
            words.append(_WORDS.get(origin or kind) or _WORDS.get(kind.__name__) or kind.__name__)
    words += ["None"] * (types.NoneType in kinds)
    return " or ".join(filter(None, [", ".join(words[:-1]), words[-1]]))
