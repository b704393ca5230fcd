"""What two requests differ in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["differences"]


def differences(there: object, here: object) -> str:
    """Name the first values in which two requests differ, as JSON types; empty when they are equal."""
    old, new = dict(_leaves(there)), dict(_leaves(here))
    keys = [key for key in {**old, **new} if old.get(key) != new.get(key)]
    shown = [f"{key} {old.get(key)!r:.60} there and {new.get(key)!r:.60} here" for key in keys[:3]]
    rest = [f"{len(keys) - 3} more"] if len(keys) > 3 else []
    return ", ".join([*shown, *rest])


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """The single values in nested JSON, by their paths (``beam.energy.0``)."""
    if not isinstance(value, dict | list):
        yield path, value
        return
    for key, item in value.items() if isinstance(value, dict) else enumerate(value):
        yield from _leaves(item, f"{path}.{key}" if path else str(key))
