"""Arguments and options of a command, from the annotations of its function."""

from __future__ import annotations

import inspect
import re
from enum import StrEnum
from typing import TYPE_CHECKING, Any, get_args, get_type_hints

from typer.models import ArgumentInfo, OptionInfo

from tables import table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["as_typed", "usage"]


def usage(function: Callable[..., Any], called: str) -> Iterator[str]:
    """A heading, the line that is typed, and a table of all that may stand in it."""
    rows = list(_rows(function))
    arguments = [name for name, _, _ in rows if not name.startswith("`--")]
    needed = [f"{name.strip('`')} {value.strip('`')}" for name, value, words in rows if "required" in words]
    line = " ".join([called, *(name.strip("`") for name in arguments), *needed, "[OPTIONS]"])
    yield f"## Options of `{called}`"
    yield f"```text\n{line}\n```"
    yield table(("", "value", "meaning"), rows)


def _rows(function: Callable[..., Any]) -> Iterator[tuple[str, str, str]]:
    hints = get_type_hints(function, include_extras=True)
    for name, parameter in inspect.signature(function).parameters.items():
        kind, *extras = get_args(hints[name]) or (hints[name],)
        info = next((e for e in extras if isinstance(e, OptionInfo | ArgumentInfo)), None)
        if isinstance(info, ArgumentInfo):
            yield f"`{info.metavar or name.upper()}`", "", info.help or ""
        elif info is not None:
            named = [
                n for n in (info.default, *(info.param_decls or ())) if isinstance(n, str) and n[:1] == "-"
            ]
            names = named or [f"--{name.replace('_', '-')}"]
            words = f"{as_typed(info.help or '')} {_default(parameter.default, info)}".strip()
            yield ", ".join(f"`{n}`" for n in names), _value(info, kind), words


def _names(info: OptionInfo) -> list[str]:
    given = (info.default, *(info.param_decls or ()))
    return [name for name in given if isinstance(name, str) and name.startswith("-")]


def as_typed(words: str) -> str:
    """Names of options as code."""
    return re.sub(r"(?<![`\w-])--[a-z][\w-]*", r"`\g<0>`", words)


def _value(info: OptionInfo, kind: Any) -> str:
    if kind is bool:
        return ""
    choices = [c for c in (kind, *get_args(kind)) if isinstance(c, type) and issubclass(c, StrEnum)]
    words = "|".join(choices[0]) if choices else info.metavar or "VALUE"
    return f"`{words}`"


def _default(value: Any, info: OptionInfo) -> str:
    """In square brackets, as in the terminal."""
    if value is inspect.Parameter.empty:
        return "[required]"
    told = value not in (None, False, "") and info.show_default is not False
    return f"[default: {value}]" if told else ""
