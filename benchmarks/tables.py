"""Tables of the pages that the scripts here write."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["table"]


def table(header: Iterable[str], rows: Iterable[Iterable[str]]) -> list[str]:
    """Lines of a table in Markdown, and an empty one."""
    first = list(header)
    return [f"| {' | '.join(r)} |" for r in (first, ["---"] * len(first), *rows)] + [""]
