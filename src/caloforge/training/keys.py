"""The keys of a configuration: dotted names, defaults and what they mean."""

from __future__ import annotations

import inspect
import re
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic import BaseModel

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Key", "config_keys"]

# a line "name: text" of an "Attributes:" section, and the deeper lines that go on with the text
_ATTRIBUTE = re.compile(r"^ {4}(\w+): (.*(?:\n {8}.*)*)", re.MULTILINE)


class Key(NamedTuple):
    """One key.

    Attributes:
        name: With dots between the sections.
        default: Its value when nothing is said; None when there is none.
        meaning: From the documentation.
    """

    name: str
    default: Any
    meaning: str


def config_keys(kind: type[BaseModel], section: str = "") -> Iterator[Key]:
    """All keys of a configuration, those of nested ones in their place.

    Args:
        kind: The configuration's class.
        section: Put before all names.
    """
    meanings = _meanings(kind)
    for name, field in kind.model_fields.items():
        path = f"{section}.{name}" if section else name
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            yield from config_keys(inner, path)
        else:
            default = None if field.is_required() else field.get_default(call_default_factory=True)
            yield Key(path, default, meanings.get(name, ""))


def _meanings(kind: type[BaseModel]) -> dict[str, str]:
    """What the docstrings of a class and of those that it extends say of their attributes."""
    found: dict[str, str] = {}
    for base in reversed(kind.__mro__):
        text = inspect.cleandoc(base.__doc__ or "").partition("Attributes:\n")[2]
        found |= {name: " ".join(words.replace("``", "").split()) for name, words in _ATTRIBUTE.findall(text)}
    return found
