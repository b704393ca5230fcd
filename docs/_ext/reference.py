"""The reference without what pydantic and named tuples add to the words of the code."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

import caloforge
from tables import table

if TYPE_CHECKING:
    from sphinx.application import Sphinx

__all__ = ["leave_out", "list_names", "sentences", "short_signature"]

_MARK = "<!-- names -->"
_ADDED = {"model_config", "model_computed_fields", "model_fields", "model_post_init"}


def leave_out(_: Sphinx, _kind: str, name: str, item: Any, _skip: bool, _options: Any) -> bool | None:
    """Leave out what is no text of ours: pydantic's settings, and "Alias for field number 0"."""
    alias = (getattr(item, "__doc__", None) or "").startswith("Alias for field number")
    return True if name in _ADDED or alias else None


def short_signature(
    _: Sphinx, kind: str, _name: str, item: Any, _options: Any, _signature: str | None, returns: str | None
) -> tuple[str | None, str | None] | None:
    """Records take their fields, which are listed below, as keywords: types with limits fill no signature."""
    if kind == "class" and isinstance(item, type) and issubclass(item, BaseModel):
        fields = [key if field.is_required() else f"{key}=..." for key, field in item.model_fields.items()]
        return f"(*, {', '.join(fields)})" if fields else "()", returns
    return None


def sentences(_: Sphinx, kind: str, _name: str, _item: Any, _options: Any, lines: list[str]) -> None:
    """Words before a colon are no type: an empty first line keeps napoleon from taking them for one."""
    if kind in {"attribute", "property", "data"} and lines and ":" in lines[0]:
        lines.insert(0, "")


def list_names(_: Sphinx, page: str, content: list[str]) -> None:
    """Put a table of what ``import caloforge`` offers where the page on Python wants it."""
    if page == "api/index":
        names = [name for name in caloforge.__all__ if not name.startswith("_")]
        content[0] = content[0].replace(_MARK, table(("name", "what it is"), map(_name, names)))


def _name(name: str) -> tuple[str, str]:
    item = getattr(caloforge, name)
    place = f"{item.__module__}.{item.__qualname__}"
    public = next((p for p in _pages_of(place) if hasattr(importlib.import_module(p), name)), item.__module__)
    words = (item.__doc__ or "").strip().split("\n")[0].replace("``", "`")
    return f"{{py:obj}}`{name} <{public}.{name}>`", words


def _pages_of(place: str) -> list[str]:
    """Modules that may show a name, the outermost first: a page documents the package that offers it."""
    parts = place.split(".")[:-1]
    return [".".join(parts[:count]) for count in range(2, len(parts) + 1)]
