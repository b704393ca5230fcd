"""The reference without what pydantic and named tuples add to the words of the code."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

if TYPE_CHECKING:
    from sphinx.application import Sphinx

__all__ = ["leave_out", "sentences", "short_signature"]

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
