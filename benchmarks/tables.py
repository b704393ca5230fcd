"""Tables of the pages that the scripts here write."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

__all__ = ["kept_rows", "replace", "table"]


def table(header: Iterable[str], rows: Iterable[Iterable[str]]) -> list[str]:
    """Lines of a table in Markdown, and an empty one."""
    first = list(header)
    return [f"| {' | '.join(r)} |" for r in (first, ["---"] * len(first), *rows)] + [""]


def kept_rows(page: Path, name: str) -> dict[tuple[str, str], tuple[str, ...]]:
    """Rows of the table between the marks of a page, by their first two cells."""
    begin, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->\n"
    text = page.read_text(encoding="utf-8").split(begin)[1].split(end)[0]
    rows = [tuple(line[2:-2].split(" | ")) for line in text.splitlines()[2:] if line]
    return {(row[0], row[1]): row for row in rows}


def replace(page: Path, name: str, text: str) -> None:
    """Put ``text`` between the marks ``<!-- name -->`` and ``<!-- end of name -->`` of a page."""
    begin, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->\n"
    before, rest = page.read_text(encoding="utf-8").split(begin)
    page.write_text(before + begin + text + end + rest.split(end)[1], encoding="utf-8")
