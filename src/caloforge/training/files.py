"""Small files are written whole or not at all."""

from __future__ import annotations

from typing import TYPE_CHECKING

from caloforge.errors import OutputError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["write_atomically"]


def write_atomically(path: Path, text: str) -> None:
    """Write a text file under a temporary name and rename it.

    Raises:
        OutputError: The file cannot be written.
    """
    part = path.with_name(path.name + ".part")
    try:
        part.write_text(text, encoding="utf-8")
        part.replace(path)
    except OSError as error:
        msg = f"Cannot write {path}: {error.strerror}."
        raise OutputError(msg) from error
